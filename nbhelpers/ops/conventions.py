"""What every op of this floor agrees on: shapes, names, state, precision, and the errors it raises.

Shapes
------
``queries``, ``keys`` are (B, H, L, Dk), ``values`` (B, H, L, Dv), gates (B, H, L): batch, heads, tokens, width.
A matrix memory M is (B, H, Dv, Dk). It is read as ``M k`` and written as ``v kᵀ``.

Gates (numbers per token, one meaning each)
-------------------------------------------
retention α in [0, 1] (1 keeps everything), learning_rate η ≥ 0, momentum_decay μ in [0, 1), write_strength β in
[0, 2]. The ranges are not tested at run time: on a GPU that would stop the queue once per call.

What ``read`` means (M_{t-1} → M_t is the write of token t)
-----------------------------------------------------------
``"after"``: y_t = M_t q_t. ``"before"``: y_t = M_{t-1} q_t. ``"chunk_start"``: y_t = M_ξ q_t, where ξ is the last
chunk boundary before token t.

State
-----
A dict of tensors, batch first: ``memory`` (live), ``anchor`` (the memory at the last chunk boundary), ``momentum``
where there is one, ``position`` (tokens seen so far, (B,) int64). Chunk boundaries lie at absolute positions, so a
sequence fed whole or in pieces of any length gives the same numbers, as long as ``chunk_size`` stays the same.
Nothing is ever detached.

Precision
---------
Inputs in float16 or bfloat16 are computed in float32, also under autocast; float64 stays float64. The output has
the type of ``values``; the state keeps the type that it was computed in.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

READS = ("after", "before", "chunk_start")

State = dict[str, Tensor]


def inner_precision(op):
    """Run ``op`` in float32 (float64 when ``values`` are), autocast switched off; give y back in values' type."""

    @functools.wraps(op)
    def call(queries, keys, values, *gates, **options):
        if not isinstance(values, Tensor):
            raise TypeError(f"values are {type(values).__name__}; {op.__name__} expects a tensor (B, H, L, Dv).")
        dtype = torch.float64 if values.dtype == torch.float64 else torch.float32

        def cast(item):
            if isinstance(item, dict):
                return {name: cast(tensor) for name, tensor in item.items()}
            return item.to(dtype) if isinstance(item, Tensor) and item.is_floating_point() else item

        with torch.autocast(values.device.type, enabled=False):
            y, state = op(
                cast(queries),
                cast(keys),
                cast(values),
                *map(cast, gates),
                **{name: cast(option) for name, option in options.items()},
            )
        return (None if y is None else y.to(values.dtype)), state

    return call


def check_inputs(
    queries: Tensor | None,
    keys: Tensor,
    values: Tensor,
    gates: dict[str, Tensor | None],
    chunk_size: int,
    read: str,
) -> None:
    """Refuse shapes and options that do not fit, with what was expected.

    Raises
    ------
    ValueError
        Shapes that do not agree, an empty sequence, a chunk size below 1, an unknown ``read``.
    """
    if keys.dim() != 4 or values.dim() != 4 or keys.shape[:3] != values.shape[:3]:
        raise ValueError(
            f"keys are {tuple(keys.shape)} and values {tuple(values.shape)}; expected (B, H, L, Dk) and (B, H, L, Dv) "
            "with the same B, H, L. Move the heads in front of the tokens: x.unflatten(-1, (H, D)).transpose(1, 2)."
        )
    if queries is not None and queries.shape != keys.shape:
        raise ValueError(f"queries are {tuple(queries.shape)}; expected the shape of the keys, {tuple(keys.shape)}.")
    if keys.shape[2] == 0:
        raise ValueError("The sequence is empty; an op needs at least one token. Skip the call instead.")
    for name, gate in gates.items():
        if gate is not None and gate.shape != keys.shape[:3]:
            raise ValueError(
                f"{name} is {tuple(gate.shape)}; expected one number per token, (B, H, L) = {tuple(keys.shape[:3])}. "
                "Use .expand(B, H, L) for a constant."
            )
    if not isinstance(chunk_size, int) or chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size!r}; expected a whole number of tokens, 1 or more.")
    if read not in READS:
        raise ValueError(f"read is {read!r}; expected one of {', '.join(READS)}.")


