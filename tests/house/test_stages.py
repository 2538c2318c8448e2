"""`make test` goes through all stages, tells what each gave, and nothing that was not looked at looks green."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import stages
from tools.stages import Stage

ROOT = Path(__file__).resolve().parents[2]
PASS = [sys.executable, "-c", "pass"]
FAIL = [sys.executable, "-c", "raise SystemExit(3)"]


def outcomes(said: str) -> dict[str, str]:
    """The table's rows."""
    table = said[said.index("stage        outcome    seconds") :]
    return dict(re.findall(r"(?m)^(\w+) +(passed|FAILED|not run) +\d+$", table))


def test_all_stages_run_and_one_failure_fails_the_whole(capfd):
    assert stages.run([Stage("first", PASS), Stage("second", FAIL), Stage("third", PASS)]) == 1
    assert outcomes(capfd.readouterr().out) == {"first": "passed", "second": "FAILED", "third": "passed"}


def test_all_passed(capfd):
    assert stages.run([Stage("first", PASS), Stage("second", PASS, needs=["first"])]) == 0
    assert outcomes(capfd.readouterr().out) == {"first": "passed", "second": "passed"}


def test_missing_browser_is_not_run_and_not_green(capfd):
    assert stages.run([Stage("pages", PASS, missing=lambda: "No browser: install one.")]) == 1
    said = capfd.readouterr().out
    assert outcomes(said) == {"pages": "not run"}
    assert said.splitlines()[-1] == "pages: No browser: install one."


def test_pages_of_a_book_that_was_not_built_are_not_run(capfd):
    assert stages.run([Stage("book", FAIL), Stage("pages", PASS, needs=["book"])]) == 1
    said = capfd.readouterr().out
    assert outcomes(said) == {"book": "FAILED", "pages": "not run"}
    assert "pages: not run, because book did not pass." in said


def test_browser_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("NBHELPERS_CHROMIUM", "/nowhere/chromium")
    said = stages.no_browser()
    assert "/nowhere/chromium" in said
    assert "install" in said.lower()


def test_every_suite_and_notebook_is_in_make_test():
    commands = {stage.name: [str(word) for word in stage.command] for stage in stages.everything()}
    suites = {
        f"tests/{path.parent.relative_to(ROOT / 'tests').parts[0]}" for path in (ROOT / "tests").rglob("test_*.py")
    }
    run = {word for command in commands.values() for word in command if word.startswith("tests/")}
    assert suites - {"tests/rendered"} <= set(stages.SUITES)
    assert suites <= run
    found = {str(path.relative_to(ROOT)) for top in ("chapters", "templates") for path in (ROOT / top).rglob("*.ipynb")}
    found = {path for path in found if ".ipynb_checkpoints" not in path}
    assert found == {word for word in commands["notebooks"] if word.endswith(".ipynb")}
    assert "--nbval-lax" in commands["notebooks"]


@pytest.mark.slow
def test_nbval_notices_a_failing_cell(tmp_path):
    """The options that `make test` uses, on a notebook whose assertion does not hold."""
    import nbformat

    cells = [nbformat.v4.new_code_cell("x = 1", id="a"), nbformat.v4.new_code_cell("assert x == 2", id="b")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "wrong.ipynb")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    command = [*stages.PYTEST, *stages.TWO_WORKERS, *stages.NBVAL, "wrong.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in done.stdout


# .ci/run, with a make that only says that it was called.


def ci(tmp_path: Path, *, programs: tuple[str, ...], who: int = 0, **settings: str) -> subprocess.CompletedProcess:
    """Run a copy of .ci/run on a machine that has only these programs beside the usual ones."""
    path = tmp_path / "bin"
    path.mkdir()
    for name in ("bash", "dirname", "env"):
        (path / name).symlink_to(shutil.which(name))
    (path / "id").write_text(f"#!/bin/bash\necho {who}\n")
    (path / "id").chmod(0o755)
    for name in ("make", *programs):
        (path / name).write_text(f'#!/bin/bash\necho "called {name} $*"\n')
        (path / name).chmod(0o755)
    (tmp_path / "tree/.ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", tmp_path / "tree/.ci/run")
    command = [shutil.which("bash"), tmp_path / "tree/.ci/run"]
    return subprocess.run(command, env={"PATH": str(path), **settings}, capture_output=True, text=True, check=False)


def test_ci_calls_make_test(tmp_path):
    done = ci(tmp_path, programs=("chromium", "npm"), CI="true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "called make test"


def test_ci_without_a_browser_fails_with_one_line(tmp_path):
    done = ci(tmp_path, programs=("npm",), CI="true")
    assert done.returncode == 1
    assert "Chromium is missing and there is no apt-get here: install Chromium by hand" in done.stderr
    assert "called make" not in done.stdout


def test_ci_on_a_readers_machine_goes_on_without_a_browser(tmp_path):
    """The pages are then listed as not run, and make test fails at its end."""
    done = ci(tmp_path, programs=("npm",))
    assert "Chromium is missing" in done.stderr
    assert done.stdout.splitlines()[-1] == "called make test"


@pytest.mark.parametrize("who", [0, 1000])
def test_ci_installs_the_browser_from_debian(tmp_path, who):
    """As root directly, else through sudo without asking."""
    done = ci(tmp_path, programs=("npm", "apt-get", "sudo"), who=who, CI="true")
    install = "apt-get install -y -qq --no-install-recommends chromium"
    through = install if who == 0 else f"sudo -n env DEBIAN_FRONTEND=noninteractive {install}"
    assert f"called {through}" in done.stdout
    assert done.stdout.splitlines()[-1] == "called make test"
