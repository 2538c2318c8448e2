"""Exercises of the chapter *Two clocks*."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, compare_numbers
from nbhelpers.notebook.exercises.registry import call, register

# -- 1, 2: recall

_CLOCK = {
    "a": "The slow weight has the smaller rate, but its line stands in the same loop and runs at every sample.",
    "b": "The fast weight moves further at each sample, not at fewer samples.",
}
register(
    name="two-clocks/clock",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(answer, "c", _CLOCK),
    reference="c",
    also_right=("C", " c "),
    wrong=(("a", "runs at every sample"), ("b", "not at fewer samples"), ("slow", "one letter")),
)

_MISSED = {
    "a": "Equation (5) has no slope in it, and the numbers 70 % and 70 % come from it.",
    "c": "Equation (5) has no noise in it, and the numbers 70 % and 70 % come from it.",
}
register(
    name="two-clocks/missed",
    kind="recall",
    stars=1,
    minutes=3,
    checker=lambda answer: compare_choice(answer, "b", _MISSED),
    reference="b",
    also_right=("B", "b "),
    wrong=(("a", "no slope in it"), ("c", "no noise in it")),
)

# -- 3, 4: derive

alpha, eta, C, m = sp.symbols("alpha eta C m", positive=True)


def _order(answer: Any) -> str | None:
    right = eta / (1 - alpha + eta)
    complaint = compare_expressions(answer, right)
    if complaint and compare_expressions(answer, alpha * eta / (1 - alpha * (1 - eta))) is None:
        return "That is (4), for the article's order. Here the step itself is not multiplied by the decay."
    if complaint and compare_expressions(answer, 1 - right) is None:
        return "That is the share which is missed, 1 - g."
    return complaint


register(
    name="two-clocks/order",
    kind="derive",
    stars=2,
    minutes=8,
    checker=_order,
    reference=eta / (1 - alpha + eta),
    also_right=("eta/(1 - alpha + eta)", 1 / (1 + (1 - alpha) / eta), 1 - (1 - alpha) / (1 - alpha + eta)),
    wrong=(
        (alpha * eta / (1 - alpha * (1 - eta)), "article's order"),
        ((1 - alpha) / (1 - alpha + eta), "which is missed"),
        (eta / (1 + alpha - eta), "differs"),
    ),
)


def _longest(answer: Any) -> str | None:
    complaint = compare_expressions(answer, 2 / (C * m))
    if complaint and compare_expressions(answer, 2 / m) is None:
        return "That is the bound for one sample. All C gradients are taken at the same slope and added up."
    if complaint and compare_expressions(answer, 1 / (C * m)) is None:
        return "That rate sends the error to zero in one step. A rate up to twice as large still does not make it grow."
    return complaint


register(
    name="two-clocks/longest-period",
    kind="derive",
    stars=2,
    minutes=8,
    checker=_longest,
    reference=2 / (C * m),
    also_right=("2/(C*m)", "2/C/m", (C * m / 2) ** -1),
    wrong=((2 / m, "for one sample"), (1 / (C * m), "in one step"), (C * m / 2, "differs")),
)

# -- 5: build a meter


def _fit(series: np.ndarray, omega: float) -> tuple[float, float]:
    t = np.arange(len(series))
    columns = np.stack([np.sin(omega * t), np.cos(omega * t), np.ones(len(t))], axis=1)
    p, q, _ = np.linalg.lstsq(columns, series, rcond=None)[0]
    return float(np.hypot(p, q)), float(np.arctan2(-q, p) / omega)


def _fit_by_trying(series: np.ndarray, omega: float) -> list[float]:
    """The same by normal equations and a complex number."""
    t = np.arange(len(series))
    columns = np.column_stack([np.cos(omega * t), np.sin(omega * t), t**0])
    q, p, _ = np.linalg.solve(columns.T @ columns, columns.T @ series)
    return [abs(complex(p, q)), -np.angle(complex(p, q)) / omega]


def _meter(function: Callable) -> str | None:
    generator = np.random.default_rng(0)
    for length, omega, amplitude, lag, level in (
        (300, 0.05, 2.2, 1.1, 0.0),
        (211, 0.31, 0.7, 4.0, 3.0),
        (90, 0.9, 5, -1, -2),
    ):
        t = np.arange(length)
        series = amplitude * np.sin(omega * (t - lag)) + level + 1e-9 * generator.standard_normal(length)
        answer = call(function, series, omega)
        complaint = compare_numbers(answer, [amplitude, lag], rtol=1e-4, atol=1e-4)
        if complaint:
            size, shift = np.ravel(np.asarray(answer, dtype=float))[:2] if np.size(answer) >= 2 else (np.nan, np.nan)
            if np.isclose(size, amplitude, rtol=1e-4) and np.isclose(shift, -lag, rtol=1e-3):
                return "The amplitude is right, the lag has the wrong sign: what comes late has a positive lag."
            if np.isclose(size, amplitude, rtol=1e-4) and np.isclose(shift, lag * omega, rtol=1e-3):
                return "The amplitude is right, the lag is in radians: divide by omega to get samples."
            if level and not np.isclose(size, amplitude, rtol=1e-4):
                return f"Amplitude {size:.4g}, expected {amplitude:g}, with a level of {level:g}: fit the constant too."
            return f"For amplitude {amplitude:g} and lag {lag:g} samples: {complaint}"
    return None


register(
    name="two-clocks/meter",
    kind="build",
    stars=2,
    minutes=12,
    checker=_meter,
    reference=_fit,
    also_right=(_fit_by_trying,),
    wrong=(
        (lambda s, w: (_fit(s, w)[0], -_fit(s, w)[1]), "wrong sign"),
        (lambda s, w: (_fit(s, w)[0], _fit(s, w)[1] * w), "in radians"),
        (lambda s, w: (float(np.abs(s).max()), _fit(s, w)[1]), "fit the constant too"),
    ),
)

# -- 6: build a learner with two periods


def _two_periods(
    x,
    y,
    slow_rate,
    fast_rate,
    retention,
    slow_period,
    fast_period,
    *,
    mean=False,
    stale=False,
    idle_decay=False,
    keep_sum=False,
):
    """The reference; the keywords switch on typical mistakes."""
    slow = fast = slow_sum = fast_sum = 0.0
    for t in range(len(x)):
        error = slow * x[t] + fast - y[t]
        slow_sum, fast_sum = slow_sum + error * x[t], fast_sum + error
        if stale:  # the last gradient only
            slow_sum, fast_sum = error * x[t], error
        if idle_decay and (t + 1) % fast_period:
            fast = retention * fast
        if (t + 1) % fast_period == 0:
            fast = retention * (fast - fast_rate * fast_sum / (fast_period if mean else 1))
            fast_sum = fast_sum if keep_sum else 0.0
        if (t + 1) % slow_period == 0:
            slow = slow - slow_rate * slow_sum / (slow_period if mean else 1)
            slow_sum = slow_sum if keep_sum else 0.0
    return slow, fast


def _two_periods_by_blocks(x, y, slow_rate, fast_rate, retention, slow_period, fast_period):
    """The same with lists of gradients that are emptied when they are used."""
    weights, waiting = np.zeros(2), ([], [])
    for t, (a, b) in enumerate(zip(x, y, strict=True), start=1):
        error = weights @ [a, 1.0] - b
        waiting[0].append(error * a)
        waiting[1].append(error)
        if t % slow_period == 0:
            weights[0] -= slow_rate * sum(waiting[0])
            waiting[0].clear()
        if t % fast_period == 0:
            weights[1] = retention * (weights[1] - fast_rate * sum(waiting[1]))
            waiting[1].clear()
    return weights


_CASES = ((40, 1, 1, 0.5), (47, 5, 1, 0.5), (50, 7, 3, 0.9), (23, 25, 4, 1.0))
_MISTAKES = {
    "mean": "The gradients are averaged, not added up: the steps are too small by the period.",
    "stale": "Only the last gradient of a period is used: the others must be added to it.",
    "idle_decay": "The fast weight is multiplied by the retention between its ticks; it should change at ticks only.",
    "keep_sum": "A sum goes on after it was used: set it to zero at each tick.",
}


def _clocked(function: Callable) -> str | None:
    generator = np.random.default_rng(1)
    for length, slow_period, fast_period, retention in _CASES:
        x, noise = generator.standard_normal((2, length))
        y = 2 * x + 1 + 0.2 * noise
        given = x, y, 0.03, 0.2, retention, slow_period, fast_period
        answer = call(function, *given)
        complaint = compare_numbers(answer, _two_periods(*given), rtol=1e-9)
        if complaint is None:
            continue
        for mistake, message in _MISTAKES.items():
            if compare_numbers(answer, _two_periods(*given, **{mistake: True}), rtol=1e-9) is None:
                return message
        return f"With periods {slow_period} (slow) and {fast_period} (fast) over {length} samples: {complaint}"
    return None


register(
    name="two-clocks/two-periods",
    kind="build",
    stars=2,
    minutes=15,
    checker=_clocked,
    reference=_two_periods,
    also_right=(_two_periods_by_blocks,),
    wrong=(
        (lambda *given: _two_periods(*given, mean=True), "averaged"),
        (lambda *given: _two_periods(*given, stale=True), "Only the last gradient"),
        (lambda *given: _two_periods(*given, idle_decay=True), "between its ticks"),
        (lambda *given: _two_periods(*given, keep_sum=True), "goes on after"),
    ),
)

# -- 7: explore a rate that changes

MOST_SURPRISE, MOST_ERROR = 0.32, 0.03


def _schedule(rule: Callable) -> str | None:
    rates = np.array([float(call(rule, t)) for t in range(300)])
    if not np.all((rates >= 0) & (rates < 1)):
        return "Each rate should lie between 0 and 1."
    generator = np.random.default_rng(7)
    x, noise = generator.standard_normal((2, 300, 200))
    y = 2 * x + 5 * np.sin(np.linspace(0, 60, 300) / 4)[:, None] + 0.2 * noise
    slow = fast = np.zeros(200)
    total = np.zeros(200)
    for t in range(300):
        error = slow * x[t] + fast - y[t]
        total += np.abs(error)
        slow, fast = slow - rates[t] * error * x[t], fast - 0.9 * error
    surprise, miss = float((total / 300).mean()), float(np.median(np.abs(slow - 2)))
    if surprise > MOST_SURPRISE and miss > MOST_ERROR:
        return f"Surprise {surprise:.3f} and slope error {miss:.3f}: both are too large."
    if surprise > MOST_SURPRISE:
        return f"Slope error {miss:.3f} is small enough, surprise {surprise:.3f} is not. Is it quick enough at first?"
    if miss > MOST_ERROR:
        return (
            f"Surprise {surprise:.3f} is small enough, slope error {miss:.3f} is not. Is it careful enough at the end?"
        )
    return None


register(
    name="two-clocks/schedule",
    kind="explore",
    stars=3,
    minutes=20,
    checker=_schedule,
    reference=lambda t: max(0.02, 0.25 * 0.98**t),
    also_right=(lambda t: 0.2 if t < 50 else 0.02,),
    wrong=(
        (lambda t: 0.02, "quick enough at first"),
        (lambda t: max(0.08, 0.25 * 0.98**t), "careful enough at the end"),
        (lambda t: 2.0, "between 0 and 1"),
    ),
)
