"""Delta momentum: a momentum that forgets along the gradient it is about to store."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nbhelpers.optim.base import MemoryOptimizer, as_matrix, check_choice, check_range, memory
from nbhelpers.optim.preconditioners import Preconditioner, check_preconditioner


class DeltaMomentum(MemoryOptimizer):
    """``m ← m (μ I − η gᵀg) − η P g``, ``W ← W + m``: one gradient step on ``½ ‖m gᵀ + P‖²`` with decay μ.

    Source: (48)-(49) of arXiv 2512.24695, corrected. There the factor stands without η on gᵀg, the camera-ready (22)
    multiplies from the left (the shapes do not fit), and the target reads +P, which ascends; right side, right sign
    and η here. The explicit form needs ``|μ − η σ²| < 1`` for every singular value σ of g: raw gradients can break
    it. Two remedies, both ours: ``form="implicit"`` is stable for any gradient, and ``normalize=True`` divides g by
    its Frobenius norm (stable for η < 1 + μ). Where g is orthogonal to all that m holds (m gᵀ = 0) the rule is
    plain momentum.

    Parameters
    ----------
    params: parameters or groups. A vector is a column, so its factor is the number ``μ − η ‖g‖²``; more axes are
        first × rest.
    lr: η ≥ 0, no default.
    momentum: momentum decay μ in [0, 1], default 0.9.
    form: "explicit" (default, the formula above) or "implicit" (ours): ``m ← (μ m − η P g)(I + η gᵀg)^(-1)``, the
        exact minimiser of ``½ ‖m gᵀ + P‖² + 1/(2η) ‖m − μ m_old‖²``.
    normalize: replace g by ``g / max(‖g‖_F, eps)`` in both places (ours), default False.
    eps: default 1e-12.
    preconditioner: P, function of (g, state), default None (the identity).
    weight_decay, maximize: as in :class:`~nbhelpers.optim.base.MemoryOptimizer`.

    State a parameter: ``momentum`` (shape of the parameter) and what the preconditioner keeps.
    """

    code = ("preconditioner",)

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.9,
        *,
        form: str = "explicit",
        normalize: bool = False,
        eps: float = 1e-12,
        preconditioner: Preconditioner | None = None,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        self.preconditioner = check_preconditioner(preconditioner)
        own = {"form": form, "normalize": normalize, "eps": eps}
        super().__init__(params, dict(lr=lr, momentum=momentum, **own, weight_decay=weight_decay, maximize=maximize))

    def check_group(self, group: dict[str, Any]) -> None:
        check_range("momentum", group["momentum"], 0, 1)
        check_range("eps", group["eps"], 0)
        check_choice("form", group["form"], ("explicit", "implicit"))

    def update(self, p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        mu, eta = group["momentum"], group["lr"]
        m = as_matrix(memory(state, "momentum", p))
        g = as_matrix(g)
        if group["normalize"]:
            g = g / g.norm().clamp(min=group["eps"])
        Pg = self.preconditioner(g, state)
        if group["form"] == "explicit":
            new = mu * m - eta * (m @ g.mT) @ g - eta * Pg  # m (μ I − η gᵀg) − η P g
        else:
            new = erase_implicitly(mu * m - eta * Pg, g, eta)
        m.copy_(new)
        p.add_(m.reshape(p.shape))


def erase_implicitly(m: Tensor, g: Tensor, eta: float) -> Tensor:
    """Return ``m (I + η gᵀg)^(-1)`` for m, g of shape (o, n), solving on the smaller side of g."""
    o, n = g.shape
    if n <= o:
        return torch.linalg.solve(torch.eye(n).to(g) + eta * g.mT @ g, m, left=False)
    return m - eta * m @ g.mT @ torch.linalg.solve(torch.eye(o).to(g) + eta * g @ g.mT, g)  # Woodbury
