"""Comparisons that name the mistake: shape, sign, scale, transposition, order. For use in checkers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def compare_numbers(answer: Any, expected: Any, *, rtol: float = 1e-6, atol: float = 1e-9) -> str | None:
    """Return None where two numbers or arrays agree, else one sentence that names the difference.

    Parameters
    ----------
    answer, expected: numbers, nested lists, NumPy arrays or tensors.
    """
    try:
        answer = _array(answer)
    except (TypeError, ValueError):
        return f"Expected numbers, got {type(answer).__name__}."
    expected = _array(expected)
    if answer.shape != expected.shape:
        if answer.ndim == 2 and answer.T.shape == expected.shape:
            close = np.allclose(answer.T, expected, rtol=rtol, atol=atol)
            return f"The result is transposed: shape {answer.shape}, expected {expected.shape}" + (
                "." if close else ", and the values differ too."
            )
        return f"The shape is {answer.shape}, expected {expected.shape}."
    if not np.all(np.isfinite(answer)):
        return "The result holds numbers that are not finite."
    if np.allclose(answer, expected, rtol=rtol, atol=atol):
        return None
    if np.allclose(-answer, expected, rtol=rtol, atol=atol):
        return "The sign is wrong."
    if (
        answer.ndim == 2
        and answer.shape[0] == answer.shape[1]
        and np.allclose(answer.T, expected, rtol=rtol, atol=atol)
    ):
        return "The result is transposed."
    used = np.abs(expected) > atol
    if used.any():
        ratio = answer[used] / expected[used]
        if (
            np.allclose(ratio, ratio.flat[0], rtol=1e-6)
            and abs(ratio.flat[0]) > atol
            and _zeros_agree(answer, used, atol)
        ):
            return f"The scale is wrong: your result is {ratio.flat[0]:.4g} times the right one."
    place = np.unravel_index(np.argmax(np.abs(answer - expected)), answer.shape)
    at = f" at {[int(i) for i in place]}" if place else ""
    return f"The value{at} is {answer[place]:.5g}, expected {expected[place]:.5g}."


def compare_expressions(answer: Any, expected: Any) -> str | None:
    """Return None where two SymPy expressions or matrices are equal, else one sentence that names the difference.

    Symbols are compared by name, so a reader's own symbols need not carry the page's assumptions.
    """
    import sympy

    try:
        answer = sympy.sympify(answer)
    except (sympy.SympifyError, TypeError, AttributeError):
        return f"Expected a SymPy expression, got {type(answer).__name__}."
    if isinstance(answer, list | sympy.Tuple | sympy.Set | sympy.Dict):  # such as what sympy.solve returns
        return f"Expected one SymPy expression, got several in a {type(answer).__name__}; take yours out, as with [0]."
    expected = sympy.sympify(expected)
    names = {symbol.name: symbol for symbol in expected.free_symbols}
    unknown = sorted(s.name for s in answer.free_symbols if s.name not in names)
    if unknown:
        return f"Your expression uses {', '.join(unknown)}; write it in {', '.join(sorted(names))}."
    answer = answer.subs({symbol: names[symbol.name] for symbol in answer.free_symbols})
    shape, wanted = getattr(answer, "shape", ()), getattr(expected, "shape", ())
    if shape != wanted:
        if len(shape) == 2 and shape[::-1] == wanted:
            return f"The result is transposed: shape {shape}, expected {wanted}."
        return f"The shape is {shape or 'a scalar'}, expected {wanted or 'a scalar'}."
    if _vanishes(answer - expected):
        return None
    if _vanishes(answer + expected):
        return "The sign is wrong."
    if not shape:
        ratio = sympy.simplify(answer / expected)
        if ratio.is_number:
            return f"The scale is wrong: your result is {ratio} times the right one."
    elif shape[0] == shape[1] and _vanishes(answer.T - expected):
        return "The result is transposed."
    return "The expression differs from the right one; try it at a value that you can work out by hand."


def compare_choice(answer: Any, right: str, why_not: dict[str, str]) -> str | None:
    """Return None for the right choice (a letter, any case), else the reason why the chosen one is wrong."""
    choice = str(answer).strip().lower()
    if choice == right:
        return None
    if choice not in why_not:
        return f'Answer with one letter of {", ".join(sorted([right, *why_not]))}; got "{answer}".'
    return why_not[choice]


def explain(answer: Any, right: Any, mistakes: dict[str, Any], compare: Callable = compare_numbers) -> str | None:
    """Compare an answer; where it differs, look for the mistake that gives exactly this answer.

    Parameters
    ----------
    answer, right: what ``compare`` takes.
    mistakes: message for the reader → the result that this mistake leads to.
    compare: returns None where two results agree, else a sentence; default :func:`compare_numbers`.
    """
    complaint = compare(answer, right)
    if complaint is None:
        return None
    return next((message for message, result in mistakes.items() if compare(answer, result) is None), complaint)


def normal(seed: int, *shape: int) -> Any:
    """A float64 tensor of standard normal numbers for a checker's case, the same on every machine."""
    import torch

    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def _vanishes(expression: Any) -> bool:
    import sympy

    if hasattr(expression, "shape"):
        return all(sympy.simplify(entry) == 0 for entry in sympy.Matrix(expression))
    return sympy.simplify(expression) == 0 or sympy.simplify(expression.rewrite(sympy.Pow)) == 0  # e^(n log x) is x^n


def _zeros_agree(answer: np.ndarray, used: np.ndarray, atol: float) -> bool:
    return bool(np.all(np.abs(answer[~used]) <= atol))


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, dtype=float)
