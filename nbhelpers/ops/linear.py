"""Memories that only add and fade: linear attention and the scalar-decay case of Mamba-2.

Shapes, state and ``read`` as in ``nbhelpers.ops.conventions``. Both rules are exact for every chunk size; it decides
the speed, and where ``read="chunk_start"`` reads. Defaults: zero memory, chunks of 64 tokens, read after the write.
"""

from __future__ import annotations

from torch import Tensor

from nbhelpers.ops.chunk import decayed_recurrence
from nbhelpers.ops.conventions import State, check_inputs, inner_precision, outer
from nbhelpers.ops.sequential import Walk


@inner_precision
def linear_attention_sequential(
    queries: Tensor, keys: Tensor, values: Tensor, state: State | None = None, *, chunk_size: int = 64, read="after"
) -> tuple[Tensor, State]:
    """M_t = M_{t-1} + v_t k_tᵀ, one token after the other (paper-facts §1.7, equations (14)–(18))."""
    walk = Walk(queries, keys, values, {}, state, chunk_size, read)
    for q, k, v in walk:
        M = walk.memory + outer(v, k)
        walk.step(M, q)
    return walk.finish()


@inner_precision
def linear_attention(
    queries: Tensor, keys: Tensor, values: Tensor, state: State | None = None, *, chunk_size: int = 64, read="after"
) -> tuple[Tensor, State]:
    """``linear_attention_sequential`` with whole chunks at a time; same arguments, same numbers."""
    check_inputs(queries, keys, values, {}, chunk_size, read)
    return decayed_recurrence(queries, keys, values, state=state, chunk_size=chunk_size, read=read)


@inner_precision
def mamba2_sequential(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    retention: Tensor,
    state: State | None = None,
    *,
    chunk_size: int = 64,
    read="after",
) -> tuple[Tensor, State]:
    """M_t = α_t M_{t-1} + v_t k_tᵀ, one token after the other.

    The state-space duality of Mamba-2 with one decay per head and token (Dao and Gu 2024, arXiv 2405.21060, §3):
    ``queries`` are C, ``keys`` B, ``values`` Δ·x, ``retention`` exp(Δ·A). Nothing is erased.
    """
    walk = Walk(queries, keys, values, {"retention": retention}, state, chunk_size, read)
    for q, k, v, α in walk:
        M = α * walk.memory + outer(v, k)
        walk.step(M, q)
    return walk.finish()


@inner_precision
def mamba2(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    retention: Tensor,
    state: State | None = None,
    *,
    chunk_size: int = 64,
    read="after",
) -> tuple[Tensor, State]:
    """``mamba2_sequential`` with whole chunks at a time; same arguments, same numbers."""
    check_inputs(queries, keys, values, {"retention": retention}, chunk_size, read)
    return decayed_recurrence(queries, keys, values, retention=retention, state=state, chunk_size=chunk_size, read=read)


__all__ = ["linear_attention", "linear_attention_sequential", "mamba2", "mamba2_sequential"]
