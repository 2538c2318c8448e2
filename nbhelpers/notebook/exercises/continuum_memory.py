"""Exercises of the chapter *Continuum memory*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "continuum-memory"


# 1. Sum or mean?

register(
    name=f"{CHAPTER}/sum-or-mean",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "The sum is a hundred times the mean, so at one rate its step is a hundred times as long.",
            "c": "The other way round: the sum is the longer one, so its rate has to be the smaller one.",
        },
    ),
    reference="b",
    also_right=("B", " b "),
    wrong=(("a", "hundred times"), ("c", "other way round"), ("0.01", "one letter")),
)

# 2. Several periods

_eta, _P, _n, _h = sp.symbols("eta P n h", positive=True)
_left = (1 - _eta * _h * _P) ** _n


def _same_at_points(answer: Any, expected: sp.Expr) -> str | None:
    """Like compare_expressions, but decide by three points where SymPy does not merge two forms of a power."""
    complaint = compare_expressions(answer, expected)
    if complaint is None or "differs" not in complaint:
        return complaint
    symbols = sorted(expected.free_symbols, key=lambda one: one.name)
    answer = sp.sympify(answer)
    answer = answer.subs({one: known for one in answer.free_symbols for known in symbols if one.name == known.name})
    values = {"eta": (0.013, 0.002, 0.03), "P": (7, 20, 3), "n": (3, 5, 2), "h": (0.9, 1.7, 0.4), "r": (8, 3, 2)}
    values |= {"m": (100, 30, 7), "k": (3, 4, 2)}
    for place in range(3):
        at = {symbol: values[symbol.name][place] for symbol in symbols}
        if abs(complex((answer - expected).subs(at).evalf())) > 1e-9:
            return complaint
    return None


def _check_left(answer: Any) -> str | None:
    mistakes = {
        "That is a weight that moves at every word; this one waits.": (1 - _eta * _h) ** (_n * _P),
        "Each period starts where the last one ended: shares multiply, they do not add.": 1 - _n * _eta * _h * _P,
        "That is the mean over the period; (2) takes the sum.": (1 - _eta * _h) ** _n,
        "The curvature h multiplies every gradient.": (1 - _eta * _P) ** _n,
    }
    return explain(answer, _left, mistakes, _same_at_points)


register(
    name=f"{CHAPTER}/left",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_left,
    reference=_left,
    also_right=("(1 - P*h*eta)**n", sp.exp(_n * sp.log(1 - _eta * _h * _P))),
    wrong=(
        ((1 - _eta * _h) ** (_n * _P), "waits"),
        (1 - _n * _eta * _h * _P, "multiply"),
        ((1 - _eta * _h) ** _n, "takes the sum"),
        ((1 - _eta * _P) ** _n, "curvature"),
        ("(1 - rate*P)**n", "uses rate"),
    ),
)

# 3. A prompt weight that keeps as much

_prompt = 1 - (1 - _eta) ** (1 / _P)


def _check_prompt(answer: Any) -> str | None:
    mistakes = {
        "That is right to first order in eta; solve the equation exactly.": _eta / _P,
        "That is the share kept per step; the rate is what is missing to one.": (1 - _eta) ** (1 / _P),
        "You have gone from the prompt weight to the waiting one; the question goes back.": 1 - (1 - _eta) ** _P,
    }
    return explain(answer, _prompt, mistakes, _same_at_points)


register(
    name=f"{CHAPTER}/prompt",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_prompt,
    reference=_prompt,
    also_right=(1 - sp.exp(sp.log(1 - _eta) / _P), "1 - (1 - eta)**(1/P)"),
    wrong=(
        (_eta / _P, "first order"),
        ((1 - _eta) ** (1 / _P), "kept per step"),
        (1 - (1 - _eta) ** _P, "goes back"),
    ),
)

# 4. What a row costs

_N, _r, _k = sp.symbols("m r k", positive=True)
_cost = _N / _P * (1 - _r**-_k) / (1 - 1 / _r)


def _check_cost(answer: Any) -> str | None:
    mistakes = {
        "That is the row without an end; yours has k blocks.": _N / _P / (1 - 1 / _r),
        "That gives every block the period of the fastest.": _k * _N / _P,
        "Longer periods mean fewer changes: the ratio of the series is 1/r.": _N / _P * (_r**_k - 1) / (_r - 1),
        "That counts per period of the fastest block; the question is per word.": _P * _cost,
    }
    return explain(answer, _cost, mistakes, _same_at_points)


register(
    name=f"{CHAPTER}/cost",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_cost,
    reference=_cost,
    also_right=("m*(r - r**(1 - k))/(P*(r - 1))", "m/P*(1 - r**(-k))*r/(r - 1)"),
    wrong=(
        (_N / _P / (1 - 1 / _r), "without an end"),
        (_k * _N / _P, "period of the fastest"),
        (_N / _P * (_r**_k - 1) / (_r - 1), "ratio of the series"),
        (_P * _cost, "per word"),
    ),
)

# 5. Two numbers, one error


def _pair(targets, fast_rate, slow_rate, period, *, resets=True, how="sum"):
    fast = slow = waiting = 0.0
    rows = []
    for t, target in enumerate(np.asarray(targets, dtype=float), start=1):
        slope = fast + slow - target
        waiting += slope
        fast -= fast_rate * slope
        if t % period == 0:
            slow -= slow_rate * {"sum": waiting, "mean": waiting / period, "last": slope}[how]
            waiting = 0.0
            if resets:
                fast = 0.0
        rows.append((fast, slow))
    return np.array(rows)


def _pair_tensors(targets, fast_rate, slow_rate, period):
    import torch

    state, waiting, rows = torch.zeros(2, dtype=torch.double), torch.zeros(()), []
    for t, target in enumerate(targets):
        slope = state.sum() - target
        waiting = waiting + slope
        state = state - torch.stack([fast_rate * slope, 0 * slope])
        if (t + 1) % period == 0:
            state, waiting = torch.stack([0 * slope, state[1] - slow_rate * waiting]), torch.zeros(())
        rows.append(state)
    return torch.stack(rows)


def _wrong_pair(**mistake: Any) -> Callable:
    return lambda *given: _pair(*given, **mistake)


def _check_pair(function: Callable) -> str | None:
    for seed, given in enumerate([(0.3, 0.05, 4), (0.5, 0.02, 3)]):
        targets = np.random.default_rng(seed).normal(size=13) + 1
        answer = call(function, targets.tolist(), *given)
        mistakes = {
            "The fast number goes back to 0 when the slow one has stepped.": _pair(targets, *given, resets=False),
            "That averages. The slow number moves by the sum of its period.": _pair(targets, *given, how="mean"),
            "Only the last slope of the period is used; the others are lost.": _pair(targets, *given, how="last"),
            "The columns are the wrong way round: fast first.": _pair(targets, *given)[:, ::-1],
        }
        complaint = explain(answer, _pair(targets, *given), mistakes)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/pair",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_pair,
    reference=_pair,
    also_right=(_pair_tensors,),
    wrong=(
        (_wrong_pair(resets=False), "goes back"),
        (_wrong_pair(how="mean"), "averages"),
        (_wrong_pair(how="last"), "lost"),
        (lambda *given: _pair(*given)[:, ::-1], "fast first"),
        (lambda *given: _pair(*given).T, "transposed"),
    ),
)

# 6. Reset damage


def _damage(with_block, without_block, kinds, count, *, relative=False, sums=False):
    rise = np.asarray(without_block, dtype=float) - np.asarray(with_block, dtype=float)
    kinds, rows = np.asarray(kinds), []
    for kind in range(count):
        own = kinds == kind
        value = rise[own].sum() if sums else rise[own].mean() if own.any() else 0.0
        rows.append(value / np.asarray(with_block, dtype=float)[own].mean() if relative and own.any() else value)
    return np.array(rows)


def _damage_by_counting(with_block, without_block, kinds, count):
    rise = np.asarray(without_block) - np.asarray(with_block)
    number = np.bincount(kinds, minlength=count)
    return np.bincount(kinds, rise, count) / np.maximum(number, 1)


def _wrong_damage(**mistake: Any) -> Callable:
    return lambda *given: _damage(*given, **mistake)


def _check_damage(function: Callable) -> str | None:
    for seed, (length, count) in enumerate([(12, 3), (9, 4)]):
        random = np.random.default_rng(seed)
        before, after = random.uniform(1, 4, size=(2, length))
        kinds = random.integers(count - seed, size=length)  # in the second case the last kind does not occur
        given = before, after, kinds, count
        answer = call(function, *given)
        mistakes = {
            "The mean over the words of a kind, not their sum.": _damage(*given, sums=True),
            "The rise itself, not its share of the loss before.": _damage(*given, relative=True),
            "One number for all kinds: keep the kinds apart.": np.full(count, (after - before).mean()),
        }
        complaint = explain(answer, _damage(*given), mistakes)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/damage",
    kind="build",
    stars=1,
    minutes=6,
    checker=_check_damage,
    reference=_damage,
    also_right=(_damage_by_counting,),
    wrong=(
        (_wrong_damage(sums=True), "not their sum"),
        (_wrong_damage(relative=True), "rise itself"),
        (lambda a, b, kinds, count: np.full(count, (b - a).mean()), "keep the kinds apart"),
        (lambda a, b, kinds, count: _damage(b, a, kinds, count), "sign"),
    ),
)

# 7. Make the slow one hold it

WORDS, LEAST_PERIOD, SHARE = 240, 8, 0.9


def _check_hold(answer: Any) -> str | None:
    try:
        fast_rate, slow_rate, period = answer
        fast_rate, slow_rate = float(fast_rate), float(slow_rate)
    except (TypeError, ValueError):
        return "Expected three numbers: (fast_rate, slow_rate, period)."
    if int(period) != period or period < LEAST_PERIOD:
        return f"The period is {period}; expected a whole number of at least {LEAST_PERIOD}."
    if not 0 < fast_rate < 2 or slow_rate <= 0:
        return "Both rates must be positive, and the fast one below 2."
    fast, slow = _pair(np.ones(WORDS), fast_rate, slow_rate, int(period), resets=False)[-1]
    if not abs(fast + slow - 1) < 0.01:
        return f"After {WORDS} words the two add up to {fast + slow:.3g}; they should be within 0.01 of 1."
    if slow < SHARE * (fast + slow):
        return (
            f"The slow number holds {slow / (fast + slow):.0%}. Both receive the same slopes, so the shares are those "
            "of the rates."
        )
    return None


register(
    name=f"{CHAPTER}/hold",
    kind="explore",
    stars=2,
    minutes=10,
    checker=_check_hold,
    reference=(0.003, 0.05, 8),
    also_right=((0.002, 0.03, 10), [0.004, 0.06, 8]),
    wrong=(
        ((0.3, 0.02, 8), "same slopes"),
        ((0.001, 0.5, 8), "add up to"),
        ((0.0001, 0.002, 4), "at least"),
        ((0.01, 0.1), "three numbers"),
    ),
)
