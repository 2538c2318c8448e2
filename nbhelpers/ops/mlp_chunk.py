"""The chunk-parallel kernel of MLP memories: two decayed recurrences, one keyed by k, one by the hidden activation.

Gradients come from the chunk start, so within a chunk both W₁ and W₂ follow the recurrence of ``ops.chunk``:

    h_t = W₂,ξ k_t,   a_t = σ(h_t),   u_t = v_t − f_ξ(k_t)  (or v_t for the dot product)
    W₁:  writes η_t u_t                     at a_t,  erased with η_t / ‖a_t‖²
    W₂:  writes η_t σ'(h_t) ∘ (W₁,ξᵀ u_t)   at k_t,  erased with η_t

where a gradient (what is written without its η_t, times its key) that is longer than the bound is scaled down to it.

As in ``ops.chunk`` tokens are columns here, so the W₂ of all memories, which share k, are one tall matrix. Whatever a
token writes carries the factor η_t; with an erase it is taken into the tables, once for all memories. Tables are made
for all chunks at once; the loop over chunks does what depends on the memory. Reads of the live memory need the writes
alone and follow after the loop, again for all chunks at once.
"""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from nbhelpers.memory.activation import activation_named, value_named
from nbhelpers.ops.chunk import Writes, advance, apart, each, live_read, make_tables, solve, tables_apart, together
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
    gradient_bound: float,
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

        def fold(x, axis, start=start, stop=stop, chunks=chunks):
            if x is None or (stop - start == length and chunks == 1):
                return None if x is None else x.unsqueeze(axis)
            return x.narrow(axis, start, stop - start).unflatten(axis, (chunks, -1))

        q, k, v = (None if x is None else fold(x, 3).mT for x in wide)  # (B, H, m or 1, chunks, D, C)
        η, α, μ = (fold(gate, 3) for gate in gates)
        begun = anchor if (position + start) % chunk_size else None
        y, W, anchor, S = _segment(
            q, k, v, η, α, μ, W, S, begun, read, objective, erase, activation, own_values, gradient_bound
        )  # fmt: skip
        outputs.append(y)

    drop = (lambda x: x) if several else (lambda x: x.squeeze(2))
    new = {"W1": drop(W[0]), "W2": drop(W[1]), "anchor_W1": drop(anchor[0]), "anchor_W2": drop(anchor[1])}
    if momentum_decay is not None:
        new |= {"momentum_W1": drop(S[0]), "momentum_W2": drop(S[1])}
    new["position"] = at_position(position + length, keys.shape[0])
    return (None if queries is None else drop(torch.cat(outputs, dim=3))), new


