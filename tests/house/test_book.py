"""What `make book` runs again and what it leaves: on a small book, with the real tool and the real builder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

CONFIG = """
title: Small
only_build_toc_files: true
exclude_patterns: [_build]
execute: {execute_notebooks: cache, timeout: 60}
sphinx: {config: {nb_execution_raise_on_error: true}}
"""
TOC = """
format: jb-book
root: index
chapters:
  - file: chapters/one
  - file: chapters/two
"""
# Small stand-ins for the package: `one` reaches `deep` through the lazy table, `two` imports nothing of ours.
PACKAGE = {
    "__init__.py": "from importlib import import_module\n"
    "def __getattr__(name):\n"
    "    if name != 'answer':\n        raise AttributeError(name)\n"
    "    return import_module('nbhelpers.lazy').answer\n",
    "lazy.py": "def answer():\n    from nbhelpers import deep\n    return deep.NUMBER\n",
    "deep.py": "NUMBER = 41\n",
    "unused.py": "",
}
SLIDERS = """
import ipywidgets
a, b = ipywidgets.IntSlider(description="a"), ipywidgets.IntProgress()
ipywidgets.jslink((a, "value"), (b, "value"))
ipywidgets.VBox([a, b])
"""


def write_notebook(path: Path, *code: str) -> None:
    cells = [nbformat.v4.new_markdown_cell(f"# Chapter {path.stem}\n\nText.", id="head")]
    cells += [nbformat.v4.new_code_cell(source.strip(), id=f"c{number}") for number, source in enumerate(code)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, str]:
    """A small book that has been made once, and what making it said."""
    root = tmp_path_factory.mktemp("book")
    (root / "tools").mkdir()
    (root / "tools/__init__.py").touch()
    shutil.copy(ROOT / "tools/book.py", root / "tools/book.py")
    (root / "tools/pages.py").write_text("def main():\n    return 0\n")
    (root / "nbhelpers").mkdir()
    for name, text in PACKAGE.items():
        (root / "nbhelpers" / name).write_text(text)
    (root / "data").mkdir()
    (root / "data/numbers.yml").write_text("[1]\n")
    (root / "requirements.txt").write_text("a==1\n")
    (root / "_config.yml").write_text(CONFIG)
    (root / "_toc.yml").write_text(TOC)
    (root / "index.md").write_text("# Small book\n\nHello.\n")
    write_notebook(
        root / "chapters/one.ipynb", "from nbhelpers import answer\nprint('the answer is', answer())", SLIDERS
    )
    write_notebook(root / "chapters/two.ipynb", "import os\nprint('preset', os.environ['NBHELPERS_PRESET'])")
    status, said = book(root)
    assert status == 0, said
    return root, said


@pytest.fixture
def root(made) -> Path:
    """The small book, restored and made again after the test."""
    folder, _ = made
    saved = folder.with_name(folder.name + "-saved")
    shutil.copytree(folder, saved)
    yield folder
    shutil.rmtree(folder)
    saved.rename(folder)


def book(root: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """Run the tool below `root`. Returns the exit status and all it said."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "NBHELPERS_PRESET")}
    done = subprocess.run(
        [sys.executable, "-m", "tools.book", *arguments],
        cwd=root,
        env=environment | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def ran(said: str) -> set[str]:
    """The chapters that were run."""
    return set(re.findall(r"(?m)^  (\S+): done after", said))


def page(root: Path, name: str) -> str:
    return (root / "_build/html" / name).read_text()


def test_first_run_shows_results_widgets_and_the_first_page(made):
    root, said = made
    assert ran(said) == {"one", "two"}
    assert said.splitlines()[-1] == f"The book's first page: {root}/_build/html/index.html"
    assert "the answer is 41" in page(root, "chapters/one.html")
    assert "application/vnd.jupyter.widget-state+json" in page(root, "chapters/one.html")
    assert "IntSliderModel" in page(root, "chapters/one.html")
    assert "preset quick" in page(root, "chapters/two.html")


def test_the_builder_finds_the_results_itself(root):
    """Plain `jupyter-book build` runs nothing: it finds what the tool put into its cache."""
    shutil.rmtree(root / "_build/html")
    build = [Path(sys.executable).with_name("jupyter-book"), "build", root, "--all", "-W", "-n", "--keep-going"]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Using cached notebook" in done.stdout + done.stderr
    assert "Executing notebook" not in done.stdout + done.stderr
    assert "the answer is 41" in page(root, "chapters/one.html")


def test_nothing_changed_runs_and_renders_nothing(root):
    before = (root / "_build/html/chapters/one.html").stat().st_mtime_ns
    status, said = book(root)
    assert status == 0
    assert ran(said) == set()
    assert "Rendering" not in said
    assert said.splitlines()[-1].startswith("The book's first page:")
    assert (root / "_build/html/chapters/one.html").stat().st_mtime_ns == before


def test_changed_helper_runs_the_chapters_that_use_it(root):
    (root / "nbhelpers/deep.py").write_text("NUMBER = 42\n")
    status, said = book(root)
    assert status == 0
    assert ran(said) == {"one"}
    assert "the answer is 42" in page(root, "chapters/one.html")  # the new result is on the page


def test_unused_helper_runs_nothing(root):
    (root / "nbhelpers/unused.py").write_text("x = 1\n")
    assert ran(book(root)[1]) == set()


@pytest.mark.parametrize("path", ["data/numbers.yml", "data/new.csv", "requirements.txt"])
def test_changed_data_or_pins_run_everything(root, path):
    (root / path).write_text("something else\n")
    assert ran(book(root)[1]) == {"one", "two"}


def test_changed_code_runs_that_chapter(root):
    write_notebook(root / "chapters/two.ipynb", "print('new code')")
    assert ran(book(root)[1]) == {"two"}
    assert "new code" in page(root, "chapters/two.html")


def test_changed_text_renders_without_running(root):
    path = root / "chapters/two.ipynb"
    path.write_text(path.read_text().replace("Text.", "Better words."))
    status, said = book(root)
    assert status == 0
    assert ran(said) == set()
    assert "Better words." in page(root, "chapters/two.html")


def test_other_preset_runs_everything(root):
    assert ran(book(root, NBHELPERS_PRESET="full")[1]) == {"one", "two"}
    assert "preset full" in page(root, "chapters/two.html")


def test_failing_chapter_is_one_line_with_its_cell_and_error(root):
    write_notebook(root / "chapters/two.ipynb", "x = 1", "y = 2", "raise ValueError('three is\\ntoo many')")
    write_notebook(root / "chapters/one.ipynb", "print('one again')")
    status, said = book(root)
    assert status == 1
    line = said.splitlines()[-1]
    assert line.startswith("chapters/two.ipynb failed in code cell 3 of 3 (cell 4): ValueError: three is (traceback: ")
    assert "Traceback" in Path(line.split("(traceback: ")[1].removesuffix(")")).read_text()
    # The other chapter's results are kept.
    write_notebook(root / "chapters/two.ipynb", "x = 1")
    assert ran(book(root)[1]) == {"two"}


def test_broken_notebook_is_one_line(root):
    (root / "chapters/two.ipynb").write_text("{")
    status, said = book(root)
    assert status == 1
    assert said.startswith("chapters/two.ipynb is not a notebook: ")
    assert len(said.splitlines()) == 1


def test_warning_of_the_builder_fails(root):
    with (root / "index.md").open("a") as text:
        text.write("\n[nowhere](chapters/nowhere.md)\n")
    status, said = book(root)
    assert status == 1
    assert re.search(r"WARNING: .*chapters/nowhere.md", said), said
    assert "Whole log:" in said
    assert book(root)[0] == 1  # and again: a failed render is never taken for a finished one


def test_one_chapter(root):
    write_notebook(root / "chapters/two.ipynb", "print('new code')")
    (root / "nbhelpers/deep.py").write_text("NUMBER = 42\n")
    status, said = book(root, "--chapter", "two")
    assert status == 0
    assert ran(said) == {"two"}
    assert said.splitlines()[-1] == f"The chapter's page: {root}/_build/html/chapters/two.html"
    assert "new code" in page(root, "chapters/two.html")
    assert ran(book(root)[1]) == {"one"}  # the rest is still seen to be stale


def test_one_chapter_of_a_book_that_never_ran(root):
    shutil.rmtree(root / "_build")
    status, said = book(root, "--chapter", "one")
    assert status == 0
    assert ran(said) == {"one"}
    assert "Without results until `make book` runs them: two." in said
    assert "the answer is 41" in page(root, "chapters/one.html")
    assert "preset quick" not in page(root, "chapters/two.html")
    assert ran(book(root)[1]) == {"two"}
    assert "preset quick" in page(root, "chapters/two.html")


def test_unknown_chapter(root):
    status, said = book(root, "--chapter", "three")
    assert status == 1
    assert said.strip() == "There is no chapter three in _toc.yml. It has: one, two."


def test_serve_without_a_book(root):
    shutil.rmtree(root / "_build/html")
    assert book(root, "--serve", "8123") == (1, "There is no rendered book yet: run `make book` first.\n")


def test_first_page_names_the_commit(root):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for step in (["init", "-q"], ["add", "index.md"], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *step], cwd=root, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True)
    assert book(root)[0] == 0
    assert page(root, "index.html").count(f'<meta name="revision" content="{head.stdout.strip()}">') == 1
