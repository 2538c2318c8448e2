"""What the plain loops of this floor share: walking over tokens, chunk boundaries, reading, handing on the state."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nbhelpers.ops.conventions import State, at_position, begin_matrix, check_inputs, position_of, recall


class Walk:
    """Iterate over the tokens of a piece with a matrix memory: ``for q, k, v, *gates in walk``.

    ``walk.memory`` is M_{t-1}, ``walk.anchor`` the memory M_ξ at the last chunk boundary, ``walk.momentum`` S_{t-1}
    (None unless asked for). Gates come as (B, H, 1, 1), ready to scale a memory; one that is None comes as None.
    With ``own_values`` v is what M_ξ answers to the value given. Each turn calls ``walk.step(M_t, q)`` or
    ``walk.step(M_t, q, S_t)``; ``walk.finish()`` gives (y, state).
    """

    def __init__(
        self,
        queries: Tensor | None,
        keys: Tensor,
        values: Tensor,
        gates: dict[str, Tensor | None],
        state: State | None,
        chunk_size: int,
        read: str,
        with_momentum: bool = False,
        read_width: int | None = None,
        own_values: bool = False,
    ):
        check_inputs(queries, keys, values, gates, chunk_size, read)
        state = begin_matrix(state, keys, values, with_momentum, own_values)
        self.memory, self.anchor = state["memory"], state.get("anchor", state["memory"])
        self.momentum = state.get("momentum")
        self._tokens = (queries, keys, values, list(gates.values()))
        self._position, self._chunk_size, self._read = position_of(state, chunk_size), chunk_size, read
        self._read_width, self._own_values = read_width, own_values
        self._outputs: list[Tensor] = []

    def __iter__(self) -> Iterator[list[Tensor]]:
        queries, keys, values, gates = self._tokens
        for t in range(keys.shape[2]):
            if self._position % self._chunk_size == 0:
                self.anchor = self.memory
            token = [None if x is None else x[:, :, t] for x in (queries, keys, values)]
            if self._own_values:
                token[2] = recall(self.anchor, token[2])
            yield token + [None if gate is None else gate[:, :, t, None, None] for gate in gates]
            self._position += 1

    def step(self, memory: Tensor, q: Tensor | None, momentum: Tensor | None = None) -> None:
        """Read for this token and put the new memory in the place of the old one."""
        if q is not None:
            seen = {"after": memory, "before": self.memory, "chunk_start": self.anchor}[self._read]
            self._outputs.append(recall(seen[..., : self._read_width, :], q))
        self.memory = memory
        if momentum is not None:
            self.momentum = momentum

    def finish(self) -> tuple[Tensor | None, State]:
        """All outputs (B, H, L, Dv) and the state to hand on."""
        position = at_position(self._position, self.memory.shape[0])
        state = {"memory": self.memory, "anchor": self.anchor, "position": position}
        if self.momentum is not None:
            state["momentum"] = self.momentum
        return (torch.stack(self._outputs, dim=2) if self._outputs else None), state
