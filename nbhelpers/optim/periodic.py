"""Every parameter group on its own clock: the update rule of the continuum memory system."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from nbhelpers.optim.base import run_closure


class Periodic(Optimizer):
    """Let an optimizer update each group once every ``period_steps`` steps, on the **sum** of the period's gradients.

    Source: (71) of arXiv 2512.24695, in the reading that counts C terms (the printed sum has C + 1): steps 1 … C all
    see the same parameters, the C-th call of :meth:`step` hands their summed gradient to the optimizer, and so on.
    Summed, not averaged, and no step's gradient is dropped; the learning rate is not rescaled, so a group with a
    longer period takes larger, rarer steps.

    Call ``zero_grad()`` before each backward pass as usual: the sums are kept here, not in ``.grad``. Clip ``.grad``
    before :meth:`step` if you clip: the sum itself is never clipped. The groups are those of the wrapped optimizer (a
    scheduler on either serves both); add a new group here, not there. A closure is evaluated once, here; the wrapped
    optimizer gets none.

    Parameters
    ----------
    optimizer: any ``torch.optim.Optimizer``. A group that has its own ``period_steps`` keeps it::

        Periodic(torch.optim.AdamW([{"params": fast}, {"params": slow, "period_steps": 16}], lr=1e-3))

    period_steps: period of the other groups, a whole number of at least 1, or ``math.inf`` for a frozen group;
        default 1.

    ``state_dict()`` has the usual two entries: the wrapped optimizer's state with ``period_sum`` beside it, and the
    groups with ``period_steps`` and ``period_position`` (steps since the last update). Resuming in mid-period gives
    identical results.

    Raises
    ------
    TypeError
        If ``optimizer`` is not an optimizer, or is itself a ``Periodic``.
    ValueError
        If a period is neither a whole number of at least 1 nor ``math.inf``; if a loaded state was not saved by
        ``Periodic``.
    """

    def __init__(self, optimizer: Optimizer, period_steps: int | float = 1) -> None:
        if not isinstance(optimizer, Optimizer) or isinstance(optimizer, Periodic):
            raise TypeError(
                f"Periodic wraps one plain torch optimizer and was given {type(optimizer).__name__}; "
                "build the optimizer first and give the groups their periods."
            )
        self.optimizer = optimizer
        super().__init__(optimizer.param_groups, {"period_steps": period_steps, "period_position": 0})
        self.defaults = {**optimizer.defaults, **self.defaults}

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"optimizer": self.optimizer}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to both optimizers; they share its options."""
        period = param_group.get("period_steps", self.defaults["period_steps"])
        whole = isinstance(period, int) and not isinstance(period, bool) and period >= 1
        if not whole and period != math.inf:
            raise ValueError(
                f"period_steps is {period!r}; it must be a whole number of at least 1, or math.inf for frozen."
            )
        if all(param_group is not group for group in self.optimizer.param_groups):
            self.optimizer.add_param_group(param_group)
            param_group = self.optimizer.param_groups[-1]
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Add this step's gradients to the sums and update the groups whose period ends; return the closure's loss."""
        loss = run_closure(closure)
        if hasattr(self.optimizer, "collect"):
            self.optimizer.collect()  # DGD: the inputs of this step belong to its gradients
        gradients = {p: p.grad for group in self.param_groups for p in group["params"]}
        any_due = False
        for group in self.param_groups:
            group["period_position"] += 1
            due = group["period_position"] >= group["period_steps"]
            for p in group["params"]:
                if p.grad is not None and group["period_steps"] != math.inf:
                    self.add_to_sum(p)
                p.grad = self.state.pop(p, {}).get("period_sum") if due else None
            if due:
                group["period_position"] = 0
                any_due = True
        if any_due:
            self.optimizer.step()
        for p, gradient in gradients.items():
            p.grad = gradient
        return loss

    def add_to_sum(self, p: Tensor) -> None:
        """Add a parameter's present gradient to the sum of its period."""
        if "period_sum" in self.state[p]:
            self.state[p]["period_sum"].add_(p.grad)
        else:
            self.state[p]["period_sum"] = p.grad.clone()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear ``.grad`` of all parameters; the sums of the running periods stay."""
        self.optimizer.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the wrapped optimizer's ``state_dict`` with ``period_sum`` beside each parameter's state."""
        wrapped, sums = self.optimizer.state_dict(), super().state_dict()["state"]
        merged = {key: dict(entry) for key, entry in wrapped["state"].items()}
        for key, entry in sums.items():
            merged[key] = {**merged.get(key, {}), **entry}
        return {**wrapped, "state": merged}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned."""
        if any("period_position" not in group for group in state_dict["param_groups"]):
            raise ValueError(
                "This state has groups without period_position, so it was not saved by Periodic; load it into the "
                "plain optimizer before you wrap that."
            )
        wrapped: dict[Any, Any] = {}
        sums: dict[Any, Any] = {}
        for key, entry in state_dict["state"].items():
            rest = {name: value for name, value in entry.items() if name != "period_sum"}
            if rest:
                wrapped[key] = rest
            if "period_sum" in entry:
                sums[key] = {"period_sum": entry["period_sum"]}
        self.optimizer.load_state_dict({**state_dict, "state": wrapped})
        super().load_state_dict({**state_dict, "state": sums})
        self.param_groups = list(self.optimizer.param_groups)  # shared again
        self.state = defaultdict(dict, self.state)
