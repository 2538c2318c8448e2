"""When a memory changes."""

from __future__ import annotations

from dataclasses import dataclass

MODES = ("live", "summed")


@dataclass(frozen=True)
class Clock:
    """A period in tokens (or steps); ticks lie at positions 0, period, 2 · period, …

    ``mode`` says what the period does:

    * ``"live"`` (default): the memory changes at every token, its gradients are taken at the memory of the last tick.
      Period 1 is the exact rule; this is the chunk of Titans and HOPE (paper-facts §6.7).
    * ``"summed"``: the memory changes at ticks only, by the gradients summed over the period that ends: first answer,
      then learn (continuum memory, paper-facts §5.3).

    Raises
    ------
    ValueError
        If the period is not a whole number from 1, or the mode is unknown.
    """

    period: int = 1
    mode: str = "live"

    def __post_init__(self):
        if not isinstance(self.period, int) or self.period < 1:
            raise ValueError(f"The period is {self.period!r}; expected a whole number of tokens, 1 or more.")
        if self.mode not in MODES:
            raise ValueError(f"The mode is {self.mode!r}; expected one of {', '.join(MODES)}.")

    def ticks(self, position: int) -> bool:
        """Whether a period begins at this position."""
        return position % self.period == 0
