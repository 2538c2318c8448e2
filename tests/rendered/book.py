"""The built book as files: where it is, its pages, and each page parsed once."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup

from nbhelpers.core.identity import PAGES

ROOT = Path(__file__).resolve().parents[2]
PREFIX = urlsplit(PAGES).path  # the published book's path, with slashes at both ends
BUILDER_PAGES = {"genindex.html", "search.html", "404.html"}  # no author writes these


class BookMissing(RuntimeError):
    """The book is not built; the message says what to do."""


def folder() -> Path:
    """Return the folder of the built HTML: NBHELPERS_BOOK, or _build/html of this tree."""
    return Path(os.environ.get("NBHELPERS_BOOK") or ROOT / "_build" / "html").resolve()


@cache
def pages(*, all_pages: bool = False) -> tuple[str, ...]:
    """Return the paths of the book's pages, ``index.html`` first; with ``all_pages`` the builder's own too."""
    book = folder()
    found = {
        path.relative_to(book).as_posix()
        for path in book.rglob("*.html")
        if path.relative_to(book).parts[0] not in {"_static", "_sources", "_images", "reports"}
    }
    if "index.html" not in found:
        raise BookMissing(f"There is no built book at {book}: run `make book` first, or set NBHELPERS_BOOK.")
    if not all_pages:
        found -= BUILDER_PAGES
    return tuple(sorted(found, key=lambda page: (page != "index.html", page)))


@cache
def soup(page: str) -> BeautifulSoup:
    """Return the parsed page."""
    return BeautifulSoup((folder() / page).read_bytes(), "html.parser")


def article(page: str) -> BeautifulSoup:
    """Return what the author wrote: the page without menus, header and footer."""
    return soup(page).select_one("article") or soup(page).select_one("main") or soup(page)


def has_maths(page: str) -> bool:
    """Return whether the page holds formulas."""
    return bool(soup(page).select("article .math"))


def has_sliders(page: str) -> bool:
    """Return whether a widget of the page holds a slider."""
    return any("SliderModel" in script.text for script in widget_states(page))


def widget_states(page: str) -> list:
    """Return the scripts that hold the page's widget states."""
    return soup(page).select('script[type="application/vnd.jupyter.widget-state+json"]')
