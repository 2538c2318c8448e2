"""One way to seed everything."""

from __future__ import annotations

import random
import sys


def seed_everything(seed: int = 0) -> int:
    """Seed Python, NumPy and torch (where they are loaded or installed) and return the seed.

    Random numbers of a chapter come from explicit generators; this call covers what libraries draw on
    their own.

    Parameters
    ----------
    seed: a non-negative integer below 2**32, default 0.

    Raises
    ------
    ValueError
        If the seed is outside that range.
    """
    if not 0 <= int(seed) < 2**32:
        raise ValueError(f"The seed is {seed}; it must be a whole number from 0 to 2**32 - 1.")
    import numpy

    random.seed(seed)
    numpy.random.seed(seed)  # noqa: NPY002 - for libraries that draw from the global generator
    if "torch" in sys.modules:  # a chapter without torch does not pay for importing it
        sys.modules["torch"].manual_seed(seed)
    return int(seed)
