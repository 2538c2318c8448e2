"""Mixers with a matrix memory and one rule each: linear attention, Mamba-2, delta rule, gated delta rule.

All four share their surroundings, those of the Gated DeltaNet line (paper-facts §7.3, §9.4): q, k, v are projected,
blurred by a short convolution, passed through SiLU, q and k brought to length 1; what the memory answers is normalised
per head, gated by the token and projected back. A subclass gives the gates and the rule.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nbhelpers import ops
from nbhelpers.layers import gates
from nbhelpers.layers.convolution import ShortConvolution
from nbhelpers.layers.mixer import Mixer, State, join_heads, split_heads

# What the state calls a memory at the chunk start, and its momentum.
ANCHORS = {"memory": "anchor", "W1": "anchor_W1", "W2": "anchor_W2"}
MOMENTA = {"memory": "momentum", "W1": "momentum_W1", "W2": "momentum_W2"}


class RecurrentMixer(Mixer):
    """Base: projections, convolution, memory, output. The initial memory is learned and begins at zero.

    Parameters
    ----------
    width, heads: model width and number of heads; each head holds a matrix (width/heads)².
    chunk_size: tokens computed at once, default 64; for the exact rules of this file it changes the speed alone.
    window: tokens of the short convolution, default 4.
    """

    gate_names: ClassVar[tuple[str, ...]] = ()
    unit_keys: ClassVar[bool] = True

    def __init__(self, width: int, heads: int, chunk_size: int = 64, window: int = 4):
        super().__init__(width, heads, chunk_size)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.convolution = ShortConvolution(3 * width, window)
        if self.gate_names:
            self.gates = nn.Linear(width, len(self.gate_names) * heads)
            nn.init.normal_(self.gates.weight, std=0.02)
            self.gates.bias.data = torch.stack([self.gate_bias(name) for name in self.gate_names]).flatten()
        self.output_gate = nn.Linear(width, width, bias=False)
        self.norm = nn.RMSNorm(self.head_width, eps=1e-6)
        self.out = nn.Linear(width, width, bias=False)
        self.make_memory()

    def make_memory(self) -> None:
        """Make the learned initial memory."""
        self.memory = nn.Parameter(torch.zeros(self.heads, self.head_width, self.head_width))

    def initial_memory(self, batch: int) -> State:
        """The op's state before the first token, without its position."""
        return {"memory": self.memory.expand(batch, -1, -1, -1)}

    def gate_bias(self, name: str) -> Tensor:
        """Where the pre-activation of a gate begins, (H,)."""
        if name == "retention":
            return gates.retention_bias(self.heads)
        return torch.full((self.heads,), {"write_strength": 0.0, "learning_rate": 0.0, "momentum_decay": 1.0}[name])

    def rule(
        self, q: Tensor, k: Tensor, v: Tensor, raw: dict[str, Tensor], state: State, record: dict | None
    ) -> tuple[Tensor, State]:
        """Apply the op: q, k, v (B, H, L, d), pre-activations of the gates (B, H, L) by name."""
        raise NotImplementedError

    def initial_state(self, batch: int, position: int = 0) -> State:
        memory = self.initial_memory(batch)
        anchors = {ANCHORS[name]: tensor for name, tensor in memory.items() if name in ANCHORS}
        tail = self.convolution.initial_tail(batch, self.out.weight)
        return {**memory, **anchors, "tail": tail, **self.start_position(batch, position)}

    def mix(self, x: Tensor, state: State, record: dict[str, Tensor] | None = None) -> tuple[Tensor, State]:
        projected, tail = self.convolution(self.qkv(x), state["tail"])
        q, k, v = (split_heads(part, self.heads) for part in F.silu(projected).chunk(3, -1))
        if self.unit_keys:
            q, k = gates.unit(q), gates.unit(k)
        raw = {}
        if self.gate_names:
            raw = dict(zip(self.gate_names, split_gates(self.gates(x), len(self.gate_names)), strict=True))
        memory = {name: tensor for name, tensor in state.items() if name != "tail"}
        y, memory = self.rule(q, k, v, raw, memory, record)
        y = join_heads(self.norm(y)) * F.silu(self.output_gate(x))
        return self.out(y), {**memory, "tail": tail}


