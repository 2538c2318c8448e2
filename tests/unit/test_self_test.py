"""The self-test of *Before you start*: answers that are right by another way, and sections that exist."""

import re

import numpy as np
import pytest
import torch

from nbhelpers.notebook.self_test import LINES, MATHEMATICS, self_test
from nbhelpers.notebook.setup import chapters
from tests.notebooks.notebook import CHAPTERS, Notebook


def swing():
    b = 0.0
    for step in range(200):
        b = b / 2 + (-1) ** step / 2
    return abs(b)


def shrink():
    matrix = np.array([[1.0, -0.5], [1.0, 0.0]])
    return np.linalg.norm(np.linalg.matrix_power(matrix, 800), 2) ** (1 / 800)


def gradient():
    W = torch.ones(1, 2, requires_grad=True)
    (W @ torch.tensor([1.0, 2.0])).square().sum().div(2).backward()
    return W.grad[0, 1]


def twice():
    w = torch.tensor(1.0, requires_grad=True)
    for _ in range(2):
        (3 * w).backward()
    return w.grad / 3


def through():
    rate = torch.tensor(0.5, requires_grad=True)
    ((1 - rate) ** 2 / 2).backward()
    return rate.grad


def lowest(f):
    w = np.linspace(-5, 5, 100_001)
    return w[np.argmin(f(w))]


ANSWERS = {
    "norm": np.linalg.norm([[3, 0], [0, 4]]),
    "gradient": gradient(),
    "outer": (np.outer([1, 2], [3, 1]) @ [1, -1])[0],
    "argmin": lowest(lambda w: 4 * w + (w - 1) ** 2),
    "ridge": lowest(lambda w: (2 * w - 4) ** 2 + 4 * w**2),
    "swing": swing(),
    "shrink": shrink(),
    "stretch": np.linalg.norm([[0, 3], [2, 0]], 2),
    "bits": np.log(4) / np.log(2) / 4,
    "pairs": np.tril(np.ones((4, 4))).sum(),
    "twice": twice(),
    "through": through(),
}


def test_every_answer_is_found_by_computing_it(capsys):
    assert list(ANSWERS) == list(LINES) and len(LINES) == 12
    for name, answer in ANSWERS.items():
        assert float(answer) == pytest.approx(LINES[name].answer, rel=1e-2), name
    self_test(**ANSWERS)
    said = capsys.readouterr().out
    assert said.count("✓") == 12 and "you need nothing of this part" in said


def test_wrong_and_missing_lines_name_their_sections(capsys):
    self_test(**{**ANSWERS, "norm": 7, "ridge": "two", "bits": ..., "argmin": 1})
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines[:12]] == list("✗✓✓✗✗✓✓✓○✓✓✓")
    assert lines[0].endswith("Inner products and the Frobenius norm")
    assert lines[12:] == [
        "3 to read in “The mathematics you need”.",
        "1 to read in “A language model in one sitting”.",
    ]


def test_two_digits_are_enough_and_one_is_not(capsys):
    self_test(shrink=0.7, swing=0.33, stretch=3.1)
    assert [line[0] for line in capsys.readouterr().out.splitlines()[5:8]] == list("✓✓✗")


def test_an_unknown_line_is_refused():
    with pytest.raises(ValueError, match="no line nrom; its lines: norm, gradient"):
        self_test(nrom=5)


def test_the_page_asks_every_line_and_its_sections_exist():
    titles = {chapter["title"]: slug for slug, chapter in chapters().items()}
    page = Notebook.read(CHAPTERS / f"{titles[MATHEMATICS]}.ipynb")
    (asked,) = [cell.source for cell in page.code if cell.id == "self-test"]
    (table,) = [cell.source for cell in page.markdown if cell.id == "self-test-text"]
    assert re.findall(r"^ +(\w+)=\.\.\.,$", asked, re.M) == list(LINES)
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == list(LINES)
    for line in LINES.values():
        path = CHAPTERS / f"{titles[line.page]}.ipynb"
        if chapters()[titles[line.page]]["status"] == "finished":
            assert line.section in [text for _, text, _ in Notebook.read(path).headings]
