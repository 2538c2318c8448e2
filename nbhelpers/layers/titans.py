"""Titans: a memory trained while it reads, by gradient steps with momentum and forgetting."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nbhelpers import ops
from nbhelpers.layers import gates
from nbhelpers.layers.mixer import State, join_heads, position_of, split_heads
from nbhelpers.layers.recurrent import ANCHORS, MOMENTA, RecurrentMixer, note, surprise

MEMORIES = ("matrix", "mlp")


class Titans(RecurrentMixer):
    """S_t = μ_t S_{t-1} − η_t ∇½‖f(k_t) − v_t‖²,  W_t = α_t W_{t-1} + S_t, gradients at the chunk start (LMM).

    Source: Titans (13)–(18), paper-facts §9.1; read after the write. η ≤ (1 − μ)/C, so that one key filling a chunk
    cannot make the memory grow. A matrix memory is told C · v instead of v: it is linear, the output is normalised,
    and a single write then weighs as much as in the other mixers.

    Parameters
    ----------
    memory: "matrix" (M z), or "mlp" (z + W₁ σ(W₂ z), keys and values of length 1; paper-facts §6.5).
    hidden: hidden width of the MLP memory; default the width of a head.
    momentum: whether there is an S; default True.
    gradient_bound: as in ``SelfModifyingTitans``.
    chunk_size, window: as in ``RecurrentMixer``; here the chunk is part of the rule.
    """

    minimises: ClassVar[str] = "½‖f(k) − v‖² + fading"
    solver: ClassVar[str] = "momentum, retention"

    def __init__(
        self,
        width: int,
        heads: int,
        chunk_size: int = 64,
        window: int = 4,
        memory: str = "matrix",
        hidden: int | None = None,
        momentum: bool = True,
        gradient_bound: float = gates.GRADIENT_BOUND,
    ):
        if memory not in MEMORIES:
            raise ValueError(f"memory is {memory!r}; expected one of {', '.join(MEMORIES)}.")
        self.gate_names = ("learning_rate", "retention", *(["momentum_decay"] if momentum else []))
        self.kind, self.hidden, self.gradient_bound = memory, hidden or width // heads, gradient_bound
        super().__init__(width, heads, chunk_size, window)

    def make_memory(self) -> None:
        if self.kind == "matrix":
            super().make_memory()
        else:
            self.W1, self.W2 = initial_mlp(self.heads, self.head_width, self.hidden)

    def initial_memory(self, batch: int) -> State:
        names = ("memory",) if self.kind == "matrix" else ("W1", "W2")
        memory = {name: getattr(self, name).expand(batch, -1, -1, -1) for name in names}
        if "momentum_decay" not in self.gate_names:
            return memory
        return memory | {MOMENTA[name]: torch.zeros_like(W) for name, W in memory.items()}

    def recall(self, x: Tensor, state: State) -> Tensor:
        """What the memory of the last chunk boundary answers to queries of x (B, L, D), nothing written: (B, L, D).

        For wirings that read before they write. The queries see their own token alone, not the convolution's window.
        """
        q = gates.unit(split_heads(F.silu(F.linear(x, self.qkv.weight[: self.width])), self.heads))
        at = ANCHORS if position_of(state) % self.chunk_size else {name: name for name in ANCHORS}
        if self.kind == "matrix":
            answer = q @ state[at["memory"]].mT
        else:
            answer = ops.mlp_recall(state[at["W1"]], state[at["W2"]], q)
        return join_heads(self.norm(answer))

    def rule(self, q, k, v, raw, state, record):
        α = gates.retention(raw["retention"])
        μ = gates.momentum_decay(raw["momentum_decay"]) if "momentum_decay" in raw else None
        η = gates.learning_rate(raw["learning_rate"], α, μ, self.chunk_size)
        note(record, learning_rate=η, retention=α, **({} if μ is None else {"momentum_decay": μ}))
        if self.kind == "matrix":
            values = self.chunk_size * v
            note(record, surprise=surprise(state["memory"], k, values))
            return ops.titans(q, k, values, η, α, μ, state, chunk_size=self.chunk_size)
        values = gates.unit(v)
        if record is not None:
            note(record, surprise=(ops.mlp_recall(state["W1"], state["W2"], k) - values).norm(dim=-1))
        options = {"chunk_size": self.chunk_size, "gradient_bound": self.gradient_bound}
        return ops.titans_mlp(q, k, values, η, α, μ, state, **options)


def initial_mlp(*shape_width_hidden: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Learned starts W₁ (…, D, Dh), W₂ (…, Dh, D) of MLP memories, from (…, D, Dh).

    Variances are such that a key of length 1 gives a hidden activation of length about 1, since η is bounded for that.
    """
    *shape, width, hidden = shape_width_hidden
    W1 = 0.5 * torch.randn(*shape, width, hidden) / hidden**0.5
    W2 = 2 * torch.randn(*shape, hidden, width) / hidden**0.5
    return nn.Parameter(W1), nn.Parameter(W2)
