"""The checks of a page: what they accept, what they refuse, and what they say."""

import numpy as np
import pytest
import sympy as sp
import torch

from nbhelpers.notebook.checks import CheckFailed, Checks


@pytest.fixture
def check():
    return Checks()


x, y = sp.symbols("x y")


def test_equal_accepts_the_same_thing_written_differently(check):
    check.equal("square", (x + y) ** 2, x**2 + 2 * x * y + y**2, near_miss=x**2 + y**2)
    check.equal("ratio", (x**2 - 1) / (x - 1), x + 1, near_miss=x - 1)
    assert check.count == 2


def test_equal_says_by_how_much_two_expressions_differ(check):
    with pytest.raises(CheckFailed, match=r"\(1\) gain: the two sides differ by x"):
        check.equal("(1) gain", 3 * x, 2 * x, near_miss=x)


def test_equal_says_where_two_matrices_differ(check):
    left, right = sp.Matrix([[1, x], [y, 2]]), sp.Matrix([[1, x], [-y, 2]])
    with pytest.raises(CheckFailed, match=r"at \[1, 0\]: y against -y"):
        check.equal("matrix", left, right, near_miss=sp.eye(2))
    with pytest.raises(CheckFailed, match="shape"):
        check.equal("matrix", left, sp.Matrix([1, 2]), near_miss=sp.eye(2))


def test_equal_proves_matrix_expressions_of_any_size(check):
    n = sp.symbols("n", integer=True, positive=True)
    a, b = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("B", n, n)
    check.equal("distributes", (a + b) * a, a * a + b * a, near_miss=a * a + a * b)
    with pytest.raises(CheckFailed):
        check.equal("does not commute", a * b, b * a, near_miss=a)


def test_a_near_miss_that_passes_is_refused(check):
    with pytest.raises(CheckFailed, match="proves nothing"):
        check.equal("empty", x + x, 2 * x, near_miss=x * 2)
    with pytest.raises(CheckFailed, match="proves nothing"):
        check.close("zero", np.zeros(3), np.zeros(3), near_miss=-np.zeros(3))
    assert check.count == 0


def test_close_compares_numbers_arrays_and_tensors(check):
    check.close("number", 0.1 + 0.2, 0.3, near_miss=0.6)
    check.close("tensor", torch.eye(2, requires_grad=True), np.eye(2), near_miss=-np.eye(2))
    assert check.count == 2


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (np.ones((2, 3)), np.ones((3, 2)), "fits transposed"),
        (np.array([1.0, 2.0]), np.array([1.0, 2.5]), r"largest gap 0.5 at \(1,\)"),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0]), r"nan at \(1,\)"),
        (float("inf"), 1.0, "largest gap inf"),
    ],
)
def test_close_says_what_differs(check, actual, expected, message):
    with pytest.raises(CheckFailed, match=message):
        check.close("compared", actual, expected, near_miss=0.0)


def test_summary_counts_each_name_once_and_refuses_too_few(check, capsys):
    for _ in range(2):
        check.true("order", 1 < 2)
    check.true("bound", True, "0.1 is below 0.2")
    check.summary(expected=2)
    assert "2 checks have run" in capsys.readouterr().out
    with pytest.raises(CheckFailed, match="Only 2 of 3"):
        check.summary(expected=3)
    check.reset()
    assert check.count == 0


def test_true_refuses_a_false_fact(check):
    with pytest.raises(CheckFailed, match="order: does not hold. found 3"):
        check.true("order", False, "found 3")
