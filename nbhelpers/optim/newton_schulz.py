"""Newton-Schulz: bring every singular value of a matrix near 1 with matrix products alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nbhelpers.optim.base import check_choice, check_range, check_whole

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Muon's tuned coefficients: 5 steps reach a band around 1 (about 0.7 to 1.2), and never 1 itself."""

CUBIC = (1.5, -0.5, 0.0)
"""The classical iteration ``X ← 3/2 X − 1/2 X Xᵀ X``: slower (about 20 steps), but it converges to 1."""


def newton_schulz(
    matrix: Tensor,
    steps: int = 5,
    coefficients: tuple[float, float, float] = QUINTIC,
    eps: float = 1e-7,
    dtype: str | None = None,
) -> Tensor:
    """Return the matrix with its singular vectors kept and its singular values brought near 1.

    ``X ← a X + (b A + c A²) X`` with ``A = X Xᵀ``, from ``X = G / max(‖G‖_F, eps)``. Tall matrices are transposed
    first, so that A is the smaller square. The result does not depend on the scale of G (above ``eps``); NS(0) = 0.

    The cubic step is the gradient step ``X − ζ · 2 X (XᵀX − I)`` with ζ = 1/4: a descent of ``½ ‖XᵀX − I‖²``, which
    is (43)-(44) of arXiv 2512.24695 without the proximity term; the printed pair differs by a factor 2 in the
    gradient.

    Parameters
    ----------
    matrix: (o, n).
    steps: number of iterations, default 5; 0 returns ``G / max(‖G‖_F, eps)``.
    coefficients: (a, b, c), default :data:`QUINTIC`.
    eps: smallest norm that is divided by, default 1e-7.
    dtype: name of the type to compute in, such as "bfloat16" (faster on a GPU, about 2 digits); default None, the
        matrix's own.
    """
    a, b, c = coefficients
    X = matrix if dtype is None else matrix.to(getattr(torch, dtype))
    X = X.mT if matrix.shape[0] > matrix.shape[1] else X
    X = X / X.norm().clamp(min=eps)
    for _ in range(steps):
        A = X @ X.mT
        B = torch.addmm(A, A, A, beta=b, alpha=c)  # b A + c A²
        X = torch.addmm(X, B, X, beta=a)  # a X + B X
    X = X.mT if matrix.shape[0] > matrix.shape[1] else X
    return X.to(matrix.dtype)


def check_newton_schulz(group: dict[str, Any]) -> None:
    """Refuse wrong options of the iteration in a parameter group (ValueError)."""
    check_whole("ns_steps", group["ns_steps"], 0)
    check_range("eps", group["eps"], 0)
    check_choice("ns_dtype", group["ns_dtype"], (None, "bfloat16", "float16", "float32", "float64"))
    if len(group["ns_coefficients"]) != 3:
        raise ValueError(
            f"ns_coefficients has {len(group['ns_coefficients'])} entries; give the three of a X + b A X + c A² X, "
            "such as QUINTIC or CUBIC."
        )
