"""Runs of optimizers on given gradients, in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

SHAPES = st.one_of(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 6)),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    st.just(()),
)
SEEDS = st.integers(0, 2**16)


def over(*strategies: st.SearchStrategy, **named: st.SearchStrategy) -> Callable:
    """Run a test over random values of its arguments, few enough that the folder stays quick."""
    return lambda test: settings(max_examples=20)(given(*strategies, **named)(test))


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Return independent normal numbers in double precision."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(shape: Sequence[int], steps: int, seed: int = 0) -> list[Tensor]:
    """Return one random gradient a step."""
    return list(normal(steps, *shape, seed=seed + 1))


def trajectory(
    build: Callable[[list[nn.Parameter]], torch.optim.Optimizer], start: Tensor, grads: list[Tensor]
) -> Tensor:
    """Return the parameter after each step, (steps, *shape), when the optimizer is fed these gradients."""
    p = nn.Parameter(start.clone())
    optimizer = build([p])
    path = []
    for g in grads:
        p.grad = g.clone()
        optimizer.step()
        path.append(p.detach().clone())
    return torch.stack(path)


def matrix(t: Tensor) -> Tensor:
    """The reading of shapes that the package states, written anew: column for vectors, first axis × rest."""
    if t.ndim == 0:
        return t.view(1, 1)
    return t[:, None] if t.ndim == 1 else t.flatten(1)


def near(actual: Tensor, expected: Tensor | float, tolerance: float = 1e-12) -> bool:
    """Tell whether the largest difference is within ``tolerance``, absolute and relative."""
    if isinstance(expected, float):
        expected = torch.tensor(expected, dtype=actual.dtype)
    return torch.allclose(actual, expected, rtol=tolerance, atol=tolerance)
