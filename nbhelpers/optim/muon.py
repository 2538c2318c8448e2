"""Muon: momentum whose singular values are brought near 1."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from nbhelpers.optim.base import MemoryOptimizer, as_matrix, check_choice, check_range, memory
from nbhelpers.optim.newton_schulz import QUINTIC, check_newton_schulz, newton_schulz


class Muon(MemoryOptimizer):
    """``m ← μ m + (1 − μ) g``, ``u = (1 − μ) g + μ m`` (Nesterov) or ``m``, ``W ← (1 − η λ) W − η s NS(u)``.

    Equal to ``torch.optim.Muon`` bit for bit on matrices, with the same names and defaults. The iteration NS runs in
    bfloat16 by default, as there; ``ns_dtype=None`` computes in the parameter's own type. The average in place of a
    sum has no effect, since NS is scale free. Source: (42)-(44) of arXiv 2512.24695 name the memory and its
    non-linear read-out; the practice above is K. Jordan's.

    Parameters
    ----------
    params: parameters or groups. torch's Muon refuses all but matrices; here a vector is a column, which makes its
        update a momentum of fixed length, and more axes are first × rest. The usual practice is to give vectors,
        embeddings and the output layer to AdamW: pass them to a second optimizer.
    lr: η ≥ 0, default 1e-3. weight_decay: λ ≥ 0, default 0.1, decoupled. momentum: μ in [0, 1], default 0.95.
    nesterov: default True. ns_coefficients, ns_steps, eps: of the iteration, default :data:`QUINTIC`, 5, 1e-7.
    adjust_lr_fn: the factor s: None or "original", √max(1, o/n); "match_rms_adamw", 0.2 √max(o, n); "none" (ours), 1.
    ns_dtype: name of the type that NS computes in, default "bfloat16"; None for the parameter's own.
    maximize: default False.

    State a parameter: ``momentum_buffer`` (shape of the parameter), the name that torch uses, so that checkpoints
    carry over.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = QUINTIC,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        ns_dtype: str | None = "bfloat16",
        maximize: bool = False,
    ) -> None:
        iteration = {"ns_coefficients": tuple(ns_coefficients), "eps": eps, "ns_steps": ns_steps, "ns_dtype": ns_dtype}
        own = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, dict(**own, **iteration, maximize=maximize))

    def check_group(self, group: dict[str, Any]) -> None:
        check_range("momentum", group["momentum"], 0, 1)
        check_choice("adjust_lr_fn", group["adjust_lr_fn"], (None, "original", "match_rms_adamw", "none"))
        check_newton_schulz(group)

    def update(self, p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        mu = group["momentum"]
        m = memory(state, "momentum_buffer", p)
        m.lerp_(g, 1 - mu)
        u = as_matrix(g.lerp(m, mu) if group["nesterov"] else m)
        O = newton_schulz(u, group["ns_steps"], group["ns_coefficients"], group["eps"], group["ns_dtype"])
        p.add_(O.reshape(p.shape), alpha=-group["lr"] * scale_for_shape(u.shape, group["adjust_lr_fn"]))


def scale_for_shape(shape: tuple[int, int], rule: str | None) -> float:
    """Return the factor s of a matrix of ``shape`` (o, n), which keeps an entry's step alike over shapes."""
    o, n = shape
    if rule in (None, "original"):
        return math.sqrt(max(1, o / n))
    return 0.2 * math.sqrt(max(o, n)) if rule == "match_rms_adamw" else 1.0
