"""Each thing that can be wrong on a reader's machine gives one line that says what to do, and no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("Makefile", "requirements.txt", "pyproject.toml", "tools", "_toc.yml")
TOOLS = ("sh", "dirname", "df", "awk", "sed", "uname", "mktemp", "grep", "cat", "rm", "tr", "ls")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree in which `make` can be called without touching this one's environment."""
    for name in NEEDED:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    (tmp_path / "chapters" / "solutions").mkdir(parents=True)
    (tmp_path / "chapters" / "first-one.ipynb").write_text("{}")
    (tmp_path / "chapters" / "solutions" / "first-one.ipynb").write_text("{}")
    return tmp_path


def make(tree: Path, *arguments: str, path: str | None = None, **settings: str) -> tuple[int, list[str]]:
    """Call make with only the given settings. Returns the exit status and its lines, without make's own."""
    keep = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    environment = {**keep, "PATH": path or os.environ["PATH"], "PYTHON": sys.executable, **settings}
    if not environment["PYTHON"]:
        del environment["PYTHON"]
    done = subprocess.run(
        [shutil.which("make"), *arguments], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make: ***")]
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, said


def refused(tree: Path, *arguments: str, **settings: str) -> str:
    """The one line with which make refuses."""
    status, said = make(tree, *arguments, **settings)
    assert status != 0
    assert len(said) == 1, said
    return said[0]


def interpreter(folder: Path, name: str, version: str) -> Path:
    """A program that answers like a Python of this version when it is asked for its version."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    return program


def bare_path(folder: Path) -> str:
    """A PATH with the usual commands and no Python."""
    folder.mkdir(exist_ok=True)
    for name in TOOLS:
        if not (folder / name).exists():
            (folder / name).symlink_to(shutil.which(name))
    return str(folder)


def test_help_is_what_make_says_first(tree):
    status, said = make(tree)
    assert status == 0
    for command in ("book", "serve", "test", "check", "chapter NAME=", "clean"):
        assert any(line.startswith(f"make {command}") for line in said), command


def test_no_python(tree, tmp_path):
    line = refused(tree, "book", path=bare_path(tmp_path / "bin"), PYTHON="")
    assert line.startswith("Python not found")
    assert "3.11" in line
    assert "make PYTHON=" in line


def test_only_an_old_python(tree, tmp_path):
    path = bare_path(tmp_path / "bin")
    interpreter(tmp_path / "bin", "python3", "3.10")
    line = refused(tree, "book", path=path, PYTHON="")
    assert "python3 is 3.10" in line
    assert "3.11" in line
    assert "make PYTHON=" in line


def test_a_shim_that_does_not_run_is_passed_over(tree, tmp_path):
    """A version manager leaves a python3.13 that only says "command not found"."""
    path = bare_path(tmp_path / "bin")
    shim = tmp_path / "bin" / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    line = refused(tree, "book", path=path, PYTHON="", MIN_FREE_MB="999999999")
    assert line.startswith("Not enough disk")  # so a Python was found


@pytest.mark.parametrize("version", ["3.9", "2.7"])
def test_named_python_is_too_old(tree, tmp_path, version):
    line = refused(tree, "book", PYTHON=str(interpreter(tmp_path / "old", "python", version)))
    assert "too old" in line
    assert version in line
    assert "3.11" in line


def test_named_python_does_not_exist(tree):
    line = refused(tree, "book", PYTHON="/nowhere/python3")
    assert line.startswith("Python not found: PYTHON=/nowhere/python3 does not run")


def test_no_disk(tree):
    line = refused(tree, "book", MIN_FREE_MB="999999999")
    assert line.startswith("Not enough disk: the environment needs 999999999 MB")
    assert "Free some" in line
    assert not (tree / ".venv").exists()


def test_no_venv_module(tree, tmp_path):
    """Debian ships Python without it."""
    program = tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *"import ensurepip, venv"*) exit 1;; esac\nexec "{sys.executable}" "$@"\n'
    )
    program.chmod(0o755)
    line = refused(tree, "book", PYTHON=str(program))
    assert line.startswith("Python's venv module is missing")
    assert f"apt-get install python{sys.version_info.major}.{sys.version_info.minor}-venv" in line


@pytest.mark.slow
@pytest.mark.parametrize("retries", ["0", "1"])  # pip words its complaint differently
def test_no_network(tree, retries):
    unreachable = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_RETRIES": retries,
        "PIP_NO_CACHE_DIR": "1",
    }
    status, said = make(tree, "book", **unreachable)
    assert status != 0
    assert said[0].startswith("Making .venv with Python")
    assert said[1].startswith("No network: the packages could not be fetched.")
    assert "run make again" in said[1]
    assert ".venv-install.log" in said[1]
    assert len(said) == 2
    assert (tree / ".venv-install.log").exists()
    assert not (tree / ".venv" / ".ready").exists()  # so that the next call starts over


@pytest.mark.parametrize("command", [["book"], ["check"], ["test"], ["chapter", "NAME=first-one"]])
def test_unknown_preset(tree, command):
    line = refused(tree, *command, NBHELPERS_PRESET="huge")
    assert line == "NBHELPERS_PRESET=huge is not known: use quick (small sizes, the default) or full."


def test_unknown_chapter(tree):
    line = refused(tree, "chapter", "NAME=nowhere")
    assert line.startswith("There is no chapter nowhere.")
    assert line.endswith("one of: first-one solutions/first-one ")


def test_chapter_without_a_name(tree):
    line = refused(tree, "chapter")
    assert line.startswith("Which chapter?")
    assert "first-one" in line


def test_unknown_torch(tree):
    line = refused(tree, "book", TORCH="gpu")
    assert line.startswith("TORCH=gpu is not known")


def test_clean_removes_products_and_keeps_the_environment(tree):
    for folder in ("_build/html", ".venv", "pages/_generated", ".venv-colab"):
        (tree / folder).mkdir(parents=True)
    assert make(tree, "clean")[0] == 0
    assert not (tree / "_build").exists()
    assert not (tree / "pages/_generated").exists()
    assert (tree / ".venv").exists()
    assert make(tree, "clean", "ALL=1")[0] == 0
    assert not (tree / ".venv").exists()
    assert not (tree / ".venv-colab").exists()


# The environment's stamp, with a pip that writes down what it is asked for and installs nothing.


@pytest.fixture
def recorded(tree: Path) -> tuple[Path, Path, Path]:
    """A tree, a Python whose environments have a recording pip, and the record."""
    record = tree / "pip-calls.txt"
    pip = tree / "recording-pip"
    pip.write_text(f'#!/bin/sh\n[ "$2" = pip ] && echo "$@" >>{record}\nexit ${{PIP_STATUS:-0}}\n')
    pip.chmod(0o755)
    program = tree / "recording-python"
    program.write_text(
        f"""#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$4/bin" && cp {pip} "$4/bin/python"
else
    exec "{sys.executable}" "$@"
fi
"""
    )
    program.chmod(0o755)
    return tree, program, record


def installs(record: Path) -> int:
    """How often the pinned set was installed."""
    return record.read_text().count("-r requirements.txt") if record.exists() else 0


def test_environment_is_made_once_and_renewed_when_the_pins_change(recorded):
    tree, python, record = recorded
    settings = {"PYTHON": str(python), "MIN_FREE_MB": "1"}
    assert make(tree, "environment", **settings)[0] == 0
    assert installs(record) == 1
    assert "--no-deps" in record.read_text()
    assert make(tree, "environment", **settings) == (0, [])
    assert make(tree, "environment", MIN_FREE_MB="1", PYTHON="") == (0, [])  # it remembers its Python
    assert installs(record) == 1
    before = record.read_text()
    with (tree / "pyproject.toml").open("a") as project:
        project.write("# changed\n")
    assert make(tree, "environment", **settings) == (0, [])
    assert installs(record) == 1  # the pins have not changed,
    assert record.read_text().removeprefix(before).count("--no-deps --no-build-isolation -e .") == 1
    with (tree / "requirements.txt").open("a") as pins:
        pins.write("# changed\n")
    assert make(tree, "environment", **settings)[0] == 0
    assert installs(record) == 2


def test_a_linked_environment_is_refused_not_emptied(recorded, tmp_path):
    tree, python, record = recorded
    other = tmp_path / "others-environment"
    other.mkdir()
    (other / "file").touch()
    (tree / ".venv").symlink_to(other)
    status, said = make(tree, "environment", PYTHON=str(python), MIN_FREE_MB="1")
    assert status != 0
    assert said[-1].startswith(".venv is a link")
    assert (other / "file").exists() and installs(record) == 0


def test_interrupted_install_is_done_again(recorded):
    tree, python, record = recorded
    settings = {"PYTHON": str(python), "MIN_FREE_MB": "1"}
    status, said = make(tree, "environment", PIP_STATUS="1", **settings)
    assert status != 0
    assert said[-1].startswith("The packages could not be installed.")
    assert make(tree, "environment", **settings)[0] == 0
    assert installs(record) == 2
    assert make(tree, "environment", **settings) == (0, [])
