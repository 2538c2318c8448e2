"""Screenshots for authors: each page in light and dark, on a desktop and on a phone, cut into slices.

    python -m tests.rendered.shots OUT [PAGE…]

OUT is a folder; PAGE is a path such as ``chapters/two-clocks.html``, or a part of one; without any, every page is shot.
Slices are at most 1800 px high and named page-width-theme-slice.png. NBHELPERS_BOOK names the built book.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.rendered import book
from tests.rendered.browser import DESKTOP, PHONE, BrowserMissing, reader
from tests.rendered.known import LOADING
from tests.rendered.scripts import ScriptsMissing

SLICE = 1800  # px


def shoot(out: Path, wanted: list[str]) -> list[Path]:
    """Write the slices and return their paths.

    Raises
    ------
    ValueError
        If a wanted page is not in the book.
    """
    chosen = []
    for part in wanted or [""]:
        found = [page for page in book.pages() if part in page]
        if not found:
            raise ValueError(f"No page matches {part!r}; pages: {', '.join(book.pages())}.")
        chosen += [page for page in found if page not in chosen]
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with reader() as browse:
        for page in chosen:
            for width in (DESKTOP, PHONE):
                for theme in ("light", "dark"):
                    with browse.open(page, width=width, theme=theme) as (tab, log):
                        stem = f"{page.removesuffix('.html').replace('/', '-')}-{width}-{theme}"
                        height = tab.evaluate("() => document.scrollingElement.scrollHeight")
                        for index, top in enumerate(range(0, height, SLICE)):
                            path = out / f"{stem}-{index:02d}.png"
                            clip = {"x": 0, "y": top, "width": width, "height": min(SLICE, height - top)}
                            tab.screenshot(path=path, clip=clip, full_page=True)
                            written.append(path)
                        for complaint in log.complaints():
                            if not any(known.covers(complaint) for known in LOADING):
                                print(f"{stem}: {complaint}", file=sys.stderr)
    return written


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    try:
        written = shoot(Path(sys.argv[1]), sys.argv[2:])
    except (BrowserMissing, ScriptsMissing, book.BookMissing, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 3
    print(f"{len(written)} pictures in {sys.argv[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
