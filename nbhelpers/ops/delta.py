"""Memories that correct what they hold at a key: the delta rule and the gated delta rule.

Shapes, state and ``read`` as in ``nbhelpers.ops.conventions``. Both rules look at the live memory for every token, so
they are exact for every chunk size; it decides the speed, and where ``read="chunk_start"`` reads. Keys are meant to
have length 1 and β to lie in [0, 1]; up to 2 the memory still cannot grow along a key. Defaults: zero memory, chunks
of 64 tokens, read after the write.
"""

from __future__ import annotations

from torch import Tensor

from nbhelpers.ops.chunk import decayed_recurrence
from nbhelpers.ops.conventions import State, check_inputs, inner_precision, outer, recall
from nbhelpers.ops.sequential import Walk

__all__ = ["delta_rule", "delta_rule_sequential", "gated_delta_rule", "gated_delta_rule_sequential"]


@inner_precision
def delta_rule_sequential(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    write_strength: Tensor,
    state: State | None = None,
    *,
    chunk_size: int = 64,
    read="after",
) -> tuple[Tensor, State]:
    """M_t = M_{t-1} − β_t (M_{t-1} k_t − v_t) k_tᵀ, one token after the other (paper-facts §9.4).

    One gradient step of rate β on ½‖M k − v‖².
    """
    walk = Walk(queries, keys, values, {"write_strength": write_strength}, state, chunk_size, read)
    for q, k, v, β in walk:
        error = recall(walk.memory, k) - v
        M = walk.memory - β * outer(error, k)
        walk.step(M, q)
    return walk.finish()


@inner_precision
def delta_rule(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    write_strength: Tensor,
    state: State | None = None,
    *,
    chunk_size: int = 64,
    read="after",
) -> tuple[Tensor, State]:
    """``delta_rule_sequential`` with whole chunks at a time; same arguments, same numbers."""
    check_inputs(queries, keys, values, {"write_strength": write_strength}, chunk_size, read)
    return decayed_recurrence(
        queries, keys, values, write=write_strength, erase=write_strength, state=state, chunk_size=chunk_size, read=read
    )


@inner_precision
def gated_delta_rule_sequential(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    write_strength: Tensor,
    retention: Tensor,
    state: State | None = None,
    *,
    chunk_size: int = 64,
    read="after",
) -> tuple[Tensor, State]:
    """M_t = α_t M_{t-1} − β_t (α_t M_{t-1} k_t − v_t) k_tᵀ, one token after the other (paper-facts §9.4).

    Decay first; the error is taken against the decayed memory. That is not the Titans form for equal gates (§10.3).
    """
    gates = {"write_strength": write_strength, "retention": retention}
    walk = Walk(queries, keys, values, gates, state, chunk_size, read)
    for q, k, v, β, α in walk:
        decayed = α * walk.memory
        error = recall(decayed, k) - v
        M = decayed - β * outer(error, k)
        walk.step(M, q)
    return walk.finish()


@inner_precision
def gated_delta_rule(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    write_strength: Tensor,
    retention: Tensor,
    state: State | None = None,
    *,
    chunk_size: int = 64,
    read="after",
) -> tuple[Tensor, State]:
    """``gated_delta_rule_sequential`` with whole chunks at a time; same arguments, same numbers."""
    check_inputs(queries, keys, values, {"write_strength": write_strength, "retention": retention}, chunk_size, read)
    return decayed_recurrence(
        queries,
        keys,
        values,
        retention=retention,
        write=write_strength,
        erase=retention * write_strength,
        state=state,
        chunk_size=chunk_size,
        read=read,
    )
