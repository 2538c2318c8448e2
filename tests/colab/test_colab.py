"""Each chapter, opened alone in an empty folder on a machine like Colab's, runs from top to bottom unedited."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from nbhelpers.core.identity import REVISION
from nbhelpers.notebook.setup_cell import SETUP_CELL
from tests.colab import machine

ROOT = machine.ROOT
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
CLONE = f"nested-learning-{REVISION}"
pytestmark = pytest.mark.slow

PROBE = """
import json, os, sys, nbhelpers
from nbhelpers.notebook.setup import DATA
print(json.dumps({"package": os.path.realpath(nbhelpers.__file__), "data": os.path.realpath(DATA),
                  "colab": "google.colab" in sys.modules, "ipython": __import__("IPython").__version__,
                  "widgets": __import__("ipywidgets").__version__, "numpy": __import__("numpy").__version__}))
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("colab")


@pytest.fixture(scope="session")
def colab(folder) -> machine.Machine:
    return machine.start(folder)


def run(path: Path, colab: machine.Machine, kernels: Path) -> dict:
    """Run the notebook in its own folder, then ask the kernel what it used."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PROBE))
    specs = KernelSpecManager(kernel_dirs=[str(kernels)])
    manager = AsyncKernelManager(kernel_name="colab-like", kernel_spec_manager=specs)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, km=manager, timeout=180, resources=resources).execute(env=colab.settings)
    return json.loads(notebook.cells[-1].outputs[0].text)


def test_there_are_chapters():
    assert CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_runs_unedited_in_an_empty_folder(chapter, colab, folder, tmp_path):
    before = colab.packages()
    alone = Path(shutil.copy(chapter, tmp_path))
    used = run(alone, colab, folder / "kernels")
    assert used["colab"]
    assert (used["ipython"], used["widgets"], used["numpy"]) == ("7.34.0", "7.7.1", "2.0.2")
    # Package and data come from the clone at the book's tag, not from this tree.
    assert used["package"] == str((tmp_path / CLONE / "nbhelpers/__init__.py").resolve())
    assert used["data"] == str((tmp_path / CLONE / "data").resolve())
    assert (tmp_path / CLONE / "data/claims.yml").is_file()
    assert colab.packages() == before  # nothing was installed, upgraded or downgraded
    assert {path.name for path in tmp_path.iterdir()} == {chapter.name, CLONE}
    depth = subprocess.run(
        ["git", "rev-list", "--count", "HEAD"], cwd=tmp_path / CLONE, capture_output=True, text=True, check=True
    )
    assert depth.stdout.strip() == "1"


# The set-up cell alone: it clones once, and outside Colab it does nothing at all.

FORBID = """
import sys
def refuse(event, arguments):
    if event.startswith(("subprocess.", "socket.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.mkdir")):
        raise RuntimeError(f"the set-up cell did {event} {arguments}")
sys.addaudithook(refuse)
"""


def set_up(colab: machine.Machine, where: Path, *, on_colab: bool, forbid: bool) -> subprocess.CompletedProcess:
    """Run the set-up cell as a fresh kernel would and then import the package."""
    code = ("import google.colab\n" if on_colab else "") + (FORBID if forbid else "") + SETUP_CELL
    code += "\nimport importlib.util, os, sys; spec = importlib.util.find_spec('nbhelpers')"
    code += "\nprint(os.path.realpath(spec.origin) if spec else 'no package')"
    return subprocess.run(
        [colab.python, "-c", code], cwd=where, env=colab.settings, capture_output=True, text=True, check=False
    )


def test_set_up_clones_once(colab, tmp_path):
    first = set_up(colab, tmp_path, on_colab=True, forbid=False)
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip() == str((tmp_path / CLONE / "nbhelpers/__init__.py").resolve())
    marker = tmp_path / CLONE / "marker"
    marker.touch()
    # After a restart of the runtime the folder is there: it is used as it is.
    again = set_up(colab, tmp_path, on_colab=True, forbid=False)
    assert again.stdout == first.stdout
    assert marker.exists()


def test_set_up_does_nothing_elsewhere(colab, tmp_path):
    done = set_up(colab, tmp_path, on_colab=False, forbid=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "no package"
    assert list(tmp_path.iterdir()) == []


def test_the_guard_sees_a_clone(colab, tmp_path):
    """The check above would fail if the cell did something: on Colab it does."""
    done = set_up(colab, tmp_path, on_colab=True, forbid=True)
    assert done.returncode != 0
    assert "the set-up cell did subprocess" in done.stderr
