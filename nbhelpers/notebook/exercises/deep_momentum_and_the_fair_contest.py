"""Exercises of the chapter *Deep momentum, and the fair contest*: checkers, references, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "deep-momentum-and-the-fair-contest"


# 1, 2. Recall

register(
    name=f"{CHAPTER}/asked-and-told",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "a",
        {
            "b": "The previous gradient was told and asked a step ago. Look at the argument of the network in (7).",
            "c": "Nobody has the next gradient yet. That is why nothing in (8) can learn to answer with it.",
        },
    ),
    reference="a",
    also_right=("A", " a "),
    wrong=(("b", "a step ago"), ("c", "Nobody has the next"), ("next", "one letter")),
)

register(
    name=f"{CHAPTER}/when-level",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "Long gradients are where the wiping is strong, and where the explicit form flies apart.",
            "c": "With a decay of one nothing else forgets, so the wiping is all there is.",
        },
    ),
    reference="b",
    also_right=("B", " b"),
    wrong=(("a", "wiping is strong"), ("c", "nothing else forgets")),
)

# 3. Where the memory rests

_eta, _mu, _g, _s = sp.symbols("eta mu g s")
_rest = -_eta * _g / (1 - _mu + _eta * _g**2)


def _check_rest(answer: Any) -> str | None:
    mistakes = {
        "That is plain momentum at rest. The wiping is missing.": -_eta * _g / (1 - _mu),
        "The momentum points downhill: minus the gradient.": -_rest,
        "The wiping adds to what is lost at each step; it does not take away from it.": -_eta
        * _g
        / (1 - _mu - _eta * _g**2),
        "The rate stands in front of the square too, by (2).": -_eta * _g / (1 - _mu + _g**2),
        "That is where it rests with mu = 1. The decay forgets a share too.": -1 / _g,
    }
    return explain(answer, _rest, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/at-rest",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_rest,
    reference=_rest,
    also_right=("-eta*g/(1 - mu + eta*g*g)", -_g / ((1 - _mu) / _eta + _g**2)),
    wrong=(
        (-_eta * _g / (1 - _mu), "wiping is missing"),
        (-_rest, "points downhill"),
        (-_eta * _g / (1 - _mu + _g**2), "rate stands in front"),
        (-_eta * _g / (1 - _mu - _eta * _g**2), "adds to what is lost"),
        (-1 / _g, "The decay forgets"),
    ),
)

# 4. The largest rate


def _check_rate(answer: Any) -> str | None:
    mistakes = {
        "That is where the factor vanishes. Stability is lost where it reaches minus one.": _mu / _s,
        "That is plain gradient descent's kind of bound. Decay and wiping stand in one factor here.": 2 / _s,
        "The factor reaches minus one, not plus one.": (_mu - 1) / _s,
        "That is plain momentum's bound on a bowl of steepness s. Here one step multiplies m by mu - eta*s.": 2
        * (1 + _mu)
        / _s,
        "That is a bound for the square of the length; solve for the rate.": (1 + _mu) / _eta,
    }
    return explain(answer, (1 + _mu) / _s, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/largest-rate",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_rate,
    reference=(1 + _mu) / _s,
    also_right=("(mu + 1)/s", 1 / _s + _mu / _s),
    wrong=(
        (_mu / _s, "factor vanishes"),
        (2 / _s, "one factor here"),
        ((_mu - 1) / _s, "not plus one"),
        (2 * (1 + _mu) / _s, "bound on a bowl"),
    ),
)

# 5. The implicit form


def _implicit(m, g, rate, decay):
    import torch

    right = torch.eye(g.shape[1], dtype=g.dtype) + rate * g.T @ g
    return torch.linalg.solve(right, (decay * m - rate * g).T).T


def _implicit_by_inverse(m, g, rate, decay):
    m, g = np.asarray(m), np.asarray(g)
    return (decay * m - rate * g) @ np.linalg.inv(np.eye(g.shape[1]) + rate * g.T @ g)


def _explicit(m, g, rate, decay):
    return decay * m - rate * m @ g.T @ g - rate * g


def _number(m, g, rate, decay):
    return (decay * m - rate * g) / (1 + rate * (g * g).sum())


def _undecayed(m, g, rate, decay):
    return _implicit(m, g, rate, 1.0)


def _climbs(m, g, rate, decay):
    return _implicit(m, -g, rate, decay)


def _check_implicit(function: Callable) -> str | None:
    for seed, shape in enumerate([(3, 5), (4, 2), (3, 3)]):
        import torch

        random = np.random.default_rng(seed)
        m, g = (torch.tensor(random.normal(size=shape)) for _ in range(2))
        answer = call(function, m.clone(), g.clone(), 0.4, 0.9)
        mistakes = {
            "That is the explicit form (2). The minimiser needs the inverse of I + eta g^T g.": _explicit,
            "A number divides here. For a matrix it must be the inverse of I + eta g^T g, from the right.": _number,
            "The decay is missing: the leash holds on to mu times the old momentum.": _undecayed,
            "The sign of the gradient is wrong: the target is minus one.": _climbs,
        }
        results = {message: make(m, g, 0.4, 0.9) for message, make in mistakes.items()}
        complaint = explain(answer, _implicit(m, g, 0.4, 0.9), results)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/implicit",
    kind="build",
    stars=3,
    minutes=15,
    checker=_check_implicit,
    reference=_implicit,
    also_right=(_implicit_by_inverse,),
    wrong=(
        (_explicit, "explicit form"),
        (_number, "A number divides"),
        (_undecayed, "decay is missing"),
        (_climbs, "sign of the gradient"),
        (lambda *given: _implicit(*given).T, "transposed"),
    ),
)

# 6. A budget in seconds


def _fitting(cost, steps):
    cheapest = min(cost.values())
    return {name: int(steps * cheapest / seconds) for name, seconds in cost.items()}


def _fitting_loop(cost, steps):
    budget, found = steps * min(cost.values()), {}
    for name, seconds in cost.items():
        found[name] = int(budget // seconds)
    return found


def _by_dearest(cost, steps):
    return {name: int(steps * max(cost.values()) / seconds) for name, seconds in cost.items()}


def _upside_down(cost, steps):
    return {name: int(steps * seconds / min(cost.values())) for name, seconds in cost.items()}


def _rounded_up(cost, steps):
    return {name: int(np.ceil(steps * min(cost.values()) / seconds)) for name, seconds in cost.items()}


def _check_fitting(function: Callable) -> str | None:
    # halves and eighths, so that no quotient depends on how it is rounded
    for cost, steps in (({"a": 0.5, "b": 1.0, "c": 1.75}, 1000), ({"x": 3.0, "y": 2.0}, 501)):
        answer = call(function, dict(cost), steps)
        if not isinstance(answer, dict) or set(answer) != set(cost):
            return "Expected a dictionary with one entry an optimizer."
        found = [answer[name] for name in cost]
        mistakes = {
            "The budget is the time of the cheapest optimizer, not of the dearest.": _by_dearest,
            "Upside down: a dearer step means fewer steps.": _upside_down,
            "A step that does not fit as a whole is not made: round down.": _rounded_up,
        }
        results = {message: list(make(cost, steps).values()) for message, make in mistakes.items()}
        complaint = explain(found, list(_fitting(cost, steps).values()), results)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/steps-that-fit",
    kind="build",
    stars=1,
    minutes=6,
    checker=_check_fitting,
    reference=_fitting,
    also_right=(_fitting_loop,),
    wrong=(
        (_by_dearest, "not of the dearest"),
        (_upside_down, "Upside down"),
        (_rounded_up, "round down"),
        (lambda cost, steps: list(_fitting(cost, steps).values()), "dictionary"),
    ),
)

# 7. Draw the paper's picture

RATES = np.geomspace(1e-4, 1e-1, 25)


def arrivals(k: float, alpha: float, omega: float) -> dict[str, int]:
    """Steps to the bottom of the landscape (53), of momentum and delta momentum, each at its best rate."""
    found = {}
    for rule in ("momentum", "delta"):
        p, m = np.tile([-3.5, 2.0], (len(RATES), 1)), np.zeros((len(RATES), 2))
        far = np.zeros(len(RATES), int)
        for step in range(2001):
            far = np.where(np.hypot(*p.T) > 0.05, step, far)
            r, gap = p[:, 0], p[:, 0] - p[:, 1] + alpha * np.sin(omega * p[:, 0])
            g = np.stack([2 * r + 2 * k * gap * (1 + alpha * omega * np.cos(omega * r)), -2 * k * gap], 1)
            wiped = (g * g).sum(1, keepdims=True) if rule == "delta" else 0.0
            m = np.clip(m * (0.9 - RATES[:, None] * wiped) - RATES[:, None] * g, -1e6, 1e6)
            p = np.clip(p + m, -1e6, 1e6)
        found[rule] = int(min(2000, (far + 1).min()))
    return found


def _check_constants(answer: Any) -> str | None:
    try:
        k, alpha, omega = (float(part) for part in answer)
    except (TypeError, ValueError):
        return "Expected three numbers: k, alpha, omega."
    if not (0 < k <= 20 and 0 < alpha <= 3 and 0 < omega <= 5):
        return "Stay within 0 < k <= 20, 0 < alpha <= 3 and 0 < omega <= 5."
    found = arrivals(k, alpha, omega)
    if found["delta"] > found["momentum"]:
        return f"Here momentum is first: {found['momentum']} steps against {found['delta']}."
    if found["delta"] > 0.8 * found["momentum"]:
        return f"Too close: {found['delta']} steps against {found['momentum']}. A fifth fewer is asked for."
    return None


register(
    name=f"{CHAPTER}/the-papers-picture",
    kind="explore",
    stars=2,
    minutes=10,
    checker=_check_constants,
    reference=(1, 0.5, 1),
    also_right=([1.0, 0.5, 1.0], ("1", "0.5", "1")),
    wrong=(
        ((10, 1, 4), "momentum is first"),
        ((1, 1, 1), "Too close"),
        ((50, 1, 1), "Stay within"),
        (1, "three numbers"),
    ),
)
