"""Exercises of the chapter *Delta gradient descent*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "delta-gradient-descent"


# 1, 2. Recall

register(
    name=f"{CHAPTER}/nearly-right",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "That is gradient descent, which adds the correction. DGD moves the answer towards the correction.",
            "c": "The answer rests only where it equals the correction, which is at one half.",
        },
    ),
    reference="b",
    also_right=("B", " b "),
    wrong=(("a", "adds the correction"), ("c", "at one half"), ("smaller", "one letter")),
)

register(
    name=f"{CHAPTER}/which-inputs",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "a",
        {
            "b": "For short inputs the exact denominator is the smaller one, so the exact rate is the larger one.",
            "c": "At length one the two agree, so it cannot be all.",
        },
    ),
    reference="a",
    also_right=("A", "a "),
    wrong=(("b", "exact denominator is the smaller"), ("c", "length one the two agree")),
)

# 3. A louder loss

_c = sp.Symbol("c", positive=True)


def _check_weight(answer: Any) -> str | None:
    mistakes = {
        "That is what is missing, not what is there.": 1 / (1 + _c),
        "That is the weight of the loss, not the share at which its pull and the penalty's balance.": _c,
        "The half is for c = 1; a larger weight pulls harder.": sp.Rational(1, 2),
        "The weight stands in the surprise, y - y* times c, on both of its terms.": _c / 2,
    }
    return explain(answer, _c / (1 + _c), mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/loss-weight",
    kind="derive",
    stars=2,
    minutes=6,
    checker=_check_weight,
    reference=_c / (1 + _c),
    also_right=(1 - 1 / (1 + _c), "c/(c + 1)", 1 / (1 + 1 / _c)),
    wrong=(
        (1 / (1 + _c), "what is missing"),
        (sp.Rational(1, 2), "for c = 1"),
        (_c / 2, "both of its terms"),
        (-_c / (1 + _c), "sign"),
    ),
)

# 4. Another aim

_y, _ubar, _eta, _s = sp.symbols("y ubar eta s")
_rho = _eta * _s / (1 + _eta * _s)


def _check_aim(answer: Any) -> str | None:
    mistakes = {
        "That is (4) itself, with the correction alone as the target.": (1 - _rho) * _y + _rho * _ubar,
        "That is gradient descent with its own rate. The exact step divides it by 1 + eta*s.": _y + _eta * _s * _ubar,
        "The rate eta' acts on the weights. On the answer it is multiplied by s.": _y + _eta / (1 + _eta * _s) * _ubar,
        "The sign is wrong: ubar is the correction already.": _y - _rho * _ubar,
    }
    return explain(answer, _y + _rho * _ubar, mistakes, compare_expressions)


register(
    name=f"{CHAPTER}/aim",
    kind="derive",
    stars=2,
    minutes=10,
    checker=_check_aim,
    reference=_y + _rho * _ubar,
    also_right=(
        (1 - _rho) * _y + _rho * (_y + _ubar),
        "y + ubar*eta*s/(1 + eta*s)",
        _y + _ubar * (1 - 1 / (1 + _eta * _s)),
    ),
    wrong=(
        ((1 - _rho) * _y + _rho * _ubar, "(4) itself"),
        (_y + _eta * _s * _ubar, "divides it by"),
        (_y + _eta / (1 + _eta * _s) * _ubar, "multiplied by s"),
        (_y - _rho * _ubar, "sign"),
    ),
)


def _tensors(*arrays: np.ndarray) -> list:
    import torch

    return [torch.tensor(array) for array in arrays]


# 5. The small solve


def _small(W, X, U, rate):
    import torch

    system = torch.eye(len(X), dtype=X.dtype) + rate * X @ X.T
    return W - torch.linalg.solve(system, rate * (X @ W.T + U)).T @ X


def _large(W, X, U, rate):
    W, X, U = (np.asarray(part) for part in (W, X, U))
    return (W - rate * U.T @ X) @ np.linalg.inv(np.eye(X.shape[1]) + rate * X.T @ X)


def _in_turn(W, X, U, rate):
    for x, u in zip(X, U, strict=True):
        W = W - rate / (1 + rate * x @ x) * (W @ x + u)[:, None] * x
    return W


def _explicit(W, X, U, rate):
    return W - rate * (X @ W.T + U).T @ X


def _no_wiping(W, X, U, rate):
    return _small(W, X, U - X @ W.T, rate)


def _wrong_sign(W, X, U, rate):
    return _small(W, X, -U, rate)


def _check_small(function: Callable) -> str | None:
    for seed, (samples, inputs, outputs) in enumerate([(3, 5, 2), (4, 40, 3), (1, 4, 4), (6, 3, 2)]):
        random = np.random.default_rng(seed)
        shapes = (outputs, inputs), (samples, inputs), (samples, outputs)
        tensors, rate = _tensors(*(random.normal(size=shape) for shape in shapes)), 0.4
        answer = call(function, *(tensor.clone() for tensor in tensors), rate)
        mistakes = {
            "These are the samples in turn. In a batch all of them are settled together.": _in_turn,
            "That is one explicit step with no solve. It overshoots for long inputs.": _explicit,
            "The old answers are missing: nothing is wiped.": _no_wiping,
            "The sign of the surprises is wrong: the correction is minus the surprise.": _wrong_sign,
        }
        results = {message: make(*tensors, rate) for message, make in mistakes.items()}
        complaint = explain(answer, _small(*tensors, rate), results)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/small-solve",
    kind="build",
    stars=2,
    minutes=12,
    checker=_check_small,
    reference=_small,
    also_right=(_large,),
    wrong=(
        (_in_turn, "in turn"),
        (_explicit, "explicit step"),
        (_no_wiping, "nothing is wiped"),
        (_wrong_sign, "sign of the surprises"),
        (lambda W, X, U, rate: _small(W, X, U, rate).T, "transposed"),
    ),
)

# 6. Aim at the answer


def _to_target(W, x, target, rate):
    return W - rate / (1 + rate * x @ x) * (W @ x - target)[:, None] * x


def _to_target_by_solving(W, x, target, rate):
    W, x, target = (np.asarray(part) for part in (W, x, target))
    return (W + rate * np.outer(target, x)) @ np.linalg.inv(np.eye(len(x)) + rate * np.outer(x, x))


def _to_half(W, x, target, rate):
    return W - rate / (1 + rate * x @ x) * (2 * (W @ x) - target)[:, None] * x


def _to_target_printed(W, x, target, rate):
    return W - rate / (1 + rate) * (W @ x - target)[:, None] * x


def _to_target_explicit(W, x, target, rate):
    return W - rate * (W @ x - target)[:, None] * x


def _to_target_climbs(W, x, target, rate):
    return W + rate / (1 + rate * x @ x) * (W @ x - target)[:, None] * x


def _check_to_target(function: Callable) -> str | None:
    for seed, (inputs, outputs) in enumerate([(4, 3), (2, 5), (3, 3)]):
        random = np.random.default_rng(10 + seed)
        shapes = (outputs, inputs), (inputs,), (outputs,)
        tensors, rate = _tensors(*(random.normal(size=shape) for shape in shapes)), 0.8
        answer = call(function, *(tensor.clone() for tensor in tensors), rate)
        mistakes = {
            "That is DGD: told again and again, it ends at half of the target.": _to_half,
            "The rate is the printed one, right for inputs of length one alone.": _to_target_printed,
            "That is the gradient step. The exact one divides its rate by 1 + rate * x @ x.": _to_target_explicit,
            "The sign is wrong: the answer moves away from the target.": _to_target_climbs,
        }
        results = {message: make(*tensors, rate) for message, make in mistakes.items()}
        complaint = explain(answer, _to_target(*tensors, rate), results)
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/to-target",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_to_target,
    reference=_to_target,
    also_right=(_to_target_by_solving,),
    wrong=(
        (_to_half, "half of the target"),
        (_to_target_printed, "printed one"),
        (_to_target_explicit, "gradient step"),
        (_to_target_climbs, "sign"),
        (lambda *given: _to_target(*given).T, "transposed"),
    ),
)

# 7. Sure enough

CLASSES, WANTED = 10, 0.9
ENOUGH = log((CLASSES - 1) * WANTED / (1 - WANTED)) * (CLASSES - 1) / (CLASSES * (1 - WANTED))


def _check_sure(answer: Any) -> str | None:
    try:
        weight = float(answer)
    except (TypeError, ValueError):
        return f"Expected one number, got {type(answer).__name__}."
    if not weight > 0 or not np.isfinite(weight):
        return "A weight of the loss is a positive number."
    if weight < ENOUGH * (1 - 1e-3):
        return "With this weight the layer is less sure than nine in ten. Make the loss louder."
    if weight > ENOUGH * 1.05:
        return "Sure enough, but not the smallest weight: more than five per cent above it."
    return None


register(
    name=f"{CHAPTER}/sure-enough",
    kind="explore",
    stars=2,
    minutes=10,
    checker=_check_sure,
    reference=40,
    also_right=(ENOUGH, 41.0, "40"),
    wrong=((10, "less sure"), (64, "not the smallest"), (-1, "positive"), ("loud", "one number")),
)
