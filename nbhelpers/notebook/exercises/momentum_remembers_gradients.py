"""Exercises of the chapter *Momentum remembers gradients*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "momentum-remembers-gradients"


# 1. What moves the ball?

register(
    name=f"{CHAPTER}/what-moves-it",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "c",
        {
            "a": "The slope under the ball is zero on the plain; it adds nothing.",
            "b": "The ball has no kinetic energy. It has m, and (3) says what m is made of.",
        },
    ),
    reference="c",
    also_right=("C", " c "),
    wrong=(("a", "is zero on the plain"), ("b", "what m is made of"), ("momentum", "one letter")),
)

# 2. Half the rate

register(
    name=f"{CHAPTER}/half-the-rate",
    kind="recall",
    stars=2,
    minutes=3,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "In (1) old gradients keep the rate that they were stored with.",
            "c": "torch's buffer holds bare gradients, and today's rate multiplies all of it.",
        },
    ),
    reference="b",
    also_right=("B",),
    wrong=(("a", "stored with"), ("c", "bare gradients")),
)

# 3. How many hold the share p?

_p, _mu = sp.symbols("p mu", positive=True)
_count = sp.log(1 - _p) / sp.log(_mu)


def _same_at_points(answer: Any, expected: sp.Expr) -> str | None:
    """Like compare_expressions, but decide by three points: logarithms have many forms that SymPy does not merge."""
    complaint = compare_expressions(answer, expected)
    if complaint is None or "differs" not in complaint:
        return complaint
    names = {symbol.name: symbol for symbol in expected.free_symbols}
    answer = sp.sympify(answer)
    answer = answer.subs({symbol: names[symbol.name] for symbol in answer.free_symbols})
    for values in ((0.5, 0.9), (0.99, 0.7), (0.2, 0.35)):
        at = dict(zip((_p, _mu), values, strict=True))
        if abs(complex((answer - expected).subs(at).evalf())) > 1e-9:
            return complaint
    return None


def _check_horizon(answer: Any) -> str | None:
    mistakes = {
        "That is the age at which a single gradient has faded to p. Count the share of all of them, (9).": (
            sp.log(_p) / sp.log(_mu)
        ),
        "That counts squared lengths, (10). The question is about weights, (9).": (sp.log(1 - _p) / (2 * sp.log(_mu))),
        "The fraction is upside down.": sp.log(_mu) / sp.log(1 - _p),
    }
    return explain(answer, _count, mistakes, _same_at_points)


register(
    name=f"{CHAPTER}/horizon",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_horizon,
    reference=_count,
    also_right=("log(1 - p, mu)", sp.log(1 / (1 - _p)) / sp.log(1 / _mu), "log(1 - p)/log(mu)"),
    wrong=(
        (sp.log(_p) / sp.log(_mu), "single gradient"),
        (sp.log(1 - _p) / (2 * sp.log(_mu)), "squared lengths"),
        (sp.log(_mu) / sp.log(1 - _p), "upside down"),
        ("log(1 - p)/log(alpha)", "uses alpha"),
    ),
)

# 4. The averaging form

_widest = 2 * (1 + _mu) / (1 - _mu)


def _check_average(answer: Any) -> str | None:
    mistakes = {
        "That is the bound of (13). Here the gradient enters with the factor 1 - mu.": 2 * (1 + _mu),
        "Divide by 1 - mu instead of multiplying: a weaker write allows a larger rate.": 2 * (1 + _mu) * (1 - _mu),
        "That is plain descent with its rate rescaled; momentum also moves the bound from 2 to 2(1 + mu).": (
            2 / (1 - _mu)
        ),
    }
    return explain(answer, _widest, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/averaging",
    kind="derive",
    stars=2,
    minutes=8,
    checker=_check_average,
    reference=_widest,
    also_right=("2*(1 + mu)/(1 - mu)", -(2 + 2 * _mu) / (_mu - 1), 4 / (1 - _mu) - 2),
    wrong=(
        (2 * (1 + _mu), "factor 1 - mu"),
        (2 * (1 + _mu) * (1 - _mu), "instead of multiplying"),
        (2 / (1 - _mu), "plain descent"),
        (-_widest, "sign"),
    ),
)

# 5. Read the diary


def _run(seed: int, steps: int, size: int, rate: float, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """Gradients told (steps, size) and the momentum after each."""
    told, m, held = np.random.default_rng(seed).normal(size=(steps, size)), np.zeros(size), []
    for g in told:
        m = decay * m - rate * g
        held.append(m)
    return told, np.array(held)


def _before(held):
    return np.concatenate([np.zeros_like(held[:1]), held[:-1]])


def _diary(held, rate, decay):
    held = np.asarray(held)
    return (decay * _before(held) - held) / rate


def _diary_in_a_loop(held, rate, decay):
    import torch

    m, told = torch.zeros_like(held[0]), []
    for now in held:
        told.append((decay * m - now) / rate)
        m = now
    return torch.stack(told)


def _diary_wrong(mistake: str) -> Callable:
    def wrong(held, rate, decay):
        held = np.asarray(held)
        return {
            "sign": (held - decay * _before(held)) / rate,
            "decay": (_before(held) - held) / rate,
            "rate": decay * _before(held) - held,
            "short": _diary(held, rate, decay)[1:],
        }[mistake]

    return wrong


def _check_diary(function: Callable) -> str | None:
    import torch

    for seed, (steps, size, rate, decay) in enumerate([(6, 4, 0.1, 0.9), (4, 3, 0.7, 0.5), (5, 2, 0.2, 0.0)]):
        told, held = _run(seed, steps, size, rate, decay)
        answer = call(function, torch.tensor(held), rate, decay)
        mistakes = {
            "The sign is wrong: in (1) the gradient enters with a minus.": _diary_wrong("sign")(held, rate, decay),
            "The old momentum has faded by mu before the gradient was added.": _diary_wrong("decay")(held, rate, decay),
            "Divide by the rate that the gradient was stored with.": _diary_wrong("rate")(held, rate, decay),
            "The first gradient is missing: before it, the memory was zero.": told[1:],
        }
        complaint = explain(answer, told, mistakes)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/diary",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_diary,
    reference=_diary,
    also_right=(_diary_in_a_loop,),
    wrong=(
        (_diary_wrong("sign"), "sign"),
        (_diary_wrong("decay"), "has faded by mu"),
        (_diary_wrong("rate"), "Divide by the rate"),
        (_diary_wrong("short"), "first gradient is missing"),
    ),
)

# 6. Ask without the matrix


def _ask(query, inputs, surprises, rate, decay, *, reverse=False, sign=-1.0, fade=True):
    query, inputs, surprises = (np.asarray(part) for part in (query, inputs, surprises))
    ages = np.arange(len(inputs)) if reverse else np.arange(len(inputs))[::-1]
    weights = (decay**ages if fade else 1.0) * (inputs @ query)
    return sign * rate * surprises.T @ weights


def _ask_with_matrix(query, inputs, surprises, rate, decay):
    import torch

    m = torch.zeros(surprises.shape[1], inputs.shape[1], dtype=inputs.dtype)
    for x, u in zip(inputs, surprises, strict=True):
        m = decay * m - rate * torch.outer(u, x)
    return m @ query


def _wrongly(**mistake: Any) -> Callable:
    return lambda *arguments: _ask(*arguments, **mistake)


def _check_ask(function: Callable) -> str | None:
    import torch

    for seed, (steps, width, outputs) in enumerate([(5, 4, 3), (7, 3, 2)]):
        random = np.random.default_rng(30 + seed)
        query, inputs, surprises = (random.normal(size=size) for size in (width, (steps, width), (steps, outputs)))
        answer = call(function, *map(torch.tensor, (query, inputs, surprises)), 0.2, 0.8)
        given = (query, inputs, surprises, 0.2, 0.8)
        mistakes = {
            "The sign is wrong: the memory holds minus the surprises.": _ask(*given, sign=1.0),
            "The ages run the wrong way: the newest pair has not faded.": _ask(*given, reverse=True),
            "Nothing fades here. Multiply each pair by mu to the power of its age.": _ask(*given, fade=False),
        }
        complaint = explain(answer, _ask(*given), mistakes)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/ask",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_ask,
    reference=_ask,
    also_right=(_ask_with_matrix,),
    wrong=(
        (_wrongly(sign=1.0), "sign"),
        (_wrongly(reverse=True), "wrong way"),
        (_wrongly(fade=False), "Nothing fades"),
    ),
)

# 7. A long valley

VALLEY, VALLEY_STEPS, VALLEY_GOAL = (1.0, 100.0), 60, 1e-3


def valley_distance(rate: float, decay: float) -> float:
    """Distance from the bottom after 60 steps of (1), (2) from (1, 1), curvatures 1 and 100."""
    curvature, w, m = np.array(VALLEY), np.ones(2), np.zeros(2)
    for _ in range(VALLEY_STEPS):
        m = decay * m - rate * curvature * w
        w = w + m
    return float(np.linalg.norm(w))


def _check_valley(answer: Any) -> str | None:
    try:
        rate, decay = (float(part) for part in answer)
    except (TypeError, ValueError):
        return "Expected a pair of numbers, (rate, decay)."
    if not (rate > 0 and 0 <= decay < 1):
        return "A rate is positive, and a decay lies from 0 to below 1."
    if rate * max(VALLEY) >= 2 * (1 + decay):
        return f"That breaks (13) on the steep side: steepness {rate * max(VALLEY):.3g}, allowed {2 * (1 + decay):.3g}."
    distance = valley_distance(rate, decay)
    if distance <= VALLEY_GOAL:
        return None
    limit = decay ** (VALLEY_STEPS / 2)
    slow = "the memory's speed limit (14)" if limit > VALLEY_GOAL else "the shallow side, or ringing on the steep one"
    return f"After {VALLEY_STEPS} steps the distance is {distance:.2g}. What holds it up is {slow}."


register(
    name=f"{CHAPTER}/valley",
    kind="explore",
    stars=3,
    minutes=15,
    checker=_check_valley,
    reference=(4 / 121, (9 / 11) ** 2),
    also_right=([0.03, 0.7], np.array([0.033, 0.68])),
    wrong=(
        ((2 / 101, 0.0), "shallow side"),
        ((0.03, 0.9), "speed limit"),
        ((0.05, 0.5), "breaks (13)"),
        ((-0.1, 0.5), "positive"),
        (0.03, "pair of numbers"),
    ),
)
