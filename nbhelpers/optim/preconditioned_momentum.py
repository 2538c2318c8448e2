"""Momentum over preconditioned gradients."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nbhelpers.optim.base import MemoryOptimizer, as_matrix, check_range, memory
from nbhelpers.optim.preconditioners import Preconditioner, check_preconditioner


class PreconditionedMomentum(MemoryOptimizer):
    """``m ← μ m − η P g``, ``W ← W + m``: a memory whose values are P g instead of g.

    Source: (46)-(47) of arXiv 2512.24695. One transcription of (47) omits the forget gate μ that the text names; it
    is here. As printed, η sits inside m, so a later change of ``lr`` leaves what m already holds as it is
    (torch.optim.SGD rescales it). With P = I and a constant ``lr`` this is ``torch.optim.SGD``; with P = RMS it is
    ``torch.optim.RMSprop``; with P = AdaGrad and μ = 0, ``torch.optim.Adagrad``.

    Parameters
    ----------
    params: parameters or groups; entry-wise preconditioners take any shape, others see the matrix of
        :func:`as_matrix`.
    lr: η ≥ 0, no default: what fits depends on the gradient's scale.
    momentum: momentum decay μ in [0, 1], default 0.9.
    preconditioner: function of (g, state), default None (the identity); see :mod:`nbhelpers.optim.preconditioners`.
        It is code, not state: give the same one when you load a ``state_dict``.
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
        preconditioner: Preconditioner | None = None,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        self.preconditioner = check_preconditioner(preconditioner)
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "maximize": maximize})

    def check_group(self, group: dict[str, Any]) -> None:
        check_range("momentum", group["momentum"], 0, 1)

    def update(self, p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        mu, eta = group["momentum"], group["lr"]
        m = memory(state, "momentum", p)
        Pg = self.preconditioner(as_matrix(g), state).reshape(p.shape)
        m.mul_(mu).sub_(eta * Pg)  # (47)
        p.add_(m)
