"""What a language model is made of, as plain values that a JSON file holds."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from nbhelpers.layers import VARIANTS, LevelSpec

FAMILIES = ("transformer", "mamba2", "gated_deltanet", "titans", "hope", "hope_attention")
WITH_CMS = ("hope", "hope_attention")


@dataclass(frozen=True)
class Config:
    """A language model of one family.

    Parameters
    ----------
    family: one of ``FAMILIES``.
    vocabulary: number of tokens V.
    width, layers, heads: D, number of blocks, heads per mixer.
    hidden: hidden width of a block's MLP, over all its levels; None (default) takes what brings the model nearest to
        the Transformer of the same width and depth (``reference_hidden``), so that families compare at equal size.
    chunk_size: of recurrent mixers, in tokens, default 64.
    periods: ``period_steps`` of the CMS levels of HOPE families, fast to slow; other families have one level.
    variant: how the CMS levels are wired.
    mixer: further options of the mixer, such as ``{"memory": "matrix"}``.

    Raises
    ------
    ValueError
        A family or variant that does not exist, sizes that do not fit.
    """

    family: str
    vocabulary: int = 256
    width: int = 128
    layers: int = 4
    heads: int = 4
    hidden: int | None = None
    chunk_size: int = 64
    periods: tuple[int | float, ...] = (1, 4, 16)
    variant: str = "sequential"
    mixer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "periods", tuple(math.inf if p in ("inf", None) else p for p in self.periods))
        for name, allowed in (("family", FAMILIES), ("variant", VARIANTS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}.")
        for name in ("vocabulary", "width", "layers", "heads", "chunk_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; expected a whole number from 1.")
        if self.width % self.heads:
            raise ValueError(f"width is {self.width} and heads {self.heads}; the heads must divide the width.")

    def levels(self, hidden: int) -> tuple[LevelSpec, ...]:
        """The levels of a block's MLP: ``hidden`` shared out evenly, the fast ones taking what is left over."""
        if self.family not in WITH_CMS:
            return (LevelSpec(hidden),)
        count = len(self.periods)
        sizes = [hidden // count + (ℓ < hidden % count) for ℓ in range(count)]
        return tuple(LevelSpec(size, period) for size, period in zip(sizes, self.periods, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; a period that never ends is "inf"."""
        values = dataclasses.asdict(self)
        values["periods"] = ["inf" if p == math.inf else p for p in self.periods]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Config:
        """The config that ``to_json`` gave."""
        unknown = set(values) - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise ValueError(
                f"This config has {', '.join(sorted(unknown))}, which no model of this version knows; it was written "
                "by another version of the book or is not a model's config."
            )
        return cls(**values)


def reference_hidden(width: int) -> int:
    """Hidden width of the reference Transformer's gated MLP: 8/3 of the width, to a multiple of 8."""
    return 8 * round(width / 3)
