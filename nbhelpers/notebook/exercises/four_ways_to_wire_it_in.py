"""Exercises of the chapter *Four ways to wire it in*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, compare_numbers, explain, normal
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "four-ways-to-wire-it-in"


# 1. Never as it was

register(
    name=f"{CHAPTER}/never-as-it-was",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "c",
        {
            "a": "MAC's attention reads what was recalled and, beside it, the tokens of its segment as they are.",
            "b": "MAG's window reads the tokens themselves; the memory comes in after it, as a gate.",
        },
    ),
    reference="c",
    also_right=("C",),
    wrong=(("a", "beside it"), ("b", "themselves"), ("MAL", "one letter")),
)

# 2. Three tokens ago

register(
    name=f"{CHAPTER}/three-ago",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "a",
        {
            "b": "The segment of token 17 begins at 16: there are two tokens of it so far.",
            "c": "MAG's window holds 10 to 17, but the segment of token 17 begins at 16.",
        },
    ),
    reference="a",
    also_right=("A",),
    wrong=(("b", "begins at 16"), ("c", "holds 10 to 17")),
)

# 3. How loud is the layer?

_P, _n, _s = sp.symbols("P n s", positive=True)
_SHARE = _P * sp.exp(_s) / (_P * sp.exp(_s) + _n)

register(
    name=f"{CHAPTER}/share",
    kind="derive",
    stars=2,
    minutes=5,
    checker=lambda answer: explain(
        answer,
        _SHARE,
        {
            "That is the share of the text.": 1 - _SHARE,
            "The score goes into an exponential.": _P * _s / (_P * _s + _n),
            "That is the share of one persistent token, not of all P.": _SHARE / _P,
            "That is the ratio of the two parts; divide by their sum.": _P * sp.exp(_s) / _n,
            "That forgets the score: e to the zero is one, e to the s is not.": _P / (_P + _n),
        },
        compare_expressions,
    ),
    reference=_SHARE,
    also_right=(1 / (1 + _n * sp.exp(-_s) / _P), "P*exp(s)/(n + P*exp(s))"),
    wrong=(
        (1 - _SHARE, "share of the text"),
        (_P * _s / (_P * _s + _n), "exponential"),
        (_SHARE / _P, "not of all P"),
        (_P * sp.exp(_s) / _n, "their sum"),
        (_P / (_P + _n), "forgets the score"),
    ),
)

# 4. Across the border

_d, _W = sp.symbols("d W", positive=True)

register(
    name=f"{CHAPTER}/across",
    kind="derive",
    stars=2,
    minutes=5,
    checker=lambda answer: explain(
        answer,
        _d / _W,
        {
            "That is the probability that the token lies in the same segment.": 1 - _d / _W,
            "At place d the token d back is the first of the segment, so it is inside; count the places below d.": (
                (_d + 1) / _W
            ),
            "Place zero counts too: there even the token before lies across the border.": (_d - 1) / _W,
        },
        compare_expressions,
    ),
    reference=_d / _W,
    also_right=("d/W", 1 - (_W - _d) / _W),
    wrong=((1 - _d / _W, "same segment"), ((_d + 1) / _W, "count the places"), ((_d - 1) / _W, "Place zero")),
)

# 5. The mask of a segment


def _segment_mask(n, W):
    import torch

    token = torch.arange(n)
    return (token[:, None] >= token) & (token[:, None] // W == token // W)


def _mask_by_loop(n, W):
    return [[i - i % W <= j <= i for j in range(n)] for i in range(n)]


def _mask_wrong(kind: str) -> Callable[..., Any]:
    def wrong(n, W):
        i, j = np.arange(n)[:, None], np.arange(n)
        same = i // W == j // W
        return {
            "sliding": (j <= i) & (j > i - W),
            "ahead": same,
            "strict": same & (j < i),
            "transposed": same & (j >= i),
            "causal": j <= i,
        }[kind]

    return wrong


_MASK_MISTAKES = {
    "That is a sliding window: it looks across the border of the segment.": "sliding",
    "A token sees later tokens of its segment: the mask must also be causal.": "ahead",
    "A token sees itself too: the diagonal is missing.": "strict",
    "The result is transposed: rows ask, columns are seen.": "transposed",
    "That is causal over everything: the segments are missing.": "causal",
}


def _check_mask(function: Callable) -> str | None:
    for n, W in ((7, 3), (8, 4), (5, 8)):
        answer = np.asarray(call(function, n, W), dtype=float)
        mistakes = {message: _mask_wrong(kind)(n, W) for message, kind in _MASK_MISTAKES.items()}
        if complaint := explain(answer, _segment_mask(n, W), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/segment-mask",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_mask,
    reference=_segment_mask,
    also_right=(_mask_by_loop,),
    wrong=(
        (_mask_wrong("sliding"), "sliding window"),
        (_mask_wrong("ahead"), "later tokens"),
        (_mask_wrong("strict"), "diagonal"),
        (_mask_wrong("transposed"), "transposed"),
        (_mask_wrong("causal"), "segments are missing"),
    ),
)

# 6. An empty slot


def _with_slot(query, keys, values):
    import torch

    scores = torch.cat([(keys @ query).new_zeros(1), keys @ query])
    return torch.softmax(scores, 0)[1:] @ values


def _slot_by_share(query, keys, values):
    e = np.exp(np.asarray(keys @ query))
    return e @ np.asarray(values) / (1 + e.sum())


def _slot_wrong(kind: str) -> Callable[..., Any]:
    def wrong(query, keys, values):
        import torch

        scores = keys @ query
        return {
            "none": torch.softmax(scores, 0) @ values,
            "zero": scores.exp() @ values / scores.exp().sum() * 0.5,
            "ones": (scores.exp() @ values + 1) / (1 + scores.exp().sum()),
            "scaled": _with_slot(query / len(query) ** 0.5, keys, values),
        }[kind]

    return wrong


_SLOT_MISTAKES = {
    "That is attention without the slot.": "none",
    "The slot takes a share that depends on the scores, not always a half.": "zero",
    "The value of the slot is zero: it adds to the denominator alone.": "ones",
    "The scores are not scaled here.": "scaled",
}


def _check_slot(function: Callable) -> str | None:
    for seed, (rows, width) in enumerate([(4, 3), (6, 5)]):
        given = normal(seed, width), normal(10 + seed, rows, width), normal(20 + seed, rows, 2)
        mistakes = {message: _slot_wrong(kind)(*given) for message, kind in _SLOT_MISTAKES.items()}
        if complaint := explain(call(function, *given), _with_slot(*given), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/empty-slot",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_slot,
    reference=_with_slot,
    also_right=(_slot_by_share,),
    wrong=(
        (_slot_wrong("none"), "without the slot"),
        (_slot_wrong("zero"), "always a half"),
        (_slot_wrong("ones"), "denominator alone"),
        (_slot_wrong("scaled"), "not scaled"),
    ),
)

# 7. When is a cache larger?


def _check_larger(answer: Any) -> str | None:
    return explain(
        answer,
        61,
        {
            "At 60 tokens attention to all still holds fewer numbers.": 60,
            "A token has a key and a value: twice the width.": 122,
        },
        compare_numbers,
    )


register(
    name=f"{CHAPTER}/larger-cache",
    kind="explore",
    stars=1,
    minutes=4,
    checker=_check_larger,
    reference=61,
    also_right=(61.0,),
    wrong=((60, "fewer"), (122, "a key and a value"), ("many", "Expected numbers")),
)
