"""A short causal convolution over tokens, with its tail carried from call to call."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ShortConvolution(nn.Module):
    """y_t = Σ_j w_j ∘ x_{t−size+1+j} per channel (depthwise), zeros before the first token.

    The window of 4 is the paper's (paper-facts §7.1); its place, after the projections, is that of Titans (§7.3). It
    starts as the identity plus small random weights, so that a new layer sees its input unblurred.

    Parameters
    ----------
    channels: width of x.
    size: tokens in the window, default 4; 1 scales each channel and carries nothing.
    """

    def __init__(self, channels: int, size: int = 4):
        super().__init__()
        if size < 1:
            raise ValueError(f"The window holds {size} tokens; it must hold at least 1.")
        self.size = size
        weight = 0.1 * torch.randn(size, channels)
        weight[-1] += 1
        self.weight = nn.Parameter(weight)

    def initial_tail(self, batch: int, like: Tensor) -> Tensor:
        """The tail before the first token: zeros (B, size − 1, channels)."""
        return like.new_zeros(batch, self.size - 1, self.weight.shape[1])

    def forward(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, L, channels) and the last size − 1 inputs before it → y (B, L, channels) and the new tail."""
        length = x.shape[1]
        seen = torch.cat([tail.to(x.dtype), x], dim=1)
        weight = self.weight.to(x.dtype)
        y = seen[:, :length] * weight[0]
        for j in range(1, self.size):
            y = torch.addcmul(y, seen[:, j : j + length], weight[j])
        return y, seen[:, length:]
