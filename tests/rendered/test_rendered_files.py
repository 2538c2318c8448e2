"""The built files, read without a browser: links and anchors, alt texts, and what a page weighs."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup

from nbhelpers.core.identity import PAGES, REPOSITORY
from tests.rendered import book, report

OWN_BYTES = 2_000_000  # what a page adds: its HTML and pictures
VISIT_BYTES = 2_000_000  # a first visit with the theme's files, compressed as web servers send them
ALT = range(20, 401)
FRAMES, FRAME_BYTES = 40, 1_000_000


@cache
def anchors(page: str) -> frozenset[str]:
    """Return every name on the page that a link can point at."""
    tags = book.soup(page).find_all(True)
    return frozenset(name for tag in tags for name in (tag.get("id"), tag.name == "a" and tag.get("name")) if name)


def references(page: str) -> set[str]:
    """Return every address that the page's tags hold."""
    found = set()
    for tag in book.soup(page).find_all(True):
        found.update(tag[attribute] for attribute in ("href", "src", "poster", "data-src") if tag.has_attr(attribute))
        if tag.has_attr("srcset"):
            found.update(part.split()[0] for part in tag["srcset"].split(",") if part.strip())
    return found


def broken(page: str, reference: str) -> str | None:
    """Return why a reference leads nowhere inside the book, or None where it does or leads outside."""
    if reference.startswith(("mailto:", "data:", "javascript:", "#!")):
        return None
    published = urljoin(PAGES, page)
    parts = urlsplit(urljoin(published, reference))
    if f"{parts.scheme}://{parts.netloc}" != "{0.scheme}://{0.netloc}".format(urlsplit(PAGES)):
        return outside(reference)
    if not parts.path.startswith(book.PREFIX):
        return f"{reference}: outside {book.PREFIX}"
    inside = unquote(parts.path[len(book.PREFIX) :]) or "index.html"
    file = book.folder() / inside
    if file.is_dir():
        inside, file = f"{inside.rstrip('/')}/index.html", file / "index.html"
    if not file.is_file():
        return f"{reference}: no such file"
    if parts.fragment and file.suffix == ".html" and unquote(parts.fragment) not in anchors(inside):
        return f"{reference}: no such place on {inside}"
    return None


def outside(reference: str) -> str | None:
    """Return why a link to our own repository or to Colab leads nowhere; other sites are the weekly check's affair."""
    found = re.match(
        re.escape(REPOSITORY) + r"/(?:blob|tree|raw)/[^/]+/([^?#]*)"
        r"|https://colab\.research\.google\.com/github/[^/]+/[^/]+/blob/[^/]+/([^?#]*)",
        reference,
    )
    if found:
        path = unquote(found[1] or found[2])
        if not (book.ROOT / path).exists():
            return f"{reference}: {path} is not in the tree"
    return None


def alt_complaints(document: BeautifulSoup) -> list[str]:
    """Return what is wrong with the descriptions of a document's pictures."""
    complaints = []
    for picture in document.select('img, svg, [role="img"]'):
        if picture.name == "svg" and picture.get("role") != "img":
            # A drawing inside a described picture, or a decoration that says so.
            if picture.find_parent(attrs={"role": "img"}) or picture.get("aria-hidden") == "true":
                continue
            complaints.append(f"svg without role and name: {str(picture)[:80]}")
            continue
        text = picture.get("alt") if picture.name == "img" else picture.get("aria-label")
        if text is None and picture.get("aria-labelledby"):
            named = document.find(id=picture["aria-labelledby"].split()[0])
            text = named.get_text(" ", strip=True) if named else None
        if text is None:
            complaints.append(f"no description: {str(picture)[:80]}")
        elif len(text.strip()) not in ALT:
            complaints.append(f"description of {len(text.strip())} characters, expected 20 to 400: {text[:60]!r}")
        elif re.fullmatch(r"\S+\.(png|svg|jpe?g|gif|webp)|(\S*/)+\S*", text.strip()):
            complaints.append(f"the description is a path: {text}")
    return complaints


def html_in_widgets(page: str) -> list[str]:
    """Return the HTML values of the page's widgets; the browser puts them into the page later."""
    return [
        model["state"]["value"]
        for models in states(page)
        for model in models.values()
        if model["model_name"] in {"HTMLModel", "HTMLMathModel"}
    ]


