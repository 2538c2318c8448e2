"""Exercises of *The mathematics you need*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "the-mathematics-you-need"


# 1. Across

register(
    name=f"{CHAPTER}/across",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "The shapes differ: W has 10 rows, and the outer product of x and u has 64.",
            "c": "W has 64 columns and u has 10 entries, so W u cannot be formed.",
        },
    ),
    reference="b",
    also_right=("B", " b "),
    wrong=(("a", "shapes differ"), ("c", "cannot be formed"), ("trace", "one letter")),
)

# 2. Does it ring, does it end?

register(
    name=f"{CHAPTER}/rings",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "c",
        {
            "a": "The size of a complex number is not the sum of its parts; square them, add, take the root.",
            "b": "A complex pair turns at every step, and that is what ringing is.",
        },
    ),
    reference="c",
    also_right=("C",),
    wrong=(("a", "not the sum"), ("b", "turns at every step")),
)

# 3. A score

_W = sp.Matrix(2, 2, sp.symbols("w_11 w_12 w_21 w_22"))
_a, _b = sp.Matrix(sp.symbols("a_1:3")), sp.Matrix(sp.symbols("b_1:3"))
_score = (_a.T * _W * _b)[0]


def _check_bilinear(answer: Any) -> str | None:
    mistakes = {
        "That is the gradient of s itself. The chain rule brings the factor s.": _a * _b.T,
        "A 2 is left over: the square brings a 2, and the half takes it away.": 2 * _score * _a * _b.T,
    }
    return explain(answer, _score * _a * _b.T, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/bilinear",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_bilinear,
    reference=_score * _a * _b.T,
    also_right=(
        sp.Matrix(2, 2, lambda i, j: (_score**2 / 2).diff(_W[i, j])),
        (_a * _a.T * _W * _b * _b.T).expand(),
    ),
    wrong=(
        (_a * _b.T, "chain rule"),
        (2 * _score * _a * _b.T, "2 is left over"),
        (_score * _b * _a.T, "transposed"),
        (-_score * _a * _b.T, "sign"),
        (_score, "shape"),
    ),
)

# 4. A bowl elsewhere

_w_t, _h, _c, _eta = sp.symbols("w_t h c eta", positive=True)
_towards = (_w_t + _eta * _h * _c) / (1 + _eta * _h)


def _check_towards(answer: Any) -> str | None:
    mistakes = {
        "That is the gradient step (6). Here f itself is minimised, not its tangent.": _w_t - _eta * _h * (_w_t - _c),
        "That is for a bowl with its bottom at zero.": _w_t / (1 + _eta * _h),
        "Where you are and where the bottom is have changed places.": (_c + _eta * _h * _w_t) / (1 + _eta * _h),
    }
    return explain(answer, _towards, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/towards",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_towards,
    reference=_towards,
    also_right=("(w_t + eta*h*c)/(1 + eta*h)", _c + (_w_t - _c) / (1 + _eta * _h)),
    wrong=(
        ([_towards], "take yours out"),
        (_w_t - _eta * _h * (_w_t - _c), "gradient step"),
        (_w_t / (1 + _eta * _h), "bottom at zero"),
        ((_c + _eta * _h * _w_t) / (1 + _eta * _h), "changed places"),
    ),
)

# 5. The quickest wave

_alpha = sp.Symbol("alpha", positive=True)
_omega = sp.Symbol("omega", real=True)
_quickest = (1 - _alpha) / (1 + _alpha)
_SHARES = (sp.Rational(1, 5), sp.Rational(1, 2), sp.Rational(9, 10))


def _at_shares(expression: Any) -> list[complex]:
    """Values of an expression in alpha alone at three shares between zero and one."""
    expression = sp.sympify(expression)
    if {symbol.name for symbol in expression.free_symbols} - {"alpha"}:
        raise ValueError("an expression in alpha alone is expected")
    return [complex(expression.subs(dict.fromkeys(expression.free_symbols, share))) for share in _SHARES]


def _check_quickest(answer: Any) -> str | None:
    """Compare values: SymPy does not know that alpha is below one, so it keeps ``abs`` in some right forms."""
    try:
        values = _at_shares(answer)
    except (sp.SympifyError, TypeError, ValueError, AttributeError):
        return compare_expressions(answer, _quickest)
    if max(abs(value.imag) for value in values) > 1e-9:
        return "That is a complex number; its length is asked for."
    mistakes = {
        "That is the gain with its sign. A length is positive.": -_quickest,
        "The wave is fed in with the share 1 - alpha, (10).": 1 / (1 + _alpha),
        "That is a constant, for which the angle is zero. This wave turns by half a circle.": sp.Integer(1),
    }
    mistakes = {message: np.real(_at_shares(result)) for message, result in mistakes.items()}
    return explain(np.real(values), np.real(_at_shares(_quickest)), mistakes)


register(
    name=f"{CHAPTER}/quickest",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_quickest,
    reference=_quickest,
    also_right=(
        "(1 - alpha)/(1 + alpha)",
        "abs((1 - alpha)/(-1 - alpha))",
        2 / (1 + _alpha) - 1,
        sp.Abs((1 - _alpha) / (-1 - _alpha)),
        sp.sqrt(((1 - _alpha) / (-1 - _alpha)) ** 2),
        sp.Abs((1 - _alpha) / (sp.exp(sp.I * _omega) - _alpha)).subs(_omega, sp.pi),
        sp.Abs((1 - sp.Symbol("alpha")) / (1 + sp.Symbol("alpha"))),
    ),
    wrong=(
        (-_quickest, "length is positive"),
        (1 / (1 + _alpha), "share 1 - alpha"),
        (1, "half a circle"),
        (2 * _quickest, "scale is wrong"),
        (sp.I * _quickest, "its length is asked for"),
        ((1 - _alpha) / (sp.exp(sp.I * _omega) - _alpha), "uses omega"),
        ([_quickest], "take yours out"),
        ("alpha +", "SymPy expression"),
    ),
)

# 6. Ridge that forgets


def _fading(X, T, penalty, retention, *, power=1.0, reverse=False, once=False):
    X, T = np.asarray(X), np.asarray(T)
    ages = np.arange(len(X)) if reverse else np.arange(len(X))[::-1]
    weights = retention ** (power * ages)
    kept = X.T @ (X if once else weights[:, None] * X) + penalty * np.eye(X.shape[1])
    return np.linalg.solve(kept, X.T @ (weights[:, None] * T)).T


def _fading_by_rows(X, T, penalty, retention):
    import torch

    rows = retention ** (torch.arange(len(X) - 1, -1, -1, dtype=X.dtype) / 2)
    X, T = rows[:, None] * X, rows[:, None] * T
    return T.T @ X @ torch.linalg.inv(X.T @ X + penalty * torch.eye(X.shape[1], dtype=X.dtype))


def _wrongly(**mistake: Any) -> Callable:
    return lambda *arguments: _fading(*arguments, **mistake)


def _check_fading(function: Callable) -> str | None:
    import torch

    for seed, (count, inputs, outputs) in enumerate([(7, 3, 2), (4, 5, 3)]):
        random = np.random.default_rng(60 + seed)
        given = (random.normal(size=(count, inputs)), random.normal(size=(count, outputs)), 0.3, 0.7)
        answer = call(function, torch.tensor(given[0]), torch.tensor(given[1]), *given[2:])
        mistakes = {
            "The weights run the wrong way: the newest example has weight one.": _fading(*given, reverse=True),
            "Scale rows by the root of the weight: the loss squares them.": _fading(*given, power=2.0),
            "Half the exponent only if you scale both tables; a weight inside the product is whole.": (
                _fading(*given, power=0.5)
            ),
            "The weights belong into the product of the inputs as well.": _fading(*given, once=True),
            "Nothing fades here: this is (8).": _fading(*given[:3], 1.0),
        }
        complaint = explain(answer, _fading(*given), mistakes)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/fading",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_fading,
    reference=_fading,
    also_right=(_fading_by_rows,),
    wrong=(
        (_wrongly(reverse=True), "wrong way"),
        (_wrongly(power=2.0), "loss squares them"),
        (_wrongly(power=0.5), "is whole"),
        (_wrongly(once=True), "as well"),
        (lambda X, T, penalty, retention: _fading(X, T, penalty, 1.0), "Nothing fades"),
        (lambda *given: _fading(*given).T, "transposed"),
    ),
)

# 7. A detour

LARGEST_ENTRY, LARGEST_EIGENVALUE, GROWTH = 1.0, 0.95, 6.0


def largest_growth(matrix: Any, steps: int = 400) -> float:
    """The largest singular value of any power of a matrix, up to ``steps``."""
    matrix, power, largest = np.asarray(matrix, dtype=float), np.eye(2), 1.0
    for _ in range(steps):
        power = matrix @ power
        largest = max(largest, float(np.linalg.norm(power, 2)))
    return largest


def _check_detour(answer: Any) -> str | None:
    try:
        matrix = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        return "Expected a two-by-two matrix of numbers, [[a, b], [c, d]]."
    if matrix.shape != (2, 2) or not np.all(np.isfinite(matrix)):
        return "Expected a two-by-two matrix of numbers, [[a, b], [c, d]]."
    if np.abs(matrix).max() > LARGEST_ENTRY + 1e-9:
        return f"An entry is {np.abs(matrix).max():.3g} in size; at most 1 is allowed."
    size = float(np.abs(np.linalg.eigvals(matrix)).max())
    if size > LARGEST_EIGENVALUE + 1e-6:
        return f"An eigenvalue is {size:.3g} in size; at most {LARGEST_EIGENVALUE:g} is allowed."
    grown = largest_growth(matrix)
    return None if grown >= GROWTH else f"The largest growth on the way is {grown:.2f}; six is asked for."


register(
    name=f"{CHAPTER}/detour",
    kind="explore",
    stars=2,
    minutes=10,
    checker=_check_detour,
    reference=[[0.95, 1.0], [0.0, 0.95]],
    also_right=([[0.945, 0.0], [-1.0, 0.945]], np.array([[0.95, 1.0], [0.0, 0.94]])),
    wrong=(
        ([[0.9, 1.0], [0.0, 0.8]], "largest growth on the way"),
        ([[0.9, 4.0], [0.0, 0.8]], "An entry is 4"),
        ([[0.99, 1.0], [0.0, 0.99]], "An eigenvalue is 0.99"),
        ([0.9, 0.8], "two-by-two"),
    ),
)
