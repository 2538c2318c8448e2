"""Exercises of the chapter *HOPE*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, compare_numbers, explain, normal
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "hope"


# 1. Whose is it

register(
    name=f"{CHAPTER}/whose",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "The blocks of the continuum memory are one for all texts; only training changes them.",
            "c": "The projections are weights of training; a text does not change them.",
        },
    ),
    reference="b",
    also_right=("B", " b "),
    wrong=(("a", "one for all texts"), ("c", "weights of training"), ("memories", "one letter")),
)

# 2. Twice the rate

register(
    name=f"{CHAPTER}/twice-the-rate",
    kind="recall",
    stars=2,
    minutes=3,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "At the first token nothing has been written: main is read before the write.",
            "c": "The makers are asked at the chunk's start, but main is read live.",
        },
    ),
    reference="b",
    also_right=("B",),
    wrong=(("a", "before the write"), ("c", "read live")),
)

# 3. A wider memory

_d, _alpha = sp.symbols("d alpha", positive=True)

register(
    name=f"{CHAPTER}/wider",
    kind="derive",
    stars=2,
    minutes=5,
    checker=lambda answer: explain(
        answer,
        40 * _d + 3,
        {
            "That counts the memories once; the copy of the chunk's start belongs to the state.": 20 * _d + 3,
            "The three tokens of the convolution are missing.": 40 * _d,
            "That is for a hidden width of d.": 10 * _d + 3,
            "Both matrices have the hidden width on one side only: 4 times as many numbers, not 16.": 160 * _d + 3,
        },
        compare_expressions,
    ),
    reference=40 * _d + 3,
    also_right=(sp.expand((80 * _d**2 + 6 * _d) / (2 * _d)),),
    wrong=(
        (20 * _d + 3, "counts the memories once"),
        (40 * _d, "convolution"),
        (10 * _d + 3, "hidden width of d"),
        (160 * _d + 3, "not 16"),
    ),
)

# 4. Half of the start

register(
    name=f"{CHAPTER}/half-life",
    kind="derive",
    stars=1,
    minutes=4,
    checker=lambda answer: explain(
        answer,
        -sp.log(2) / sp.log(_alpha),
        {
            "After that many tokens it has the share 1/e, not a half.": -1 / sp.log(_alpha),
            "That is nearly right where alpha is near one. The exact number has a logarithm of alpha.": (
                sp.log(2) / (1 - _alpha)
            ),
            "Fading multiplies, it does not subtract.": sp.Rational(1, 2) / (1 - _alpha),
        },
        compare_expressions,
    ),
    reference=-sp.log(2) / sp.log(_alpha),
    also_right=(sp.log(sp.Rational(1, 2)) / sp.log(_alpha), sp.log(2) / sp.log(1 / _alpha)),
    wrong=(
        (sp.log(2) / sp.log(_alpha), "sign"),
        (-1 / sp.log(_alpha), "1/e"),
        (sp.log(2) / (1 - _alpha), "nearly right"),
        (sp.Rational(1, 2) / (1 - _alpha), "multiplies"),
    ),
)

# 5. One matrix, dot product


def _matrix_step(M, k, target, rate, keep):
    import torch

    return keep * M - rate * torch.outer(M @ k, k) + rate * torch.outer(target, k)


def _matrix_step_factor(M, k, target, rate, keep):
    import torch

    return M @ (keep * torch.eye(len(k), dtype=M.dtype) - rate * torch.outer(k, k)) + rate * torch.outer(target, k)


def _matrix_wrong(kind: str):
    def wrong(M, k, target, rate, keep):
        import torch

        fade, erase, ask = keep * M, rate * torch.outer(M @ k, k), rate * torch.outer(target, k)
        if kind == "left":
            return fade - rate * torch.outer(k, M.T @ k) + ask
        return {
            "printed": fade - erase - ask,
            "no erase": fade + ask,
            "squared": fade - 2 * erase + ask,
            "late": keep * (M - erase) + ask,
        }[kind]

    return wrong


_MATRIX_MISTAKES = {
    "This is (92) as it is printed: the memory would learn minus the target.": "printed",
    "The erasing factor is missing.": "no erase",
    "You erase twice: the gradient of the dot product does not look at what is stored.": "squared",
    "The factor multiplies from the left; it belongs at the key, on the right.": "left",
    "The retention multiplies the old memory alone, not what is erased.": "late",
}


def _check_matrix(function: Callable) -> str | None:
    for seed, (width, rate, keep) in enumerate([(3, 0.3, 0.9), (5, 0.7, 0.8)]):
        k = normal(seed, width)
        given = normal(10 + seed, width, width), k / k.norm(), normal(20 + seed, width), rate, keep
        mistakes = {message: _matrix_wrong(kind)(*given) for message, kind in _MATRIX_MISTAKES.items()}
        if complaint := explain(call(function, *given), _matrix_step(*given), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/matrix-step",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_matrix,
    reference=_matrix_step,
    also_right=(_matrix_step_factor,),
    wrong=(
        (_matrix_wrong("printed"), "as it is printed"),
        (_matrix_wrong("no erase"), "missing"),
        (_matrix_wrong("squared"), "twice"),
        (_matrix_wrong("left"), "from the left"),
        (_matrix_wrong("late"), "retention"),
    ),
)

# 6. Three clocks


def _clocks(gradients, periods, rate):
    gradients = np.asarray(gradients, dtype=float)
    finished = [len(gradients) // period * period for period in periods]
    return [-rate * gradients[:stop, level].sum() for level, stop in enumerate(finished)]


def _clocks_by_hand(gradients, periods, rate):
    moved, waiting = [0.0] * len(periods), [0.0] * len(periods)
    for step, row in enumerate(gradients, 1):
        for level, period in enumerate(periods):
            waiting[level] += float(row[level])
            if step % period == 0:
                moved[level] -= rate * waiting[level]
                waiting[level] = 0.0
    return moved


def _clocks_wrong(kind: str):
    def wrong(gradients, periods, rate):
        gradients = np.asarray(gradients, dtype=float)
        steps = range(1, len(gradients) + 1)
        right = _clocks(gradients, periods, rate)
        if kind == "mean":
            return [moved / period for moved, period in zip(right, periods, strict=True)]
        if kind == "rest":
            return [-rate * gradients[:, level].sum() for level in range(len(periods))]
        if kind == "last":
            return [
                -rate * sum(gradients[step - 1, level] for step in steps if step % period == 0)
                for level, period in enumerate(periods)
            ]
        return [-moved for moved in right]

    return wrong


_CLOCK_MISTAKES = {
    "You take the mean over a period. The rule sums.": "mean",
    "A period that is not over has not moved its level yet.": "rest",
    "You use the gradient of the last step of a period alone; those before it count too.": "last",
}


def _check_clocks(function: Callable) -> str | None:
    for seed, (steps, periods) in enumerate([(10, (1, 4)), (35, (1, 4, 16))]):
        given = normal(seed, steps, len(periods)), periods, 0.1 + seed
        mistakes = {message: _clocks_wrong(kind)(*given) for message, kind in _CLOCK_MISTAKES.items()}
        if complaint := explain(call(function, *given), _clocks(*given), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/clocks",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_clocks,
    reference=_clocks_by_hand,
    also_right=(_clocks,),
    wrong=(
        (_clocks_wrong("mean"), "sums"),
        (_clocks_wrong("rest"), "not over"),
        (_clocks_wrong("last"), "last step"),
        (_clocks_wrong("sign"), "sign"),
    ),
)

# 7. How long a start runs away


def _check_start(answer: Any) -> str | None:
    complaint = compare_numbers(answer, _START)
    if complaint is None or not isinstance(answer, int | float):
        return complaint
    return (
        "A smaller start runs away too." if answer > _START else "From this start the memory stays below ten thousand."
    )


_START = 1.7

register(
    name=f"{CHAPTER}/runs-away",
    kind="explore",
    stars=2,
    minutes=6,
    checker=_check_start,
    reference=_START,
    also_right=(np.float64(_START),),
    wrong=((_START + 0.1, "smaller start"), (_START - 0.1, "below ten thousand"), ("two", "Expected numbers")),
)
