"""How a layer makes the numbers of its rule, so that no key that repeats can make the memory grow (``ops.stability``).

Every gate is a function of an unbounded pre-activation; its bias sets where training begins. Ranges and starting points
are not in the paper (paper-facts §11): they are ours. Retention begins near 1 and rates small, so that a new layer is
close to a static one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

# The longest gradient of a matrix of an MLP memory (``ops.mlp``), since the bounds on η hold for memories of one matrix
# only. Ours: with keys and values of length 1 most gradients are about 1 long, so that few are touched.
GRADIENT_BOUND = 4.0


def retention(raw: Tensor) -> Tensor:
    """α = exp(−softplus(raw)) = σ(−raw): in (0, 1), no sudden loss for any input."""
    return torch.sigmoid(-raw)


def retention_bias(heads: int, shortest: float = 16, longest: float = 1024) -> Tensor:
    """Biases (H,) that let head h forget with a time constant from ``shortest`` to ``longest`` tokens, log-spaced."""
    tokens = torch.logspace(math.log10(shortest), math.log10(longest), heads)
    return torch.expm1(1 / tokens).log()  # α = exp(−1 / tokens)


def momentum_decay(raw: Tensor) -> Tensor:
    """μ = 0.95 σ(raw): at most about 20 tokens of past surprise."""
    return 0.95 * torch.sigmoid(raw)


def learning_rate(raw: Tensor, retention: Tensor, momentum_decay: Tensor | None, bound: float | int) -> Tensor:
    """η = α (1 − μ) σ(raw) / bound.

    ``bound`` is what stability asks for at the chunk size in use (``ops.stability``): 1 for the self-modifying rule
    without momentum (η ≤ α), the chunk size C where every gradient of a chunk counts in full: without the erasing
    factor (η ≤ 1 / C), and with momentum, which carries each gradient on for 1 / (1 − μ) tokens.
    """
    rate = retention * torch.sigmoid(raw) / bound
    return rate if momentum_decay is None else (1 - momentum_decay) * rate


def unit(x: Tensor, dim: int = -1) -> Tensor:
    """x / ‖x‖ along an axis, by default the last; a zero vector stays zero."""
    return F.normalize(x, dim=dim, eps=1e-6)
