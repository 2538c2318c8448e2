"""Softmax attention: the memory that keeps every token and is solved anew for each query (update period 0)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nbhelpers.layers.mixer import Mixer, State, join_heads, position_of, split_heads


class Attention(Mixer):
    """Causal softmax attention with rotary positions (RoPE), on torch's ``scaled_dot_product_attention``.

    The state is the cache: keys and values of all tokens seen (of the last ``window`` ones, if given), whether each may
    still be looked at, its place among the real tokens of its document, and how many of these each row has seen. It
    grows; the states of all other mixers of the book do not.

    Parameters
    ----------
    width, heads: model width and number of heads.
    window: how many tokens a query sees, itself included; None for all of them.
    theta: base of the rotary frequencies, default 10,000.
    persistent: learned tokens that every query sees besides, as if they stood at the first place (Titans'
        persistent memory); default 0.
    """

    grows: ClassVar[bool] = True
    memory_names: ClassVar[tuple[str, ...]] = ("keys", "values")
    minimises: ClassVar[str] = "weighted squared error to all values seen, anew for each query"
    solver: ClassVar[str] = "closed form (softmax)"

    def __init__(
        self,
        width: int,
        heads: int,
        chunk_size: int = 64,
        window: int | None = None,
        theta: float = 1e4,
        persistent: int = 0,
    ):
        super().__init__(width, heads, chunk_size)
        if self.head_width % 2:
            raise ValueError(f"A head is {self.head_width} wide; rotary positions turn pairs, so it must be even.")
        if window is not None and window < 1:
            raise ValueError(f"window is {window!r}; expected at least 1 token, or None for all.")
        self.window, self.theta = window, theta
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.persistent = nn.Parameter(torch.randn(persistent, width)) if persistent else None

    def initial_state(self, batch: int, position: int = 0) -> State:
        empty = self.out.weight.new_zeros(batch, self.heads, 0, self.head_width)
        device = empty.device
        return {
            "keys": empty,
            "values": empty,
            "visible": torch.zeros(batch, 0, dtype=torch.bool, device=device),
            "place": torch.zeros(batch, 0, dtype=torch.int64, device=device),
            "seen": torch.zeros(batch, dtype=torch.int64, device=device),
            **self.start_position(batch, position),
        }

    def mix(self, x: Tensor, state: State, record: dict[str, Tensor] | None = None) -> tuple[Tensor, State]:
        return self._attend(x, state, None, None)

    def _masked(self, x, state, reset, padding, truncate):
        """One pass with an explicit mask. A cache has no chunks: ``truncate`` detaches what came before the piece."""
        if truncate is not None:
            state = {name: tensor.detach() for name, tensor in state.items()}
        return self._attend(x, state, reset, padding)

    def _attend(self, x, state, reset, padding):
        length, before = x.shape[1], state["keys"].shape[2]
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, -1))
        real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if padding is None else ~padding
        seen = state["seen"][:, None] + real.cumsum(1)
        if reset is not None:  # a document counts from its own first token
            seen = seen - torch.where(reset, seen - real.long(), 0).cummax(1).values
        place = torch.cat([state["place"], seen - 1], 1)  # how many real tokens came before it
        turn = rotation(seen - 1, self.head_width, self.theta, torch.promote_types(x.dtype, torch.float32))
        q, k = rotate(q, *turn), rotate(k, *turn)
        k, v = torch.cat([state["keys"].to(k.dtype), k], 2), torch.cat([state["values"].to(v.dtype), v], 2)
        visible = torch.cat([state["visible"], real], 1)

        easy = self.window is None and self.persistent is None
        if reset is None and padding is None and easy and (before == 0 or length == 1):
            # A cache may hold hidden tokens, of another document or padding: then the mask has to say so.
            mask = None if before == 0 or bool(visible.all()) else visible[:, None, None]
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=before == 0)
        else:
            mask, visible = self._mask(visible, place, reset, before)
            if self.persistent is None:
                y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])
            else:
                _, ever_k, ever_v = self.qkv(self.persistent).unflatten(-1, (3, self.heads, -1)).permute(1, 2, 0, 3)
                count = len(self.persistent)
                y = F.scaled_dot_product_attention(
                    q,
                    torch.cat([ever_k.expand(len(x), -1, -1, -1), k], 2),
                    torch.cat([ever_v.expand(len(x), -1, -1, -1), v], 2),
                    attn_mask=torch.cat([mask.new_ones(*mask.shape[:2], count), mask], 2)[:, None],
                )
        if padding is not None:
            y = y.masked_fill(padding[:, None, :, None], 0)
        keep = slice(0 if self.window is None else self._first_needed(visible, place), None)
        new = {
            "keys": k[:, :, keep],
            "values": v[:, :, keep],
            "visible": visible[:, keep],
            "place": place[:, keep],
            "seen": seen[:, -1],
            **self.start_position(len(x), position_of(state) + length),
        }
        return self.out(join_heads(y)), new

    def _first_needed(self, visible, place):
        """The first place in the cache that the next token of any row may still look at."""
        needed = (visible & (place[:, -1:] - place < self.window - 1)).any(0)
        return int(needed.nonzero()[0]) if needed.any() else len(needed)

    def _mask(self, visible, place, reset, before):
        """Who may look at whom (B, L, before + L), and which tokens are visible to what comes after this piece."""
        query = torch.arange(before, visible.shape[1], device=visible.device)[:, None]
        key = torch.arange(visible.shape[1], device=visible.device)[None]
        sees = (key <= query) & visible[:, None]
        if self.window is not None:
            sees = sees & (place[:, before:, None] - place[:, None] < self.window)
        if reset is not None:
            document = reset.cumsum(1)
            origin = torch.cat([document.new_zeros(len(document), before), document], 1)
            sees = sees & (origin[:, None] == document[:, :, None])
            visible = visible & (origin == document[:, -1:])
        itself = (key == query)[None]  # a padded query sees itself, so that softmax has something to look at
        return sees | itself, visible


def rotation(position: Tensor, width: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary angles: positions (B, L) → two of (B, 1, L, width / 2)."""
    frequency = theta ** (-torch.arange(0, width, 2, device=position.device, dtype=dtype) / width)
    angle = position[:, None, :, None] * frequency
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (x_i, x_{i + width/2}) by its angle: (B, H, L, width), scores then depend on distance alone."""
    a, b = x.chunk(2, -1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)
