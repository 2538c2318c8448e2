"""Titans with a matrix memory: surprise, momentum, forgetting (paper-facts §9.1; the MLP memory is in ``mlp``).

Shapes, state and ``read`` as in ``nbhelpers.ops.conventions``. The gradient of the inner loss ½‖M k − v‖² is taken at
the memory M_ξ of the last chunk boundary, so ``chunk_size`` is part of the rule: 1 is the rule as printed. The paper
writes the loss without ½; its rate θ is η/2 here. Its forgetting gate is 1 − α.
"""

from __future__ import annotations

from torch import Tensor

from nbhelpers.ops.chunk import decayed_recurrence
from nbhelpers.ops.conventions import State, check_inputs, inner_precision, outer, recall
from nbhelpers.ops.sequential import Walk

__all__ = ["titans", "titans_sequential"]


@inner_precision
def titans_sequential(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    learning_rate: Tensor,
    retention: Tensor,
    momentum_decay: Tensor | None = None,
    state: State | None = None,
    *,
    chunk_size: int,
    read="after",
) -> tuple[Tensor, State]:
    """S_t = μ_t S_{t-1} − η_t (M_ξ k_t − v_t) k_tᵀ,  M_t = α_t M_{t-1} + S_t, one token after the other.

    Without ``momentum_decay`` S_t is the gradient step alone. Source: Titans (13)–(14), chunked as in (16).
    A key that fills a chunk of c tokens is stable for η ≤ 2/c at α = 1 (``ops.stability``).
    """
    gates = {"learning_rate": learning_rate, "retention": retention, "momentum_decay": momentum_decay}
    walk = Walk(queries, keys, values, gates, state, chunk_size, read, with_momentum=momentum_decay is not None)
    for q, k, v, η, α, μ in walk:
        gradient = outer(recall(walk.anchor, k) - v, k)
        S = -η * gradient if μ is None else μ * walk.momentum - η * gradient
        M = α * walk.memory + S
        walk.step(M, q, None if μ is None else S)
    return walk.finish()


@inner_precision
def titans(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    learning_rate: Tensor,
    retention: Tensor,
    momentum_decay: Tensor | None = None,
    state: State | None = None,
    *,
    chunk_size: int,
    read="after",
) -> tuple[Tensor, State]:
    """``titans_sequential`` with whole chunks at a time; same arguments, same numbers."""
    check_inputs(
        queries,
        keys,
        values,
        {"learning_rate": learning_rate, "retention": retention, "momentum_decay": momentum_decay},
        chunk_size,
        read,
    )
    return decayed_recurrence(
        queries,
        keys,
        values,
        retention=retention,
        write=learning_rate,
        correct=learning_rate,
        momentum=momentum_decay,
        state=state,
        chunk_size=chunk_size,
        read=read,
    )