def states(page: str) -> list[dict]:
    """Return the widget states of the page."""
    return [json.loads(script.string)["state"] for script in book.widget_states(page)]


def frames(models: dict, identity: str) -> list[str]:
    """Return the HTML of every frame below a stack of frames."""
    state = models[identity.removeprefix("IPY_MODEL_")]["state"]
    if "children" in state:
        return [frame for child in state["children"] for frame in frames(models, child)]
    return [state.get("value", "")]


def weight(page: str) -> dict[str, int]:
    """Return the bytes that a page adds, and those of a first visit, compressed."""
    files = {book.folder() / page}
    for reference in references(page):
        parts = urlsplit(urljoin(urljoin(PAGES, page), reference))
        file = book.folder() / unquote(parts.path[len(book.PREFIX) :])
        if parts.path.startswith(book.PREFIX) and file.is_file() and file.suffix not in {".html", ".ipynb", ".md"}:
            files.add(file)
    shared = {file for file in files if file.is_relative_to(book.folder() / "_static")}
    return {
        "own": sum(file.stat().st_size for file in files - shared),
        "visit": sum(compressed(file) for file in files),
    }


@cache
def compressed(file: Path) -> int:
    data = file.read_bytes()
    return len(data) if file.suffix in {".png", ".jpg", ".webp", ".woff2"} else len(gzip.compress(data, 6))


def test_no_link_is_broken(any_page):
    report.none(reason for reference in sorted(references(any_page)) if (reason := broken(any_page, reference)))


def test_no_name_stands_twice(page):
    counts = Counter(tag["id"] for tag in book.soup(page).find_all(id=True))
    report.none(name for name, count in counts.items() if count > 1)


def test_every_picture_is_described(page):
    report.none(alt_complaints(book.article(page)))


def test_every_frame_is_described(slider_page):
    documents = [BeautifulSoup(value, "html.parser") for value in html_in_widgets(slider_page)]
    report.none(complaint for document in documents for complaint in alt_complaints(document))


def test_explorers_keep_their_budget(slider_page):
    for models in states(slider_page):
        stacks = {identity for identity, model in models.items() if model["model_name"] == "StackModel"}
        inner = {
            child.removeprefix("IPY_MODEL_") for identity in stacks for child in models[identity]["state"]["children"]
        }
        assert stacks, "a slider page without frames: its sliders move nothing when no kernel runs"
        for identity in stacks - inner:
            drawn = frames(models, identity)
            assert 2 <= len(drawn) <= FRAMES
            assert sum(map(len, drawn)) <= FRAME_BYTES


def test_page_weight(page, record_property):
    found = weight(page)
    record_property("page", page)
    for name, size in found.items():
        record_property(f"{name}_bytes", size)
    assert found["own"] <= OWN_BYTES, f"{page} adds {found['own']:,} bytes"
    assert found["visit"] <= VISIT_BYTES, f"a first visit to {page} takes {found['visit']:,} bytes, compressed"


@pytest.mark.parametrize(
    ("html", "says"),
    [
        ("<img src=a.png>", "no description"),
        ("<img src=a.png alt=short>", "5 characters"),
        ("<img src=a.png alt='../_images/figures/a-long-name.png'>", "is a path"),
        ("<svg><path/></svg>", "without role"),
        ("<svg role=img><path/></svg>", "no description"),
        (f"<svg role=img aria-label='{'x ' * 250}'></svg>", "499 characters"),
    ],
)
def test_the_search_for_descriptions_finds(html, says):
    (complaint,) = alt_complaints(BeautifulSoup(html, "html.parser"))
    assert says in complaint


def test_the_search_for_broken_links_finds():
    page = "index.html"
    assert "no such file" in broken(page, "no-such-page.html")
    assert "no such place" in broken(page, "#no-such-place")
    assert "outside" in broken(page, "/elsewhere/index.html")
    assert "not in the tree" in broken(page, f"{REPOSITORY}/blob/main/no-such-file.md")
    assert broken(page, "index.html") is None
    assert broken(page, f"{REPOSITORY}/blob/main/pyproject.toml") is None
