"""The twelve-line self-test of *Before you start*: each line answered right is a section that a reader may skip."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose
from typing import Any

from nbhelpers.notebook.exercises.registry import attempted

MATHEMATICS, MODEL = "The mathematics you need", "A language model in one sitting"


@dataclass(frozen=True)
class Line:
    """One line of the test: its answer, and the section of a page that explains it."""

    answer: float
    section: str
    page: str


LINES = {
    "norm": Line(5, "Inner products and the Frobenius norm", MATHEMATICS),
    "gradient": Line(6, "The gradient with respect to a matrix", MATHEMATICS),
    "outer": Line(2, "Outer products", MATHEMATICS),
    "argmin": Line(-1, "Argmin and proximal steps", MATHEMATICS),
    "ridge": Line(1, "Ridge", MATHEMATICS),
    "swing": Line(1 / 3, "Geometric series and complex gain", MATHEMATICS),
    "shrink": Line(0.5**0.5, "Eigenvalues of a two-by-two recurrence", MATHEMATICS),
    "stretch": Line(3, "The singular value decomposition", MATHEMATICS),
    "bits": Line(0.5, "Cross-entropy and bits per byte", MODEL),
    "pairs": Line(10, "Causal attention", MODEL),
    "twice": Line(2, "Writing an optimizer", MODEL),
    "through": Line(-0.5, "Differentiating through an update", MODEL),
}


def self_test(**answers: Any) -> None:
    """Print, for each line of the test, whether its cells can be skipped, and the sections that are left to read.

    Parameters
    ----------
    answers: a number for each name of ``LINES``, right within 2 %; ``...`` for a line that is not answered.

    Raises
    ------
    ValueError
        If a name is unknown; the message lists the names.
    """
    if unknown := [name for name in answers if name not in LINES]:
        raise ValueError(f"The self-test has no line {', '.join(unknown)}; its lines: {', '.join(LINES)}.")
    to_read: dict[str, list[str]] = {}
    for name, line in LINES.items():
        given = answers.get(name, ...)
        if not attempted(given):
            sign, what = "○", "not answered"
        elif _right(given, line.answer):
            sign, what = "✓", "right, skip"
        else:
            sign, what = "✗", "read"
        if sign != "✓":
            to_read.setdefault(line.page, []).append(line.section)
        print(f"{sign} {name:8s} {what:12s} {line.section}")
    if not to_read:
        print("All twelve are right: you need nothing of this part.")
    for page, sections in to_read.items():
        print(f"{len(sections)} to read in “{page}”.")


def _right(given: Any, answer: float) -> bool:
    try:
        return isclose(float(given), answer, rel_tol=0.02)
    except (TypeError, ValueError):
        return False
