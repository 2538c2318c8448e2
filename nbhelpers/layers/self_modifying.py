"""Self-modifying Titans: memories that make their own keys, values, learning rates and retention while they are read.

Per head and token, with M_□ for □ in (key, value, learning_rate, retention, main) and x the token's address
(paper-facts §6.3–§6.7; (83)–(90)):

    k_t = unit(M_key(x_t)),  v_t = unit(M_value(x_t)),  η_t and α_t from M_learning_rate(x_t) and M_retention(x_t)
    v̂_□ = M_□(v_t)                                     each memory makes its own target
    M_□ ← M_□ (α_t I − η_t k_t k_tᵀ) − η_t ∇L(M_□; k_t, v̂_□)
    y_t = M_main(q_t)                                   read before the write

k, v, η, α, v̂ and gradients come from the memories at the chunk start; the memories change at every token, and y is
read live (``read``). All memories share k, η, α, so one call of the op per chunk moves them all.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nbhelpers import ops
from nbhelpers.layers import gates
from nbhelpers.layers.convolution import ShortConvolution
from nbhelpers.layers.mixer import Mixer, State, join_heads, position_of, split_heads
from nbhelpers.layers.recurrent import ANCHORS, MOMENTA, note
from nbhelpers.layers.titans import MEMORIES, initial_mlp

PROJECTIONS = ("key", "value", "learning_rate", "retention")


class SelfModifyingTitans(Mixer):
    """The self-modifying memory of HOPE.

    Parameters
    ----------
    width, heads: model width and number of heads; a memory of a head is (width/heads) wide.
    chunk_size: tokens between two readings of keys, values, rates and gradients; part of the rule; default 64.
    window: tokens of the short convolution before x and q; default 4.
    memory: "mlp" (z + W₁ σ(W₂ z), the paper's (89); default) or "matrix" (M z, (92)–(93)).
    hidden: hidden width of the MLP memories; default the width of a head.
    objective: inner loss, "l2" (½‖M k − v̂‖²; default) or "dot" (−⟨M k, v̂⟩).
    adaptive: which projections change while reading; the others stay at their learned start. "query" may be added: by
        default q is a plain projection, as the text of the paper has it (§6.3). () switches self-modification off.
    own_values: whether targets are v̂_□ = M_□(v) (default) or v itself.
    erase: how the factor acts: "both", "inner" or "none" for MLP memories (``ops.mlp``), "live", "chunk_start" or
        "none" for matrix memories (``ops.self_modifying``). Default the first of each.
    momentum: whether gradients are gathered (the paper's ablation has it, none of its equations; §6.9); default False.
    read: "before" (default, the paper's), "after" or "chunk_start".
    gradient_bound: how long the gradient of one matrix of an MLP memory may be, which keeps the memory from growing
        without end (``ops.mlp``; ours); default ``gates.GRADIENT_BOUND``, ``inf`` for the bare rule.

    With adaptive=(), own_values=False, erase="none", momentum=True and read="after" this is Titans with keys and
    values from residual memories instead of matrices.
    """

    minimises: ClassVar[str] = "½‖f(k) − v̂‖² of own targets v̂ + fading"
    solver: ClassVar[str] = "delta gradient descent, retention"

    def __init__(
        self,
        width: int,
        heads: int,
        chunk_size: int = 64,
        window: int = 4,
        memory: str = "mlp",
        hidden: int | None = None,
        objective: str = "l2",
        adaptive: tuple[str, ...] = PROJECTIONS,
        own_values: bool = True,
        erase: str | None = None,
        momentum: bool = False,
        read: str = "before",
        gradient_bound: float = gates.GRADIENT_BOUND,
    ):
        super().__init__(width, heads, chunk_size)
        if memory not in MEMORIES:
            raise ValueError(f"memory is {memory!r}; expected one of {', '.join(MEMORIES)}.")
        unknown = set(adaptive) - {*PROJECTIONS, "query"}
        if unknown:
            raise ValueError(
                f"adaptive names {', '.join(sorted(unknown))}; it may name {', '.join(PROJECTIONS)}, query."
            )
        self.kind, self.hidden, self.objective, self.read = memory, hidden or self.head_width, objective, read
        self.erase = erase or ("both" if memory == "mlp" else "live")
        self.own_values, self.momentum, self.gradient_bound = own_values, momentum, gradient_bound
        names = (*PROJECTIONS, "query") if "query" in adaptive else PROJECTIONS
        self.written = ("main", *(name for name in names if name in adaptive))
        self.fixed = tuple(name for name in names if name not in adaptive)

        self.inputs = nn.Linear(width, width if "query" in adaptive else 2 * width, bias=False)
        self.convolution = ShortConvolution(self.inputs.out_features, window)
        for group, members in (("written", self.written), ("fixed", self.fixed)):
            if members:
                self._make_memories(group, members)
        # M_□(x) has a head's width; what makes a number of it is a learned direction (not in the paper, §6.5).
        self.rate_readout = nn.Parameter(torch.randn(heads, 1, self.head_width) / self.head_width)
        self.retention_readout = nn.Parameter(torch.randn(heads, 1, self.head_width) / self.head_width)
        self.rate_bias = nn.Parameter(torch.full((heads, 1), -2.0))
        self.retention_bias = nn.Parameter(gates.retention_bias(heads, 64, 4096)[:, None])
        if momentum:
            self.momentum_gate = nn.Linear(width, heads)
            nn.init.normal_(self.momentum_gate.weight, std=0.02)
            nn.init.constant_(self.momentum_gate.bias, 1.0)
        # Without the erasing factor, and with momentum, every gradient of a chunk may count in full.
        self.bound = chunk_size if momentum or self.erase == "none" else 1
        self.output_gate = nn.Linear(width, width, bias=False)
        self.norm = nn.RMSNorm(self.head_width, eps=1e-6)
        self.out = nn.Linear(width, width, bias=False)

    def _make_memories(self, group: str, members: tuple[str, ...]) -> None:
        """The learned starts of a group of memories: (H, m, D, Dh), (H, m, Dh, D), or one matrix (H, m · D, D)."""
        if self.kind == "mlp":
            W1, W2 = initial_mlp(self.heads, len(members), self.head_width, self.hidden)
            setattr(self, f"{group}_W1", W1)
            setattr(self, f"{group}_W2", W2)
        else:
            D = self.head_width
            start = torch.randn(self.heads, len(members), D, D) / D**0.5
            setattr(self, f"{group}_memory", nn.Parameter(start.flatten(1, 2)))

    def initial_state(self, batch: int, position: int = 0) -> State:
        names = ("W1", "W2") if self.kind == "mlp" else ("memory",)
        starts = {name: getattr(self, f"written_{name}") for name in names}
        live = {name: W.expand(batch, *W.shape) for name, W in starts.items()}
        state = live | {ANCHORS[name]: W for name, W in live.items()}
        if self.momentum:
            state |= {MOMENTA[name]: torch.zeros_like(W) for name, W in live.items()}
        tail = self.convolution.initial_tail(batch, self.out.weight)
        return {**state, "tail": tail, **self.start_position(batch, position)}

    def mix(self, x: Tensor, state: State, record: dict[str, Tensor] | None = None) -> tuple[Tensor, State]:
        projected, tail = self.convolution(self.inputs(x), state["tail"])
        address, *static = (split_heads(part, self.heads) for part in F.silu(projected).split(self.width, -1))
        address = F.rms_norm(address, (self.head_width,)).mT.contiguous()  # tokens are columns, as in the op
        q = gates.unit(static[0]) if static else None
        μ = None
        if self.momentum:
            μ = gates.momentum_decay(self.momentum_gate(x).transpose(1, 2))
        position, length = position_of(state), x.shape[1]
        memory, outputs = {name: W for name, W in state.items() if name != "tail"}, []
        cuts = [0, *range(self.chunk_size - position % self.chunk_size, length, self.chunk_size), length]
        sizes = [stop - start for start, stop in pairwise(cuts)]
        pieces = zip(*(_split(*part, sizes) for part in ((address, 3), (q, 2), (μ, 2))), strict=True)
        for start, piece in zip(cuts, pieces, strict=False):
            begins = (position + start) % self.chunk_size == 0
            if begins:
                memory.pop("position", None)  # at a chunk's start the op need not know it
            y, memory = self._chunk(*piece, memory, begins, record)
            outputs.append(y)
        y = join_heads(self.norm(torch.cat(outputs, 2))) * F.silu(self.output_gate(x))
        return self.out(y), {**memory, "tail": tail, **self.start_position(len(x), position + length)}

    def _chunk(self, x, q, μ, memory, begins, record):
        """A chunk or a part of one: make k, v, η, α from the memories at its start, then write and read."""
        at = {
            name: memory[name if begins else anchor].to(x.dtype) for name, anchor in ANCHORS.items() if name in memory
        }
        made = self._ask(x, at, self.written[1:], 1)
        if self.fixed:
            own = {name: getattr(self, f"fixed_{name}")[None].to(x.dtype) for name in at}
            made |= self._ask(x, own, self.fixed, 0)
        k, v = (gates.unit(made[name], dim=2).mT for name in ("key", "value"))
        q = gates.unit(made["query"], dim=2).mT if q is None else q
        α = gates.retention(made["retention"].squeeze(2) + self.retention_bias)
        η = gates.learning_rate(made["learning_rate"].squeeze(2) + self.rate_bias, α, μ, self.bound)
        note(record, learning_rate=η, retention=α, **({} if μ is None else {"momentum_decay": μ}))
        options = {
            "chunk_size": self.chunk_size, "read": self.read, "objective": self.objective, "erase": self.erase,
            "own_values": self.own_values,
        }  # fmt: skip
        count = len(self.written)
        if self.kind == "mlp":
            values = v if self.own_values else v.unsqueeze(2).expand(-1, -1, count, -1, -1)
            options["gradient_bound"] = self.gradient_bound
            y, new = ops.self_modifying_mlp(q.unsqueeze(2), k, values, η, α, μ, memory, **options)
            y = y.squeeze(2)
        else:
            values = v if self.own_values else v.repeat(1, 1, 1, count)
            y, new = ops.self_modifying(q, k, values, η, α, μ, memory, read_width=self.head_width, **options)
        if record is not None:
            answer, target = (self._ask(z.mT, at, ("main",), 0)["main"].mT for z in (k, v))
            note(record, surprise=(answer - (target if self.own_values else v)).norm(dim=-1))
        return y, new

    def _ask(self, z: Tensor, memory: State, names: tuple[str, ...], first: int) -> dict[str, Tensor]:
        """What the memories ``names``, which stand in the stack from ``first`` on, answer to z (B, H, D, L).

        Of an answer that becomes one number per token only its product with the readout is made, (B, H, 1, L).
        """
        if not names:
            return {}
        D, rows = self.head_width, slice(first, first + len(names))
        if self.kind == "mlp":
            hidden = F.gelu(memory["W2"][:, :, rows].flatten(2, 3) @ z)
            hidden = hidden.unflatten(2, (len(names), -1)).unbind(2)
            layers = memory["W1"][:, :, rows].unbind(2)
        else:
            layers = memory["memory"][:, :, first * D : (first + len(names)) * D].split(D, 2)
        readouts = {"learning_rate": self.rate_readout, "retention": self.retention_readout}
        answers = {}
        for i, name in enumerate(names):
            W, direct = layers[i], z
            if name in readouts:
                r = readouts[name].to(z.dtype)
                W, direct = r @ W, r @ z
            answers[name] = W @ z if self.kind == "matrix" else direct + W @ hidden[i]
        return answers


def _split(x: Tensor | None, dim: int, sizes: list[int]) -> tuple[Tensor | None, ...]:
    """x in pieces along an axis; None in as many. Slicing would write all of x for each piece on the way back."""
    return (None,) * len(sizes) if x is None else x.split(sizes, dim)
