"""Preconditioners P of the momentum rules (46)-(51): small functions from a gradient to a gradient.

A preconditioner is called as ``P(g, state)`` with the gradient as a matrix (o, n) and the parameter's own state (a
dict that it may put tensors into), and returns P g of shape (o, n). A function of your own serves too, such as
``lambda g, state: matrix @ g``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nbhelpers.optim.base import check_range, memory

Preconditioner = Callable[[Tensor, dict[str, Tensor]], Tensor]


def identity(g: Tensor, state: dict[str, Tensor]) -> Tensor:
    """P = I, the default: plain momentum."""
    return g


class RMS:
    """``P g = g / (√v + eps)`` entry by entry, ``v ← β v + (1 − β) g²``; with momentum this is ``torch.optim.RMSprop``.

    beta: memory of v, default 0.99, in [0, 1). eps: default 1e-8. Not bias-corrected.
    """

    def __init__(self, beta: float = 0.99, eps: float = 1e-8) -> None:
        check_range("beta", beta, 0, below=1)
        check_range("eps", eps, 0)
        self.beta, self.eps = beta, eps

    def __call__(self, g: Tensor, state: dict[str, Tensor]) -> Tensor:
        v = memory(state, "mean_square", g)
        v.mul_(self.beta).addcmul_(g, g, value=1 - self.beta)
        return g / (v.sqrt() + self.eps)


class AdaGrad:
    """``P g = g / (√h + eps)`` entry by entry, ``h ← h + g²``; without momentum this is ``torch.optim.Adagrad``.

    eps: default 1e-10. Source: App. B, (106)-(111), the element-wise case.
    """

    def __init__(self, eps: float = 1e-10) -> None:
        check_range("eps", eps, 0)
        self.eps = eps

    def __call__(self, g: Tensor, state: dict[str, Tensor]) -> Tensor:
        h = memory(state, "sum_of_squares", g)
        h.addcmul_(g, g)
        return g / (h.sqrt() + self.eps)


class FullMatrix:
    """``P = (H + eps I)^(-1/2)`` from the left, ``H ← H + g gᵀ`` of shape (o, o): full-matrix AdaGrad for a vector.

    eps: default 1e-6. One eigenvalue decomposition of an o × o matrix a step, so keep o in the hundreds.
    Source: App. B, (106)-(111), the outer-product case.
    """

    def __init__(self, eps: float = 1e-6) -> None:
        check_range("eps", eps, 0)
        self.eps = eps

    def __call__(self, g: Tensor, state: dict[str, Tensor]) -> Tensor:
        H = memory(state, "outer_products", g[:, 0], len(g))  # (o, o)
        H.addmm_(g, g.mT)
        values, vectors = torch.linalg.eigh(H)
        scale = (values.clamp(min=0) + self.eps).rsqrt()
        return vectors @ (scale[:, None] * (vectors.mT @ g))


def check_preconditioner(P: Preconditioner | None) -> Preconditioner:
    """Return P, or the identity for None; refuse what cannot be called (TypeError)."""
    if P is None:
        return identity
    if not callable(P) or isinstance(P, type):
        raise TypeError(
            f"preconditioner is {P!r}; give None, RMS(), AdaGrad(), FullMatrix() or a function of (g, state)."
        )
    return P
