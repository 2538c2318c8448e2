"""Exercises of the chapter *Levels*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.levels import order
from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "levels"


# 1. Adam's table

register(
    name=f"{CHAPTER}/adam",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "Equal periods are not the end of it: the weights of a step need the means of the same step.",
            "c": "The two means do not need each other, so neither of them is faster.",
        },
    ),
    reference="b",
    also_right=("B", " b "),
    wrong=(("a", "of the same step"), ("c", "do not need each other"), ("two", "one letter")),
)

# 2. How soon is the start forgotten?

_p, _eta, _h = sp.symbols("p eta h", positive=True)
_steps = sp.log(_p) / sp.log(1 - _eta * _h)


def _same_at_points(answer: Any, expected: sp.Expr) -> str | None:
    """Like compare_expressions, but decide by three points: logarithms have many forms that SymPy does not merge."""
    complaint = compare_expressions(answer, expected)
    if complaint is None or "differs" not in complaint:
        return complaint
    names = {symbol.name: symbol for symbol in expected.free_symbols}
    answer = sp.sympify(answer)
    answer = answer.subs({symbol: names[symbol.name] for symbol in answer.free_symbols})
    for values in ((0.5, 0.1, 2.0), (0.01, 0.3, 1.5), (0.2, 0.7, 0.6)):
        at = dict(zip((_p, _eta, _h), values, strict=True))
        if abs(complex((answer - expected).subs(at).evalf())) > 1e-9:
            return complaint
    return None


def _check_steps(answer: Any) -> str | None:
    mistakes = {
        "The fraction is upside down.": 1 / _steps,
        "That is the share that is gone. The question is about the share that is left.": (
            sp.log(1 - _p) / sp.log(1 - _eta * _h)
        ),
        "That treats a step as a fading by the factor exp(-eta h). A step multiplies by 1 - eta h.": (
            -sp.log(_p) / (_eta * _h)
        ),
    }
    return explain(answer, _steps, mistakes, _same_at_points)


register(
    name=f"{CHAPTER}/steps",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_steps,
    reference=_steps,
    also_right=("log(p, 1 - eta*h)", "log(1/p)/log(1/(1 - eta*h))", "log(p)/log(1 - h*eta)"),
    wrong=(
        (1 / _steps, "upside down"),
        (sp.log(1 - _p) / sp.log(1 - _eta * _h), "share that is left"),
        (-sp.log(_p) / (_eta * _h), "multiplies by"),
        ("log(p)/log(1 - rate*h)", "uses rate"),
    ),
)

# 3. The outer slope

_start, _rate, _bend, _b, _c = sp.symbols("theta_0 eta h b c")
_stepped = _start - _rate * _bend * (_start - _b)
_slope = (1 - _rate * _bend) * (_stepped - _c)


def _check_outer(answer: Any) -> str | None:
    mistakes = {
        "That is first-order MAML: the step itself depends on the start too.": _stepped - _c,
        "The outer slope is taken at theta_1, not at theta_0.": (1 - _rate * _bend) * (_start - _c),
        "The inner step goes down: theta_1 is theta_0 minus eta times the inner slope.": (
            (1 + _rate * _bend) * (_start + _rate * _bend * (_start - _b) - _c)
        ),
    }
    return explain(answer, _slope, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/outer",
    kind="derive",
    stars=2,
    minutes=8,
    checker=_check_outer,
    reference=_slope,
    also_right=(sp.expand(_slope), "(1 - h*eta)*((1 - h*eta)*theta_0 + eta*h*b - c)"),
    wrong=(
        (_stepped - _c, "first-order"),
        ((1 - _rate * _bend) * (_start - _c), "at theta_1"),
        ((1 + _rate * _bend) * (_start + _rate * _bend * (_start - _b) - _c), "goes down"),
        (-_slope, "sign"),
    ),
)

# 4. Levels without the definition

SYSTEMS: tuple[tuple[dict[str, float], dict[str, tuple[str, ...]]], ...] = (
    ({"momentum": 1, "weights": 1}, {"weights": ("momentum",)}),
    ({"a": 1, "b": 1, "c": 1, "d": 1}, {"b": ("a",), "c": ("b", "a"), "d": ("a",)}),
    ({"memory": 1, "start": 240, "averages": 240, "map": 240}, {"memory": ("map",), "map": ("averages",)}),
    ({"x": 1, "slow": 8, "y": 1}, {"slow": ("x",), "y": ("slow",)}),
    ({"a": 1, "b": 1, "c": 1, "d": 1}, {"b": ("a",), "c": ("a",), "d": ("b", "c")}),
    ({"late": 1, "early": 1}, {"late": ("early",)}),
)


def _everything(name: str, needs: dict) -> set[str]:
    direct = set(needs.get(name, ()))
    return direct.union(*(_everything(other, needs) for other in direct))


def _levels(periods: dict, needs: dict, *, through: bool = True, clocks: bool = True, first: int = 1) -> dict[str, int]:
    def number(name: str) -> int:
        used = _everything(name, needs) if through else set(needs.get(name, ()))
        same = [number(other) for other in used if not clocks or periods[other] == periods[name]]
        return max(same) + 1 if same else first

    return {name: number(name) for name in periods}


def _levels_from_order(periods: dict, needs: dict) -> dict[str, int]:
    found: dict[str, int] = {}
    count: dict[float, int] = {}
    for level in order(periods, needs):
        period = periods[level[0]]
        count[period] = count.get(period, 0) + 1
        found |= dict.fromkeys(level, count[period])
    return found


def _all_one(periods, needs):
    return dict.fromkeys(periods, 1)


def _count_all(periods, needs):
    """Wrong: one more than the number of parts of the same period that are needed."""
    needed = {name: _everything(name, needs) for name in periods}
    return {name: 1 + sum(periods[other] == periods[name] for other in needed[name]) for name in periods}


def _one_pass(periods, needs):
    """Wrong: in the order of the listing, so that a need that is listed later is overlooked."""
    found: dict[str, int] = {}
    for name in periods:
        same = [found.get(other, 0) for other in _everything(name, needs) if periods[other] == periods[name]]
        found[name] = 1 + max(same, default=0)
    return found


def _wrong_levels(**mistake: Any) -> Callable:
    return lambda periods, needs: _levels(periods, needs, **mistake)


def _check_sort(function: Callable) -> str | None:
    for periods, needs in SYSTEMS:
        answer = call(function, dict(periods), {name: tuple(used) for name, used in needs.items()})
        if not isinstance(answer, dict) or set(answer) != set(periods):
            return f"Return a dictionary with one number for each of {', '.join(periods)}."
        right = _levels(periods, needs)
        if answer == right:
            continue
        if answer == _levels(periods, needs, first=0):
            return "Count the part itself: the shortest chain has one part."
        if answer == _levels(periods, needs, clocks=False):
            return "Only parts of the same period count; between periods the shorter one decides."
        if answer == _levels(periods, needs, through=False):
            return f"A need may reach through a part of another period: {needs}."
        if answer == _count_all(periods, needs):
            return "Count the parts of the longest chain, not all the parts that are needed."
        if answer == _one_pass(periods, needs):
            return f"A part may need one that is listed after it: {needs}."
        if answer == _all_one(periods, needs):
            return "Equal periods are not the end of it: use the needs."
        part = next(name for name in periods if answer[name] != right[name])
        return f"{part} of {periods} with needs {needs}: you say {answer[part]}, expected {right[part]}."
    return None


register(
    name=f"{CHAPTER}/sort",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_sort,
    reference=_levels,
    also_right=(_levels_from_order,),
    wrong=(
        (_wrong_levels(first=0), "part itself"),
        (_wrong_levels(clocks=False), "same period"),
        (_wrong_levels(through=False), "through a part"),
        (_all_one, "use the needs"),
        (_count_all, "longest chain"),
        (_one_pass, "listed after"),
        (lambda periods, needs: list(periods), "dictionary"),
    ),
)

# 5. Wait, do not skip


def _wait(start, gradients, rate, period, *, how: str = "sum"):
    start, gradients = np.asarray(start, dtype=float), np.asarray(gradients, dtype=float)
    weights, waiting, rows = start, np.zeros_like(start), []
    for t, g in enumerate(gradients, start=1):
        waiting = waiting + g
        if t % period == 0:
            step = {"sum": waiting, "mean": waiting / period, "last": g, "never emptied": waiting}[how]
            weights = weights - rate * step
            waiting = waiting if how == "never emptied" else np.zeros_like(start)
        rows.append(weights)
    return np.array(rows)


def _wait_without_loop(start, gradients, rate, period):
    import torch

    sums = torch.cat([torch.zeros_like(gradients[:1]), gradients.cumsum(0)])
    return start - rate * sums[torch.arange(1, len(gradients) + 1) // period * period]


def _wait_every_step(start, gradients, rate, period):
    return np.asarray(start) - rate * np.cumsum(np.asarray(gradients), 0)


def _wrong_wait(how: str) -> Callable:
    return lambda start, gradients, rate, period: _wait(start, gradients, rate, period, how=how)


def _check_wait(function: Callable) -> str | None:
    import torch

    for seed, (steps, size, rate, period) in enumerate([(11, 3, 0.1, 4), (7, 2, 0.5, 3)]):
        random = np.random.default_rng(seed)
        start, gradients = random.normal(size=size), random.normal(size=(steps, size))
        answer = call(function, torch.tensor(start), torch.tensor(gradients), rate, period)
        given = (start, gradients, rate, period)
        mistakes = {
            "Only the last gradient of each period counts here; the others are skipped.": _wait(*given, how="last"),
            "That averages. A period's gradients are added up.": _wait(*given, how="mean"),
            "The sum is never emptied, so old gradients are paid out again.": _wait(*given, how="never emptied"),
            "That changes at every step; the weights should wait for the end of a period.": _wait_every_step(*given),
        }
        complaint = explain(answer, _wait(*given), mistakes)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/wait",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_wait,
    reference=_wait,
    also_right=(_wait_without_loop,),
    wrong=(
        (_wrong_wait("last"), "skipped"),
        (_wrong_wait("mean"), "averages"),
        (_wrong_wait("never emptied"), "never emptied"),
        (_wait_every_step, "end of a period"),
    ),
)

# 6. A system that cannot be sorted


def _faster(a: str, b: str, periods: dict, needs: dict) -> bool:
    if periods[a] != periods[b]:
        return periods[a] < periods[b]
    return a in _everything(b, needs)


def _check_puzzle(answer: Any) -> str | None:
    try:
        periods, needs = answer
        periods, needs = dict(periods), {name: tuple(used) for name, used in dict(needs).items()}
    except (TypeError, ValueError):
        return "Expected a pair of dictionaries, (periods, needs)."
    if any(isinstance(answer[1][name], str) for name in needs):
        return 'A need is a tuple of names: write ("a",), not "a".'
    if len(periods) != 4:
        return f"There are {len(periods)} parts; the puzzle asks for four."
    if len(set(periods.values())) < 2:
        return "All parts have the same period; use two different ones."
    order(periods, needs)  # says what is wrong with unknown parts and circles
    idle = sorted(
        set(periods) - {name for name, used in needs.items() if used} - {n for u in needs.values() for n in u}
    )
    if idle:
        return f"{idle[0]} neither needs a part nor is needed."

    def same(a: str, b: str) -> bool:
        return not _faster(a, b, periods, needs) and not _faster(b, a, periods, needs)

    if any(same(a, b) and same(b, c) and not same(a, c) for a, b, c in permutations(periods, 3)):
        return None
    return "This system can be sorted: wherever neither of two parts is faster, that passes on."


_puzzle = (
    {"momentum 1": 1, "weights 1": 1, "weights 2": 1, "average of 2": 10},
    {"weights 1": ("momentum 1",), "average of 2": ("weights 2",)},
)

register(
    name=f"{CHAPTER}/puzzle",
    kind="explore",
    stars=3,
    minutes=10,
    checker=_check_puzzle,
    reference=_puzzle,
    also_right=(({"a": 4, "b": 4, "c": 4, "d": 1}, {"b": ["a"], "c": ["d"]}),),
    wrong=(
        (({"a": 1, "b": 1, "c": 1}, {"b": ("a",)}), "asks for four"),
        (({"a": 1, "b": 1, "c": 1, "d": 1}, {"b": ("a",), "d": ("c",)}), "same period"),
        (({"a": 1, "b": 1, "c": 1, "d": 4}, {"b": ("a",)}), "neither needs"),
        (({"a": 1, "b": 1, "c": 4, "d": 4}, {"b": ("a",), "d": ("c",)}), "can be sorted"),
        (({"a": 1, "b": 1, "c": 1, "d": 4}, {"b": "a", "d": "c"}), "tuple of names"),
        (3, "pair of dictionaries"),
    ),
)
