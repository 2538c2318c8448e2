"""The addresses and the version stand in one place, everything that repeats them agrees, one command changes all."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nbhelpers.core import identity
from nbhelpers.notebook.setup_cell import SETUP_CELL
from tools import address

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = [path for folder in ("chapters", "templates") for path in sorted((ROOT / folder).rglob("*.ipynb"))]
NEW = address.Identity("7.8.9", "https://github.com/Some-One/Their.Book", "https://books.example.org/")


def facts(root: Path) -> dict[str, set]:
    """Each place below `root` that repeats an address or the version, and what it says there."""
    config = yaml.safe_load((root / "_config.yml").read_text())
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    sphinx = config["sphinx"]["config"]
    texts = {path.as_posix(): (root / path).read_text() for path in address.text_files(root)}
    everything = "\n".join(text for name, text in texts.items() if not name.startswith(("tests/", "tools/")))
    colab = re.findall(
        r"colab\.research\.google\.com/github/([^/\s]+/[^/\s]+)/blob/([^/\s]+)/([^\s)\"'\\]+)", everything
    )
    return {
        "repository": {config["repository"]["url"], citation["repository-code"]},
        "pages": {config["html"]["baseurl"], sphinx["ogp_site_url"], citation["url"]},
        "prefix": {sphinx["notfound_urls_prefix"]},
        "tag": {config["repository"]["branch"], *(tag for _, tag, _ in colab)},
        "version": {str(citation["version"])},
        "slug": {slug for slug, _, _ in colab},
        "notebook": {path for _, _, path in colab},
    }


def expected(book: address.Identity, root: Path) -> dict[str, set]:
    return {
        "repository": {book.repository},
        "pages": {book.pages},
        "prefix": {book.prefix},
        "tag": {f"v{book.version}"},
        "version": {book.version},
        "slug": {book.slug},
        "notebook": {path for path in facts(root)["notebook"] if (root / path).is_file()},
    }


def first_code_cell(path: Path) -> str:
    cells = json.loads(path.read_text())["cells"]
    return "".join(next(cell for cell in cells if cell["cell_type"] == "code")["source"])


def setup_cell(root: Path) -> str:
    """The text of the set-up cell as the package below `root` gives it."""
    code = "from nbhelpers.notebook.setup_cell import SETUP_CELL; print(SETUP_CELL)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.removesuffix("\n")


def test_identity_is_consistent():
    book = address.read_identity(ROOT)
    assert (book.version, book.repository, book.pages) == (identity.VERSION, identity.REPOSITORY, identity.PAGES)
    assert address.check_repository(book.repository) == book.repository
    assert address.check_pages(book.pages) == book.pages
    assert address.check_version(book.version) == book.version


def test_every_place_agrees_with_the_identity():
    assert facts(ROOT) == expected(address.read_identity(ROOT), ROOT)
    assert facts(ROOT)["notebook"], "no Colab badge was found"


def test_set_up_cells_carry_the_identity():
    assert NOTEBOOKS
    assert identity.REPOSITORY in SETUP_CELL
    assert identity.REVISION in SETUP_CELL
    differs = [path.relative_to(ROOT).as_posix() for path in NOTEBOOKS if first_code_cell(path) != SETUP_CELL]
    assert not differs


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the tree's text files, as a repository of its own."""
    for path in address.text_files(ROOT):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "tools.address", *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def test_one_command_changes_every_address(copy):
    before = address.read_identity(copy)
    done = run(copy, "--repository", NEW.repository, "--pages", NEW.pages)
    assert done.returncode == 0, done.stderr
    after = address.Identity(before.version, NEW.repository, NEW.pages)
    assert address.read_identity(copy) == after
    for path in address.text_files(copy):
        text = (copy / path).read_text()
        for old in (before.slug, before.pages.rstrip("/"), f"notfound_urls_prefix: {before.prefix}"):
            assert old not in text, f"{path} still has {old}"
    assert facts(copy) == expected(after, copy)
    for path in NOTEBOOKS:
        assert first_code_cell(copy / path.relative_to(ROOT)) == setup_cell(copy)
    # There and back again: the command that sets the old address restores every byte.
    assert run(copy, "--repository", before.repository, "--pages", before.pages).returncode == 0
    for path in address.text_files(ROOT):
        if path.name != Path(__file__).name:  # which holds the new address too
            assert (copy / path).read_bytes() == (ROOT / path).read_bytes(), path


def test_one_command_changes_the_version_and_its_tag(copy):
    before = address.read_identity(copy)
    done = run(copy, "--version", NEW.version)
    assert done.returncode == 0, done.stderr
    after = address.Identity(NEW.version, before.repository, before.pages)
    assert address.read_identity(copy) == after
    assert facts(copy) == expected(after, copy)
    for path in NOTEBOOKS:
        assert first_code_cell(copy / path.relative_to(ROOT)) == setup_cell(copy)
    history = copy / "CHANGELOG.md"
    if history.exists():
        assert history.read_bytes() == (ROOT / "CHANGELOG.md").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--repository", "https://example.org/a/b", "--pages", NEW.pages], "give https://github.com/OWNER/NAME"),
        (["--repository", "https://github.com/only-owner", "--pages", NEW.pages], "give https://github.com/OWNER/NAME"),
        (["--repository", "", "--pages", ""], "give https://github.com/OWNER/NAME"),
        (["--repository", NEW.repository, "--pages", "http://example.org/"], "PAGES=http://example.org/ does not fit"),
        (["--repository", NEW.repository, "--pages", "somewhere"], "PAGES=somewhere does not fit"),
        (["--version", "1.0"], "VERSION=1.0 does not fit"),
        (["--version", "v1.0.0"], "VERSION=v1.0.0 does not fit"),
        (["--version", ""], "VERSION= does not fit"),
    ],
)
def test_refusals_are_one_line_and_change_nothing(copy, arguments, said):
    done = run(copy, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    for path in address.text_files(ROOT):
        assert (copy / path).read_bytes() == (ROOT / path).read_bytes(), path


def test_a_trailing_slash_or_git_is_forgiven():
    assert address.check_repository(NEW.repository + ".git") == NEW.repository
    assert address.check_repository(NEW.repository + "/") == NEW.repository
    assert address.check_pages(NEW.pages.rstrip("/")) == NEW.pages


def test_only_whole_names_are_replaced(tmp_path):
    """A longer name that begins alike, another version that contains ours, and earlier versions in the history stay."""
    book = address.Identity("1.2.3", "https://github.com/a/b", "https://a.github.io/b/")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    page, history = tmp_path / "page.md", tmp_path / "CHANGELOG.md"
    stays = "https://github.com/a/b-other https://a.github.io/book/ xa/b v1.2.30 v1.2.3.4 v11.2.3 1.2.3 use cd b2"
    page.write_text(f"{stays}\nhttps://github.com/a/b.git a/b/blob/v1.2.3/x https://a.github.io/b/x v1.2.3.\n  cd b\n")
    history.write_text("v1.2.3: first\n")
    address.change_address(tmp_path, book, NEW)
    address.change_version(tmp_path, book, NEW.version)
    changed = "https://github.com/Some-One/Their.Book.git Some-One/Their.Book/blob/v7.8.9/x"
    assert page.read_text() == f"{stays}\n{changed} https://books.example.org/x v7.8.9.\n  cd Their.Book\n"
    assert history.read_text() == "v1.2.3: first\n"