def _segment(q, k, v, η, α, μ, W, S, anchor, read, objective, erase, activation, own_values, bound):
    """``chunks`` chunks of equal length, (B, H, m or 1, chunks, ·, C). ``anchor`` only when the chunk had begun."""
    count, memories, σ = k.shape[3], W[0].shape[2], value_named(activation)
    in_tables = erase != "none"  # else the rate scales the writes, which is cheaper for a single memory
    tables, rates = make_tables(α, μ, k, strength=η if in_tables else None), apart(η, 3, count)
    begin_W, begin_S, hidden, writes_1, writes_2 = [], [], [], [], []
    cut = tables_apart(tables, 3, count), apart(k, 3, count), apart(v, 3, count), rates
    for here, key, value, rate in zip(*cut, strict=True):
        (W1, W2), (S1, S2) = W, S
        A1, A2 = W if anchor is None else anchor
        W2, S2, A2 = _tall(W2), _tall(S2), _tall(A2)
        h = A2 @ key
        a, slope = activation_named(activation)(h)
        a = _short(a, memories)
        answer = A1 @ a
        u1 = (value - key) - answer if objective == "l2" else value
        if own_values:
            u1 = u1 + A1 @ _short(σ(A2 @ value), memories)
        u2 = _short(_tall(A1.mT @ u1) * slope, memories)
        scale = 1.0 if in_tables else each(rate)
        if bound < inf:
            u1, u2 = scale * _shrink(u1, a, bound) * u1, scale * _shrink(u2, key, bound) * u2
        elif not in_tables:
            u1, u2 = scale * u1, scale * u2
        u2 = _tall(u2)

        # What the live memory answers; where the chunk begins here it is the anchor, and has just answered.
        held_1, held_2 = (answer, h) if anchor is None else (W1 @ a, W2 @ key)
        w1 = _writes(u1, a, held_1, S1, here, erase == "both", unit_keys=False)
        w2 = _writes(u2, key, held_2, S2, here, erase != "none")
        begin_W.append(W)
        begin_S.append(S)
        hidden.append(a)
        writes_1.append(w1)
        writes_2.append([_short(part, memories) for part in w2])
        (W1, S1), (W2, S2) = advance(W1, S1, w1, a, here), advance(W2, S2, w2, key, here)
        W, S = (W1, _short(W2, memories)), (S1, _short(S2, memories))

    anchor = begin_W[-1] if anchor is None else anchor
    if q is None:
        return None, W, anchor, S
    asked = q.shape[2]  # the first memories; the others are never read
    if read == "chunk_start":
        W1, W2 = _stack(begin_W if count > 1 else [anchor], asked)
        return _rows(q + W1 @ σ(W2 @ q)), W, anchor, S
    (W1, W2), (S1, S2) = (_stack(pair, asked) for pair in (begin_W, begin_S))
    (a,) = _stack([(a,) for a in hidden], asked)
    h = live_read(tables, q, k, Writes(*_stack(writes_2, asked)), W2, S2, read)
    y = q + live_read(tables, σ(h), a, Writes(*_stack(writes_1, asked)), W1, S1, read)
    return _rows(y), W, anchor, S


def _tall(x: Tensor | None) -> Tensor | None:
    """All memories as one on top of the other: (B, H, m, Dh, ·) → (B, H, 1, m · Dh, ·)."""
    return None if x is None else x.flatten(2, 3).unsqueeze(2)


def _short(x: Tensor | None, memories: int) -> Tensor | None:
    """The inverse of ``_tall``."""
    return None if x is None else x.squeeze(2).unflatten(2, (memories, -1))


def _shrink(u: Tensor, key: Tensor, bound: float) -> Tensor:
    """What to multiply each column of u (…, D, C) by, so that no u_t key_tᵀ is longer than ``bound``: (…, 1, C)."""
    square = u.square().sum(-2, keepdim=True) * key.square().sum(-2, keepdim=True)
    return bound * square.clamp_min(bound * bound).rsqrt()


def _writes(u, key, held, S, tables, erase, unit_keys=True) -> Writes:
    """The writes of one matrix in one chunk, in units of the rate: ``u``, what is missing at the keys, and the erase.

    ``held`` is what the matrix answers to the keys; keys that are no units are erased at 1 / ‖k‖² of the rate.
    """
    D, P, _ = tables
    if not erase:
        return Writes(u) if P is None else Writes(None, u)
    pull, fade = key, -D.start
    if not unit_keys:
        share = key.square().sum(-2, keepdim=True).clamp_min(TINY).reciprocal()
        pull, fade = share * key, share * fade
    if P is None:
        right = u + fade * held
    else:
        heard = P.start * (S @ pull) + u @ (P.inside * (key.mT @ pull))
        right = fade * held - heard
    r = solve(D.inside, key, pull, right)
    return Writes(r) if P is None else Writes(r, u)


def _stack(tuples, asked: int) -> list[Tensor | None]:
    """[(x_n, y_n), …] over chunks → [x, y] of the memories asked, the chunks as axis 3; None stays None."""
    return [
        together([None if part is None else part[:, :, :asked] for part in parts], 3)
        for parts in zip(*tuples, strict=True)
    ]


def _rows(y: Tensor) -> Tensor:
    """(B, H, m, chunks, D, C) → (B, H, m, L, D)."""
    return y.mT.flatten(3, 4)
