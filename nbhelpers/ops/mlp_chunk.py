"""The chunk-parallel kernel of MLP memories: two decayed recurrences, one keyed by k, one by the hidden activation.

Gradients come from the chunk start, so within a chunk both W₁ and W₂ follow the recurrence of ``ops.chunk``:

    h_t = W₂,ξ k_t,   a_t = σ(h_t),   e_t = f_ξ(k_t) − v_t  (or −v_t for the dot product)
    W₁:  writes −η_t e_t                     at a_t,  erased with η_t / ‖a_t‖²
    W₂:  writes −η_t σ'(h_t) ∘ (W₁,ξᵀ e_t)   at k_t,  erased with η_t

As in ``ops.chunk`` tokens are columns here, so the W₂ of all memories, which share k, are one tall matrix. Whatever a
token writes carries the factor −η_t; it is taken into the tables, once for all memories. Tables are made for all chunks
at once; the loop over chunks does what depends on the memory. Reads of the live memory need the writes alone and follow
after the loop, again for all chunks at once.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nbhelpers.memory.activation import activation_named, value_named
from nbhelpers.ops.chunk import Tables, Writes, advance, ends_per_chunk, live_read, make_tables, solve
from nbhelpers.ops.conventions import State, at_position, position_of, segments

TINY = 1e-12  # the squared length below which a hidden activation counts as zero


def mlp_recurrence(
    queries: Tensor | None,
    keys: Tensor,
    values: Tensor,
    learning_rate: Tensor,
    retention: Tensor,
    momentum_decay: Tensor | None,
    state: State,
    *,
    chunk_size: int,
    read: str,
    objective: str,
    erase: str,
    activation: str,
    own_values: bool,
) -> tuple[Tensor | None, State]:
    """Run the recurrence over a piece of a sequence; arguments as ``ops.mlp.self_modifying_mlp``, checked there."""
    several = state["W1"].dim() == 5
    add = (lambda x: x) if several else (lambda x: None if x is None else x.unsqueeze(2))  # the axis of memories
    position, length = position_of(state, chunk_size, "anchor_W1"), keys.shape[2]
    W = add(state["W1"]), add(state["W2"])
    anchor = tuple(add(state.get(f"anchor_{name}", state[name])) for name in ("W1", "W2"))
    S = None, None
    if momentum_decay is not None:
        S = tuple(add(state.get(f"momentum_{name}", torch.zeros_like(state[name]))) for name in ("W1", "W2"))
    wide = [add(queries), keys.unsqueeze(2), values.unsqueeze(2) if own_values else add(values)]
    gates = [None if gate is None else gate.unsqueeze(2) for gate in (learning_rate, retention, momentum_decay)]

    outputs = []
    for start, stop, chunks in segments(position, length, chunk_size):
        q, k, v = (
            None if x is None else x[:, :, :, start:stop].unflatten(3, (chunks, -1)).mT.contiguous() for x in wide
        )  # (B, H, m or 1, chunks, D, C)
        η, α, μ = (None if gate is None else gate[:, :, :, start:stop].unflatten(3, (chunks, -1)) for gate in gates)
        begun = anchor if (position + start) % chunk_size else None
        y, W, anchor, S = _segment(q, k, v, η, α, μ, W, S, begun, read, objective, erase, activation, own_values)
        outputs.append(y)

    drop = (lambda x: x) if several else (lambda x: x.squeeze(2))
    new = {"W1": drop(W[0]), "W2": drop(W[1]), "anchor_W1": drop(anchor[0]), "anchor_W2": drop(anchor[1])}
    if momentum_decay is not None:
        new |= {"momentum_W1": drop(S[0]), "momentum_W2": drop(S[1])}
    new["position"] = at_position(position + length, keys.shape[0])
    return (None if queries is None else drop(torch.cat(outputs, dim=3))), new


def _segment(q, k, v, η, α, μ, W, S, anchor, read, objective, erase, activation, own_values):
    """``chunks`` chunks of equal length, (B, H, m or 1, chunks, ·, C). ``anchor`` only when the chunk had begun."""
    tables = _weighed(make_tables(α, μ, k), -η)
    ends, tables_of = ends_per_chunk(tables, 3), _unbind(tables)
    σ = value_named(activation)
    begin_W, begin_S, hidden, writes_1, writes_2 = [], [], [], [], []
    for n, (key, value) in enumerate(zip(k.unbind(3), v.unbind(3), strict=True)):
        (W1, W2), (S1, S2) = W, S
        A1, A2 = W if anchor is None else anchor
        h = _tall(A2, key)
        a, slope = activation_named(activation)(h)
        answer = A1 @ a
        told = key - value if objective == "l2" else -value
        e1 = answer + told if objective == "l2" else told
        if own_values:
            e1 = e1 - A1 @ σ(_tall(A2, value))
        e2 = (A1.mT @ e1) * slope

        # What the live memory answers; where the chunk begins here it is the anchor, and has just answered.
        held_1, held_2 = (answer, h) if anchor is None else (W1 @ a, _tall(W2, key))
        share = 1 / a.square().sum(-2, keepdim=True).clamp_min(TINY)  # of the rate, for the erase at a
        w1 = _writes(e1, a, held_1, S1, share if erase == "both" else None, tables_of[n])
        w2 = _writes(e2, key, held_2, S2, None if erase == "none" else 1.0, tables_of[n])
        begin_W.append(W)
        begin_S.append(S)
        hidden.append(a)
        writes_1.append(w1)
        writes_2.append(w2)
        (W1, S1), (W2, S2) = advance(W1, S1, w1, a, ends[n]), advance(W2, S2, w2, key, ends[n])
        W, S = (W1, W2), (S1, S2)

    anchor = begin_W[-1] if anchor is None else anchor
    if q is None:
        return None, W, anchor, S
    asked = q.shape[2]  # the first memories; the others are never read
    if read == "chunk_start":
        W1, W2 = _stack(begin_W if len(begin_W) > 1 else [anchor], asked)
        return _rows(q + W1 @ σ(W2 @ q)), W, anchor, S
    (W1, W2), (S1, S2) = (_stack(pair, asked) for pair in (begin_W, begin_S))
    (a,) = _stack([(a,) for a in hidden], asked)
    h = live_read(tables, q, k, Writes(*_stack(writes_2, asked)), W2, S2, read)
    y = q + live_read(tables, σ(h), a, Writes(*_stack(writes_1, asked)), W1, S1, read)
    return _rows(y), W, anchor, S


def _weighed(tables: Tables, strength: Tensor) -> Tables:
    """The tables of writes of that strength: row s ≥ 1 times the strength of token s, row 0 as it is."""
    rows = F.pad(strength, (1, 0), value=1.0)[..., None]
    return Tables(*(None if table is None else rows * table for table in tables))


def _tall(W2: Tensor, key: Tensor) -> Tensor:
    """W₂ k of all memories in one product: (B, H, m, Dh, D), (B, H, 1, D, C) → (B, H, m, Dh, C)."""
    return (W2.flatten(2, 3) @ key.squeeze(2)).unflatten(2, W2.shape[2:4])


def _writes(e, key, held, S, share, tables) -> Writes:
    """The writes of one matrix in one chunk: the error e, and the erase at ``share`` of the rate (None: no erase).

    ``held`` is what the matrix answers to the keys.
    """
    D, P, _ = tables
    if share is None:
        return Writes(e) if P is None else Writes(None, e)
    pull, fade = -share * key, share * D[..., :1, :-1]
    if P is None:
        right = torch.addcmul(e, fade, held)
    else:
        heard = P[..., :1, :-1] * (S @ key) + e @ (P[..., 1:, :-1] * (key.mT @ key))
        right = fade * held + share * heard
    inside = D[..., 1:, :-1]
    if key.shape[2] == right.shape[2]:
        r = solve(inside, key, pull, right)
    else:  # one system for all memories
        tall = solve(inside.squeeze(2), key.squeeze(2), pull.squeeze(2), right.flatten(2, 3))
        r = tall.unflatten(2, right.shape[2:4])
    return Writes(r) if P is None else Writes(r, e)


def _unbind(tables: Tables) -> list[Tables]:
    """The tables of each chunk."""
    cut = [[None] * tables.D.shape[3] if table is None else table.unbind(3) for table in tables]
    return [Tables(*chunk) for chunk in zip(*cut, strict=True)]


def _stack(tuples, asked: int) -> list[Tensor | None]:
    """[(x_n, y_n), …] over chunks → [x, y] of the memories asked, the chunks as axis 3; None stays None."""
    return [
        None if parts[0] is None else torch.stack([part[:, :, :asked] for part in parts], 3)
        for parts in zip(*tuples, strict=True)
    ]


def _rows(y: Tensor) -> Tensor:
    """(B, H, m, chunks, D, C) → (B, H, m, L, D)."""
    return y.mT.flatten(3, 4)