class LinearAttention(RecurrentMixer):
    """M_t = M_{t-1} + v_t k_tᵀ (paper-facts §1.7)."""

    minimises: ClassVar[str] = "−⟨M k, v⟩"
    solver: ClassVar[str] = "gradient step of rate 1"

    def rule(self, q, k, v, raw, state, record):
        return ops.linear_attention(q, k, v, state, chunk_size=self.chunk_size)


class Mamba2(RecurrentMixer):
    """M_t = α_t M_{t-1} + Δ_t v_t k_tᵀ with α_t = exp(−A Δ_t), plus a skip D ∘ v_t.

    Source: Dao and Gu 2024 (arXiv 2405.21060), the scalar decay per head. There keys and queries are shared by the
    heads; here each head has its own, as in the other mixers, and the state is (width/heads)² per head.
    """

    minimises: ClassVar[str] = "−⟨M k, v⟩ + fading"
    solver: ClassVar[str] = "gradient step, retention"

    gate_names = ("step",)
    unit_keys = False

    def __init__(self, width: int, heads: int, chunk_size: int = 64, window: int = 4):
        super().__init__(width, heads, chunk_size, window)
        self.log_A = nn.Parameter(torch.linspace(1, 16, heads).log())
        self.skip = nn.Parameter(torch.ones(heads, 1, self.head_width))

    def gate_bias(self, name: str) -> Tensor:
        return torch.expm1(torch.logspace(-3, -1, self.heads)).log()  # softplus of it: Δ from 0.001 to 0.1

    def rule(self, q, k, v, raw, state, record):
        step = F.softplus(raw["step"].float() if raw["step"].dtype != torch.float64 else raw["step"])
        α = torch.exp(-self.log_A.exp()[:, None] * step)
        note(record, step=step, retention=α)
        values = step[..., None] * v
        y, state = ops.mamba2(q, k, values.to(v.dtype), α, state, chunk_size=self.chunk_size)
        return y + self.skip.to(v.dtype) * v, state


class DeltaNet(RecurrentMixer):
    """M_t = M_{t-1} − β_t (M_{t-1} k_t − v_t) k_tᵀ, β = σ(·) (paper-facts §9.4)."""

    minimises: ClassVar[str] = "½‖M k − v‖²"
    solver: ClassVar[str] = "gradient step"

    gate_names = ("write_strength",)

    def rule(self, q, k, v, raw, state, record):
        β = torch.sigmoid(raw["write_strength"])
        note(record, write_strength=β, surprise=surprise(state["memory"], k, v))
        return ops.delta_rule(q, k, v, β, state, chunk_size=self.chunk_size)


class GatedDeltaNet(RecurrentMixer):
    """M_t = α_t M_{t-1} − β_t (α_t M_{t-1} k_t − v_t) k_tᵀ, decay first (paper-facts §9.4)."""

    minimises: ClassVar[str] = "½‖M k − v‖² + fading"
    solver: ClassVar[str] = "retention, then gradient step"

    gate_names = ("write_strength", "retention")

    def rule(self, q, k, v, raw, state, record):
        β, α = torch.sigmoid(raw["write_strength"]), gates.retention(raw["retention"])
        note(record, write_strength=β, retention=α, surprise=surprise(α[..., :1, None] * state["memory"], k, v))
        return ops.gated_delta_rule(q, k, v, β, α, state, chunk_size=self.chunk_size)


def split_gates(raw: Tensor, count: int) -> tuple[Tensor, ...]:
    """(B, L, count · H) → count tensors (B, H, L)."""
    return raw.unflatten(-1, (count, -1)).permute(2, 0, 3, 1).unbind(0)


def note(record: dict | None, **numbers: Tensor) -> None:
    """Keep numbers (B, H, L) of a trace, if one is asked for."""
    if record is not None:
        record.update({name: number.detach() for name, number in numbers.items()})


def surprise(memory: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """‖M k − v‖ at the memory before the piece: exact for a piece of one token, as a trace feeds it."""
    return (k @ memory.mT.to(k.dtype) - v).norm(dim=-1)
