"""Exercises of the chapter *Self-modifying Titans*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain, normal
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "self-modifying-titans"

# 1. What stays fixed

register(
    name=f"{CHAPTER}/fixed",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "c",
        {
            "a": "The key comes out of a memory that every token rewrites.",
            "b": "The rate comes out of a memory that every token rewrites.",
            "d": "The target is what the memory itself answers to the value, so it moves with the memory.",
        },
    ),
    reference="c",
    also_right=("C", " c "),
    wrong=(("a", "The key"), ("b", "The rate"), ("d", "target")),
)

# 2. What comes in from outside

register(
    name=f"{CHAPTER}/outside",
    kind="recall",
    stars=2,
    minutes=3,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "The state has the size of five matrices. The question is what they can hold.",
            "c": "The starts differ, so the memories differ. What they share is the matrix on the right.",
        },
    ),
    reference="b",
    also_right=("B",),
    wrong=(("a", "what they can hold"), ("c", "on the right")),
)

# 3. Without the half

_alpha, _eta = sp.symbols("alpha eta", positive=True)
_no_half = 2 * _eta / (1 - _alpha + 3 * _eta)

register(
    name=f"{CHAPTER}/no-half",
    kind="derive",
    stars=2,
    minutes=6,
    checker=lambda answer: explain(
        answer,
        _no_half,
        {
            "That is the share with the half. Without it the gradient is twice as long, the factor is not.": (
                _eta / (1 - _alpha + 2 * _eta)
            ),
            "Only the gradient doubles. The erase of the factor stays eta.": 2 * _eta / (1 - _alpha + 4 * _eta),
            "The write doubles too: the gradient is 2 (Mk - v) k^T.": _eta / (1 - _alpha + 3 * _eta),
            "That holds at retention one only.": sp.Rational(2, 3),
            "That is the factor by which an answer shrinks, not where it ends.": _alpha - 3 * _eta,
        },
        compare_expressions,
    ),
    reference=_no_half,
    also_right=("2*eta/(1 + 3*eta - alpha)", 1 / ((1 - _alpha) / (2 * _eta) + sp.Rational(3, 2))),
    wrong=(
        (_eta / (1 - _alpha + 2 * _eta), "with the half"),
        (2 * _eta / (1 - _alpha + 4 * _eta), "Only the gradient"),
        (_eta / (1 - _alpha + 3 * _eta), "write doubles"),
        (sp.Rational(2, 3), "retention one"),
        (_alpha - 3 * _eta, "shrinks"),
    ),
)

# 4. The largest rate

_largest = (1 + _alpha) / 2

register(
    name=f"{CHAPTER}/largest-rate",
    kind="derive",
    stars=2,
    minutes=5,
    checker=lambda answer: explain(
        answer,
        _largest,
        {
            "At this rate the answer changes its sign and shrinks to alpha of its size: still stable.": _alpha,
            "At this rate the answer is erased in one step. It may overshoot, up to minus one.": _alpha / 2,
            "That is the bound for the dot product, which erases once.": 1 + _alpha,
            "That is where the factor is plus one, at a negative rate. The other end is minus one.": (_alpha - 1) / 2,
        },
        compare_expressions,
    ),
    reference=_largest,
    also_right=("0.5 + alpha/2", "(alpha + 1)/2"),
    wrong=(
        (_alpha, "changes its sign"),
        (_alpha / 2, "erased in one step"),
        (1 + _alpha, "dot product"),
        ((_alpha - 1) / 2, "plus one"),
    ),
)

# 5. Where they meet

_a, _b = sp.symbols("a_0 b_0")
_meet = (_a + _b) / 2

register(
    name=f"{CHAPTER}/meet",
    kind="derive",
    stars=2,
    minutes=6,
    checker=lambda answer: explain(
        answer,
        _meet,
        {
            "The target moves too, towards the answer and by as much.": _b,
            "The answer moves too, towards the target and by as much.": _a,
            "The sum stays, and it is shared by two.": _a + _b,
            "They come to zero only with the erase of the factor, which is off here.": sp.Integer(0),
        },
        compare_expressions,
    ),
    reference=_meet,
    also_right=("a_0/2 + b_0/2", _b + (_a - _b) / 2),
    wrong=((_b, "target moves"), (_a, "answer moves"), (_a + _b, "shared by two"), (sp.Integer(0), "with the erase")),
)

# 6. One token


def _token(
    M, k, v, rate, keep, *, erase: float = 1, half: bool = True, own: bool = True, through: bool = False, sign=1
):
    import torch

    target = M @ v if own else v
    error = (M @ k - target) * (1 if half else 2)
    slope = torch.outer(error, k - v if through else k)
    return keep * M - erase * rate * torch.outer(M @ k, k) - sign * rate * slope


def _token_right(M, k, v, rate, keep):
    import torch

    return M @ (keep * torch.eye(len(k), dtype=M.dtype) + rate * torch.outer(v - 2 * k, k))


def _variant(**options) -> Callable:
    return lambda *given: _token(*given, **options)


_TOKEN_MISTAKES = {
    "The target is what the memory answers to v, not v.": _variant(own=False),
    "The factor's erase is missing: this is plain gradient descent with retention.": _variant(erase=0),
    "The gradient of HALF the squared error has no 2.": _variant(half=False),
    "The target is a constant: no gradient passes through it.": _variant(through=True),
    "The gradient step goes down: minus.": _variant(sign=-1),
}


def _check_token(function: Callable) -> str | None:
    for seed, width in ((0, 3), (1, 5)):
        M, (k, v) = normal(seed, width, width), normal(20 + seed, 2, width)
        given = M, k / k.norm(), v / v.norm(), 0.3, 0.9
        mistakes = {message: mistake(*given) for message, mistake in _TOKEN_MISTAKES.items()}
        if complaint := explain(call(function, *given), _token(*given), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/one-token",
    kind="build",
    stars=1,
    minutes=6,
    checker=_check_token,
    reference=_token_right,
    also_right=(_token,),
    wrong=tuple(
        (mistake, part)
        for mistake, part in zip(
            _TOKEN_MISTAKES.values(), ("not v", "erase is missing", "HALF", "constant", "minus"), strict=True
        )
    ),
)

# 7. The one matrix


def _shared(keys, values, rates, keep, *, order: str = "right", squared: bool = True, transposed: bool = False):
    import torch

    eye = torch.eye(keys.shape[1], dtype=keys.dtype)
    P = eye
    for k, v, rate, a in zip(keys, values, rates, keep, strict=True):
        column = v - (2 if squared else 1) * k
        factor = a * eye + rate * (torch.outer(k, column) if transposed else torch.outer(column, k))
        P = P @ factor if order == "right" else factor @ P
    return P


def _shared_variant(**options) -> Callable:
    return lambda *given: _shared(*given, **options)


def _shared_by_steps(keys, values, rates, keep):
    import torch

    P = torch.eye(keys.shape[1], dtype=keys.dtype)
    for k, v, rate, a in zip(keys, values, rates, keep, strict=True):
        P = _token(P, k, v, rate, a)
    return P


_SHARED_MISTAKES = {
    "Later tokens stand on the right: P_t is P_(t-1) times the factor.": _shared_variant(order="left"),
    "This erases once: the squared error brings a second -eta k k^T.": _shared_variant(squared=False),
    "Each outer product is transposed: the key is the row.": _shared_variant(transposed=True),
}


def _check_shared(function: Callable) -> str | None:
    for seed, (length, width) in enumerate([(4, 3), (7, 5)]):
        keys, values = normal(seed, 2, length, width)
        gates = normal(30 + seed, 2, length).sigmoid()
        given = keys / keys.norm(dim=1, keepdim=True), values / values.norm(dim=1, keepdim=True), *gates
        mistakes = {message: mistake(*given) for message, mistake in _SHARED_MISTAKES.items()}
        if complaint := explain(call(function, *given), _shared(*given), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/one-matrix",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_shared,
    reference=_shared,
    also_right=(_shared_by_steps,),
    wrong=tuple(
        (mistake, part)
        for mistake, part in zip(_SHARED_MISTAKES.values(), ("on the right", "erases once", "transposed"), strict=True)
    ),
)

# 8. The worst turn


def _check_turn(answer: Any) -> str | None:
    return explain(
        answer,
        150,
        {
            "That is the worst turn for chunks of 64. The question is about 16.": 165,
            "That is the worst turn for chunks of 4. The question is about 16.": 120,
            "Give the turn in degrees, not the growth.": 2.53,
            "Keys that do not turn are the best case: the factor stays within one.": 0,
        },
    )


register(
    name=f"{CHAPTER}/worst-turn",
    kind="explore",
    stars=1,
    minutes=4,
    checker=_check_turn,
    reference=150,
    also_right=(150.0, sp.Integer(150)),
    wrong=((165, "chunks of 64"), (0, "do not turn"), (75, "scale is wrong")),
)
