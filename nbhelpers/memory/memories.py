"""What can hold associations: a matrix, or a small residual network. Functions of their parameters, nothing hidden.

Parameters are a dict of tensors, (…, outputs, inputs) each, with any batch dimensions in front. A memory offers

    start(generator, dtype)   parameters to begin with; dtype None is torch's default
    read(W, z)                its answer to z, (…, keys) → (…, values)
    inputs(W, z)              for each matrix the vector that it multiplies while answering z: what it is keyed by
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nbhelpers.memory.activation import value_named

Parameters = dict[str, Tensor]


def times(M: Tensor, z: Tensor) -> Tensor:
    """M z for (…, m, n) and (…, n)."""
    return (M @ z[..., None])[..., 0]


@dataclass(frozen=True)
class MatrixMemory:
    """M(z) = M z with M (values × keys); starts from zero. Source: paper-facts §1.7, §6.6."""

    keys: int
    values: int

    def start(self, generator: torch.Generator | None = None, dtype: torch.dtype | None = None) -> Parameters:
        return {"M": torch.zeros(self.values, self.keys, dtype=dtype)}

    def read(self, W: Parameters, z: Tensor) -> Tensor:
        return times(W["M"], z)

    def inputs(self, W: Parameters, z: Tensor) -> dict[str, Tensor]:
        return {"M": z}


@dataclass(frozen=True)
class ResidualMLP:
    """M(z) = z + W₁ σ(W₂ z) with W₁ (width × hidden), W₂ (hidden × width). Source: equation (89), paper-facts §6.5.

    Hidden width and σ are not in the paper; defaults: hidden = width, GELU. It starts from independent normal numbers
    of variance 1/columns, since zeros would never move.
    """

    width: int
    hidden: int | None = None
    activation: str = "gelu"

    def start(self, generator: torch.Generator | None = None, dtype: torch.dtype | None = None) -> Parameters:
        hidden = self.hidden or self.width

        def normal(rows, columns):
            return torch.randn(rows, columns, dtype=dtype, generator=generator) / columns**0.5

        return {"W1": normal(self.width, hidden), "W2": normal(hidden, self.width)}

    def read(self, W: Parameters, z: Tensor) -> Tensor:
        return z + times(W["W1"], self._hidden(W, z))

    def inputs(self, W: Parameters, z: Tensor) -> dict[str, Tensor]:
        return {"W1": self._hidden(W, z), "W2": z}

    def _hidden(self, W, z):
        return value_named(self.activation)(times(W["W2"], z))
