"""What every sequence mixer agrees on: one call, one state, masks and truncation.

    y, state = mixer(x)              x, y (B, L, D); the state before the first token is the mixer's own
    y, state = mixer(x, state)       goes on where the state ended

A sequence fed whole or in pieces of any length gives the same output. The state is a dict of tensors, batch first; row
b belongs to sequence b and to nobody else (``state_belongs_to``). Nothing is detached unless ``truncate`` says so.

Masks are exact. The piece is cut wherever a row's mask changes; rows that a mask holds keep the state that they had.
Chunk boundaries stay where they are, at absolute positions shared by the batch, so a document that begins in mid-chunk
is what it would be alone, told at that place of the grid (``initial_state(batch, position)``).
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from nbhelpers.levels import OUTER, LevelRow
from nbhelpers.ops.conventions import at_position

State = dict[str, Tensor]


class Mixer(nn.Module):
    """Base of all sequence mixers. A subclass gives ``initial_state`` and ``mix``."""

    state_belongs_to: ClassVar[str] = "sequence"
    grows: ClassVar[bool] = False  # whether the state grows with the tokens seen
    memory_names: ClassVar[tuple[str, ...]] = ("memory", "W1", "W2")  # entries of the state that hold what was learned
    minimises: ClassVar[str] = ""  # inner objective, in words
    solver: ClassVar[str] = ""  # how the memory follows it

    def __init__(self, width: int, heads: int, chunk_size: int = 64):
        super().__init__()
        if width < 1 or heads < 1 or width % heads:
            raise ValueError(f"width is {width} and heads {heads}; the heads must divide the width.")
        if not isinstance(chunk_size, int) or chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size!r}; expected a whole number of tokens, 1 or more.")
        self.width, self.heads, self.head_width, self.chunk_size = width, heads, width // heads, chunk_size

    def initial_state(self, batch: int, position: int = 0) -> State:
        """The state before the first token; gradients flow into learned initial memories.

        ``position`` is where on the grid of chunks the sequence begins, in tokens.
        """
        raise NotImplementedError

    def mix(self, x: Tensor, state: State, record: dict[str, Tensor] | None = None) -> tuple[Tensor, State]:
        """Mix a piece without masks. ``record``, if given, is filled with gates and surprise, (B, H, L) each."""
        raise NotImplementedError

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        *,
        reset: Tensor | None = None,
        padding: Tensor | None = None,
        truncate: int | None = None,
    ) -> tuple[Tensor, State]:
        """Mix a piece of a sequence.

        Parameters
        ----------
        x: (B, L, D), L ≥ 1.
        state: what the last call returned; None begins a sequence.
        reset: (B, L) bool, True at the first token of each document: nothing before it is remembered.
        padding: (B, L) bool, True at tokens that are none: they write nothing, and y is 0 there.
        truncate: detach the state after every so many chunks (absolute positions); None never detaches.

        Raises
        ------
        ValueError
            Shapes that do not fit, with what was expected.
        """
        if x.dim() != 3 or x.shape[-1] != self.width or x.shape[1] == 0:
            raise ValueError(f"x is {tuple(x.shape)}; expected (B, L, {self.width}) with at least one token.")
        for name, mask in (("reset", reset), ("padding", padding)):
            if mask is not None and (mask.shape != x.shape[:2] or mask.dtype != torch.bool):
                raise ValueError(
                    f"{name} is {tuple(mask.shape)} of {mask.dtype}; expected {tuple(x.shape[:2])} of torch.bool."
                )
        if state is None:  # a position that is not there is 0, known without reading a tensor (one graph to compile)
            state = self.initial_state(len(x))
            del state["position"]
        if reset is None and padding is None and truncate is None:
            return self.mix(x, state)
        return self._masked(x, state, reset, padding, truncate)

    def _masked(self, x, state, reset, padding, truncate):
        """Cut the piece where a mask changes or the state is detached, and mix part by part."""
        length, position = x.shape[1], position_of(state)
        every = None if truncate is None else _whole("truncate", truncate) * self.chunk_size
        cuts = {0, length}
        if reset is not None:
            cuts |= set(reset.any(0).nonzero().flatten().tolist())
        if padding is not None:
            changed = (padding[:, 1:] != padding[:, :-1]).any(0)
            cuts |= {t + 1 for t in changed.nonzero().flatten().tolist()}
        if every is not None:
            cuts |= set(range(-position % every, length, every))
        cuts, outputs = sorted(cuts), []
        for start, stop in pairwise(cuts):
            if every is not None and (position + start) % every == 0:
                state = {name: tensor.detach() for name, tensor in state.items()}
            if reset is not None and reset[:, start].any():
                state = choose(reset[:, start], self.initial_state(len(x), position + start), state)
            y, new = self.mix(x[:, start:stop], state)
            if padding is not None and padding[:, start].any():
                y = y.masked_fill(padding[:, start, None, None], 0)
                new = choose(padding[:, start], state, new)
            state = new
            outputs.append(y)
        return torch.cat(outputs, 1), state

    def level_rows(self) -> list[LevelRow]:
        """The mixer's levels for ``nbhelpers.levels.table_of_levels``: its memory, and the weights around it."""
        return [
            LevelRow("memory", self.minimises, "1 token", self.solver, state=self.memory_names),
            LevelRow("projections", OUTER, "1 step of training", "outer optimizer", tuple(self.parameters())),
        ]

    def start_position(self, batch: int, position: int) -> State:
        """The part of the state that says where the sequence stands."""
        return {"position": at_position(position, batch)}


def position_of(state: State) -> int:
    """How many tokens the sequences have behind them; a state without a position stands at the beginning."""
    return int(state["position"][0]) if "position" in state else 0


def choose(rows: Tensor, a: State, b: State) -> State:
    """The state whose rows come from ``a`` where ``rows`` (B,) is True, else from ``b``; positions are ``b``'s."""
    return {
        name: b[name]
        if name == "position"
        else torch.where(rows.view(-1, *[1] * (b[name].dim() - 1)), a[name].to(b[name].dtype), b[name])
        for name in b
    }


def _whole(name: str, value: int) -> int:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}; expected a whole number of chunks, 1 or more.")
    return value


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, H · d) → (B, H, L, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(B, H, L, d) → (B, L, H · d)."""
    return x.transpose(1, 2).flatten(2)
