"""Exercises of the chapter *Associative memory*: checkers, reference answers, typical wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from nbhelpers.notebook.exercises.compare import compare_choice, compare_expressions, compare_numbers, explain, normal
from nbhelpers.notebook.exercises.registry import call, register

CHAPTER = "associative-memory"


def _complain(cases: list[tuple[Any, Any, dict[str, Any]]]) -> str | None:
    """Compare numbers in cases of (answer, expected, what each mistake gives); name a mistake that fits them all."""
    complaints = [compare_numbers(answer, expected) for answer, expected, _ in cases]
    if not any(complaints):
        return None
    for message in cases[0][2]:
        if all(compare_numbers(answer, mistakes[message]) is None for answer, _, mistakes in cases):
            return message
    return next(filter(None, complaints))


# 1. The drawer

register(
    name=f"{CHAPTER}/drawer",
    kind="recall",
    stars=1,
    minutes=2,
    checker=lambda answer: compare_choice(
        answer,
        "c",
        {
            "a": "The Hebbian matrix has the same size after one pair and after a thousand; only its ink grows.",
            "b": "A retention changes what is in the matrix, not its size.",
        },
    ),
    reference="c",
    also_right=("C", " c "),
    wrong=(("a", "same size"), ("b", "not its size"), ("attention", "one letter")),
)

# 2. Told three times

register(
    name=f"{CHAPTER}/three-times",
    kind="recall",
    stars=1,
    minutes=3,
    checker=lambda answer: compare_choice(
        answer,
        "b",
        {
            "a": "The Hebbian rule does not look at what is there: it presses the stamp three times.",
            "c": "After the first write the error of the delta rule is zero, so nothing more is written.",
        },
    ),
    reference="b",
    also_right=("B",),
    wrong=(("a", "three times"), ("c", "nothing more is written")),
)

# 3. Two keys that overlap

_v1, _v2, _c, _d = sp.symbols("v_1 v_2 c d")

register(
    name=f"{CHAPTER}/overlap",
    kind="derive",
    stars=2,
    minutes=8,
    checker=lambda answer: explain(
        answer,
        (1 - _c**2) * _v1 + _c * _v2,
        {
            "That is the Hebbian answer. The second write of the delta rule is smaller, and it erases.": (
                _v1 + _c * _v2
            ),
            "That is the answer to the second key.": _v2,
            "The erase acts through the similarity twice: once in the error, once in the question.": (
                (1 - _c) * _v1 + _c * _v2
            ),
        },
        compare_expressions,
    ),
    reference=(1 - _c**2) * _v1 + _c * _v2,
    also_right=("v_1 + (v_2 - v_1*c)*c", _v1 - _c * (_c * _v1 - _v2)),
    wrong=(
        (_v1 + _c * _v2, "Hebbian"),
        (_v2, "second key"),
        ((1 - _c) * _v1 + _c * _v2, "twice"),
    ),
)

# 4. Shared ink

_size = 1 / (_c**2 + (1 - _c) ** 2 / _d)

register(
    name=f"{CHAPTER}/shared-ink",
    kind="derive",
    stars=2,
    minutes=12,
    checker=lambda answer: explain(
        answer,
        _size,
        {
            "That is the mean squared similarity; the effective size is one over it.": 1 / _size,
            "That is one over the squared mean. The mean of the squares is larger: the random part adds to it.": (
                1 / _c**2
            ),
            "The random part has the factor 1 - c in the similarity, so its square in the square.": (
                1 / (_c**2 + (1 - _c) / _d)
            ),
        },
        compare_expressions,
    ),
    reference=_size,
    also_right=(_d / (_d * _c**2 + (1 - _c) ** 2), "1/(c**2 + (1 - c)**2/d)"),
    wrong=(
        (1 / _size, "one over it"),
        (1 / _c**2, "squared mean"),
        (1 / (_c**2 + (1 - _c) / _d), "square in the square"),
        (_d, "differs"),
    ),
)

# 5. Nearest, not loudest


def _smooth(query, keys, values, sharpness):
    import torch

    distance = ((keys - query) ** 2).sum(1)
    return torch.softmax(-sharpness * distance / 2, 0) @ values


def _smooth_in_a_loop(query, keys, values, sharpness):
    distances = np.array([float(((key - query) ** 2).sum()) for key in keys])
    weights = np.exp(-sharpness * (distances - distances.min()) / 2)
    return sum(w * v for w, v in zip(weights, np.asarray(values), strict=True)) / weights.sum()


def _smooth_wrong(kind: str):
    def wrong(query, keys, values, sharpness):
        import torch

        distance = ((keys - query) ** 2).sum(1)
        scores = {
            "loud": sharpness * keys @ query,
            "root": -sharpness * distance.sqrt() / 2,
            "half": -sharpness * distance,
            "sign": sharpness * distance / 2,
        }
        if kind == "sum":
            return torch.exp(-sharpness * distance / 2) @ values
        if kind == "far":
            weights = torch.exp(-sharpness * distance / 2)
            return weights @ values / weights.sum()
        return torch.softmax(scores[kind], 0) @ values

    return wrong


_SMOOTH_MISTAKES = {
    "That is softmax attention on dot products: it favours long keys. Use the squared distance.": "loud",
    "The kernel has the squared distance, yours the distance.": "root",
    "The kernel has half of the squared distance.": "half",
    "The sign is wrong: near keys have to weigh more, not far ones.": "sign",
    "The weights do not add up to one; (7) divides by their sum.": "sum",
}


def _check_smooth(function: Callable) -> str | None:
    cases = []
    for seed, (pairs, width, sharpness, away) in enumerate([(5, 3, 1.0, 0.0), (7, 4, 0.5, 0.0), (4, 3, 2.0, 60.0)]):
        keys, values, query = normal(seed, pairs, width), normal(50 + seed, pairs, 2), normal(90 + seed, width)
        given = query + away, keys, values, sharpness
        mistakes = {message: _smooth_wrong(kind)(*given) for message, kind in _SMOOTH_MISTAKES.items()}
        cases.append((call(function, *given), _smooth(*given), mistakes))
    if _complain(cases[:2]) is None and "finite" in (_complain(cases) or ""):
        return "For a query far from all keys every weight becomes zero, and zero is divided by zero. Use softmax."
    return _complain(cases)


register(
    name=f"{CHAPTER}/smoother",
    kind="build",
    stars=2,
    minutes=8,
    checker=_check_smooth,
    reference=_smooth,
    also_right=(_smooth_in_a_loop,),
    wrong=(
        (_smooth_wrong("loud"), "favours long keys"),
        (_smooth_wrong("root"), "squared distance"),
        (_smooth_wrong("half"), "half of the squared distance"),
        (_smooth_wrong("sign"), "sign"),
        (_smooth_wrong("sum"), "divides by their sum"),
        (_smooth_wrong("far"), "divided by zero"),
    ),
)

# 6. Ridge, pair after pair


def _ridge_online(keys, values, weight):
    import torch

    P = torch.eye(keys.shape[1], dtype=keys.dtype) / weight
    M = torch.zeros(values.shape[1], keys.shape[1], dtype=keys.dtype)
    for k, v in zip(keys, values, strict=True):
        along = P @ k
        g = along / (1 + k @ along)
        M = M - torch.outer(M @ k - v, g)
        P = P - torch.outer(g, along)
    return M


def _ridge_at_once(keys, values, weight):
    import torch

    gram = keys.T @ keys + weight * torch.eye(keys.shape[1], dtype=keys.dtype)
    return torch.linalg.solve(gram, keys.T @ values).T


def _ridge_wrong(kind: str):
    def wrong(keys, values, weight):
        import torch

        P = torch.eye(keys.shape[1], dtype=keys.dtype) / weight
        if kind == "start":
            P = P * weight**2
        M = torch.zeros(values.shape[1], keys.shape[1], dtype=keys.dtype)
        for k, v in zip(keys, values, strict=True):
            along = P @ k
            g = along / (1 if kind == "undivided" else 1 + k @ along)
            if kind == "frozen":
                M = M - torch.outer(M @ k - v, g)
                continue
            M = M + (1 if kind == "sign" else -1) * torch.outer(M @ k - v, g)
            P = P - torch.outer(g, along)
        return M.T if kind == "transposed" else M

    return wrong


_RIDGE_MISTAKES = {
    "P never changes. Without its update this is a delta rule with a fixed rate.": "frozen",
    "P starts as I/weight, yours seems to start as weight times I.": "start",
    "g has to be divided by 1 + k·Pk.": "undivided",
    "The sign is wrong: the write goes against the error.": "sign",
}


def _check_ridge_online(function: Callable) -> str | None:
    cases = []
    for seed, (pairs, inputs, outputs, weight) in enumerate([(6, 4, 3, 0.5), (3, 5, 2, 2.0), (4, 3, 3, 0.8)]):
        keys, values = normal(seed, pairs, inputs), normal(70 + seed, pairs, outputs)
        mistakes = {message: _ridge_wrong(kind)(keys, values, weight) for message, kind in _RIDGE_MISTAKES.items()}
        answer = call(function, keys.clone(), values.clone(), weight)
        cases.append((answer, _ridge_at_once(keys, values, weight), mistakes))
    return _complain(cases)


register(
    name=f"{CHAPTER}/ridge-online",
    kind="build",
    stars=3,
    minutes=20,
    checker=_check_ridge_online,
    reference=_ridge_online,
    also_right=(_ridge_at_once,),
    wrong=(
        (_ridge_wrong("frozen"), "P never changes"),
        (_ridge_wrong("start"), "starts as I/weight"),
        (_ridge_wrong("undivided"), "divided by 1"),
        (_ridge_wrong("sign"), "sign"),
        (_ridge_wrong("transposed"), "transposed"),
    ),
)

# 7. The classical network


def settle(state, patterns, rounds):
    """The reference of exercise 7; exercise 8 uses it."""
    import torch

    M = patterns.T @ patterns / patterns.shape[1]
    M.fill_diagonal_(0)
    for _ in range(rounds):
        state = torch.where(M @ state >= 0, 1.0, -1.0).to(patterns.dtype)
    return state


def _settle_with_numpy(state, patterns, rounds):
    state, patterns = np.asarray(state, dtype=float), np.asarray(patterns, dtype=float)
    M = sum(np.outer(p, p) for p in patterns) / patterns.shape[1]
    M -= np.diag(np.diag(M))
    for _ in range(rounds):
        state = np.where(M @ state < 0, -1.0, 1.0)
    return state


def _settle_wrong(kind: str):
    def wrong(state, patterns, rounds):
        import torch

        M = patterns.T @ patterns / patterns.shape[1]
        if kind != "diagonal":
            M.fill_diagonal_(0)
        if kind == "minus":
            M = -M
        for _ in range(1 if kind == "once" else rounds):
            pull = M @ state
            signs = {
                "no sign": pull,
                "zero": torch.sign(pull),
                "strict": torch.where(pull > 0, 1.0, -1.0),
                "keeps": torch.where(pull == 0, state, torch.sign(pull)),
            }
            state = signs.get(kind, torch.where(pull >= 0, 1.0, -1.0)).to(patterns.dtype)
        return state

    return wrong


_SETTLE_MISTAKES = {
    "The diagonal of the matrix has to be zero.": "diagonal",
    "The state is not made of signs.": "no sign",
    "The sign of zero is +1 here; torch.sign gives 0.": "zero",
    "The sign of zero is +1 here; yours seems to be -1.": "strict",
    "The sign of zero is +1 here; yours keeps the old pixel.": "keeps",
    "That is one round; do all of them.": "once",
}


def _check_settle(function: Callable) -> str | None:
    import torch

    silent = torch.tensor([[1.0, 1, 1], [1, -1, -1]])  # the first pixel gets zero
    cases = [(silent, torch.tensor(state), 1) for state in ([-1.0, 1, 1], [1.0, 1, 1])]
    for seed, (count, pixels, rounds) in enumerate([(3, 20, 4), (9, 24, 3), (8, 30, 5)]):
        draws = np.random.default_rng(200 + seed)
        patterns, state = (torch.tensor(draws.choice([-1.0, 1.0], shape)) for shape in ((count, pixels), pixels))
        cases.append((patterns, state, rounds))
    compared = []
    for patterns, state, rounds in cases:
        mistakes = {message: _settle_wrong(kind)(state, patterns, rounds) for message, kind in _SETTLE_MISTAKES.items()}
        answer = call(function, state.clone(), patterns.clone(), rounds)
        compared.append((answer, settle(state, patterns, rounds), mistakes))
    return _complain(compared)


register(
    name=f"{CHAPTER}/settle",
    kind="build",
    stars=2,
    minutes=12,
    checker=_check_settle,
    reference=settle,
    also_right=(_settle_with_numpy,),
    wrong=(
        (_settle_wrong("diagonal"), "diagonal"),
        (_settle_wrong("no sign"), "signs"),
        (_settle_wrong("zero"), "sign of zero"),
        (_settle_wrong("once"), "all of them"),
        (_settle_wrong("strict"), "to be -1"),
        (_settle_wrong("keeps"), "keeps the old pixel"),
        (_settle_wrong("minus"), "value at"),
        (lambda state, patterns, rounds: settle(state, patterns[:1], rounds), "value at"),
    ),
)

# 8. How many patterns?


def _check_how_many(answer: Any) -> str | None:
    try:
        count = float(answer)
    except (TypeError, ValueError):
        return f"Expected one number, got {type(answer).__name__}."
    if count != round(count) or count < 1:
        return "A number of patterns is a whole number, one or more."
    if count < 27:  # means of five seeds lie between
        return "At that number the share is still above 97 %: go further."
    if count > 34:
        return "At that number the share is below 97 %: too many."
    return None


register(
    name=f"{CHAPTER}/how-many",
    kind="explore",
    stars=2,
    minutes=15,
    checker=_check_how_many,
    reference=30,
    also_right=(28, 32.0, np.int64(31)),
    wrong=((12, "go further"), (60, "too many"), (27.6, "whole number"), ("many", "one number")),
)
