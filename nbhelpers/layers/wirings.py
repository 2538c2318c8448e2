"""Four ways to wire a neural memory in (Titans §4): MAC, MAG, MAL, and the memory alone (LMM, ``Titans``).

    MAC   memory as context   attention over [persistent, what the memory recalls, the segment]; its output is written
    MAG   memory as gate      windowed attention over [persistent, x], gated by the memory's answer
    MAL   memory as layer     the memory first, windowed attention over its answers after it

Persistent tokens are learned, the same for every input, and seen by every query. "Gated by m" is y ∘ σ(m) with the
memory's normalised, projected answer m. These are for chapters: plain, causal token by token, not tuned for speed.

Where the paper would look ahead it is read causally here: a token of a MAC segment sees what was recalled for itself
and for earlier tokens of its segment, and its gate comes from the memory as its own write left it.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nbhelpers.layers.attention import Attention, rotate, rotation
from nbhelpers.layers.mixer import Mixer, State, join_heads, position_of, split_heads
from nbhelpers.layers.titans import Titans


class _Wired(Mixer):
    """Two mixers whose states stand side by side, each with its own masks."""

    grows: ClassVar[bool] = True  # the window's cache, until the window is full

    def __init__(
        self, width: int, heads: int, chunk_size: int = 64, window: int = 64, persistent: int = 4, memory: str = "mlp"
    ):
        super().__init__(width, heads, chunk_size)
        self.attention = Attention(width, heads, chunk_size, window=window, persistent=persistent)
        self.memory = Titans(width, heads, chunk_size, memory=memory)

    def initial_state(self, batch: int, position: int = 0) -> State:
        parts = {"attention": self.attention, "memory": self.memory}
        return _joined({name: part.initial_state(batch, position) for name, part in parts.items()})

    def level_rows(self):
        """The levels of both parts, for ``nbhelpers.levels``: they stand in the table as modules of their own."""
        return []

    def _both(self, state):
        state = {} if state is None else state
        return (_part(state, "attention") or None), (_part(state, "memory") or None)


class MemoryAsGate(_Wired):
    """MAG: y = attention(x) over a window, o = y ∘ σ(memory(x)).

    Parameters
    ----------
    width, heads, chunk_size: as for every mixer; the chunk is the memory's.
    window: tokens that the attention sees, default 64.
    persistent: learned tokens that it sees besides, default 4.
    memory: "mlp" (default) or "matrix", the kind of ``Titans`` memory.
    """

    def forward(self, x: Tensor, state: State | None = None, **masks) -> tuple[Tensor, State]:
        seen, told = self._both(state)
        y, seen = self.attention(x, seen, **masks)
        m, told = self.memory(x, told, **masks)
        return y * torch.sigmoid(m), _joined({"attention": seen, "memory": told})


class MemoryAsLayer(_Wired):
    """MAL: attention over a window of what the memory answers, o = attention(memory(x)); parameters as for MAG."""

    def forward(self, x: Tensor, state: State | None = None, **masks) -> tuple[Tensor, State]:
        seen, told = self._both(state)
        m, told = self.memory(x, told, **masks)
        y, seen = self.attention(m, seen, **masks)
        return y, _joined({"attention": seen, "memory": told})


class MemoryAsContext(Mixer):
    """MAC: in each segment, h = M(q(x)) is recalled from the memory as the last segment left it, and


        y_i = attention of x_i over [persistent, h_j (j ≤ i), x_j (j ≤ i)] of its segment
        the memory is told y, and o_i = y_i ∘ σ(memory(y)_i)

    Segments lie at absolute positions. Parameters as for MAG; the window is the segment.
    """

    def __init__(self, width: int, heads: int, chunk_size: int = 64, persistent: int = 4, memory: str = "mlp"):
        super().__init__(width, heads, chunk_size)
        self.memory = Titans(width, heads, chunk_size, memory=memory)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.persistent = nn.Parameter(torch.randn(persistent, width))

    def initial_state(self, batch: int, position: int = 0) -> State:
        shape = (batch, self.heads, 2 * self.chunk_size, self.head_width)  # recalled tokens, then the segment's own
        return {
            "keys": self.out.weight.new_zeros(shape),
            "values": self.out.weight.new_zeros(shape),
            "visible": torch.zeros(batch, self.chunk_size, dtype=torch.bool, device=self.out.weight.device),
            **_joined({"memory": self.memory.initial_state(batch, position)}),
        }

    def level_rows(self):
        """The levels of the memory stand in the table as a module of its own."""
        return []

    def mix(self, x: Tensor, state: State, record: dict[str, Tensor] | None = None) -> tuple[Tensor, State]:
        position, outputs, start = position_of(state), [], 0
        while start < x.shape[1]:
            place = (position + start) % self.chunk_size
            stop = min(x.shape[1], start + self.chunk_size - place)
            if place == 0:
                state = state | {"visible": torch.zeros_like(state["visible"])}
            y, state = self._segment(x[:, start:stop], state, place)
            outputs.append(y)
            start = stop
        return torch.cat(outputs, 1), state

    def _segment(self, x, state, place):
        """Tokens ``place`` … of one segment."""
        told = _part(state, "memory")
        recalled = self.memory.recall(x, told)
        slots = torch.arange(place, place + x.shape[1], device=x.device)
        _, k_h, v_h = self._project(recalled)
        q, k_x, v_x = self._project(x)
        turn = rotation(slots[None], self.head_width, 1e4, torch.promote_types(x.dtype, torch.float32))
        q, k_h, k_x = (rotate(part, *turn) for part in (q, k_h, k_x))
        at = torch.cat([slots, slots + self.chunk_size])
        keys = state["keys"].to(x.dtype).index_copy(2, at, torch.cat([k_h, k_x], 2))
        values = state["values"].to(x.dtype).index_copy(2, at, torch.cat([v_h, v_x], 2))
        visible = state["visible"].index_fill(1, slots, True)

        _, ever_k, ever_v = self._project(self.persistent[None].expand(len(x), -1, -1))
        earlier = torch.arange(self.chunk_size, device=x.device)[None] <= slots[:, None]
        sees = earlier[None] & visible[:, None]
        mask = torch.cat([sees.new_ones(*sees.shape[:2], len(self.persistent)), sees, sees], 2)
        y = F.scaled_dot_product_attention(
            q, torch.cat([ever_k, keys], 2), torch.cat([ever_v, values], 2), attn_mask=mask[:, None]
        )
        y = self.out(join_heads(y))
        m, told = self.memory(y, told)
        new = {"keys": keys, "values": values, "visible": visible}
        return y * torch.sigmoid(m), new | _joined({"memory": told})

    def _project(self, x):
        return (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, -1))


def _joined(parts: dict[str, State]) -> State:
    """States side by side, each under its name; they share one position."""
    state = {f"{name}.{entry}": t for name, own in parts.items() for entry, t in own.items() if entry != "position"}
    return state | {"position": next(iter(parts.values()))["position"]}


def _part(state: State, name: str) -> State:
    """The state of one part."""
    own = {entry[len(name) + 1 :]: tensor for entry, tensor in state.items() if entry.startswith(name + ".")}
    return own | {"position": state["position"]} if own and "position" in state else own
