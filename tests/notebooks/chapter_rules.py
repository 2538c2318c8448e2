"""Rules on what a chapter holds: its parts, its exercises, its solutions, its closing cell."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from nbhelpers.notebook.setup import chapters
from tests.notebooks.notebook import SOLUTIONS, Notebook

CHECKS = 10  # fewer than this on a page, and nobody knows whether it ran
GOALS, EXERCISES, SOURCES = range(3, 6), range(5, 11), range(3, 7)
VERDICT_TABLE = re.compile(
    r"^\| statement \| what it is \| verdict \| in which sense \|\n\|[-|: ]+\|\n((?:\|.*\|(?:\n|\Z))*)", re.MULTILINE
)
KIND_ON_A_PAGE = {"empirical": "measured"}  # the rest are called as in the ledger
KINDS = ("recall", "derive", "build", "explore")
FOLDABLE = ("recall", "derive")  # their answers may fold in the page
HEADING = re.compile(r"Exercise (\d+) · (\w+) · (★{1,3}) · (\d+) min(?: · \S.*)?")
HEADING_SAYS = "### Exercise 1 · recall · ★ · 3 min, with a title after another · if you like"
SECTIONS = {
    "Where it breaks": r"Where it breaks\b.*",
    "The paper says, we do, why": r"The (article|paper|article and the paper|paper and the article) says?, we do, why",
    "Verdicts": r"Verdicts?\b.*",
    "Exercises": r"Exercises",
    "Summary": r"Summary",
    "Sources": r"Sources",
}
LEADS = ("You will be able to", "You need", "Time")
TOOLS = "before-you-start"  # the part whose pages teach tools: they settle no claim, so they need no verdict


@dataclass(frozen=True)
class Task:
    """An exercise as the page shows it."""

    number: int
    kind: str
    stars: int
    minutes: int
    cells: tuple[Any, ...]

    @property
    def calls(self) -> list[str]:
        return [asked for cell in self.cells if cell.cell_type == "code" for asked in exercise_calls(cell.source)]

    @property
    def text(self) -> str:
        return "\n".join(cell.source for cell in self.cells if cell.cell_type == "markdown")

    @property
    def folds(self) -> list[str]:
        """The summaries of the folds."""
        return re.findall(r"<summary>(.*?)</summary>", self.text, flags=re.DOTALL | re.IGNORECASE)


def chapter_has_its_parts(notebook: Notebook) -> list[str]:
    """The head, the sections, and what a page must do: predict, explore, check, judge claims."""
    complaints = []
    judges = chapters().get(notebook.slug, {}).get("part") != TOOLS
    first_code = next((i for i, cell in enumerate(notebook.node.cells) if cell.cell_type == "code"), 0)
    head = "\n\n".join(cell.source for cell in notebook.node.cells[:first_code])
    complaints += [f'the head has no "**{lead}**"' for lead in LEADS if not re.search(rf"\*\*{lead}\b[^*]*\*\*", head)]
    goals = re.search(r"\*\*You will be able to[^*]*\*\*[^\n]*\n+((?:\s*[-*] .*(?:\n(?![-*\n]).*)*\n?)+)", head + "\n")
    count = len(re.findall(r"^\s*[-*] ", goals[1], flags=re.MULTILINE)) if goals else 0
    if count not in GOALS:
        complaints.append(f"{count} goals after “You will be able to”, expected 3 to 5")
    titles = [text for level, text, _ in notebook.headings if level == 2]
    for what, pattern in SECTIONS.items():
        if (judges or what != "Verdicts") and not any(re.fullmatch(pattern, title) for title in titles):
            complaints.append(f'no section "## {what}"')
    if not any(re.search(r"^> \*\*Predict", cell.source, flags=re.MULTILINE) for cell in notebook.markdown):
        complaints.append("nothing to predict: start a block quote with **Predict, then run.**")
    code = "\n".join(cell.source for cell in notebook.code)
    for call, why in {
        "explore": "no slider",
        "claim": "no verdict on a claim",
        "model_map": "the drawing of the final model is missing",
        "show": "no figure",
    }.items():
        if (judges or call != "claim") and not re.search(rf"\b{call}\(", code):
            complaints.append(f"{why}: {call}() is never called")
    return complaints


def sources_are_listed(notebook: Notebook) -> list[str]:
    """Three to six sources, each with a sentence of its own."""
    found = re.search(r"^## Sources\s*\n(.*?)(?=^#|\Z)", _all_text(notebook), flags=re.MULTILINE | re.DOTALL)
    items = re.findall(r"^[-*] (.*(?:\n(?![-*#]).+)*)", found[1], flags=re.MULTILINE) if found else []
    complaints = [] if len(items) in SOURCES else [f"{len(items)} sources, expected {SOURCES[0]} to {SOURCES[-1]}"]
    return complaints + [f"source {item[:40]!r} says nothing about itself" for item in items if len(item.split()) < 12]


def closing_cell_counts_the_checks(notebook: Notebook) -> list[str]:
    """The last code cell is ``check.summary(expected=…)`` with at least ten checks."""
    last = notebook.code[-1].source.strip() if notebook.code else ""
    found = re.fullmatch(r"check\.summary\(expected=(\d+)\)", last)
    if not found:
        return [f"the last code cell is {last[:40]!r}, expected check.summary(expected=…) alone"]
    if int(found[1]) < CHECKS:
        return [f"check.summary(expected={found[1]}): a chapter has at least {CHECKS} checks"]
    return []


def verdict_table_is_the_ledgers(notebook: Notebook, claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where a chapter sums its verdicts up in a table, each row says what the ledger says, in the ledger's order.

    Parameters
    ----------
    notebook: the chapter.
    claims: the ledger's entries of all chapters.
    """
    ours = [entry for entry in claims if entry["chapter"] == notebook.slug]
    ledger = [(KIND_ON_A_PAGE.get(entry["kind"], entry["kind"]), entry["verdict"] or "none") for entry in ours]
    table = VERDICT_TABLE.search(_all_text(notebook))
    if not table:
        return []
    shown = [tuple(part.strip() for part in row.split("|")[2:4]) for row in table[1].splitlines()]
    pairs = zip_longest([entry["id"] for entry in ours], ledger, shown)
    return [f"{name}: the ledger says {there}, the table {here}" for name, there, here in pairs if there != here]


