"""Exercises of the chapter *The same in parallel*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, compare_numbers, explain, normal
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "the-same-in-parallel"


# 1. Which way

register(
    name=f"{CHAPTER}/which-way",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "a",
        {
            "b": "These are in the chunk of token 7 itself: the masked product holds them.",
            "c": "Tokens 5 and 6 are in the chunk of token 7 itself. The memory is as it was when the chunk began.",
        },
    ),
    reference="a",
    also_right=("A", " a "),
    wrong=(("b", "masked product"), ("c", "when the chunk began"), ("4", "one letter")),
)

# 2. An erase of an erase

_T21, _T31, _T32 = sp.symbols("T_21 T_31 T_32")

register(
    name=f"{CHAPTER}/erase-of-an-erase",
    kind="derive",
    stars=2,
    minutes=6,
    checker=lambda answer: explain(
        answer,
        _T32 * _T21 - _T31,
        {
            "That stops after the first power of T: the way from 1 to 3 over 2 is missing.": -_T31,
            "Two steps down bring the sign twice: minus times minus.": -_T32 * _T21 - _T31,
            "The step from 1 to 3 brings one minus.": _T32 * _T21 + _T31,
            "Only the way over token 2 is there; the way from 1 to 3 is missing.": _T32 * _T21,
        },
        compare_expressions,
    ),
    reference=_T32 * _T21 - _T31,
    also_right=("T_21*T_32 - T_31", -(_T31 - _T32 * _T21)),
    wrong=(
        (-_T31, "first power"),
        (-_T32 * _T21 - _T31, "minus times minus"),
        (_T32 * _T21 + _T31, "one minus"),
        (_T31 - _T32 * _T21, "sign"),
    ),
)

# 3. Even with attention

_C, _d = sp.symbols("C d", positive=True)
_even = sp.Rational(7, 4) * _C + sp.Rational(3, 2) * _d

register(
    name=f"{CHAPTER}/even-with-attention",
    kind="derive",
    stars=2,
    minutes=5,
    checker=lambda answer: explain(
        answer,
        _even,
        {
            "That is the loop's count against attention's: the work inside the chunk is missing.": 3 * _d / 2,
            "The triangular solve is missing: it takes half of the square of C times d.": 3 * _C / 2 + 3 * _d / 2,
            "Attention makes two products, so divide by twice the width.": 2 * _even,
            "Divide by the width: L counts tokens.": _even * 2 * _d,
        },
        compare_expressions,
    ),
    reference=_even,
    also_right=((7 * _C + 6 * _d) / 4, "7*C/4 + 3*d/2"),
    wrong=(
        (3 * _d / 2, "inside the chunk"),
        (3 * _C / 2 + 3 * _d / 2, "triangular solve"),
        (2 * _even, "two products"),
        (_even * 2 * _d, "counts tokens"),
    ),
)

# 4. Read before the write


def _read_before(queries, keys, values, keep, memory):
    import torch

    later = torch.ones(len(keep), len(keep), dtype=keep.dtype).tril(-1)
    decay = (keep.log()[:, None] * later).cumsum(0).exp().tril()
    left = keep[0] * decay[:, :1]
    left = torch.cat([torch.ones_like(left[:1]), left[:-1]])
    decay = torch.cat([torch.zeros_like(decay[:1]), decay[:-1]])
    return left * (queries @ memory.T) + (decay * (queries @ keys.T)) @ values


def _fading_loop(queries, keys, values, keep, memory, kind: str = "before"):
    import torch

    answers = []
    for q, k, v, a in zip(queries, keys, values, keep, strict=True):
        before, memory = memory, a * memory + torch.outer(v, k)
        seen = {"before": before, "after": memory, "faded": a * before}[kind]
        answers.append(seen @ q)
    return torch.stack(answers)


_BEFORE_MISTAKES: dict[str, Callable[..., Any]] = {
    "You read after the write: token t must not meet what it writes itself.": (
        lambda *given: _fading_loop(*given, kind="after")
    ),
    "Token t fades the memory only when it writes, and it reads before that: your answers have faded once too often.": (
        lambda *given: _fading_loop(*given, kind="faded")
    ),
    "The memory that the chunk starts from is missing.": (
        lambda q, k, v, a, memory: _fading_loop(q, k, v, a, 0 * memory)
    ),
}


def _check_before(function: Callable) -> str | None:
    for seed, (length, width, height) in enumerate([(5, 3, 2), (9, 4, 4), (1, 2, 3)]):
        queries, keys = normal(seed, 2, length, width)
        values, memory = normal(20 + seed, length, height), normal(60 + seed, height, width)
        keep = 0.5 + 0.45 * normal(40 + seed, length).sigmoid()
        given = queries, keys, values, keep, memory
        mistakes = {message: mistake(*given) for message, mistake in _BEFORE_MISTAKES.items()}
        if complaint := explain(call(function, *given), _fading_loop(*given), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/read-before",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_before,
    reference=_read_before,
    also_right=(_fading_loop,),
    wrong=tuple(
        (mistake, part)
        for mistake, part in zip(
            _BEFORE_MISTAKES.values(), ("after the write", "once too often", "starts from"), strict=True
        )
    ),
)

# 5. A solve made of products


def _inverse(T, sign: int = -1, factors: int | None = None):
    import torch

    one = torch.eye(len(T), dtype=T.dtype)
    power, whole, reach, done = sign * T, one + sign * T, 2, 1
    while reach < len(T) and (factors is None or done < factors):
        power = power @ power
        whole, reach, done = whole @ (one + power), 2 * reach, done + 1
    return whole


def _series(T):
    import torch

    term = whole = torch.eye(len(T), dtype=T.dtype)
    for _ in range(len(T)):
        term = -term @ T
        whole = whole + term
    return whole


def _all_signs(T):
    """Doubling with a minus in every factor."""
    import torch

    one = torch.eye(len(T), dtype=T.dtype)
    power, whole, reach = T, one - T, 2
    while reach < len(T):
        power = power @ power
        whole, reach = whole @ (one - power), 2 * reach
    return whole


_INVERSE_MISTAKES: dict[str, Callable[..., Any]] = {
    "That inverts I − T: the powers change their sign.": lambda T: _inverse(T, sign=1),
    "You stopped too early: the power must reach the number of rows.": lambda T: _inverse(T, factors=2),
    "Squares have no minus: only the first factor is I − T.": _all_signs,
}


def _check_inverse(function: Callable) -> str | None:
    import torch

    for seed, size in enumerate((13, 8, 5, 2, 1)):
        T = normal(seed, size, size).tril(-1)
        right = torch.linalg.inv(torch.eye(size, dtype=T.dtype) + T)
        mistakes = {message: mistake(T) for message, mistake in _INVERSE_MISTAKES.items()}
        if complaint := explain(call(function, T), right, mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/products-alone",
    kind="build",
    stars=3,
    minutes=12,
    checker=_check_inverse,
    reference=_inverse,
    also_right=(_series,),
    wrong=tuple(
        (mistake, part)
        for mistake, part in zip(_INVERSE_MISTAKES.values(), ("I − T", "too early", "no minus"), strict=True)
    ),
)

# 6. Twice the work


def _check_twice(answer: Any) -> str | None:
    complaint = compare_numbers(answer, 54)
    if complaint is None or not isinstance(answer, int | float):
        return complaint
    if answer > 54:
        return "At this size the work inside chunks is more than the work through the memory: together more than twice."
    return "A larger chunk still needs at most twice the multiplications of the loop."


register(
    name=f"{CHAPTER}/twice-the-work",
    kind="explore",
    stars=1,
    minutes=4,
    checker=_check_twice,
    reference=54,
    also_right=(54.0,),
    wrong=((64, "more than twice"), (32, "larger chunk"), ("many", "Expected numbers")),
)

# 7. Through the floor


def _check_floor(answer: Any) -> str | None:
    complaint = compare_numbers(answer, 0.19)
    if complaint is None or not isinstance(answer, int | float):
        return complaint
    if answer > 0.19:
        return "At this retention the product of all 64 is still above zero in single precision."
    return "There is a larger one, in steps of a hundredth, that breaks too."


register(
    name=f"{CHAPTER}/through-the-floor",
    kind="explore",
    stars=2,
    minutes=6,
    checker=_check_floor,
    reference=0.19,
    also_right=(19 / 100,),
    wrong=((0.2, "above zero"), (0.1, "larger one"), ("low", "Expected numbers")),
)
