"""Exercises of the chapter *Fast weights*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, compare_numbers, explain, normal
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "fast-weights"


# 1. Ada has moved

register(
    name=f"{CHAPTER}/moved",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "c",
        {
            "a": "Linear attention answers 1 and 3 to A, equally loud: nothing was erased.",
            "b": "Fading has made everything weaker with each token, the 2 of B too.",
        },
    ),
    reference="c",
    also_right=("C", " c "),
    wrong=(("a", "nothing was erased"), ("b", "weaker"), ("delta", "one letter")),
)

# 2. A new page

register(
    name=f"{CHAPTER}/new-page",
    kind="recall",
    stars=1,
    minutes=3,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "Retention one keeps all that is void, and this token would be written on top.",
            "c": "Then nothing happens: nothing is forgotten and nothing is written.",
        },
    ),
    reference="b",
    also_right=("B",),
    wrong=(("a", "keeps all"), ("c", "nothing happens")),
)

# 3. The first of many

_beta, _n = sp.symbols("beta n", positive=True)

register(
    name=f"{CHAPTER}/first-value",
    kind="derive",
    stars=2,
    minutes=6,
    checker=lambda answer: explain(
        answer,
        _beta * (1 - _beta) ** (_n - 1),
        {
            "One write too many: the write of the first value itself does not erase it.": _beta * (1 - _beta) ** _n,
            "The first value is written with the strength beta too.": (1 - _beta) ** (_n - 1),
            "That is the weight of all values together, not of the first.": 1 - (1 - _beta) ** _n,
            "That is the weight of the last value.": _beta,
        },
        compare_expressions,
    ),
    reference=_beta * (1 - _beta) ** (_n - 1),
    also_right=(_beta * (1 - _beta) ** _n / (1 - _beta), _beta * sp.exp((_n - 1) * sp.log(1 - _beta))),
    wrong=(
        (_beta * (1 - _beta) ** _n, "One write too many"),
        ((1 - _beta) ** (_n - 1), "strength beta"),
        (1 - (1 - _beta) ** _n, "all values together"),
        (_beta, "last value"),
    ),
)

# 4. The neighbour

_v1, _v2, _v3, _c = sp.symbols("v_1 v_2 v_3 c")
_at_B = (1 - _c**2) * _v2 + _c * _v3 - _c * (1 - _c**2) * _v1

register(
    name=f"{CHAPTER}/neighbour",
    kind="derive",
    stars=3,
    minutes=12,
    checker=lambda answer: explain(
        answer,
        _at_B,
        {
            "That is linear attention: nothing has been erased.": _v2 + _c * (_v1 + _v3),
            "That is the answer before the last write.": _v2,
            "That is the answer to A.": _v3,
            "The last write takes away all that A answers, and B has told A something too: c times its value.": (
                _v2 + _c * (_v3 - (1 - _c**2) * _v1)
            ),
            "The last write takes away what A answers now. The second write has already erased a part of the 1.": (
                _v2 + _c * (_v3 - _v1 - _c * _v2)
            ),
        },
        compare_expressions,
    ),
    reference=_at_B,
    also_right=("v_2 + c*(v_3 - (1 - c**2)*v_1 - c*v_2)", sp.expand(_at_B)),
    wrong=(
        (_v2 + _c * (_v1 + _v3), "linear attention"),
        (_v2, "before the last write"),
        (_v3, "answer to A"),
        (_v2 + _c * (_v3 - (1 - _c**2) * _v1), "B has told A"),
        (_v2 + _c * (_v3 - _v1 - _c * _v2), "already erased"),
    ),
)

# 5. Flip the sign

register(
    name=f"{CHAPTER}/flip",
    kind="derive",
    stars=2,
    minutes=5,
    checker=lambda answer: explain(
        answer,
        2,
        {
            "Strength one erases: the answer becomes zero, and zero has no sign to flip.": 1,
            "With a negative strength the answer grows: the factor is one minus the strength.": -1,
            "Strength zero leaves everything as it is.": 0,
        },
    ),
    reference=2,
    also_right=(2.0, sp.Integer(2)),
    wrong=((1, "erases"), (-1, "grows"), (0, "as it is"), (0.5, "scale is wrong")),
)

# 6. Fading without a loop


def _fading_at_once(queries, keys, values, keep):
    import torch

    total = keep.log().cumsum(0)
    later = torch.ones(len(keep), len(keep), dtype=torch.bool).triu(1)
    weight = (total[:, None] - total).masked_fill(later, -torch.inf).exp()
    return (queries @ keys.T * weight) @ values


def _fading_loop(queries, keys, values, keep, write_first: bool = False, late: bool = False, plain: bool = False):
    import torch

    M, answers = torch.zeros(values.shape[1], keys.shape[1], dtype=keys.dtype), []
    for q, k, v, a in zip(queries, keys, values, keep, strict=True):
        before = M
        M = a * (M + torch.outer(v, k)) if write_first else (1 if plain else a) * M + torch.outer(v, k)
        answers.append((before if late else M) @ q)
    return torch.stack(answers)


def _fading_unmasked(queries, keys, values, keep):
    total = keep.log().cumsum(0)
    return (queries @ keys.T * (total[:, None] - total).exp()) @ values


_FADING_MISTAKES: dict[str, Callable[..., Any]] = {
    "A pair fades by the tokens after it. Yours fades by its own retention too.": (
        lambda *given: _fading_loop(*given, write_first=True)
    ),
    "You read before the write: the diagonal of the mask is missing.": lambda *given: _fading_loop(*given, late=True),
    "Nothing fades: that is linear attention.": lambda *given: _fading_loop(*given, plain=True),
    "The mask is missing: tokens read what comes after them.": _fading_unmasked,
}


def _check_fading(function: Callable) -> str | None:
    for seed, (length, width, height) in enumerate([(5, 3, 2), (9, 4, 4)]):
        queries, keys = normal(seed, 2, length, width)
        values = normal(20 + seed, length, height)
        keep = 0.5 + 0.45 * normal(40 + seed, length).sigmoid()
        given = queries, keys, values, keep
        mistakes = {message: mistake(*given) for message, mistake in _FADING_MISTAKES.items()}
        if complaint := explain(call(function, *given), _fading_loop(*given), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/fading-at-once",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_fading,
    reference=_fading_at_once,
    also_right=(_fading_loop,),
    wrong=tuple(
        (mistake, part)
        for mistake, part in zip(
            _FADING_MISTAKES.values(), ("own retention", "before the write", "Nothing fades", "mask"), strict=True
        )
    ),
)

# 7. Late first


def _late_first(query, keys, values, sharpness, slope):
    import torch

    age = torch.arange(len(keys) - 1, -1, -1)
    return torch.softmax(sharpness * keys @ query - slope * age, 0) @ values


def _late_by_place(query, keys, values, sharpness, slope):
    weights = np.array([float(sharpness * (key @ query)) + slope * place for place, key in enumerate(keys)])
    weights = np.exp(weights - weights.max())
    return weights @ np.asarray(values) / weights.sum()


def _late_wrong(kind: str):
    def wrong(query, keys, values, sharpness, slope):
        import torch

        age = torch.arange(len(keys) - 1, -1, -1)
        alike = keys @ query
        scores = {
            "early": sharpness * alike - slope * age.flip(0),
            "none": sharpness * alike,
            "blunt": alike - slope * age,
            "both": sharpness * (alike - slope * age),
        }
        return torch.softmax(scores[kind], 0) @ values

    return wrong


_LATE_MISTAKES = {
    "The oldest pair gets the largest score; the last row is the youngest.": "early",
    "The slope is missing: this attention sees no order.": "none",
    "The sharpness is missing.": "blunt",
    "The sharpness multiplies the inner product alone, not the age.": "both",
}


def _check_late(function: Callable) -> str | None:
    for seed, (pairs, width, sharpness, slope) in enumerate([(6, 3, 2.0, 0.7), (4, 5, 0.5, 1.5)]):
        given = normal(seed, width), normal(10 + seed, pairs, width), normal(30 + seed, pairs, 2), sharpness, slope
        mistakes = {message: _late_wrong(kind)(*given) for message, kind in _LATE_MISTAKES.items()}
        if complaint := explain(call(function, *given), _late_first(*given), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/late-first",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_late,
    reference=_late_first,
    also_right=(_late_by_place,),
    wrong=(
        (_late_wrong("early"), "oldest"),
        (_late_wrong("none"), "no order"),
        (_late_wrong("blunt"), "sharpness is missing"),
        (_late_wrong("both"), "not the age"),
    ),
)

# 8. Room for how many?


def _check_room(answer: Any) -> str | None:
    complaint = compare_numbers(answer, 28)
    if complaint is None or not isinstance(answer, int | float):
        return complaint
    if answer % 2:
        return "Give an even number of names."
    if answer < 28:
        return "The next even number is still found nine times in ten."
    return "At this many names, or at an even number below, fewer than nine in ten are found."


register(
    name=f"{CHAPTER}/room",
    kind="explore",
    stars=2,
    minutes=8,
    checker=_check_room,
    reference=28,
    also_right=(28.0,),
    wrong=((32, "fewer than nine"), (24, "still found"), (27, "even"), ("many", "Expected numbers")),
)
