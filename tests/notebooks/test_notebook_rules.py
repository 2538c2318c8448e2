"""The rules of tests/notebooks/rules.py over every notebook of the tree."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest
import yaml

from nbhelpers.notebook.exercises import registered
from tests.notebooks import chapter_rules, rules
from tests.notebooks.notebook import CHAPTERS, ROOT, SOLUTIONS, TEMPLATES, Notebook, notebooks


def relative(path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def data(name: str):
    return yaml.safe_load((ROOT / "data" / f"{name}.yml").read_text(encoding="utf-8"))


ALL = notebooks()
FINISHED = [path for path in ALL if path.parent == CHAPTERS]
SOLVED = [path for path in ALL if path.parent == SOLUTIONS]
MODELS = [*FINISHED, *(path for path in ALL if path.parent == TEMPLATES)]


def none(complaints: list[str]) -> None:
    if complaints:
        pytest.fail(f"complaints ({len(complaints)}):\n" + "\n".join(f"- {line}" for line in complaints), pytrace=False)


@pytest.mark.parametrize("rule", rules.EVERYWHERE, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", ALL, ids=relative)
def test_rule(path, rule):
    none(rule(Notebook.read(path)))


@pytest.mark.parametrize("rule", rules.IN_CHAPTERS, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", FINISHED, ids=relative)
def test_chapter_rule(path, rule):
    none(rule(Notebook.read(path)))


@pytest.mark.parametrize("path", FINISHED, ids=relative)
def test_exercises_are_complete(path):
    chapter = Notebook.read(path)
    solutions = chapter_rules.solutions_of(chapter)
    none(chapter_rules.exercises_are_complete(chapter, registered(chapter.slug), solutions))


@pytest.mark.parametrize("path", SOLVED, ids=relative)
def test_solutions_are_strict(path):
    solutions = Notebook.read(path)
    none(chapter_rules.solutions_are_strict(solutions, registered(solutions.slug)))


@pytest.mark.parametrize("path", FINISHED, ids=relative)
def test_verdict_table_and_errata(path):
    chapter = Notebook.read(path)
    none(chapter_rules.verdict_table_is_the_ledgers(chapter, data("claims")))
    none(chapter_rules.errata_are_checked(chapter, data("errata")))


def test_there_is_a_notebook_for_each_finished_chapter():
    plan = data("chapters")["chapters"]
    finished = {entry["slug"] for entry in plan if entry["status"] == "finished"}
    assert finished, "the plan has no finished chapter"
    assert {path.stem for path in FINISHED} == finished
    assert {path.stem for path in SOLVED} == finished
    assert [path for path in ALL if path.parent == TEMPLATES], "the template for new chapters is missing"


def test_ruff_finds_nothing():
    paths = [str(path) for path in ALL]
    assert paths
    ruff = [sys.executable, "-m", "ruff"]
    lint = subprocess.run(
        [*ruff, "check", "--output-format=json", *paths], cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = json.loads(lint.stdout)
    none([f"{item['filename']} cell {item.get('cell')}: {item['code']} {item['message']}" for item in found])
