"""Every checker accepts its reference answers and names what is wrong with the wrong ones."""

import re

import numpy as np
import pytest
import sympy as sp

from nbhelpers.notebook.exercises import exercise, register, registered, strict
from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, compare_numbers
from nbhelpers.notebook.exercises.registry import WrongAnswer, call
from nbhelpers.notebook.setup import chapters

ALL = [
    entry
    for slug, chapter in chapters().items()
    if chapter["status"] == "finished"
    for entry in registered(slug).values()
]
NAMES = [entry.name for entry in ALL]


@pytest.mark.parametrize("entry", ALL, ids=NAMES)
def test_right_answers_are_accepted_however_written(entry):
    for answer in (entry.reference, *entry.also_right):
        assert entry.check(answer).state == "right"


@pytest.mark.parametrize("entry", ALL, ids=NAMES)
def test_wrong_answers_get_the_intended_message(entry):
    for answer, part in entry.wrong:
        result = entry.check(answer)
        assert (result.state, part in result.message) == ("wrong", True), result.message


@pytest.mark.parametrize("entry", ALL, ids=NAMES)
@pytest.mark.parametrize("stub", [..., None, ""])
def test_a_stub_is_not_attempted(entry, stub):
    assert entry.check(stub).state == "not attempted"


@pytest.mark.parametrize("entry", ALL, ids=NAMES)
def test_a_nonsense_answer_is_reported_and_never_raises(entry):
    for answer in ("nonsense", lambda *args, **kwargs: 1 / 0, object()):
        assert entry.check(answer).state == "wrong"


@pytest.mark.parametrize("entry", [e for e in ALL if callable(e.reference)], ids=lambda e: e.name)
def test_a_stub_function_is_not_attempted(entry):
    assert entry.check(lambda *args, **kwargs: None).state == "not attempted"
    assert entry.check(lambda *args, **kwargs: ...).state == "not attempted"


def test_every_finished_chapter_has_five_exercises_of_all_four_kinds():
    for slug, chapter in chapters().items():
        if chapter["status"] == "finished":
            entries = registered(slug).values()
            assert 5 <= len(entries) <= 10
            assert {entry.kind for entry in entries} == {"recall", "derive", "build", "explore"}


def test_strict_mode_raises_for_wrong_and_missing_answers():
    entry = ALL[0]
    strict(True)
    try:
        with pytest.raises(WrongAnswer):
            entry.check(...)
        with pytest.raises(WrongAnswer):
            entry.check(entry.wrong[0][0])
        assert entry.check(entry.reference).state == "right"
    finally:
        strict(False)


def test_unknown_names_list_what_there_is():
    with pytest.raises(ValueError, match="there are: two-clocks/"):
        exercise("two-clocks/none")
    with pytest.raises(ValueError, match="no exercises for a chapter"):
        exercise("nowhere/none")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"kind": "guess"}, "kind"), ({"stars": 4}, "stars"), ({"wrong": ((1, "x"),)}, "at least two")],
)
def test_a_badly_described_exercise_is_refused(change, message):
    fields = {
        "name": "page/x", "kind": "recall", "stars": 1, "minutes": 2, "checker": lambda answer: None,
        "reference": 1, "wrong": ((2, "two"), (3, "three")),
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        register(**{**fields, **change})


SQUARE = np.array([[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    ("answer", "expected", "message"),
    [
        (SQUARE, SQUARE, None),
        (-SQUARE, SQUARE, "sign"),
        (2 * SQUARE, SQUARE, "2 times"),
        (SQUARE.T, SQUARE, "transposed"),
        (SQUARE[:1].T, SQUARE[:1], "transposed"),
        (SQUARE[0], SQUARE, "shape"),
        (SQUARE + np.diag([0.0, 1.0]), SQUARE, r"at \[1, 1\]"),
        (np.full((2, 2), np.nan), SQUARE, "not finite"),
        ("words", SQUARE, "Expected numbers"),
    ],
)
def test_numbers_are_compared_with_a_named_mistake(answer, expected, message):
    found = compare_numbers(answer, expected)
    assert found is None if message is None else re.search(message, found)


r, d = sp.symbols("r d", positive=True)
GAIN = d * r / (1 - d * (1 - r))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("d*r/(1 - d + d*r)", None),
        (1 / (1 + (1 - d) / (d * r)), None),
        (-GAIN, "sign"),
        (3 * GAIN, "3 times"),
        (r / (1 - d * (1 - r)), "differs"),
        (sp.Symbol("q"), "uses q; write it in d, r"),
        (sp.Matrix([1, 2]), "shape"),
    ],
)
def test_expressions_are_compared_with_a_named_mistake(answer, message):
    found = compare_expressions(answer, GAIN)
    assert found is None if message is None else message in found


def test_choices_explain_the_wrong_ones():
    assert compare_choice(" B ", "b", {"a": "No, because."}) is None
    assert compare_choice("a", "b", {"a": "No, because."}) == "No, because."
    assert "one letter of a, b" in compare_choice("z", "b", {"a": "No, because."})


def test_call_marks_an_empty_stub():
    from nbhelpers.notebook.exercises.registry import NotAttempted

    with pytest.raises(NotAttempted):
        call(lambda: None)
    assert call(lambda v: v + 1, 2) == 3
