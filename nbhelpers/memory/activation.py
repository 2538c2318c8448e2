"""Activations of a memory's hidden layer, each with its derivative, since the inner gradient is written by hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def gelu(h: Tensor) -> tuple[Tensor, Tensor]:
    """h Φ(h) and Φ(h) + h φ(h), with the normal distribution's Φ and density φ (exact, not the tanh form)."""
    Φ = 0.5 * (1 + torch.erf(h / math.sqrt(2)))
    φ = torch.exp(-0.5 * h * h) / math.sqrt(2 * math.pi)
    return h * Φ, Φ + h * φ


def silu(h: Tensor) -> tuple[Tensor, Tensor]:
    """h s(h) and s(h) (1 + h (1 − s(h))) with the logistic function s."""
    s = torch.sigmoid(h)
    return h * s, s * (1 + h * (1 - s))


def tanh(h: Tensor) -> tuple[Tensor, Tensor]:
    """tanh h and 1 − tanh² h."""
    a = torch.tanh(h)
    return a, 1 - a * a


def identity(h: Tensor) -> tuple[Tensor, Tensor]:
    """h and 1: the memory becomes the product of two matrices (for tests and comparisons)."""
    return h, torch.ones_like(h)


VALUES = {"gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh, "identity": lambda h: h}  # σ alone, fused
ACTIVATIONS = {"gelu": gelu, "silu": silu, "tanh": tanh, "identity": identity}


def activation_named(name: str):
    """The function h → (σ(h), σ'(h)) of that name."""
    try:
        return ACTIVATIONS[name]
    except KeyError:
        raise ValueError(f"activation is {name!r}; expected one of {', '.join(ACTIVATIONS)}.") from None
