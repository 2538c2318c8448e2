"""Findings of the theme and its libraries that the book cannot mend, each with its reason.

Nothing of ours belongs here. A test fails if one of them no longer occurs, so the list shrinks by itself.
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
        r"(console error: .*|local file refused: )\S*@jupyter-widgets/html-manager/dist/\w+\.(woff2?|ttf)( \(404\))?",
        "html-manager 1.0.6 looks for its icon font beside the page, not beside itself; no icon of the book needs it",
    ),
)

AXE = (
    Known(
        r"region at \S+: <(img|p) [^>]*class=\"(logo__image|title logo__title).*",
        "the theme puts the logo's link outside every landmark",
    ),
    Known(
        r"label-content-name-mismatch at \S+: <button class=\"btn search-button-field.*",
        "the theme's search button is named Search and shows its shortcut too",
    ),
    Known(
        r"label-content-name-mismatch at \S+: <button class=\"btn [^\"]*theme-switch-button.*",
        "the theme's switch is named “Color mode” and holds the names of its icons",
    ),
)
