"""Momentum read through a non-linearity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nbhelpers.optim.base import MemoryOptimizer, as_matrix, check_range, memory
from nbhelpers.optim.newton_schulz import newton_schulz

NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda m: m,
    "newton_schulz": newton_schulz,
    "sign": torch.sign,
    "tanh": torch.tanh,
}
"""Named read-outs σ of a memory (o, n)."""


class NonlinearMomentum(MemoryOptimizer):
    """``m ← μ m − ζ g``, ``W ← W + η σ(m)``: a linear memory with a non-linear read-out.

    Source: (52) of arXiv 2512.24695, ``W ← W + σ(m(u))`` with the linear, value-less memory m(u) = m of (33). The
    outer step η is
    ours: as printed (η = 1, ζ the learning rate) a scale-free σ such as Newton-Schulz would leave ζ without any
    effect. σ = "newton_schulz" is Muon without Nesterov and without its factor for tall matrices; σ = "identity" is
    SGD with momentum.

    Parameters
    ----------
    params: parameters or groups. σ sees a matrix: a vector is a column, whose Newton-Schulz image is about its
        direction.
    lr: η ≥ 0, no default.
    momentum: momentum decay μ in [0, 1], default 0.9.
    nonlinearity: a name of :data:`NONLINEARITIES` or a function from (o, n) to (o, n), default "newton_schulz". Code,
        not state.
    inner_lr: ζ ≥ 0, default 1.
    weight_decay, maximize: as in :class:`~nbhelpers.optim.base.MemoryOptimizer`.

    State a parameter: ``momentum`` (shape of the parameter).
    """

    code = ("nonlinearity",)

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.9,
        *,
        nonlinearity: str | Callable[[Tensor], Tensor] = "newton_schulz",
        inner_lr: float = 1.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        if not callable(nonlinearity) and nonlinearity not in NONLINEARITIES:
            raise ValueError(
                f"The non-linearity {nonlinearity!r} is unknown; choose from {', '.join(NONLINEARITIES)}, or give a "
                "function."
            )
        self.nonlinearity = nonlinearity if callable(nonlinearity) else NONLINEARITIES[nonlinearity]
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "inner_lr": inner_lr, "weight_decay": weight_decay, "maximize": maximize},
        )

    def check_group(self, group: dict[str, Any]) -> None:
        check_range("momentum", group["momentum"], 0, 1)
        check_range("inner_lr", group["inner_lr"], 0)

    def update(self, p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        m = memory(state, "momentum", p)
        m.mul_(group["momentum"]).sub_(g, alpha=group["inner_lr"])
        p.add_(self.nonlinearity(as_matrix(m)).reshape(p.shape), alpha=group["lr"])  # (52)
