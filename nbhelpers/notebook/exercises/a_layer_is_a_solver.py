"""Exercises of the chapter *A layer is a solver*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, explain
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "a-layer-is-a-solver"


def _tensors(*arrays: np.ndarray) -> list:
    import torch

    return [torch.tensor(array) for array in arrays]


def _problem(seed: int, steps: int = 5, inputs: int = 4, outputs: int = 3) -> tuple[np.ndarray, ...]:
    """Return a start (outputs, inputs), stored inputs (steps, inputs) and surprises (steps, outputs)."""
    random = np.random.default_rng(seed)
    return (
        random.normal(size=(outputs, inputs)),
        random.normal(size=(steps, inputs)),
        random.normal(size=(steps, outputs)),
    )


# 1. One rate

register(
    name=f"{CHAPTER}/one-rate",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "(2) is solved anew at each step, so it can take each step's own rate: it still agrees with (1).",
            "c": "(3) has one rate for gradients that were taken at several rates; the page shows the gap.",
        },
    ),
    reference="b",
    also_right=("B", " b "),
    wrong=(("a", "each step's own rate"), ("c", "one rate"), ("both", "one letter")),
)

# 2. A stranger

register(
    name=f"{CHAPTER}/stranger",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "Every card is silent, but (7) has a first term too.",
            "c": "Each surprise is multiplied by its similarity, and every similarity is zero.",
        },
    ),
    reference="b",
    also_right=("B",),
    wrong=(("a", "first term"), ("c", "every similarity is zero")),
)

# 3. Yes or no

_y, _t = sp.symbols("y t")
_sigma = 1 / (1 + sp.exp(-_y))


def _check_yes_or_no(answer: Any) -> str | None:
    complaint = compare_expressions(answer, _sigma - _t)
    if complaint is None:
        return None
    if compare_expressions(answer, _y - _t) is None:
        return "That is the surprise of squared error in y. What is said here is not y but its sigmoid."
    if compare_expressions(answer, _sigma * (1 - _sigma) * (_sigma - _t)) is None:
        return "The slope of the sigmoid cancels: that is the derivative of squared error after a sigmoid."
    return complaint


register(
    name=f"{CHAPTER}/yes-or-no",
    kind="derive",
    stars=2,
    minutes=8,
    checker=_check_yes_or_no,
    reference=_sigma - _t,
    also_right=(sp.exp(_y) / (1 + sp.exp(_y)) - _t, -_t * (1 - _sigma) + (1 - _t) * _sigma, "1/(1 + exp(-y)) - t"),
    wrong=(
        (_t - _sigma, "sign"),
        (_y - _t, "not y but its sigmoid"),
        (_sigma * (1 - _sigma) * (_sigma - _t), "slope of the sigmoid cancels"),
        (sp.Symbol("p") - _t, "uses p"),
    ),
)

# 4. Two leashes

_w, _x, _u, _eta, _lam = sp.symbols("w_t x u eta lam")
_minimum = (_w - _eta * _x * _u) / (1 + _eta * _lam)


def _check_two_leashes(answer: Any) -> str | None:
    complaint = compare_expressions(answer, _minimum)
    if complaint is None:
        return None
    mistakes = {
        "That is the usual step with weight decay. It agrees with the minimum to first order in eta only.": (
            (1 - _eta * _lam) * _w - _eta * _x * _u
        ),
        "The sign of the write is wrong: the minimum lies against the surprise.": (
            (_w + _eta * _x * _u) / (1 + _eta * _lam)
        ),
        "The old weight is divided by 1 + eta*lam; so is the write.": _w / (1 + _eta * _lam) - _eta * _x * _u,
    }
    for message, expression in mistakes.items():
        if compare_expressions(answer, expression) is None:
            return message
    return complaint


register(
    name=f"{CHAPTER}/two-leashes",
    kind="derive",
    stars=2,
    minutes=12,
    checker=_check_two_leashes,
    reference=_minimum,
    also_right=((_w / _eta - _x * _u) / (1 / _eta + _lam), "(w_t - eta*x*u)/(1 + eta*lam)"),
    wrong=(
        ((1 - _eta * _lam) * _w - _eta * _x * _u, "first order"),
        ((_w + _eta * _x * _u) / (1 + _eta * _lam), "sign of the write"),
        (_w / (1 + _eta * _lam) - _eta * _x * _u, "so is the write"),
    ),
)

# 5. Without the matrix


def _recall(query, start, inputs, surprises, rate):
    return start @ query - rate * surprises.T @ (inputs @ query)


def _recall_in_a_loop(query, start, inputs, surprises, rate):
    answer = start @ query
    for x, u in zip(inputs, surprises, strict=True):
        answer = answer - rate * u * (x @ query)
    return answer


def _recall_with_numpy(query, start, inputs, surprises, rate):
    query, start, inputs, surprises = (np.asarray(part) for part in (query, start, inputs, surprises))
    return np.einsum("oi,i->o", start, query) - rate * np.einsum("so,si,i->o", surprises, inputs, query)


def _recall_wrong_sign(query, start, inputs, surprises, rate):
    return start @ query + rate * surprises.T @ (inputs @ query)


def _recall_no_start(query, start, inputs, surprises, rate):
    return -rate * surprises.T @ (inputs @ query)


def _recall_softmax(query, start, inputs, surprises, rate):
    return start @ query - rate * surprises.T @ (inputs @ query).softmax(0)


def _recall_mean(query, start, inputs, surprises, rate):
    return start @ query - rate * surprises.T @ (inputs @ query) / len(inputs)


def _check_recall(function: Callable) -> str | None:
    for seed, (steps, inputs, outputs) in enumerate([(5, 4, 3), (3, 6, 2), (7, 2, 5)]):
        start, keys, surprises = _problem(seed, steps, inputs, outputs)
        query, rate = np.random.default_rng(100 + seed).normal(size=inputs), 0.3
        answer = call(function, *_tensors(query, start, keys, surprises), rate)
        similarity = keys @ query
        weights = np.exp(similarity - similarity.max())
        step = surprises.T @ similarity
        complaint = explain(
            answer,
            start @ query - rate * step,
            {
                "The sign is wrong: each card speaks against its surprise.": start @ query + rate * step,
                "The initial weights are missing; they answer too.": -rate * step,
                "The learning rate is missing.": start @ query - step,
                "The cards are added, not averaged.": start @ query - rate * step / steps,
                "The similarities are used as they are. With a softmax it would be attention, not this layer.": (
                    start @ query - rate * surprises.T @ (weights / weights.sum())
                ),
            },
        )
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/recall",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_recall,
    reference=_recall,
    also_right=(_recall_in_a_loop, _recall_with_numpy),
    wrong=(
        (_recall_wrong_sign, "sign"),
        (_recall_no_start, "initial weights are missing"),
        (_recall_softmax, "softmax"),
        (_recall_mean, "not averaged"),
    ),
)

# 6. Fading cards


def _fading(start, inputs, surprises, rate, decay):
    import torch

    keep, steps = 1 - rate * decay, len(inputs)
    factors = keep ** torch.arange(steps - 1, -1, -1, dtype=inputs.dtype)
    return keep**steps * start - rate * (factors[:, None] * surprises).T @ inputs


def _fading_in_a_loop(start, inputs, surprises, rate, decay):
    keep, steps = 1 - rate * decay, len(inputs)
    total = keep**steps * start
    for s in range(steps):
        total = total - rate * keep ** (steps - 1 - s) * surprises[s][:, None] * inputs[s][None, :]
    return total


def _fading_wrong(*, reverse=False, start_stays=False, newest_fades=False, sign=-1, transpose=False):
    def wrong(start, inputs, surprises, rate, decay):
        import torch

        keep, steps = 1 - rate * decay, len(inputs)
        powers = torch.arange(steps - 1, -1, -1, dtype=inputs.dtype) + newest_fades
        factors = keep ** (powers.flip(0) if reverse else powers)
        written = (factors[:, None] * surprises).T @ inputs
        total = (start if start_stays else keep**steps * start) + sign * rate * written
        return total.T if transpose else total

    return wrong


def _check_fading(function: Callable) -> str | None:
    for seed, (steps, inputs, outputs, decay) in enumerate([(5, 4, 3, 0.0), (6, 4, 3, 0.4), (3, 2, 5, 1.1)]):
        start, keys, surprises = _problem(10 + seed, steps, inputs, outputs)
        rate = 0.3
        tensors = _tensors(start, keys, surprises)
        answer = call(function, *tensors, rate, decay)
        complaint = explain(
            answer,
            _fading(*tensors, rate, decay),
            {
                message: _fading_wrong(**mistake)(*tensors, rate, decay)
                for message, mistake in {
                    "The sign is wrong: a card is written against its surprise.": {"sign": 1},
                    "The factors run the wrong way: the newest card has faded least.": {"reverse": True},
                    "The start fades too, once at every step.": {"start_stays": True},
                    "Each card has faded once too often: a step shrinks the old matrix, then writes.": {
                        "newest_fades": True
                    },
                }.items()
            },
        )
        if complaint:
            return complaint
    return None


register(
    name=f"{CHAPTER}/fading",
    kind="build",
    stars=3,
    minutes=15,
    checker=_check_fading,
    reference=_fading,
    also_right=(_fading_in_a_loop,),
    wrong=(
        (_fading_wrong(transpose=True), "transposed"),
        (_fading_wrong(sign=1), "sign"),
        (_fading_wrong(reverse=True), "wrong way"),
        (_fading_wrong(start_stays=True), "start fades too"),
        (_fading_wrong(newest_fades=True), "once too often"),
    ),
)

# 7. A layer on a stream


def _stream(start, inputs, targets, rate):
    import torch

    W, answers = start, []
    for x, target in zip(inputs, targets, strict=True):
        answers.append(W @ x)
        W = W - rate * torch.outer(answers[-1] - target, x)
    return torch.stack(answers), W


def _stream_in_place(start, inputs, targets, rate):
    W, answers = start.clone(), targets.clone()
    for s in range(len(inputs)):
        answers[s] = W @ inputs[s]
        W -= rate * (answers[s] - targets[s])[:, None] * inputs[s]
    return answers, W


def _stream_write_first(start, inputs, targets, rate):
    import torch

    W, answers = start, []
    for x, target in zip(inputs, targets, strict=True):
        W = W - rate * torch.outer(W @ x - target, x)
        answers.append(W @ x)
    return torch.stack(answers), W


def _stream_frozen(start, inputs, targets, rate):
    answers = inputs @ start.T
    return answers, start - rate * (answers - targets).T @ inputs


def _stream_sign(start, inputs, targets, rate):
    import torch

    W, answers = start, []
    for x, target in zip(inputs, targets, strict=True):
        answers.append(W @ x)
        W = W + rate * torch.outer(answers[-1] - target, x)
    return torch.stack(answers), W


def _stream_factor_two(start, inputs, targets, rate):
    return _stream(start, inputs, targets, 2 * rate)


def _stream_transposed(start, inputs, targets, rate):
    answers, W = _stream(start, inputs, targets, rate)
    return answers, W.T


def _check_stream(function: Callable) -> str | None:
    for seed, (steps, inputs, outputs) in enumerate([(4, 3, 2), (6, 2, 5)]):
        tensors, rate = _tensors(*_problem(20 + seed, steps, inputs, outputs)), 0.2
        found = call(function, *(tensor.clone() for tensor in tensors), rate)
        if not isinstance(found, tuple) or len(found) != 2:
            return "Return two things: all answers, one row a step, and the last matrix."
        right = _stream(*tensors, rate)
        mistakes = {
            "The answers are read after the write. Answer first, then learn.": _stream_write_first,
            "The surprises are taken at the first weights. Take each at the newest ones.": _stream_frozen,
            "The sign is wrong: the layer climbs.": _stream_sign,
            "The surprise is twice too large: (4) is the derivative of half of the squared error.": _stream_factor_two,
        }
        for part, name in enumerate(("answers", "last matrix")):
            wrong = {message: make(*tensors, rate)[part] for message, make in mistakes.items()}
            complaint = explain(found[part], right[part], wrong)
            if complaint:
                return complaint if complaint in wrong else f"The {name}: {complaint}"
    return None


register(
    name=f"{CHAPTER}/stream",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_stream,
    reference=_stream,
    also_right=(_stream_in_place,),
    wrong=(
        (_stream_write_first, "after the write"),
        (_stream_frozen, "first weights"),
        (_stream_sign, "sign"),
        (_stream_factor_two, "twice too large"),
        (_stream_transposed, "transposed"),
        (lambda start, *_: start, "two things"),
    ),
)

# 8. Too far


def _check_too_far(answer: Any) -> str | None:
    try:
        rate = float(answer)
    except (TypeError, ValueError):
        return f"Expected one number, got {type(answer).__name__}."
    if not rate > 0 or not np.isfinite(rate):
        return "A rate is a positive number."
    x, target = np.array([1.0, 2.0]), 3.0
    before, after = (((1 - r * x @ x) * -target) ** 2 / 2 for r in (0.0, rate))
    if after > before * (1 + 1e-12):
        return None
    return f"At this rate the loss goes from {before:.3g} to {after:.3g}: not up. Go further."


register(
    name=f"{CHAPTER}/too-far",
    kind="explore",
    stars=2,
    minutes=10,
    checker=_check_too_far,
    reference=0.5,
    also_right=(0.41, 3, sp.Rational(1, 2), np.float64(0.7)),
    wrong=((0.3, "not up"), (0.4, "not up"), (-1.0, "positive"), ("often", "one number")),
)
