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
D_ts = α_{s+1} ⋯ α_t. The r_s solve one unit-triangular system (paper-facts §6.8, §9.4; the WY form of DeltaNet). With
momentum the part g travels through P = D · U, where U is the same table made of the momentum gates.

Here and in ``mlp_chunk`` the tokens of a chunk are the columns of a matrix, K = (k_1 … k_C), as in the formulas: the
memory answers M K, and a memory on top of another one is only a taller matrix. Tables have row s, column t.
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


class Table(NamedTuple):
    """What is left at t of a write at s, D[s, t] for s, t = 0 … C (0: the chunk starts), and parts of it."""

    whole: Tensor  # (…, C + 1, C + 1)
    inside: Tensor  # (…, C, C): [s, t] = D[s, t − 1] of two tokens: what is left of s just before t writes
    start: Tensor  # (…, 1, C): D[0, t − 1], the same of what the chunk starts from
    to_end: Tensor  # (…, 1, C): D[s, C]
    start_to_end: Tensor  # (…, 1, 1): D[0, C]


class Tables(NamedTuple):
    """What fades how far inside a chunk.

    ``D`` is made of the retention; with momentum also ``U`` of the momentum gates and ``P`` = D · U, the way of a write
    that first enters the momentum and is then added to the memory at every later token.
    """

    D: Table
    P: Table | None = None
    U: Table | None = None


class Writes(NamedTuple):
    """What the tokens of a chunk write at their keys, (…, Dv, C) each: ``g`` through P, ``r`` through D.

    Without momentum everything is in ``r``. With it, ``g`` is the gradient part and ``r`` the erase, or None.
    """

    r: Tensor | None
    g: Tensor | None = None


def decay_table(gate: Tensor) -> Tensor:
    """D[s, t] = gate_{s+1} ⋯ gate_t for 0 ≤ s ≤ t ≤ C, and 0 for s > t: (…, C) → (…, C + 1, C + 1).

    Logarithms are summed for each pair (s, t) by itself: the difference of two running sums would lose all digits, in
    the gradient first, once a gate is near 0.
    """
    length = gate.shape[-1]
    logs = (gate + (FLOOR - gate).clamp_min(0).detach()).log()  # the gradient at 0 is the limit, not 0
    upper = torch.ones(length + 1, length + 1, dtype=gate.dtype, device=gate.device).triu()
    # [s, t] = Σ_{s<j≤t} log gate_j, as a product with 0 and 1 because that is faster than a running sum
    sums = (F.pad(logs, (1, 0))[..., None, :] * upper.triu(1)) @ upper
    return sums.clamp_min(SMALLEST).exp().triu()


def make_tables(
    retention: Tensor | None, momentum: Tensor | None, keys: Tensor, strength: Tensor | None = None
) -> Tables:
    """The tables of chunks of keys (…, Dk, C); a retention of None keeps everything.

    Where all that a token writes has a common ``strength`` (…, C), it is taken into its row of the tables.
    """
    if retention is None:
        size = keys.shape[-1] + 1
        D = torch.ones(size, size, dtype=keys.dtype, device=keys.device).triu().expand(*keys.shape[:-2], size, size)
    else:
        D = decay_table(retention)
    tables = [D]
    if momentum is not None:
        U = decay_table(momentum)
        tables += [U[..., 1:] @ D[..., 1:, :], U]  # Σ_j U_sj D_jt over j ≥ 1: S_0 itself is not in M_0
    if strength is not None:
        rows = F.pad(strength, (1, 0), value=1.0)[..., None]
        tables = [rows * table for table in tables]
    return Tables(*map(_parts, tables))


def _parts(table: Tensor) -> Table:
    """A table with its parts, by splitting, which is cheaper on the way back than slicing."""
    length = table.shape[-1] - 1
    first, rest = table.split([1, length], -2)
    start, start_to_end = first.split([length, 1], -1)
    inside, to_end = rest.split([length, 1], -1)
    return Table(table, inside, start, to_end.mT, start_to_end)


def each(gate: Tensor | None) -> Tensor | float:
    """A gate (…, C) as a row, to scale the columns of a matrix with; 1 where there is none."""
    return 1.0 if gate is None else gate[..., None, :]


def solve(table: Tensor, key: Tensor, pull: Tensor, right: Tensor) -> Tensor:
    """right (I + table ∘ (keyᵀ pull))⁻¹, where ``pull`` is the keys times the strength of the erase, (…, Dk, C).

    ``table`` is strictly upper, so the diagonal is 1.
    """
    return _Solve.apply(table * (key.mT @ pull), right)


class _Solve(torch.autograd.Function):
    """X of X (I + T) = R for a strictly upper T; autograd's own would mask the gradient of T, which ``table`` does."""

    @staticmethod
    def forward(T: Tensor, R: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(T, R, upper=True, left=False, unitriangular=True)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx, of_X: Tensor) -> tuple[Tensor, Tensor]:
        T, X = ctx.saved_tensors
        of_R = torch.linalg.solve_triangular(T.mT, of_X, upper=False, left=False, unitriangular=True)
        return X.mT @ -of_R, of_R