def errata_are_checked(notebook: Notebook, errata: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each erratum that names this chapter has its check on the page."""
    code = "\n".join(cell.source for cell in notebook.code)
    ours = [entry for entry in errata if entry["chapter"] == notebook.slug]
    return [f'{entry["id"]}: no check "{entry["check"]}"' for entry in ours if f'"{entry["check"]}"' not in code]


def exercises_are_complete(notebook: Notebook, known: Mapping[str, Any], solutions: Notebook | None) -> list[str]:
    """Each exercise has its heading, cell, hints and answer, and agrees with the registry; none of it is left over.

    Parameters
    ----------
    notebook: the chapter.
    known: the chapter's exercises by full name, as the registry holds them.
    solutions: the chapter's solutions notebook, None where there is none.
    """
    complaints = []
    tasks = _tasks(notebook, complaints)
    if len(tasks) not in EXERCISES:
        complaints.append(f"{len(tasks)} exercises, expected {EXERCISES[0]} to {EXERCISES[-1]}")
    if missing := [kind for kind in KINDS if kind not in {task.kind for task in tasks}]:
        complaints.append(f"no exercise of kind {', '.join(missing)}")
    solved = set(_calls(solutions)) if solutions else set()
    for position, task in enumerate(tasks, 1):
        if task.number != position:
            complaints.append(f"exercise {task.number} stands at place {position}")
        complaints += [f"exercise {task.number}: {fault}" for fault in _faults(task, known, solved)]
    used = [asked for task in tasks for asked in task.calls]
    complaints += [f"{asked} is in the registry and not on the page" for asked in known if asked not in used]
    complaints += [f"{asked} is checked twice" for asked in sorted({a for a in used if used.count(a) > 1})]
    return complaints


def _faults(task: Task, known: Mapping[str, Any], solved: set[str]) -> list[str]:
    faults = []
    if task.kind not in KINDS:
        faults.append(f"kind {task.kind}; it can be {', '.join(KINDS)}")
    if len(task.calls) != 1:
        return [*faults, f'{len(task.calls)} checking cells, expected one exercise("…").check(…)']
    (asked,) = task.calls
    entry = known.get(asked)
    if entry is None:
        return [*faults, f'"{asked}" is not in the registry; there: {", ".join(known) or "none"}']
    shown = (task.kind, task.stars, task.minutes)
    registered = (entry.kind, entry.stars, entry.minutes)
    if shown != registered:
        faults.append(f"the heading says {shown}, the registry {registered}")
    if not any("hint" in fold.lower() for fold in task.folds):
        faults.append("no hint in a fold")
    code = "\n".join(cell.source for cell in task.cells if cell.cell_type == "code")
    if not any(isinstance(node, ast.Constant) and node.value is ... for node in ast.walk(ast.parse(code))):
        faults.append("the stub has no ... for the reader to replace")
    folded = any(re.search(r"answer|solution", fold, flags=re.IGNORECASE) for fold in task.folds)
    if asked not in solved and not (folded and task.kind in FOLDABLE):
        where = "in the solutions notebook" + (" or in a fold" if task.kind in FOLDABLE else "")
        faults.append(f"no answer {where}")
    return faults


def _tasks(notebook: Notebook, complaints: list[str]) -> list[Task]:
    cells = notebook.node.cells
    tasks = []
    starts = [(level, text, index) for level, text, index in notebook.headings if level <= 3]
    for place, (level, text, index) in enumerate(starts):
        if not text.startswith("Exercise "):
            continue
        found = HEADING.fullmatch(text)
        if not found or level != 3:
            complaints.append(f'heading "{"#" * level} {text}" should read like "{HEADING_SAYS}"')
            continue
        end = next((later for _, _, later in starts[place + 1 :] if later > index), len(cells))
        number, kind, stars, minutes = found.groups()
        tasks.append(Task(int(number), kind, len(stars), int(minutes), tuple(cells[index:end])))
    return tasks


def exercise_calls(source: str) -> list[str]:
    """Return the names in every ``exercise("…").check(…)`` of a cell."""
    return [
        node.func.value.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "check"
        and isinstance(node.func.value, ast.Call)
        and getattr(node.func.value.func, "id", "") == "exercise"
        and node.func.value.args
        and isinstance(node.func.value.args[0], ast.Constant)
    ]


def _calls(notebook: Notebook) -> list[str]:
    return [asked for cell in notebook.code for asked in exercise_calls(cell.source)]


def solutions_are_strict(notebook: Notebook, known: Mapping[str, Any]) -> list[str]:
    """A solutions notebook makes wrong answers raise, and solves exercises of its chapter alone, each once."""
    complaints = []
    code = "\n".join(cell.source for cell in notebook.code)
    if not re.search(rf'\bsetup\(\s*"{re.escape(notebook.slug)}",[^)]*\bsolutions=True', code):
        complaints.append(f'setup("{notebook.slug}", PRESET, solutions=True) is missing: a wrong answer would pass')
    asked = _calls(notebook)
    if not asked:
        complaints.append("no exercise is solved")
    complaints += [f"{one} is not in the registry" for one in asked if one not in known]
    complaints += [f"{one} is solved twice" for one in sorted({one for one in asked if asked.count(one) > 1})]
    return complaints


def solutions_of(notebook: Notebook) -> Notebook | None:
    """Return the solutions notebook of a chapter, or None."""
    path = SOLUTIONS / notebook.path.name
    return Notebook.read(path) if path.is_file() else None


def _all_text(notebook: Notebook) -> str:
    return "\n\n".join(cell.source for cell in notebook.markdown)