def matrix_state(memory: Tensor, momentum: Tensor | None = None) -> State:
    """The state of a matrix memory before the first token.

    Parameters
    ----------
    memory: (B, H, Dv, Dk), what the memory starts from; gradients flow into it (a meta-learned initial state).
    momentum: (B, H, Dv, Dk) or None for zero.
    """
    position = torch.zeros(memory.shape[0], dtype=torch.int64)
    state = {"memory": memory, "anchor": memory, "position": position}
    return state if momentum is None else {**state, "momentum": momentum}


def begin_matrix(
    state: State | None, keys: Tensor, values: Tensor, with_momentum: bool, own_values: bool = False
) -> State:
    """The state to start from: zeros when there is none, else the given one with its shapes checked.

    With ``own_values`` the values are what the memory is asked, as wide as a key; how high it is, its state says.
    """
    height = values.shape[-1]
    if own_values:
        if state is None or values.shape[-1] != keys.shape[-1]:
            raise ValueError(
                "With own_values the memory answers to the values with its targets: it needs a state to start from, "
                f"matrix_state(memory), and values as wide as the keys. It got {'no' if state is None else 'a'} state; "
                f"the values are {values.shape[-1]} wide and the keys {keys.shape[-1]}."
            )
        check_state(state, {}, ("memory",))
        height = state["memory"].shape[-2]
    shape = (*keys.shape[:2], height, keys.shape[-1])
    if state is None:
        state = matrix_state(values.new_zeros(shape))
    check_state(state, {name: shape for name in ("memory", "anchor", "momentum") if name in state}, ("memory",))
    if with_momentum and "momentum" not in state:
        state = {**state, "momentum": torch.zeros_like(state["memory"])}
    return state


def check_state(state: State, shapes: dict[str, tuple[int, ...]], needed: tuple[str, ...]) -> None:
    """Refuse a state that lacks a tensor or has one of another shape."""
    for name in needed:
        if name not in state:
            raise ValueError(f"The state has no {name!r}; it has {sorted(state)}. Hand on what the op returned.")
    for name, shape in shapes.items():
        if tuple(state[name].shape) != tuple(shape):
            raise ValueError(
                f"state[{name!r}] is {tuple(state[name].shape)}; these inputs need {tuple(shape)}. "
                "A state belongs to one batch and one layer."
            )


def position_of(state: State, chunk_size: int, anchor: str = "anchor") -> int:
    """How many tokens the state has seen: one number, the same for all rows of the batch."""
    position = state.get("position")
    if position is None:
        return 0
    first = int(position[0])
    if bool((position != first).any()):
        raise ValueError(
            f"The rows of this state stand at different positions ({position.tolist()}); chunk boundaries are shared "
            "by the batch. Run rows of different length one by one, or pad them."
        )
    if first % chunk_size and anchor not in state:
        raise ValueError(
            f"The state stands in mid-chunk (position {first}, chunk_size {chunk_size}) but carries no {anchor!r}. "
            "Hand on the whole state that the op returned."
        )
    return first


def at_position(position: int, batch: int) -> Tensor:
    """``position`` as the state keeps it: (B,) int64, on the CPU so that reading it never waits for a GPU."""
    return torch.full((batch,), position, dtype=torch.int64)


def segments(position: int, length: int, chunk_size: int) -> list[tuple[int, int, int]]:
    """Cut a piece at absolute chunk boundaries: (start, stop, chunks) of the rest of a begun chunk, the full chunks,
    and the beginning of the last one; empty parts are left out.

    >>> segments(position=3, length=14, chunk_size=4)
    [(0, 1, 1), (1, 13, 3), (13, 14, 1)]
    """
    head = min(-position % chunk_size, length)
    full = (length - head) // chunk_size
    tail = head + full * chunk_size
    cuts = [(0, head, 1), (head, tail, full), (tail, length, 1)]
    return [(start, stop, chunks) for start, stop, chunks in cuts if stop > start]


def outer(v: Tensor, k: Tensor) -> Tensor:
    """v kᵀ: (…, Dv), (…, Dk) → (…, Dv, Dk)."""
    return v[..., :, None] * k[..., None, :]


def recall(memory: Tensor, k: Tensor) -> Tensor:
    """M k: (…, Dv, Dk), (…, Dk) → (…, Dv)."""
    return (memory @ k[..., None])[..., 0]
