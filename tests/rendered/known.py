"""Findings of the theme and its libraries that the book cannot mend, each with its reason. Nothing of ours belongs here.

A test fails if one of them no longer occurs, so the list shrinks by itself.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Known(NamedTuple):
    what: str  # a pattern that the whole finding must match
    reason: str

    def covers(self, finding: str) -> bool:
        return re.fullmatch(self.what, finding, flags=re.DOTALL) is not None


LOADING = (
    Known(
        r"(console error: .*|local file refused: )\S*@jupyter-widgets/html-manager/dist/[0-9a-f]+\.(woff2?|ttf)( \(404\))?",
        "html-manager 1.0.6 looks for its own icon font beside the page, not beside itself; the book draws no icon with it",
    ),
)

AXE = ()
