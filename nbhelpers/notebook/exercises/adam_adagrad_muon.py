"""Exercises of the chapter *Adam, AdaGrad, Muon*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, compare_numbers, explain
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "adam-adagrad-muon"

# 1. The button

register(
    name=f"{CHAPTER}/button",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "Adam divides by a size that has grown by the same factor; the factor cancels.",
            "c": "Muon scales its matrix to length one first, so the factor is gone before anything else happens.",
        },
    ),
    reference="b",
    also_right=("B", " b "),
    wrong=(("a", "the factor cancels"), ("c", "length one first"), ("momentum", "one letter")),
)

# 2. One loud batch

register(
    name=f"{CHAPTER}/loud-batch",
    kind="recall",
    stars=2,
    minutes=3,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "Adam's memory of directions has decay 0.9: after 200 steps nothing of the loud direction is left.",
            "c": "Adam's memory of sizes has decay 0.999: after 200 steps most of the loud square is still there.",
        },
    ),
    reference="b",
    also_right=("B",),
    wrong=(("a", "memory of directions"), ("c", "memory of sizes")),
)

# 3. Aim anywhere

_S1, _S2, _p = sp.symbols("S_1 S_2 p", positive=True)
_aim = _S2 ** sp.Rational(3, 4)


def _check_aim(answer: Any) -> str | None:
    with suppress(sp.SympifyError, TypeError, AttributeError):  # what it is instead, the comparison says
        answer = sp.nsimplify(sp.sympify(answer), rational=True)  # 0.75 is as good as 3/4
    mistakes = {
        "That target gives S_1 over S_2 to the power 3/4: the two powers have to add up to one.": (
            _S2 ** sp.Rational(1, 4)
        ),
        "That is the target of (4), which gives the root in the denominator.": sp.sqrt(_S2),
        "That is the solution itself. The question is for the target that it belongs to.": (
            _S1 / _S2 ** sp.Rational(1, 4)
        ),
    }
    return explain(answer, _aim, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/aim-anywhere",
    kind="derive",
    stars=1,
    minutes=4,
    checker=_check_aim,
    reference=_aim,
    also_right=(_S2 / _S2 ** sp.Rational(1, 4), "S_2**(3/4)", "S_2/sqrt(sqrt(S_2))", _S2**0.75, "S_2/S_2**0.25"),
    wrong=(
        (_S2 ** sp.Rational(1, 4), "add up to one"),
        (sp.sqrt(_S2), "target of (4)"),
        (_S1 / _S2 ** sp.Rational(1, 4), "solution itself"),
        (_S2**0.25, "add up to one"),
        ([_S2], "got"),
        ("P**(3/4)", "uses P"),
    ),
)

# 4. From both sides

_other = sp.Rational(1, 2) - _p


def _check_sides(answer: Any) -> str | None:
    mistakes = {
        "The eigenvalues of both products are squares of singular values, so each power counts twice.": 1 - _p,
        "That is so only for p = 1/4. With p = 1/2 nothing is left to do on the right.": _p,
        "The signs of the powers are in the formula already: both p and q make long teeth shorter.": (
            _p - sp.Rational(1, 2)
        ),
    }
    return explain(answer, _other, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/both-sides",
    kind="derive",
    stars=2,
    minutes=8,
    checker=_check_sides,
    reference=_other,
    also_right=("(1 - 2*p)/2", 0.5 - _p, "1/2 - p"),
    wrong=(
        (1 - _p, "counts twice"),
        (_p, "only for p = 1/4"),
        (_p - sp.Rational(1, 2), "in the formula already"),
    ),
)

# 5. Adam at once


def _at_once(gradients, mu1, mu2, *, turned=False, corrected=True, root=True, squares=True):
    g = np.asarray(gradients)
    age = np.arange(len(g)) if turned else np.arange(len(g))[::-1]
    first, second = mu1**age, mu2**age
    if corrected:
        first, second = first / first.sum(), second / second.sum()
    else:
        first, second = (1 - mu1) * first, (1 - mu2) * second
    size = second @ (g**2 if squares else np.abs(g))
    return first @ g / (np.sqrt(size) if root else size)


def _adam_in_a_loop(gradients, mu1, mu2):
    import torch

    w = torch.zeros_like(gradients[0], requires_grad=True)
    tool, before = torch.optim.Adam([w], lr=1.0, betas=(mu1, mu2), eps=0.0), None
    for w.grad in gradients:
        before = w.detach().clone()
        tool.step()
    return before - w.detach()


def _adam_wrongly(**mistake: Any) -> Callable:
    return lambda *arguments: _at_once(*arguments, **mistake)


def _check_at_once(function: Callable) -> str | None:
    import torch

    for seed, (steps, size, mu1, mu2) in enumerate([(5, 3, 0.9, 0.99), (8, 2, 0.5, 0.9), (3, 4, 0.7, 0.7)]):
        g = np.random.default_rng(60 + seed).normal(size=(steps, size)) + 0.3
        answer = call(function, torch.tensor(g), mu1, mu2)
        mistakes = {
            "The ages run the wrong way: the last row is the newest gradient.": _at_once(g, mu1, mu2, turned=True),
            "The fading sums have to become means: divide each by the sum of its weights.": (
                _at_once(g, mu1, mu2, corrected=False)
            ),
            "The root is missing in the denominator.": _at_once(g, mu1, mu2, root=False),
        }
        complaint = explain(answer, _at_once(g, mu1, mu2), mistakes)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/at-once",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_at_once,
    reference=_at_once,
    also_right=(_adam_in_a_loop,),
    wrong=(
        (_adam_wrongly(turned=True), "wrong way"),
        (_adam_wrongly(corrected=False), "have to become means"),
        (_adam_wrongly(root=False), "root is missing"),
        (_adam_wrongly(squares=False), "expected"),
    ),
)

# 6. Flat, from both shapes

FLATNESS = 1e-3  # how far from one a singular value may be


def _flatten(G, steps=40, scaled=True, coefficients=(1.5, -0.5, 0.0)):
    X, (a, b, c) = np.asarray(G, dtype=float), coefficients
    X = X / np.linalg.norm(X) if scaled else X
    with np.errstate(over="ignore", invalid="ignore"):  # one of the wrong answers flies apart
        for _ in range(steps):
            A = X @ X.T
            X = a * X + (b * A + c * A @ A) @ X
    return X


def _flatten_by_svd(G):
    import torch

    U, _, V = torch.linalg.svd(G, full_matrices=False)
    return U @ V


def _check_flatten(function: Callable) -> str | None:
    import torch

    for seed, (rows, columns, size) in enumerate([(3, 5, 1.0), (6, 4, 50.0), (4, 4, 1e-3)]):
        rotation = np.random.default_rng(70 + seed)
        left = np.linalg.qr(rotation.normal(size=(rows, rows)))[0][:, : min(rows, columns)]
        right = np.linalg.qr(rotation.normal(size=(columns, columns)))[0][: min(rows, columns)]
        teeth = np.linspace(0.05, 1, min(rows, columns))
        G = size * left @ np.diag(teeth) @ right
        answer = np.asarray(call(function, torch.tensor(G)), dtype=float)
        if answer.shape != G.shape:
            return compare_numbers(answer, G)
        if not np.all(np.isfinite(answer)):
            return "The iteration flew apart. It starts well only from singular values below the root of three."
        values = np.linalg.svd(answer, compute_uv=False)
        if abs(values - 1).max() > FLATNESS:
            found = f"For a gradient of size {size:g} they run from {values.min():.3g} to {values.max():.3g}"
            return f"The singular values should be one to within {FLATNESS:g}. {found}."
        if np.abs(answer - left @ right).max() > 10 * FLATNESS:
            return "All singular values are one, but the singular vectors are not those of G."
    return None


register(
    name=f"{CHAPTER}/flatten",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_flatten,
    reference=_flatten,
    also_right=(_flatten_by_svd,),  # the page says that only the result is looked at
    wrong=(
        (lambda G: _flatten(G, scaled=False), "flew apart"),
        (lambda G: _flatten(G, 5), "they run from"),
        (lambda G: _flatten(G, 40, coefficients=(3.4445, -4.7750, 2.0315)), "they run from"),
        (lambda G: np.sign(np.asarray(G)), "they run from"),
        (lambda G: np.eye(*np.asarray(G).shape), "singular vectors"),
        (lambda G: _flatten(G).T, "transposed"),
    ),
)

# 7. A cubic in a hurry

HURRY_STEPS, HURRY_BAND, HURRY_FROM = 8, (0.8, 1.2), (0.01, 1.0)


def _check_hurry(answer: Any) -> str | None:
    try:
        a, b = (float(part) for part in answer)
    except (TypeError, ValueError):
        return "Expected a pair of numbers, (a, b)."
    s = np.linspace(*HURRY_FROM, 2000)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(HURRY_STEPS):
            s = a * s + b * s**3
    if not np.all(np.isfinite(s)) or s.max() > 100 or s.min() < 0:
        return f"With ({a:g}, {b:g}) some singular values leave the range from zero on, or fly apart."
    low, high = HURRY_BAND
    if s.min() < low:
        why = "the shortest tooth grows too slowly, or a step throws some far down"
        return f"After {HURRY_STEPS} steps the smallest is {s.min():.3g}, below {low:g}: {why}."
    if s.max() > high:
        return f"After {HURRY_STEPS} steps the largest is {s.max():.3g}, above {high:g}."
    return None


register(
    name=f"{CHAPTER}/hurry",
    kind="explore",
    stars=3,
    minutes=15,
    checker=_check_hurry,
    reference=(2.0, -1.0),
    also_right=([1.9, -0.9], np.array([1.8, -0.8])),
    wrong=(
        ((1.5, -0.5), "grows too slowly"),
        ((3.0, -2.0), "leave the range"),
        ((1.8, -0.5), "above 1.2"),
        (2.0, "pair of numbers"),
    ),
)
