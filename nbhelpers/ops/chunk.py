"""The one chunk-parallel kernel behind every matrix memory of this floor.

Per token, with the memory M, the momentum S and the anchor A (the memory at the last chunk boundary):

    g_t = write_t · v_t − correct_t · A k_t                    what token t asks to be written at its key
    S_t = momentum_t · S_{t-1} + g_t k_tᵀ                      (S_t = g_t k_tᵀ without momentum)
    M_t = retention_t · M_{t-1} − erase_t · (M_{t-1} k_t) k_tᵀ + S_t

Every rule is a choice of the strengths:

    rule                 write  erase  correct  retention
    linear attention     1      ·      ·        1
    Mamba-2              1      ·      ·        α
    delta rule           β      β      ·        1
    gated delta rule     β      α β    ·        α
    Titans               η      ·      η        α            (momentum μ)
    self-modifying, dot  η      η      ·        α            (momentum μ, optional)
    self-modifying, L2   η      η      η        α            (momentum μ, optional)

Inside a chunk the memory is a sum over the tokens so far, M_t = D_t0 M_0 + Σ_{s≤t} D_ts r_s k_sᵀ, where
D_ts = α_{s+1} ⋯ α_t. The rows r_s solve one unit-lower-triangular system (paper-facts §6.8, §9.4; the WY form of
DeltaNet). With momentum the part g travels through P = D · U, where U is the same table made of the momentum gates.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nbhelpers.ops.conventions import State, at_position, begin_matrix, position_of, segments

FLOOR = 1e-20  # stands for a gate of exactly 0: far below any tolerance, and its logarithm is still a number
SMALLEST = (
    -80.0
)  # logarithm below which a product of gates stays put; denormal numbers would make a CPU ten times slower


class Tables(NamedTuple):
    """What fades how far inside a chunk, (…, C + 1, C + 1) each; row and column 0 are the start of the chunk.

    ``D`` of the retention; with momentum also ``U`` of the momentum gates and ``P`` = D · U, the way of a write that
    first enters the momentum and is then added to the memory at every later token.
    """

    D: Tensor
    P: Tensor | None = None
    U: Tensor | None = None


class Rows(NamedTuple):
    """What the tokens of a chunk write at their keys, (…, C, Dv) each: ``g`` through P, ``r`` through D.

    Without momentum everything is in ``r``. With it, ``g`` is the gradient part and ``r`` the erase, or None.
    """

    r: Tensor | None
    g: Tensor | None = None


def decay_table(gate: Tensor) -> Tensor:
    """D[t, s] = gate_{s+1} ⋯ gate_t for 0 ≤ s ≤ t ≤ C, and 0 for s > t: (…, C) → (…, C + 1, C + 1).

    Logarithms are summed for each pair (t, s) by itself: the difference of two running sums would lose all digits, in
    the gradient first, once a gate is near 0.
    """
    length = gate.shape[-1]
    logs = (gate + (FLOOR - gate).clamp_min(0).detach()).log()  # the gradient at 0 is the limit, not 0
    below = torch.ones(length + 1, length + 1, dtype=gate.dtype, device=gate.device).tril()
    # [s, t] = Σ_{s<j≤t} log gate_j, as a product with 0 and 1 because that is faster than a running sum
    sums = (F.pad(logs, (1, 0))[..., None, :] * below.tril(-1).mT) @ below.mT
    return sums.clamp_min(SMALLEST).exp().triu().mT


def make_tables(retention: Tensor | None, momentum: Tensor | None, keys: Tensor) -> Tables:
    """The tables of chunks of keys (…, C, Dk); a retention of None keeps everything."""
    if retention is None:
        size = keys.shape[-2] + 1
        D = torch.ones(size, size, dtype=keys.dtype, device=keys.device).tril().expand(*keys.shape[:-2], size, size)
    else:
        D = decay_table(retention)
    if momentum is None:
        return Tables(D)
    U = decay_table(momentum)
    return Tables(D, D[..., 1:] @ U[..., 1:, :], U)  # P_ts = Σ_j D_tj U_js over j ≥ 1: S_0 itself is not in M_0


def column(gate: Tensor | None) -> Tensor | float:
    """A gate (…, C) as a column, to scale rows with; 1 where there is none."""
    return 1.0 if gate is None else gate[..., None]


def solve(table: Tensor, pull: Tensor, key: Tensor, rows: Tensor) -> Tensor:
    """(I + table ∘ (pull keyᵀ))⁻¹ rows, where ``pull`` is the keys times the strength of the erase, (…, C, Dk).

    ``table`` is strictly lower, so the diagonal is 1.
    """
    return torch.linalg.solve_triangular(table * (pull @ key.mT), rows, upper=False, unitriangular=True)


def ends_per_chunk(tables: Tables, dim: int) -> list[list]:
    """The last row of each table, cut into chunks along ``dim``: [(start's factor, tokens' factors), …] per chunk."""
    lasts = [None if table is None else table[..., -1, :, None] for table in tables]
    cut = [[None] * tables.D.shape[dim] if last is None else last.unbind(dim) for last in lasts]
    return [
        [None if last is None else (last[..., :1, :], last[..., 1:, :]) for last in chunk]
        for chunk in zip(*cut, strict=True)
    ]


def advance(M: Tensor, S: Tensor | None, rows: Rows, key: Tensor, ends: list) -> tuple[Tensor, Tensor | None]:
    """Memory and momentum at the end of a chunk, from those at its start."""
    D, P, U = ends
    M_end = D[0] * M if rows.r is None else D[0] * M + rows.r.mT @ (D[1] * key)
    if rows.g is None:
        return M_end, S
    return M_end + P[0] * S + rows.g.mT @ (P[1] * key), U[0] * S + rows.g.mT @ (U[1] * key)


def live_read(tables: Tables, q: Tensor, k: Tensor, rows: Rows, M: Tensor, S: Tensor | None, read: str) -> Tensor:
    """What the memory answers at every token of a chunk that starts from M and S: (…, C, Dv).

    D_t0 M q_t + Σ_s D_ts (k_s·q_t) r_s, and the same through P for S and g; row t of the tables for "after", t − 1
    for "before".
    """
    rows_seen = slice(1, None) if read == "after" else slice(None, -1)
    scores = q @ k.mT
    D = tables.D[..., rows_seen, :]
    y = D[..., :1] * (q @ M.mT)
    if rows.r is not None:
        y = y + (D[..., 1:] * scores) @ rows.r
    if rows.g is not None:
        P = tables.P[..., rows_seen, :]
        y = y + P[..., :1] * (q @ S.mT) + (P[..., 1:] * scores) @ rows.g
    return y


def decayed_recurrence(
    queries: Tensor | None,
    keys: Tensor,
    values: Tensor,
    *,
    retention: Tensor | None = None,
    write: Tensor | None = None,
    erase: Tensor | None = None,
    correct: Tensor | None = None,
    erase_at: str = "live",
    momentum: Tensor | None = None,
    state: State | None,
    chunk_size: int,
    read: str,
    read_width: int | None = None,
) -> tuple[Tensor | None, State]:
    """Run the recurrence of this module's head over a piece of a sequence; shapes as in ``conventions``.

    A strength that is None is absent: ``retention`` and ``write`` then are 1, the others 0. ``erase_at="chunk_start"``
    erases what A answers instead of M_{t-1}. ``queries=None`` skips the reads and returns None for y; ``read_width`` n
    reads the first n rows of the memory only. The op that calls has checked the shapes, under the names that its caller
    knows.
    """
    gates = {"retention": retention, "write": write, "erase": erase, "correct": correct, "momentum": momentum}
    if erase_at == "chunk_start" and momentum is None:  # then it is one more pull towards what A does not answer
        gates |= {"correct": erase if correct is None else correct + erase, "erase": None}
    state = begin_matrix(state, keys, values, momentum is not None)
    position = position_of(state, chunk_size)
    memory, anchor, push = state["memory"], state.get("anchor", state["memory"]), state.get("momentum")

    outputs = []
    for start, stop, chunks in segments(position, keys.shape[2], chunk_size):

        def fold(x, start=start, stop=stop, chunks=chunks):
            return None if x is None else x[:, :, start:stop].unflatten(2, (chunks, -1))

        begun = anchor if (position + start) % chunk_size else None
        y, memory, anchor, push = _segment(
            fold(queries), fold(keys), fold(values), {name: fold(gate) for name, gate in gates.items()},
            memory, push, begun, read, erase_at, read_width,
        )  # fmt: skip
        outputs.append(y)

    new = {"memory": memory, "anchor": anchor, "position": at_position(position + keys.shape[2], keys.shape[0])}
    if push is not None:
        new["momentum"] = push
    return (None if queries is None else torch.cat(outputs, dim=2)), new


def _segment(q, k, v, gates, M, S, anchor, read, erase_at, width):
    """``chunks`` chunks of equal length, (B, H, chunks, C, ·). ``anchor`` is given only when the chunk had begun.

    The rows of a chunk are affine in what it starts from, rows = fixed + of_M Mᵀ + of_S Sᵀ. These three are found for
    all chunks at once; only M and S go from chunk to chunk.
    """
    tables = make_tables(gates["retention"], gates["momentum"], k)
    g, r = _affine_rows(k, v, gates, tables, anchor, erase_at)
    ends, keys = ends_per_chunk(tables, 2), k.unbind(2)
    g, r = ([None if part is None else part.unbind(2) for part in row] for row in (g, r))

    starts, starts_S, all_rows = [], [], []
    for n, key in enumerate(keys):
        starts.append(M)
        starts_S.append(S)
        rows = Rows(_at(r, n, M, S), _at(g, n, M, S))
        all_rows.append(rows)
        M, S = advance(M, S, rows, key, ends[n])

    anchor = starts[-1] if anchor is None else anchor
    if q is None:
        return None, M, anchor, S
    begin = torch.stack([start[..., :width, :] for start in starts], 2)
    if read == "chunk_start":
        begin = begin if len(starts) > 1 else anchor[:, :, None, :width]  # a begun chunk is alone in its segment
        return (q @ begin.mT).flatten(2, 3), M, anchor, S
    rows = Rows(
        *(
            None if row[0] is None else torch.stack([r[..., :width] for r in row], 2)
            for row in zip(*all_rows, strict=True)
        )
    )
    begin_S = None if rows.g is None else torch.stack([start[..., :width, :] for start in starts_S], 2)
    return live_read(tables, q, k, rows, begin, begin_S, read).flatten(2, 3), M, anchor, S


def _affine_rows(k, v, gates, tables, anchor, erase_at):
    """The rows g and r of ``Rows``, each as (fixed, of_M, of_S); parts that are zero are None."""
    erase, correct = gates["erase"], gates["correct"]
    none = (None, None, None)

    fixed, of_M = column(gates["write"]) * v, None
    if correct is not None and anchor is None:  # the chunk starts here: its anchor is M
        of_M = -column(correct) * k
    elif correct is not None:
        fixed = fixed - column(correct) * (k @ anchor[:, :, None].mT)
    asked = (fixed, of_M, None)  # what the tokens ask to be written

    if erase is None:
        return (none, asked) if tables.P is None else (asked, none)
    if erase_at == "chunk_start":  # with momentum; without it the erase has joined ``correct``
        pull = -column(erase) * k
        return asked, ((None, pull, None) if anchor is None else (pull @ anchor[:, :, None].mT, None, None))

    inside, strong = tables.D[..., :-1, 1:], column(erase) * k
    pull = -tables.D[..., :-1, :1] * strong  # what token t erases of M itself
    Dv, Dk = v.shape[-1], k.shape[-1]
    if tables.P is None:  # erase and write go the same way: one row for both
        right = torch.cat([fixed, pull if of_M is None else pull + of_M], -1)
        return none, (*solve(inside, strong, k, right).split([Dv, Dk], -1), None)
    heard = tables.P[..., :-1, 1:] * (-strong @ k.mT)  # what it erases of the writes of this chunk
    of_S = -tables.P[..., :-1, :1] * strong
    right = torch.cat([heard @ fixed, pull if of_M is None else pull + heard @ of_M, of_S], -1)
    return asked, solve(inside, strong, k, right).split([Dv, Dk, Dk], -1)


def _at(row, n, M, S):
    """The rows of chunk n, from what it starts with."""
    fixed, of_M, of_S = (None if part is None else part[n] for part in row)
    total = fixed
    for slope, start in ((of_M, M), (of_S, S)):
        if slope is not None:
            total = slope @ start.mT if total is None else total + slope @ start.mT
    return total
