"""The two sizes at which a chapter runs."""

from __future__ import annotations

import os

PRESETS = ("quick", "full")
VARIABLE = "NBHELPERS_PRESET"


def choose_preset(asked: str | None = None, *, has_gpu: bool = False) -> str:
    """Return ``"quick"`` or ``"full"``.

    The first of these that is given wins: ``asked``, the environment variable ``NBHELPERS_PRESET``,
    ``"full"`` where there is a GPU, ``"quick"`` elsewhere.

    Raises
    ------
    ValueError
        If the name asked for is not one of ``PRESETS``; the message says where it came from.
    """
    for value, place in ((asked, "the set-up cell's PRESET"), (os.environ.get(VARIABLE), VARIABLE)):
        if value:
            if value not in PRESETS:
                raise ValueError(f'{place} is "{value}"; it can be "quick" or "full".')
            return value
    return "full" if has_gpu else "quick"
