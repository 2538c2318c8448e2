"""Take the two pictures that README.md shows, from the book as it was last built.

    make book && python -m tools.pictures

Look at them before you commit them. Formulas and sliders come from the pinned scripts that the browser tests use.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "chapters" / "figures"
# file -> page, theme, what stands at the top (a CSS selector; None is the top of the page)
PICTURES = {
    "readme-welcome.png": ("index.html", "light", None),
    "readme-chapter.png": ("chapters/two-clocks.html", "dark", ".nb-explore"),
}
ABOVE = 330  # pixels of the page above the chosen part


def main() -> int:
    """Write the pictures. Returns the exit status: 1 with one line where the book or a browser is missing."""
    from tests.rendered.book import BookMissing
    from tests.rendered.browser import BrowserMissing, reader
    from tests.rendered.scripts import ScriptsMissing

    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with reader() as browser:
            for name, (page, theme, part) in PICTURES.items():
                with browser.open(page, theme=theme) as (tab, _):
                    if part:
                        tab.eval_on_selector(
                            part,
                            "(e, above) => window.scrollTo({top: e.getBoundingClientRect().top + scrollY - above,"
                            " behavior: 'instant'})",
                            ABOVE,
                        )
                        tab.wait_for_timeout(300)
                    tab.screenshot(path=FOLDER / name)
                    print(f"wrote {(FOLDER / name).relative_to(ROOT)}")
    except (BookMissing, BrowserMissing, ScriptsMissing) as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
