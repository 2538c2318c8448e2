"""Exercises of the chapter *The amnesiac*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain
from nbhelpers.notebook.exercises.registry import NotAttempted, attempted, call, register

CHAPTER = "the-amnesiac"


# 1, 2. Recall

register(
    name=f"{CHAPTER}/twenty-times",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "Repetition helps a store that changes with what it reads. Frozen weights do not change.",
            "c": "The last telling is 300 tokens ago, and the window holds 256.",
        },
    ),
    reference="b",
    also_right=("B", " b "),
    wrong=(("a", "Repetition helps"), ("c", "300 tokens ago"), ("nothing", "one letter")),
)

register(
    name=f"{CHAPTER}/new-page",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "c",
        {
            "a": "The cache belongs to one text. A new text starts with an empty one.",
            "b": "The state belongs to one text. A new text starts with the state of the beginning.",
        },
    ),
    reference="c",
    also_right=("C", "c "),
    wrong=(("a", "empty one"), ("b", "state of the beginning"), ("d", "one letter")),
)

# 3. Two windows in turn

_a, _b, _n = sp.symbols("W_a W_b n")


def _check_windows(answer: Any) -> str | None:
    mistakes = {
        "Each layer adds its window less one: its own position is counted already.": _n * (_a + _b),
        "The token itself is missing: with n = 0 there is still one.": _n * (_a + _b - 2),
        "There are n layers of each kind, so each kind adds n times.": _a + _b - 1,
        "That is for n layers in all; here there are n of each.": _n * (_a + _b - 2) / 2 + 1,
    }
    return explain(answer, _n * (_a + _b - 2) + 1, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/two-windows",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_windows,
    reference=_n * (_a + _b - 2) + 1,
    also_right=(1 + _n * (_a - 1) + _n * (_b - 1), "1 + n*(W_a + W_b) - 2*n"),
    wrong=(
        (_n * (_a + _b), "window less one"),
        (_n * (_a + _b - 2), "token itself"),
        (_a + _b - 1, "each kind adds n times"),
        (-_n * (_a + _b - 2) - 1, "sign"),
    ),
)

# 4. What a stranger sees

_v, _y, _a_q, _l = sp.symbols("v y a l")


def _check_stranger(answer: Any) -> str | None:
    mistakes = {
        "That is the change of the answer that was told, not of the stranger's.": _v - _y,
        "The rate is missing: the one that gets the told answer exactly right is 1/l.": (_v - _y) * _a_q,
        "The overlap is divided by its square length l, not the other way round.": (_v - _y) * _l / _a_q,
        "Divide by l once: the rate is 1/l, and a stands as it is.": (_v - _y) * _a_q / _l**2,
    }
    return explain(answer, (_v - _y) * _a_q / _l, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/stranger",
    kind="derive",
    stars=2,
    minutes=8,
    checker=_check_stranger,
    reference=(_v - _y) * _a_q / _l,
    also_right=("(v - y)*a/l", _a_q / _l * _v - _a_q / _l * _y),
    wrong=(
        (_v - _y, "not of the stranger's"),
        ((_v - _y) * _a_q, "rate is missing"),
        ((_y - _v) * _a_q / _l, "sign"),
        ((_v - _y) * _l / _a_q, "other way round"),
    ),
)

# 5. Tell a layer


def _softmax(z):
    shifted = np.exp(z - z.max())
    return shifted / shifted.sum()


def _tell(W, h, told, rate):
    p = _softmax(W @ h)
    p[told] -= 1
    return W - rate * np.outer(p, h)


def _tell_by_rows(W, h, told, rate):
    p = _softmax(W @ h)
    return np.array([row - rate * (p[i] - (i == told)) * h for i, row in enumerate(W)])


def _tell_only(W, h, told, rate):
    new = W.copy()
    new[told] = new[told] + rate * (1 - _softmax(W @ h)[told]) * h
    return new


def _tell_blindly(W, h, told, rate):
    new = W.copy()
    new[told] = new[told] + rate * h
    return new


def _tell_upwards(W, h, told, rate):
    return 2 * W - _tell(W, h, told, rate)


def _tell_in_place(W, h, told, rate):
    W[:] = _tell(W, h, told, rate)


def _check_tell(function: Callable) -> str | None:
    for seed, (tokens, width, rate) in enumerate([(4, 3, 0.7), (10, 5, 0.2), (3, 3, 1.5)]):
        random = np.random.default_rng(seed)
        W, h, told = random.normal(size=(tokens, width)), random.normal(size=width), int(random.integers(tokens))
        given = W.copy()
        answer = function(given, h.copy(), told, rate)
        if answer is None and not np.array_equal(given, W):
            return "You changed W where it stands and returned nothing: end with `return W`."
        if not attempted(answer):
            raise NotAttempted
        mistakes = {
            "Only the told token's row moves. The softmax also lowers all others.": _tell_only,
            "The chances p are missing: a token that is expected already needs no push.": _tell_blindly,
            "The sign is wrong: the told token becomes less likely.": _tell_upwards,
            "The rate has to be the one that is given.": lambda W, h, told, rate: _tell(W, h, told, 0.7),
            "That is the gradient alone; the step is W minus the rate times it.": (
                lambda W, h, told, rate: (W - _tell(W, h, told, rate)) / rate
            ),
        }
        results = {message: make(W, h, told, rate) for message, make in mistakes.items()}
        if complaint := explain(answer, _tell(W, h, told, rate), results):
            return complaint
    return None


register(
    name=f"{CHAPTER}/tell",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_tell,
    reference=_tell,
    also_right=(_tell_by_rows,),
    wrong=(
        (_tell_only, "lowers all others"),
        (_tell_blindly, "chances p are missing"),
        (_tell_upwards, "sign"),
        (lambda *given: _tell(*given).T, "transposed"),
        (lambda W, h, told, rate: _tell(W, h, told, 0.7), "rate"),
        (_tell_in_place, "return W"),
    ),
)

# 6. Who depends on whom


def _band(length, window):
    back = np.arange(length)[:, None] - np.arange(length)[None]
    return (back >= 0) & (back < window)


def _depends(length, windows):
    found = np.eye(length, dtype=bool)
    for window in windows:
        found = (_band(length, window).astype(int) @ found.astype(int)) > 0
    return found


def _paths(length, windows):
    found = np.eye(length, dtype=int)
    for window in windows:
        found = _band(length, window).astype(int) @ found
    return found


def _depends_by_formula(length, windows):
    return _band(length, 1 + sum(window - 1 for window in windows)).tolist()


def _check_depends(function: Callable) -> str | None:
    for length, windows in ((12, [3, 3]), (9, [4]), (20, [2, 5, 3]), (7, [9, 2])):
        answer = call(function, length, list(windows))
        mistakes = {
            "A position sees W positions, its own among them, so W - 1 back.": _depends(
                length, [window + 1 for window in windows]
            ),
            "Each layer looks at the layer below. Yours has the widest window alone.": _band(length, max(windows)),
            "Rows are the positions that look, columns the tokens they depend on: yours is transposed.": (
                _depends(length, windows).T
            ),
            "No token may depend on a later one.": _depends(length, windows) | _depends(length, windows).T,
            "These are numbers of paths. Anything above zero means yes: end with `> 0`.": _paths(length, windows),
        }
        if complaint := explain(answer, _depends(length, windows), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/depends",
    kind="build",
    stars=3,
    minutes=12,
    checker=_check_depends,
    reference=_depends,
    also_right=(_depends_by_formula,),
    wrong=(
        (lambda length, windows: _depends(length, [window + 1 for window in windows]), "W - 1 back"),
        (lambda length, windows: _band(length, max(windows)), "widest window alone"),
        (lambda length, windows: _depends(length, windows).T, "transposed"),
        (lambda length, windows: _depends(length, windows) | _depends(length, windows).T, "later one"),
        (_paths, "> 0"),
    ),
)

# 7. The last token that matters

LAST = 256 + len("Remember ")


def _check_last(answer: Any) -> str | None:
    try:
        distance = float(answer)
    except (TypeError, ValueError):
        return f"Expected one number, got {type(answer).__name__}."
    if distance == LAST:
        return None
    if distance == 256:
        return "At 256 the whole sentence is in the window. Its first word may go and nothing is lost."
    if distance == LAST + 3:
        return "At this distance the number is there, but the name in front of it has gone."
    if abs(distance - LAST) == 1:
        return "One off. At distance d the first letter of the sentence is the d-th token from the end."
    return "Write down which letter of the sentence is the first in the window at distance 257, then 258, and go on."


register(
    name=f"{CHAPTER}/last-tag",
    kind="explore",
    stars=2,
    minutes=10,
    checker=_check_last,
    reference=LAST,
    also_right=(float(LAST), str(LAST)),
    wrong=(
        (256, "first word may go"),
        (268, "has gone"),
        (264, "One off"),
        (300, "first in the window"),
        ("far", "number"),
    ),
)
