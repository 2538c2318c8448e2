"""Run the tests in stages and end with one table of what passed and how long it took.

    python -m tools.stages test     everything
    python -m tools.stages check    lint and fast tests

A stage that fails does not stop the next, except that pages are tested only if the book was built. A stage that
cannot run (no browser) is listed as "not run" and the whole fails: nothing looks green that was not looked at.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTEST = [sys.executable, "-m", "pytest", "-q"]
TWO_WORKERS = ["-n", "2", "--dist", "loadscope"]
NBVAL = [
    "--nbval-lax",
    "--nbval-current-env",
    "--nbval-cell-timeout=60",
    "--nbval-kernel-name=python3",
    "-o",
    "testpaths=",
]
FAST_SUITES = ["tests/unit", "tests/notebooks", "tests/house"]
SUITES = [*FAST_SUITES, "tests/colab"]


@dataclass
class Stage:
    """One command. `needs` names stages that must have passed; `missing` says what the machine lacks, or None."""

    name: str
    command: list[str]
    needs: list[str] = field(default_factory=list)
    missing: Callable[[], str | None] = lambda: None


def no_browser() -> str | None:
    """What the tests of the rendered pages lack and how to get it, in a sentence, or None. Fetches their scripts."""
    from tests.rendered import browser, scripts

    try:
        browser.find_chromium()
        scripts.fetch()
    except (browser.BrowserMissing, scripts.ScriptsMissing) as error:
        return str(error)
    return None


def lint() -> list[Stage]:
    """Style and spelling."""
    return [
        Stage("ruff", [sys.executable, "-m", "ruff", "check", "--output-format=concise", "."]),
        Stage("format", [sys.executable, "-m", "ruff", "format", "--check", "nbhelpers", "tools", "tests"]),
        Stage("spelling", [sys.executable, "-m", "codespell_lib", "."]),
    ]


def notebooks() -> list[str]:
    """Every notebook of the tree, relative to the root."""
    folders = ("chapters", "chapters/solutions", "templates")
    return [str(path.relative_to(ROOT)) for folder in folders for path in sorted((ROOT / folder).glob("*.ipynb"))]


def everything() -> list[Stage]:
    """The stages of `make test`."""
    return [
        *lint(),
        Stage("tests", [*PYTEST, *TWO_WORKERS, *SUITES]),
        Stage("notebooks", [*PYTEST, *TWO_WORKERS, *NBVAL, *notebooks()]),
        Stage("book", [sys.executable, "-m", "tools.book"]),
        Stage("pages", [*PYTEST, "tests/rendered"], needs=["book"], missing=no_browser),
    ]


def fast() -> list[Stage]:
    """The stages of `make check`."""
    return [*lint(), Stage("tests", [*PYTEST, *TWO_WORKERS, "-m", "not slow", *FAST_SUITES])]


def environment() -> dict[str, str]:
    """The settings under which tests run: one thread a worker, no progress bars, the quick preset."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    preset = os.environ.get("NBHELPERS_PRESET") or "quick"
    quiet = {"TQDM_DISABLE": "1", "PYTHONHASHSEED": "0", "JUPYTER_PREFER_ENV_PATH": "1"}
    return {**os.environ, **threads, **quiet, "PYTHONPATH": path, "NBHELPERS_PRESET": preset}


def run(stages: list[Stage]) -> int:
    """Run the stages, print the table, return the exit status."""
    outcomes: dict[str, tuple[str, float]] = {}
    notes = []
    for stage in stages:
        print(f"\n== {stage.name} ==", flush=True)
        start = time.monotonic()
        lacking = stage.missing()
        unmet = [name for name in stage.needs if outcomes[name][0] != "passed"]
        if lacking or unmet:
            outcome = "not run"
            notes.append(f"{stage.name}: {lacking or f'not run, because {unmet[0]} did not pass.'}")
            print(notes[-1], flush=True)
        else:
            status = subprocess.run(stage.command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, check=False)
            outcome = "FAILED" if status.returncode else "passed"
        outcomes[stage.name] = (outcome, time.monotonic() - start)

    print("\nstage        outcome    seconds")
    for name, (outcome, seconds) in outcomes.items():
        print(f"{name:<12} {outcome:<8} {seconds:9.0f}")
    print(f"{'all':<21} {sum(seconds for _, seconds in outcomes.values()):9.0f}")
    print("\n".join(notes), end="\n" if notes else "")
    return 0 if all(outcome == "passed" for outcome, _ in outcomes.values()) else 1


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line names. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.stages", description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=["test", "check"])
    return run(everything() if parser.parse_args(arguments).which == "test" else fast())


if __name__ == "__main__":
    sys.exit(main())
