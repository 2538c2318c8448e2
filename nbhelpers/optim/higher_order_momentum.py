"""Momentum over features of the gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nbhelpers.optim.base import MemoryOptimizer, as_matrix, check_range, memory
from nbhelpers.optim.preconditioners import Preconditioner, check_preconditioner

FEATURES: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda g: g,
    "sign": torch.sign,
    "root": lambda g: g.sign() * g.abs().sqrt(),
    "cube": lambda g: g**3,
}
"""Named features. All are odd functions, entry by entry, so each keeps the gradient's sign and descends."""


class HigherOrderMomentum(MemoryOptimizer):
    """``m ← μ m − η P φ(g)``, ``W ← W + Σ_k r_k m_k``: a memory of K features of the gradient.

    Source: (51) of arXiv 2512.24695, ``W ← W + m``, which fits only where φ(g) has the shape of g. The read-out is
    ours: ``φ(g)`` stacks φ_1(g), …, φ_K(g) as rows, (K·o, n); m has as many, P acts on them all, and the weights r of
    shape (K,) bring the K blocks m_k back to (o, n). With the one feature "identity" and r = 1 this is
    ``torch.optim.SGD`` with momentum (constant ``lr``), with "sign" it is sign descent with momentum.

    Parameters
    ----------
    params: parameters or groups, any shape (named features act entry by entry).
    lr: η ≥ 0, no default.
    momentum: momentum decay μ in [0, 1], default 0.9.
    features: names of :data:`FEATURES` or functions from (o, n) to (o, n), default ("identity", "cube"). Code, not
        state: give the same ones when you load a ``state_dict``.
    readout: r, one number a feature, default 1 for the first and 0.1 for the others (ours).
    preconditioner: P, function of (φ(g), state), default None (the identity).
    weight_decay, maximize: as in :class:`~nbhelpers.optim.base.MemoryOptimizer`.

    State a parameter: ``momentum`` of shape (K, *shape of the parameter).
    """

    code = ("features", "preconditioner")

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.9,
        *,
        features: Sequence[str | Callable[[Tensor], Tensor]] = ("identity", "cube"),
        readout: Sequence[float] | None = None,
        preconditioner: Preconditioner | None = None,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        self.features = [feature_function(feature) for feature in features]
        self.preconditioner = check_preconditioner(preconditioner)
        readout = [1.0] + [0.1] * (len(self.features) - 1) if readout is None else list(readout)
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "readout": readout, "weight_decay": weight_decay, "maximize": maximize},
        )

    def check_group(self, group: dict[str, Any]) -> None:
        check_range("momentum", group["momentum"], 0, 1)
        if not self.features or len(group["readout"]) != len(self.features):
            raise ValueError(
                f"readout has {len(group['readout'])} numbers for {len(self.features)} features; give one number a "
                "feature, and at least one feature."
            )

    def update(self, p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        mu, eta = group["momentum"], group["lr"]
        m = memory(state, "momentum", p, len(self.features))
        phi = torch.cat([feature(as_matrix(g)) for feature in self.features])  # (K·o, n)
        m.mul_(mu).sub_(eta * self.preconditioner(phi, state).reshape(m.shape))  # (51)
        p.add_(sum(r * m_k for r, m_k in zip(group["readout"], m, strict=True)))


def feature_function(feature: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the function of a named feature, or the function itself (ValueError for an unknown name)."""
    if callable(feature):
        return feature
    if feature not in FEATURES:
        raise ValueError(f"The feature {feature!r} is unknown; choose from {', '.join(FEATURES)}, or give a function.")
    return FEATURES[feature]
