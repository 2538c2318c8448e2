"""Exercises of the chapter *Many clocks in one optimizer*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "many-clocks-in-one-optimizer"


# 1. Recall

register(
    name=f"{CHAPTER}/louder",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "c",
        {
            "a": "That is Adam. Here the upper part has lost its scale already, and the lower part has not.",
            "b": "That would be plain descent, whose steps grow with the gradient.",
        },
    ),
    reference="c",
    also_right=("C", "c "),
    wrong=(("a", "That is Adam"), ("b", "plain descent")),
)

# 2. A half-life to order

_f, _h = sp.symbols("f h", positive=True)


def _check_half_life(answer: Any) -> str | None:
    mistakes = {
        "The memory keeps this share once in f steps, not at every step.": 2 ** (-1 / _h),
        "h steps are h/f blocks, not f/h: the exponent is upside down.": 2 ** (-_h / _f),
        "That is what is lost. Asked for is what is kept.": 1 - 2 ** (-_f / _h),
    }
    return explain(answer, 2 ** (-_f / _h), mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/half-life",
    kind="derive",
    stars=2,
    minutes=5,
    checker=_check_half_life,
    reference=2 ** (-_f / _h),
    also_right=(sp.Rational(1, 2) ** (_f / _h), "exp(-f*log(2)/h)", sp.exp(-sp.log(2) * _f / _h)),
    wrong=(
        (2 ** (-1 / _h), "once in f steps"),
        (2 ** (-_h / _f), "upside down"),
        (1 - 2 ** (-_f / _h), "what is lost"),
    ),
)

# 3. How noisy are two clocks?

_b1, _b3 = sp.symbols("beta1 beta3", positive=True)


def _noise(beta: Any) -> Any:
    return (1 - beta) / (1 + beta)


_MIXED = (1 - _b1) * (1 - _b3) / (1 - _b1 * _b3)
_TWO = (_noise(_b1) + _noise(_b3) + 2 * _MIXED) / 4


def _check_two(answer: Any) -> str | None:
    mistakes = {
        "That is the mean of both noises. The weights are added first and squared then.": (_noise(_b1) + _noise(_b3))
        / 2,
        "The mixed term is missing: both averages hear the same gradients.": (_noise(_b1) + _noise(_b3)) / 4,
        "The mixed term of a square comes twice.": (_noise(_b1) + _noise(_b3) + _MIXED) / 4,
        "The halves are missing: squared, they make a quarter.": 4 * _TWO,
    }
    return explain(answer, _TWO, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/two-clocks-noise",
    kind="derive",
    stars=2,
    minutes=8,
    checker=_check_two,
    reference=_TWO,
    also_right=(sp.together(_TWO), sp.expand(_TWO)),
    wrong=(
        ((_noise(_b1) + _noise(_b3)) / 2, "added first"),
        ((_noise(_b1) + _noise(_b3)) / 4, "mixed term is missing"),
        ((_noise(_b1) + _noise(_b3) + _MIXED) / 4, "comes twice"),
        (4 * _TWO, "halves are missing"),
    ),
)

# 4. What is left of one gradient?


def _weight_left(s, t, period, beta3):
    heard = t // period - s // period
    return (1 - beta3) * beta3 ** (heard - 1) if heard > 0 else 0.0


def _weight_left_by_loop(s, t, period, beta3):
    memory = block = 0.0
    for step in range(t + 1):
        if step % period == 0:
            memory, block = beta3 * memory + (1 - beta3) * block, 0.0
        block += step == s
    return memory


def _by_steps(s, t, period, beta3):
    return (1 - beta3) * beta3 ** ((t - s) // period) if t // period > s // period else 0.0


def _no_delay(s, t, period, beta3):
    return (1 - beta3) * beta3 ** (t // period - s // period) if t >= s else 0.0


def _as_sum(s, t, period, beta3):
    return beta3 if t // period > s // period else 0.0


def _faded_once_too_often(s, t, period, beta3):
    return beta3 * _weight_left(s, t, period, beta3)


def _check_weight(function: Callable) -> str | None:
    mistakes = {
        "Age counts in blocks that have begun, not in steps: gradients of one block fade together.": _by_steps,
        "The memory hears of a block when it is over, a block later than this.": _no_delay,
        "That is the printed sum, which never fades.": _as_sum,
        "On arrival it has not faded yet: the exponent is one too large.": _faded_once_too_often,
    }
    for period, beta3 in ((4, 0.5), (1, 0.9), (5, 0.7)):
        places = [(s, t) for s in range(0, 13, 3) for t in range(25)]
        answer = [call(function, s, t, period, beta3) for s, t in places]
        results = {message: [make(s, t, period, beta3) for s, t in places] for message, make in mistakes.items()}
        right = [_weight_left(s, t, period, beta3) for s, t in places]
        if complaint := explain(answer, right, results):
            return complaint
    return None


register(
    name=f"{CHAPTER}/weight-left",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_weight,
    reference=_weight_left,
    also_right=(_weight_left_by_loop,),
    wrong=(
        (_by_steps, "fade together"),
        (_no_delay, "a block later"),
        (_as_sum, "never fades"),
        (_faded_once_too_often, "one too large"),
    ),
)

# 5. As many clocks as you like


def _many_clocks(gradients, periods, keep):
    import torch

    return torch.stack([_one_clock(gradients, period, keep) for period in periods])


def _one_clock(gradients, period, keep, *, mean=True, delay=True, empty=True):
    import torch

    memory = block = torch.zeros_like(gradients[0])
    for t, g in enumerate(gradients):
        due = t % period == 0 if delay else (t + 1) % period == 0
        block = block if delay else block + g
        if due:
            memory = keep * memory + (1 - keep) * block / (period if mean else 1)
            block = torch.zeros_like(g) if empty else block
        block = block + g if delay else block
    return memory


def _many_clocks_by_blocks(gradients, periods, keep):
    import torch

    held = []
    for period in periods:
        done = (len(gradients) - 1) // period  # a block that ends with the last gradient is not heard of yet
        blocks = gradients[: done * period].reshape(done, period, *gradients.shape[1:]).mean(1)
        shares = (1 - keep) * keep ** torch.arange(done - 1, -1, -1, dtype=gradients.dtype)
        held.append((shares[:, None, None] * blocks).sum(0))
    return torch.stack(held)


def _variant(**how):
    def many(gradients, periods, keep):
        import torch

        return torch.stack([_one_clock(gradients, period, keep, **how) for period in periods])

    return many


def _check_many(function: Callable) -> str | None:
    import torch

    variants = {
        "A block is told as its mean; yours is told as its sum.": _variant(mean=False),
        "A block is heard of at the first step of the next one, not at its own last step.": _variant(delay=False),
        "The block has to be emptied once it has been told.": _variant(empty=False),
    }
    for seed, (steps, periods) in enumerate([(23, (1, 4, 9)), (24, (3, 8)), (7, (2, 10))]):
        generator = torch.Generator().manual_seed(seed)
        gradients = torch.randn(steps, 3, 2, generator=generator, dtype=torch.float64)
        answer = call(function, gradients.clone(), periods, 0.6)
        results = {message: make(gradients, periods, 0.6) for message, make in variants.items()}
        if complaint := explain(answer, _many_clocks(gradients, periods, 0.6), results):
            return complaint
    return None


register(
    name=f"{CHAPTER}/many-clocks",
    kind="build",
    stars=3,
    minutes=12,
    checker=_check_many,
    reference=_many_clocks,
    also_right=(_many_clocks_by_blocks,),
    wrong=(
        (_variant(mean=False), "as its mean"),
        (_variant(delay=False), "not at its own last step"),
        (_variant(empty=False), "has to be emptied"),
        (lambda gradients, periods, keep: -_many_clocks(gradients, periods, keep), "sign"),
    ),
)

# 6. Set the clock

STEPS, SEASON, TURN, LOUD, ENOUGH = 3000, 300, 10, 4, 0.9


def share_right(decay: float) -> float:
    """Share of steps at which the sign of one average with this decay is that of the part that matters."""
    step = np.arange(STEPS)
    matters, passing = 1 - 2 * (step // SEASON % 2), 1 - 2 * (step // TURN % 2)
    memory, right = 0.0, 0
    for wanted, heard in zip(matters, matters + LOUD * passing, strict=True):
        memory = decay * memory + (1 - decay) * heard
        right += memory * wanted > 0
    return right / STEPS


def _check_clock(answer: Any) -> str | None:
    try:
        decay = float(answer)
    except (TypeError, ValueError):
        return f"Expected one number, got {type(answer).__name__}."
    if not 0 <= decay < 1:
        return "A decay is at least 0 and below 1."
    share = share_right(decay)
    if share >= ENOUGH:
        return None
    cause = "follows the passing part" if decay < 0.955 else "is late after every change"
    return f"The sign is right in {share:.0%} of the steps. This average {cause}."


register(
    name=f"{CHAPTER}/set-the-clock",
    kind="explore",
    stars=2,
    minutes=12,
    checker=_check_clock,
    reference=0.96,
    also_right=(0.955, 0.97, "0.975"),
    wrong=((0.5, "follows the passing part"), (0.999, "late after every change"), (1.5, "below 1"), ("slow", "number")),
)
