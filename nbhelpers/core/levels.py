"""Names of the levels of a nested model, from the clock that ticks most often to the one that never does."""

LEVELS = ("fast", "middle", "slow", "frozen")
