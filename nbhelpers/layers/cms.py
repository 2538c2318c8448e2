"""Continuum memory system (CMS): MLP blocks that change with different periods, from fast to slow.

    sequential    y = B_slow(… B_fast(x) …),  B(x) = x + MLP(norm(x))        (70), (73)
    nested        the same; a fast block goes back to its learned start when the next slower one has changed  (72)
    independent   y = x + Σ_ℓ w_ℓ MLP_ℓ(norm_ℓ(x))                           (74)

Where a block's change comes from is said per level, one of two clocks, never both:

* ``period_steps``: in outer training its gradients are summed over so many optimizer steps, then one step is taken
  (``parameter_groups`` with ``nbhelpers.optim.Periodic``). ``math.inf`` freezes it.
* ``period_tokens``: at test time each sequence owns a change of the block. ``nbhelpers.models.adapt`` sums the
  next-token gradients of a period and applies them once it is over, θ ← θ − η Σ ∇L (71), in the reading that counts C
  terms. In outer training the block's own weights, its learned start, change at every step.

One level of either kind that never ticks is the MLP of a Transformer block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nbhelpers.layers.mlp import WEIGHTS, GatedMLP
from nbhelpers.levels import OUTER, LevelRow

VARIANTS = ("sequential", "nested", "independent")
State = dict[str, Tensor]


@dataclass(frozen=True)
class LevelSpec:
    """One level of a CMS.

    Parameters
    ----------
    hidden: hidden width of its MLP.
    period_steps: outer steps between two changes, default 1; ``math.inf`` is frozen.
    period_tokens: tokens between two changes of the sequence's own copy under ``adapt``; None (default) for none.
    learning_rate: η of the change per period of tokens.
    """

    hidden: int
    period_steps: int | float = 1
    period_tokens: int | None = None
    learning_rate: float = 0.0

    def __post_init__(self):
        if self.hidden < 1:
            raise ValueError(f"hidden is {self.hidden}; expected 1 or more.")
        if self.period_tokens is not None:
            if self.period_steps != 1:
                raise ValueError(
                    f"A level has one clock; this one has period_steps={self.period_steps} and "
                    f"period_tokens={self.period_tokens}. Leave one of them at its default."
                )
            if not isinstance(self.period_tokens, int) or self.period_tokens < 1:
                raise ValueError(f"period_tokens is {self.period_tokens!r}; expected a whole number from 1.")


class ContinuumMemory(nn.Module):
    """The blocks of a CMS, residual and normalised, fast first.

    Parameters
    ----------
    width: model width D.
    levels: a ``LevelSpec`` for each, from fast to slow.
    variant: "sequential" (default), "nested" or "independent".
    """

    state_belongs_to: ClassVar[str] = "sequence"

    def __init__(self, width: int, levels: tuple[LevelSpec, ...], variant: str = "sequential"):
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant is {variant!r}; expected one of {', '.join(VARIANTS)}.")
        if not levels:
            raise ValueError("A CMS needs at least one level.")
        periods = [level.period_tokens or math.inf for level in levels]
        if periods != sorted(periods) or [x.period_steps for x in levels] != sorted(x.period_steps for x in levels):
            raise ValueError("Levels are listed from fast to slow: periods must not fall from one to the next.")
        self.width, self.levels, self.variant = width, tuple(levels), variant
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=1e-6) for _ in levels)
        self.blocks = nn.ModuleList(GatedMLP(width, level.hidden) for level in levels)
        if variant == "independent":
            self.mix = nn.Parameter(torch.ones(len(levels)))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """x (B, L, D) → y (B, L, D); the state, what the sequences have changed so far, is only read here."""
        state = {} if state is None else state
        total = x
        for ℓ, (norm, block) in enumerate(zip(self.norms, self.blocks, strict=True)):
            delta = {name: state[f"{ℓ}.{name}"] for name in WEIGHTS if f"{ℓ}.{name}" in state}
            if self.variant == "independent":
                total = total + self.mix[ℓ] * block(norm(x), delta)
            else:
                total = total + block(norm(total), delta)
        return total, state

    def initial_state(self, batch: int) -> State:
        """No change yet: for each level with ``period_tokens``, zeros (B, out, in) per weight and for its sum."""
        state = {}
        for ℓ in self.adapting():
            for name in WEIGHTS:
                weight = getattr(self.blocks[ℓ], name)
                state[f"{ℓ}.{name}"] = weight.new_zeros(batch, *weight.shape)
                state[f"{ℓ}.sum.{name}"] = weight.new_zeros(batch, *weight.shape)
        return state

    def adapting(self) -> list[int]:
        """The levels that change at test time."""
        return [ℓ for ℓ, level in enumerate(self.levels) if level.period_tokens is not None]

    def learn(self, state: State, gradients: State, position: int) -> State:
        """Add the gradients of a finished piece, and let the levels whose period ends at ``position`` take their step.

        ``gradients`` holds the summed next-token gradient (B, out, in) for each ``"ℓ.weight"`` of the state.
        """
        state = dict(state)
        ticks = [ℓ for ℓ in self.adapting() if position % self.levels[ℓ].period_tokens == 0]
        for ℓ in self.adapting():
            for name in WEIGHTS:
                total = state[f"{ℓ}.sum.{name}"] + gradients[f"{ℓ}.{name}"]
                if ℓ in ticks:
                    state[f"{ℓ}.{name}"] = state[f"{ℓ}.{name}"] - self.levels[ℓ].learning_rate * total
                    total = torch.zeros_like(total)
                state[f"{ℓ}.sum.{name}"] = total
        if self.variant == "nested":
            for ℓ in ticks:
                if ℓ - 1 in self.adapting():
                    state |= {f"{ℓ - 1}.{name}": torch.zeros_like(state[f"{ℓ - 1}.{name}"]) for name in WEIGHTS}
        return state

    def parameter_groups(self) -> list[dict]:
        """One group for each level, with its ``period_steps``, for ``nbhelpers.optim.Periodic``."""
        groups = []
        for ℓ, level in enumerate(self.levels):
            members = [*self.norms[ℓ].parameters(), *self.blocks[ℓ].parameters()]
            groups.append({"params": members, "period_steps": level.period_steps})
        if self.variant == "independent":
            groups[0]["params"].append(self.mix)
        return groups

    def level_rows(self) -> list[LevelRow]:
        """One level a block for ``nbhelpers.levels.table_of_levels``."""
        rows = []
        for ℓ, level in enumerate(self.levels):
            members = (*self.norms[ℓ].parameters(), *self.blocks[ℓ].parameters())
            if level.period_tokens is not None:
                period, by, names = f"{level.period_tokens} tokens", "gradient step", WEIGHTS
            else:
                period = "never" if level.period_steps == math.inf else f"{level.period_steps} step(s) of training"
                by, names = "outer optimizer", ()
            rows.append(LevelRow(f"block {ℓ}", OUTER, period, by, members, tuple(f"{ℓ}.{name}" for name in names)))
        return rows

    @classmethod
    def stack(cls, mlps: list[GatedMLP], norms: list[nn.RMSNorm], levels: tuple[LevelSpec, ...]) -> ContinuumMemory:
        """Ad-hoc level stacking (§7.3 of the paper): a CMS whose blocks start from given, trained MLPs, copied.

        With learning rates of 0, or periods that never end, it computes what the given blocks computed in a chain.
        """
        if not len(mlps) == len(norms) == len(levels):
            raise ValueError(f"{len(mlps)} MLPs, {len(norms)} norms and {len(levels)} levels; expected one each.")
        cms = cls(norms[0].weight.shape[0], levels)
        for ℓ, (mlp, norm) in enumerate(zip(mlps, norms, strict=True)):
            cms.blocks[ℓ].load_state_dict(mlp.state_dict())
            cms.norms[ℓ].load_state_dict(norm.state_dict())
        return cms
