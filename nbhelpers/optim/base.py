"""What the optimizers of this folder share: the loop over parameters, signs, weight decay, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class MemoryOptimizer(Optimizer):
    """An optimizer whose file holds only its formula, in :meth:`update`, and its ranges, in :meth:`check_group`.

    Common to all: ``lr`` (learning rate η, at least 0), ``weight_decay`` (decoupled, ``W ← (1 − η λ) W`` before the
    update, default 0; the paper has none) and ``maximize`` (default False). A parameter whose gradient is None is
    skipped and its memory and clocks stand still, as in ``torch.optim``. State has the parameter's data type, so
    keep parameters in float32 (under autocast they are).

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, in the defaults or in a parameter group.
    RuntimeError
        In :meth:`step`, if a gradient is sparse or complex.
    """

    code: tuple[str, ...] = ()
    """Attributes that hold functions: part of a deep copy, not of ``state_dict``."""

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {name: getattr(self, name) for name in self.code}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with options of its own; refuse wrong ones before anything changes."""
        group = {**self.defaults, **param_group}
        check_range("lr", group["lr"], 0)
        check_range("weight_decay", group["weight_decay"], 0)
        self.check_group(group)
        super().add_param_group(param_group)

    def check_group(self, group: dict[str, Any]) -> None:
        """Refuse hyper-parameters that the formula cannot take; a subclass says which."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update every parameter that has a gradient; return what ``closure`` returned, if one was given."""
        loss = run_closure(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    g = signed_gradient(p, group)
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    self.update(p, g, self.state[p], group)
        return loss

    def update(self, p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        """Change the parameter ``p`` and its ``state`` in place, given the gradient ``g`` (same shape as ``p``)."""
        raise NotImplementedError


def run_closure(closure: Callable[[], Tensor] | None) -> Tensor | None:
    """Evaluate the closure, if there is one, with gradients on."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def signed_gradient(p: Tensor, group: dict[str, Any]) -> Tensor:
    """Return the gradient to descend: ``p.grad``, or its negative under ``maximize``."""
    if p.grad.is_sparse:
        raise RuntimeError(
            "A gradient is sparse; these optimizers need dense ones. Build the embedding with sparse=False, "
            "or give it to torch.optim.SparseAdam."
        )
    if p.is_complex():
        raise RuntimeError(
            "A parameter is complex; these optimizers take real ones. Hold its real and imaginary parts as two "
            "parameters."
        )
    return -p.grad if group["maximize"] else p.grad


def as_matrix(t: Tensor) -> Tensor:
    """View a tensor as a matrix: scalar 1 × 1, vector of n entries n × 1 (a column), more axes first × rest."""
    if t.ndim == 2:
        return t
    return t.reshape(-1, 1) if t.ndim < 2 else t.reshape(len(t), -1)


def memory(state: dict[str, Tensor], name: str, p: Tensor, *leading: int) -> Tensor:
    """Return the tensor ``name`` of a parameter's state; at its first use it is zero, of shape (*leading, *p.shape).

    It has the parameter's type and device and is contiguous, so that :func:`as_matrix` of it is a view. Without
    ``leading`` it is also spread over processes as the parameter is (FSDP2).
    """
    if name not in state:
        like = torch.zeros_like(p, memory_format=torch.contiguous_format)
        state[name] = torch.zeros((*leading, *p.shape), dtype=p.dtype, device=p.device) if leading else like
    return state[name]


def count_step(state: dict[str, Tensor]) -> int:
    """Add one to the parameter's number of steps and return it.

    It is named ``step`` because ``load_state_dict`` casts every other state tensor to the parameter's type, and
    bfloat16 cannot count past 256.
    """
    state["step"] = state.get("step", torch.tensor(0)) + 1
    return int(state["step"])


def check_range(name: str, value: Any, low: float, high: float | None = None, *, below: float | None = None) -> None:
    """Refuse a hyper-parameter outside ``low ≤ value ≤ high``, or ``low ≤ value < below``; NaN is outside.

    Raises
    ------
    ValueError
        The message names the hyper-parameter, its value and the range.
    """
    upper = "" if high is None else f" and at most {high}"
    upper = upper if below is None else f" and below {below}"
    try:
        inside = low <= value and (high is None or value <= high) and (below is None or value < below)
    except TypeError:
        inside = False
    if not inside or value == float("inf"):
        raise ValueError(f"{name} is {value!r}; it must be a finite number of at least {low}{upper}.")


def check_whole(name: str, value: Any, low: int) -> None:
    """Refuse a hyper-parameter that is not a whole number of at least ``low`` (ValueError)."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {low}.")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Refuse a hyper-parameter that is none of ``choices`` (ValueError)."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(map(repr, choices))}.")