def apart(x: Tensor | None, dim: int, count: int) -> tuple[Tensor | None, ...]:
    """The ``count`` chunks of x along an axis; None is None for each. A single chunk is not copied on the way back."""
    if x is None:
        return (None,) * count
    return x.unbind(dim) if count > 1 else (x.squeeze(dim),)


def together(parts, dim: int) -> Tensor | None:
    """The inverse of ``apart``."""
    if parts[0] is None:
        return None
    return torch.stack(parts, dim) if len(parts) > 1 else parts[0].unsqueeze(dim)


def tables_apart(tables: Tables, dim: int, count: int) -> list[Tables]:
    """The tables of each chunk; ``whole``, which is for reading after the loop, stays behind."""
    cut = [
        [None] * count
        if table is None
        else [Table(None, *parts) for parts in zip(*(apart(part, dim, count) for part in table[1:]), strict=True)]
        for table in tables
    ]
    return [Tables(*chunk) for chunk in zip(*cut, strict=True)]


def advance(M: Tensor, S: Tensor | None, writes: Writes, key: Tensor, tables: Tables) -> tuple[Tensor, Tensor | None]:
    """Memory and momentum at the end of a chunk, from those at its start."""
    D, P, U = tables
    M_end = D.start_to_end * M
    if writes.r is not None:
        M_end = M_end + writes.r @ (D.to_end * key).mT
    if writes.g is None:
        return M_end, S
    g = writes.g
    return M_end + P.start_to_end * S + g @ (P.to_end * key).mT, U.start_to_end * S + g @ (U.to_end * key).mT


def live_read(tables: Tables, q: Tensor, k: Tensor, writes: Writes, M: Tensor, S: Tensor | None, read: str) -> Tensor:
    """What the memory answers at every token of a chunk that starts from M and S: (…, Dv, C).

    D_t0 M q_t + Σ_s D_ts (k_s·q_t) r_s, and the same through P for S and g; at t − 1 instead of t for "before".
    """
    scores = k.mT @ q
    start, inside = _seen(tables.D, read)
    y = start * (M @ q)
    if writes.r is not None:
        y = y + writes.r @ (inside * scores)
    if writes.g is not None:
        start, inside = _seen(tables.P, read)
        y = y + start * (S @ q) + writes.g @ (inside * scores)
    return y


def _seen(table: Table, read: str) -> tuple[Tensor, Tensor]:
    """What a token that reads "before" or "after" its own write finds of the chunk's start and of the writes."""
    return (table.start, table.inside) if read == "before" else (table.whole[..., :1, 1:], table.whole[..., 1:, 1:])


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
    own_values: bool = False,
) -> tuple[Tensor | None, State]:
    """Run the recurrence of this module's head over a piece of a sequence; shapes as in ``conventions``.

    A strength that is None is absent: ``retention`` and ``write`` then are 1, the others 0. ``erase_at="chunk_start"``
    erases what A answers instead of M_{t-1}. ``queries=None`` skips the reads and returns None for y; ``read_width`` n
    reads the first n rows of the memory only. With ``own_values`` the target of token t is A v_t instead of v_t. The op
    that calls has checked the shapes, under the names that its caller knows.
    """
    gates = {"retention": retention, "write": write, "erase": erase, "correct": correct, "momentum": momentum}
    if erase_at == "chunk_start" and momentum is None:  # then it is one more pull towards what A does not answer
        gates |= {"correct": erase if correct is None else correct + erase, "erase": None}
    state = begin_matrix(state, keys, values, momentum is not None, own_values)
    position = position_of(state, chunk_size)
    memory, anchor, push = state["memory"], state.get("anchor", state["memory"]), state.get("momentum")

    outputs = []
    for start, stop, chunks in segments(position, keys.shape[2], chunk_size):

        def fold(x, start=start, stop=stop, chunks=chunks):
            return None if x is None else x[:, :, start:stop].unflatten(2, (chunks, -1))

        q, k, v = (None if x is None else fold(x).mT for x in (queries, keys, values))
        begun = anchor if (position + start) % chunk_size else None
        y, memory, anchor, push = _segment(
            q, k, v, {name: fold(gate) for name, gate in gates.items()},
            memory, push, begun, read, erase_at, read_width, own_values,
        )  # fmt: skip
        outputs.append(y)

    new = {"memory": memory, "anchor": anchor, "position": at_position(position + keys.shape[2], keys.shape[0])}
    if push is not None:
        new["momentum"] = push
    return (None if queries is None else torch.cat(outputs, dim=2)), new


