"""The gated MLP of a Transformer block, with weights that may be one's own per sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WEIGHTS = ("gate", "up", "down")


class GatedMLP(nn.Module):
    """W_down (SiLU(W_gate x) ∘ W_up x), the SwiGLU of Transformer++.

    Parameters
    ----------
    width: of x and y.
    hidden: rows of W_gate and W_up.
    """

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate = nn.Parameter(torch.randn(hidden, width) / width**0.5)
        self.up = nn.Parameter(torch.randn(hidden, width) / width**0.5)
        self.down = nn.Parameter(torch.randn(width, hidden) / hidden**0.5)

    def forward(self, x: Tensor, delta: dict[str, Tensor] | None = None) -> Tensor:
        """x (B, L, D) → (B, L, D). ``delta`` holds (B, out, in) for each weight: what each sequence adds to it."""
        if not delta:
            return F.linear(F.silu(F.linear(x, self.gate)) * F.linear(x, self.up), self.down)
        gate, up, down = (getattr(self, name) + delta[name].to(x.dtype) for name in WEIGHTS)
        return (F.silu(x @ gate.mT) * (x @ up.mT)) @ down.mT
