"""Exercises of the chapter *A memory trained while it reads*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp

from nbhelpers.notebook.exercises.compare import (
    compare_choice,
    compare_expressions,
    compare_numbers,
    explain,
    normal,
)
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "a-memory-trained-while-it-reads"


# 1. Whose surprise?

register(
    name=f"{CHAPTER}/surprise",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "Those bits are the loss of the whole model. A memory has a loss of its own.",
            "c": "The slow weights do not change while the model reads.",
        },
    ),
    reference="b",
    also_right=("B", " b "),
    wrong=(("a", "whole model"), ("c", "do not change"), ("gradient", "one letter")),
)

# 2. The true stranger

register(
    name=f"{CHAPTER}/true-stranger",
    kind="recall",
    stars=1,
    minutes=3,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "The memory has a loss of its own and never sees the model's bits; they rank both kinds near chance.",
            "c": "It has never read that chapter: it is empty when a page begins.",
        },
    ),
    reference="b",
    also_right=("B",),
    wrong=(("a", "loss of its own"), ("c", "empty")),
)

# 3. All that a write counts

_alpha, _mu = sp.symbols("alpha mu", positive=True)
_total = 1 / ((1 - _alpha) * (1 - _mu))

register(
    name=f"{CHAPTER}/total-weight",
    kind="derive",
    stars=2,
    minutes=6,
    checker=lambda answer: explain(
        answer,
        _total,
        {
            "That is what the memory keeps of a write without momentum.": 1 / (1 - _alpha),
            "That is what the momentum hands over; the memory keeps each part for a while.": 1 / (1 - _mu),
            "You have added the two series. Each part that is handed over is kept in full: they multiply.": (
                1 / (1 - _alpha) + 1 / (1 - _mu)
            ),
            "A write may wait j tokens and fade for n - j; yours waits and fades equally long.": (
                1 / (1 - _alpha * _mu)
            ),
        },
        compare_expressions,
    ),
    reference=_total,
    also_right=((_alpha / (1 - _alpha) - _mu / (1 - _mu)) / (_alpha - _mu), "1/((1-alpha)*(1-mu))"),
    wrong=(
        (1 / (1 - _alpha), "without momentum"),
        (1 / (1 - _mu), "hands over"),
        (1 / (1 - _alpha) + 1 / (1 - _mu), "multiply"),
        (1 / (1 - _alpha * _mu), "equally long"),
    ),
)

# 4. The largest rate

_c = sp.symbols("c", positive=True)

register(
    name=f"{CHAPTER}/largest-rate",
    kind="derive",
    stars=2,
    minutes=5,
    checker=lambda answer: explain(
        answer,
        2 / _c,
        {
            "There the error is zero after one chunk. Above, the factor is negative, but not yet longer than one.": (
                1 / _c
            ),
            "That is the bound for exact steps, whatever the chunk.": 2,
            "The rate has to fall as the chunk grows.": 2 * _c,
        },
        compare_expressions,
    ),
    reference=2 / _c,
    also_right=("2/c", 2 * _c**-1),
    wrong=((1 / _c, "after one chunk"), (2, "exact steps"), (2 * _c, "fall")),
)

# 5. Without the shortcut


def _relu_slopes(W1, W2, k, v):
    import torch

    h = W2 @ k
    error = W1 @ h.clamp_min(0) - v
    return torch.outer(error, h.clamp_min(0)), torch.outer((h > 0) * (W1.T @ error), k)


def _relu_by_autograd(W1, W2, k, v):
    import torch

    W1, W2 = (W.detach().clone().requires_grad_() for W in (W1, W2))
    return torch.autograd.grad(0.5 * (W1 @ (W2 @ k).relu() - v).square().sum(), (W1, W2))


def _relu_wrong(kind: str) -> Callable:
    def wrong(W1, W2, k, v):
        import torch

        h = W2 @ k
        heard = W1 @ h.clamp_min(0)
        error = {"sign": v - heard, "shortcut": k + heard - v}.get(kind, heard - v)
        bend = 1 if kind == "straight" else (h > 0) * 1.0
        scale = 2 if kind == "half" else 1
        return torch.outer(error, h.clamp_min(0)) * scale, torch.outer(bend * (W1.T @ error), k) * scale

    return wrong


_RELU_MISTAKES = {
    "The shortcut is still there: f(z) no longer adds z.": "shortcut",
    "The derivative of relu is missing in the gradient of W2.": "straight",
    "The sign is wrong: the error is what f says minus what it should say.": "sign",
    "Twice the gradient: the loss has a half.": "half",
}


def _flat(pair: Any) -> Any:
    import torch

    return torch.cat([torch.as_tensor(part).detach().flatten() for part in pair])


def _check_relu(function: Callable) -> str | None:
    for seed, (width, hidden) in enumerate([(3, 5), (4, 2)]):
        given = normal(seed, width, hidden), normal(10 + seed, hidden, width), *normal(20 + seed, 2, width)
        answer = call(function, *given)
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            return "Return two gradients, as a tuple: that of W1, then that of W2."
        for part, W, name in zip(answer, given[:2], ("W1", "W2"), strict=True):
            if getattr(part, "shape", None) != W.shape:
                found = tuple(getattr(part, "shape", ()))
                return f"The gradient of {name} is {found}; it has the shape of {name}, {tuple(W.shape)}."
        mistakes = {message: _flat(_relu_wrong(kind)(*given)) for message, kind in _RELU_MISTAKES.items()}
        if complaint := explain(_flat(answer), _flat(_relu_slopes(*given)), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/relu-slopes",
    kind="build",
    stars=2,
    minutes=10,
    checker=_check_relu,
    reference=_relu_slopes,
    also_right=(_relu_by_autograd,),
    wrong=(
        (_relu_wrong("shortcut"), "shortcut"),
        (_relu_wrong("straight"), "derivative of relu"),
        (_relu_wrong("sign"), "sign"),
        (_relu_wrong("half"), "half"),
        (lambda W1, W2, k, v: _relu_slopes(W1, W2, k, v)[0], "two gradients"),
        (lambda W1, W2, k, v: _relu_slopes(W1, W2, k, v)[::-1], "shape of W1"),
    ),
)

# 6. The matrix in chunks


def _in_chunks(queries, keys, values, rate, keep, decay, chunk_size, late: bool = False, kind: str = ""):
    import torch

    M = torch.zeros(values.shape[1], keys.shape[1], dtype=values.dtype)
    S, answers = torch.zeros_like(M), []
    for t, (q, k, v) in enumerate(zip(queries, keys, values, strict=True)):
        if t % chunk_size == 0 or kind == "exact":
            start = M
        if kind == "faded" and t % chunk_size == 0:
            start = keep[t] * M
        before = M
        S = decay[t] * S - rate[t] * torch.outer(start @ k - v, k)
        M = keep[t] * (start if kind == "restart" else M) + S
        answers.append({"late": before, "start": start}.get(kind, M) @ q)
    return torch.stack(answers)


def _in_chunks_engine(queries, keys, values, rate, keep, decay, chunk_size):
    from nbhelpers import ops

    given = [x[None, None] for x in (queries, keys, values, rate, keep, decay)]
    return ops.titans(*given, chunk_size=chunk_size)[0][0, 0]


_CHUNK_MISTAKES = {
    "The error is taken at the live memory; in a chunk all errors are taken at its start.": "exact",
    "You read before the write.": "late",
    "You read from the start of the chunk; answers come from the live memory.": "start",
    "The memory falls back to the start of the chunk at every token; only the gradient is taken there.": "restart",
    "The error is taken at a memory that has faded already.": "faded",
}


def _wrong_chunks(kind: str) -> Callable:
    return lambda *given: _in_chunks(*given, kind=kind)


def _check_chunks(function: Callable) -> str | None:
    for seed, (length, size) in enumerate([(7, 3), (9, 4)]):
        queries, keys, values = (normal(10 * i + seed, length, width) for i, width in enumerate((3, 3, 2)))
        rate, keep, decay = normal(40 + seed, 3, length).sigmoid()
        given = queries, keys, values, rate, keep, decay, size
        mistakes = {message: _in_chunks(*given, kind=kind) for message, kind in _CHUNK_MISTAKES.items()}
        if complaint := explain(call(function, *given), _in_chunks(*given), mistakes):
            return complaint
    return None


register(
    name=f"{CHAPTER}/in-chunks",
    kind="build",
    stars=1,
    minutes=6,
    checker=_check_chunks,
    reference=_in_chunks,
    also_right=(_in_chunks_engine,),
    wrong=(
        (_wrong_chunks("exact"), "live memory; in a chunk"),
        (_wrong_chunks("late"), "before the write"),
        (_wrong_chunks("start"), "come from the live memory"),
        (_wrong_chunks("restart"), "falls back"),
        (_wrong_chunks("faded"), "faded already"),
    ),
)

# 7. The best rate for a second reading

BEST_RATE = 0.4


def _check_best(answer: Any) -> str | None:
    complaint = compare_numbers(answer, BEST_RATE)
    if complaint is None or not isinstance(answer, int | float):
        return complaint
    if not 0.1 <= answer <= 1:
        return "Give one of the rates 0.1, 0.2, ... 1.0."
    if answer < BEST_RATE:
        return "A larger rate leaves a smaller surprise."
    return "A smaller rate leaves a smaller surprise."


register(
    name=f"{CHAPTER}/best-rate",
    kind="explore",
    stars=2,
    minutes=8,
    checker=_check_best,
    reference=BEST_RATE,
    also_right=(BEST_RATE + 1e-12,),
    wrong=((BEST_RATE - 0.2, "larger rate"), (BEST_RATE + 0.3, "smaller rate"), (3, "one of the rates")),
)
