"""The table of contents lists every notebook, so that `make book` runs it, and every page."""

from __future__ import annotations

from pathlib import Path

from sphinx_external_toc.parsing import parse_toc_yaml

from tools.book import find_chapters

ROOT = Path(__file__).resolve().parents[2]


def test_every_notebook_is_in_the_contents():
    found = {
        path.relative_to(ROOT / "chapters").with_suffix("").as_posix() for path in (ROOT / "chapters").rglob("*.ipynb")
    }
    found = {name for name in found if ".ipynb_checkpoints" not in name}
    assert found == {chapter.name for chapter in find_chapters()}


def test_every_page_is_in_the_contents():
    documents = list(parse_toc_yaml(ROOT / "_toc.yml"))
    assert {path.stem for path in (ROOT / "pages").glob("*.md")} == {
        Path(document).name for document in documents if document.startswith("pages/")
    }


def test_every_chapter_has_its_solutions():
    names = {chapter.name for chapter in find_chapters()}
    chapters = {name for name in names if not name.startswith("solutions/")}
    assert names - chapters == {f"solutions/{name}" for name in chapters}
