"""The chunk-parallel kernel of MLP memories: two decayed recurrences, one keyed by k, one by the hidden activation.

Gradients come from the chunk start, so within a chunk both W₁ and W₂ follow the recurrence of ``ops.chunk``:

    h_t = W₂,ξ k_t,   a_t = σ(h_t),   e_t = f_ξ(k_t) − v_t  (or −v_t for the dot product)
    W₁:  g_t = −η_t e_t,                          key a_t,  erased with η_t / ‖a_t‖²
    W₂:  g_t = −η_t σ'(h_t) ∘ (W₁,ξᵀ e_t),        key k_t,  erased with η_t

Tables and the Gram matrix of the keys are made for all chunks at once; the loop over chunks does what depends on the
memory. Reads of the live memory need the rows alone and follow after the loop, again for all chunks at once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nbhelpers.memory.activation import activation_named, value_named
from nbhelpers.ops.chunk import Rows, Tables, advance, column, ends_per_chunk, live_read, make_tables, solve
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
) -> tuple[Tensor | None, State]:
    """Run the recurrence over a piece of a sequence; arguments as ``ops.mlp.self_modifying_mlp``, checked there."""
    several = values.dim() == 5
    add = (lambda x: x) if several else (lambda x: None if x is None else x.unsqueeze(2))  # the axis of memories
    position, length = position_of(state, chunk_size, "anchor_W1"), keys.shape[2]
    W = add(state["W1"]), add(state["W2"])
    anchor = tuple(add(state.get(f"anchor_{name}", state[name])) for name in ("W1", "W2"))
    S = None, None
    if momentum_decay is not None:
        S = tuple(add(state.get(f"momentum_{name}", torch.zeros_like(state[name]))) for name in ("W1", "W2"))
    wide = [add(queries), keys.unsqueeze(2), add(values)]
    gates = [None if gate is None else gate.unsqueeze(2) for gate in (learning_rate, retention, momentum_decay)]

    outputs = []
    for start, stop, chunks in segments(position, length, chunk_size):
        q, k, v = (
            None if x is None else x[:, :, :, start:stop].unflatten(3, (chunks, -1)) for x in wide
        )  # (B, H, m or 1, chunks, C, D)
        η, α, μ = (None if gate is None else gate[:, :, :, start:stop].unflatten(3, (chunks, -1)) for gate in gates)
        begun = anchor if (position + start) % chunk_size else None
        y, W, anchor, S = _segment(q, k, v, η, α, μ, W, S, begun, read, objective, erase, activation)
        outputs.append(y)

    drop = (lambda x: x) if several else (lambda x: x.squeeze(2))
    new = {"W1": drop(W[0]), "W2": drop(W[1]), "anchor_W1": drop(anchor[0]), "anchor_W2": drop(anchor[1])}
    if momentum_decay is not None:
        new |= {"momentum_W1": drop(S[0]), "momentum_W2": drop(S[1])}
    new["position"] = at_position(position + length, keys.shape[0])
    return (None if queries is None else drop(torch.cat(outputs, dim=3))), new


def _segment(q, k, v, η, α, μ, W, S, anchor, read, objective, erase, activation):
    """``chunks`` chunks of equal length, (B, H, m or 1, chunks, C, ·). ``anchor`` only when the chunk had begun."""
    tables = make_tables(α, μ, k)
    inverse = None
    if erase != "none":  # W₂ is keyed by k: its system does not depend on the memory
        unit = torch.eye(k.shape[-2], dtype=k.dtype, device=k.device).expand(*k.shape[:-1], -1)
        inverse = solve(tables.D[..., :-1, 1:], column(η) * k, k, unit).unbind(3)
    ends, each = ends_per_chunk(tables, 3), _unbind(tables)
    keys, values, rates = k.unbind(3), v.unbind(3), η.unbind(3)

    begin_W, begin_S, hidden_keys, rows_1, rows_2 = [], [], [], [], []
    for n, (key, value, rate) in enumerate(zip(keys, values, rates, strict=True)):
        (W1, W2), (S1, S2) = W, S
        A1, A2 = W if anchor is None else anchor
        h = key @ A2.mT
        a, slope = activation_named(activation)(h)
        answer = a @ A1.mT
        g1 = -column(rate) * (key + answer - value if objective == "l2" else -value)
        g2 = (g1 @ A1) * slope

        # What the live memory answers; where the chunk begins here it is the anchor, and has just answered.
        held_1, held_2 = (answer, h) if anchor is None else (a @ W1.mT, key @ W2.mT)
        strong_1 = column(rate / a.square().sum(-1).clamp_min(TINY)) if erase == "both" else None
        strong_2 = column(rate) if erase != "none" else None
        r1 = _rows(g1, a, held_1, S1, strong_1, each[n], None)
        r2 = _rows(g2, key, held_2, S2, strong_2, each[n], None if inverse is None else inverse[n])
        begin_W.append(W)
        begin_S.append(S)
        hidden_keys.append(a)
        rows_1.append(r1)
        rows_2.append(r2)
        (W1, S1), (W2, S2) = advance(W1, S1, r1, a, ends[n]), advance(W2, S2, r2, key, ends[n])
        W, S = (W1, W2), (S1, S2)

    anchor = begin_W[-1] if anchor is None else anchor
    if q is None:
        return None, W, anchor, S
    asked = q.shape[2]  # the first memories; the others are never read
    if read == "chunk_start":
        starts = begin_W if len(begin_W) > 1 else [anchor]
        A1, A2 = _stack(starts, asked)
        return (q + value_named(activation)(q @ A2.mT) @ A1.mT).flatten(3, 4), W, anchor, S
    (W1, W2), (S1, S2) = (_stack(pair, asked) for pair in (begin_W, begin_S))
    (a,) = _stack([(a,) for a in hidden_keys], asked)
    h = live_read(tables, q, k, Rows(*_stack(rows_2, asked)), W2, S2, read)
    y = q + live_read(tables, value_named(activation)(h), a, Rows(*_stack(rows_1, asked)), W1, S1, read)
    return y.flatten(3, 4), W, anchor, S


def _rows(g, key, held, S, strength, tables, inverse) -> Rows:
    """The rows of one matrix in one chunk: the write g, and the erase with its strength (None: nothing erased).

    ``held`` is what the matrix answers to the keys; ``inverse`` that of the system, where it was found before.
    """
    D, P, _ = tables
    if strength is None:
        return Rows(g) if P is None else Rows(None, g)
    fade = strength * D[..., :-1, :1]
    if P is None:
        right = torch.addcmul(g, fade, held, value=-1)
    else:
        heard = P[..., :-1, :1] * (key @ S.mT) + (P[..., :-1, 1:] * (key @ key.mT)) @ g
        right = -fade * held - strength * heard
    r = solve(D[..., :-1, 1:], strength * key, key, right) if inverse is None else inverse @ right
    return Rows(r) if P is None else Rows(r, g)


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