def _segment(q, k, v, gates, M, S, anchor, read, erase_at, width, own_values):
    """``chunks`` chunks of equal length, (B, H, chunks, ·, C). ``anchor`` is given only when the chunk had begun.

    The writes of a chunk are affine in what it starts from, fixed + M of_M + S of_S. These three are found for all
    chunks at once; only M and S go from chunk to chunk.
    """
    tables = make_tables(gates["retention"], gates["momentum"], k)
    g, r = _affine_writes(k, v, gates, tables, anchor, erase_at, own_values)
    if r[0] is None and tables.P is None:
        return _multiply(q, k, r[1], tables, M, read, width)
    count = k.shape[2]
    tables_of, keys = tables_apart(tables, 2, count), apart(k, 2, count)
    g, r = (list(zip(*(apart(part, 2, count) for part in write), strict=True)) for write in (g, r))

    starts, starts_S, all_writes = [], [], []
    for n, key in enumerate(keys):
        starts.append(M)
        starts_S.append(S)
        writes = Writes(_at(r[n], M, S), _at(g[n], M, S))
        all_writes.append(writes)
        M, S = advance(M, S, writes, key, tables_of[n])

    anchor = starts[-1] if anchor is None else anchor
    if q is None:
        return None, M, anchor, S
    begin = together([start[..., :width, :] for start in starts], 2)
    if read == "chunk_start":
        begin = begin if len(starts) > 1 else anchor[:, :, None, :width]  # a begun chunk is alone in its segment
        return _rows(begin @ q), M, anchor, S
    writes = Writes(
        *(
            None if parts[0] is None else together([part[..., :width, :] for part in parts], 2)
            for parts in zip(*all_writes, strict=True)
        )
    )
    begin_S = None if writes.g is None else together([start[..., :width, :] for start in starts_S], 2)
    return _rows(live_read(tables, q, k, writes, begin, begin_S, read)), M, anchor, S


def _multiply(q, k, of_M, tables, M, read, width):
    """Chunks whose writes are all M of_M: each multiplies M by a matrix, which is what it makes of the identity."""
    writes, unit = Writes(of_M), torch.eye(k.shape[-2], dtype=k.dtype, device=k.device)
    starts, factors = [], advance(unit, None, writes, k, tables)[0]
    for factor in apart(factors, 2, k.shape[2]):
        starts.append(M)
        M = M @ factor
    if q is None:
        return None, M, starts[-1], None
    asked = q if read == "chunk_start" else live_read(tables, q, k, writes, unit, None, read)
    begin = together([start[..., :width, :] for start in starts], 2)
    return _rows(begin @ asked), M, starts[-1], None


def _rows(y: Tensor) -> Tensor:
    """(B, H, chunks, Dv, C) → (B, H, L, Dv)."""
    return y.mT.flatten(2, 3)


def _affine_writes(k, v, gates, tables, anchor, erase_at, own_values):
    """The parts g and r of ``Writes``, each as (fixed, of_M, of_S); what is zero is None."""
    erase, correct = gates["erase"], gates["correct"]
    none = (None, None, None)

    told, of_A = each(gates["write"]) * v, None  # what is written of v, and of what A answers
    if own_values:
        told, of_A = None, told
    if correct is not None:
        of_A = -each(correct) * k if of_A is None else of_A - each(correct) * k
    fixed, of_M = told, of_A
    if anchor is not None and of_A is not None:  # else the chunk starts here: its anchor is M
        answer = anchor[:, :, None] @ of_A
        fixed, of_M = (answer if told is None else told + answer), None
    asked = (fixed, of_M, None)  # what the tokens ask to be written

    if erase is None:
        return (none, asked) if tables.P is None else (asked, none)
    if erase_at == "chunk_start":  # with momentum; without it the erase has joined ``correct``
        pull = -each(erase) * k
        return asked, ((None, pull, None) if anchor is None else (anchor[:, :, None] @ pull, None, None))

    inside, strong = tables.D.inside, each(erase) * k
    pull = -tables.D.start * strong  # what token t erases of M itself
    if tables.P is None:  # erase and write go the same way: one for both
        return none, _solve_parts(inside, k, strong, fixed, pull if of_M is None else pull + of_M, None)
    heard = tables.P.inside * (k.mT @ -strong)  # what it erases of the writes of this chunk
    of_S = -tables.P.start * strong
    of_fixed = None if fixed is None else fixed @ heard
    return asked, _solve_parts(inside, k, strong, of_fixed, pull if of_M is None else pull + of_M @ heard, of_S)


def _solve_parts(inside, k, strong, *rights):
    """``solve`` for all right-hand sides at once; a None stays None."""
    given = [right for right in rights if right is not None]
    stacked = given[0] if len(given) == 1 else torch.cat(given, -2)
    solved = iter(solve(inside, k, strong, stacked).split([right.shape[-2] for right in given], -2))
    return tuple(None if right is None else next(solved) for right in rights)


def _at(write, M, S):
    """The write of a chunk, from what it starts with."""
    fixed, of_M, of_S = write
    total = fixed
    for slope, start in ((of_M, M), (of_S, S)):
        if slope is not None:
            total = start @ slope if total is None else total + start @ slope
    return total
