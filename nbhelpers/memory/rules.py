"""How a memory changes: a rule is a chain of small pieces, applied in order to one change of all matrices.

    rule(gradient(0.1))                                       plain gradient step
    rule(gradient(0.1), momentum(0.9), retention(0.99))       Titans
    rule(gradient(0.1), erase(0.1), retention(0.99))          the self-modifying rule (DGD with retention)
    rule(gradient(proximal(0.1)), erase(proximal(0.1)))       DGD, solved exactly

Every piece takes a number, a tensor with the batch's shape, ``proximal(η)``, or nothing: then the number comes with
each token, ``write(…, learning_rate=η, retention=α, momentum_decay=μ)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nbhelpers.memory.memories import Parameters, times


@dataclass(frozen=True)
class Change:
    """What the pieces hand on: the live memory, what is known about this token, and the change so far."""

    memory: Parameters
    gradient: Parameters  # ∇ of the objective, at the memory of the last tick
    inputs: dict[str, Tensor]  # what each matrix is keyed by
    gates: dict[str, float | Tensor]  # numbers that came with the token
    carried: Parameters | None = None  # momentum
    change: Parameters = field(default_factory=dict)


Piece = Callable[[Change], Change]


@dataclass(frozen=True)
class Rule:
    """A chain of pieces, and what is done to the memory before the gradient is taken (``decay_first``)."""

    pieces: tuple[Piece, ...]

    @property
    def per_token(self) -> bool:
        """Whether a piece needs more of a token than its gradient, so that a sum of gradients does not do."""
        return any(getattr(piece, "per_token", False) for piece in self.pieces)

    def before(self, memory: Parameters, gates: dict) -> Parameters:
        """The memory that the gradient is taken at."""
        for piece in self.pieces:
            memory = getattr(piece, "before", lambda memory, gates: memory)(memory, gates)
        return memory

    def __call__(self, change: Change) -> tuple[Parameters, Parameters | None]:
        """The new memory and the new momentum (None where the rule has none)."""
        for piece in self.pieces:
            change = piece(change)
        new = {name: M + change.change[name] for name, M in change.memory.items()}
        return new, change.carried


def rule(*pieces: Piece) -> Rule:
    """Chain pieces into a rule.

    Raises
    ------
    ValueError
        If there is no piece, or the first is not ``gradient`` (optionally after ``decay_first``): later pieces change
        what it makes.
    """
    kinds = [type(piece).__name__ for piece in pieces]
    if "gradient" not in kinds or any(kind != "decay_first" for kind in kinds[: kinds.index("gradient")]):
        raise ValueError(f"The pieces are {kinds}; expected gradient(…) first, then momentum, erase, retention.")
    return Rule(tuple(pieces))


@dataclass(frozen=True)
class proximal:
    """η' = η / (1 + η ‖x‖²): the rate of the exact proximal step for an input x (paper-facts §4.7, (57) corrected).

    Use the same in ``gradient`` and ``erase``. The paper's η/(1 + η) is right for ‖x‖ = 1 alone.
    """

    learning_rate: float | Tensor | None = None


Strength = float | Tensor | proximal | None


def strength_of(given: Strength, name: str, gates: dict, x: Tensor | None = None) -> Tensor | float:
    """The number to use, shaped to scale a matrix: a piece's own, or the token's under ``name``.

    Raises
    ------
    ValueError
        If neither the piece nor the token has it.
    """
    number = given.learning_rate if isinstance(given, proximal) else given
    if number is None and name not in gates:
        raise ValueError(f"This rule was made without {name}; give it with each token: write(…, {name}=…).")
    number = gates[name] if number is None else number
    if isinstance(given, proximal):
        number = number / (1 + number * x.square().sum(-1))
    return number[..., None, None] if isinstance(number, Tensor) and number.dim() else number


@dataclass(frozen=True)
class gradient:
    """− η ∇: descend on the objective."""

    learning_rate: Strength = None

    @property
    def per_token(self) -> bool:
        return isinstance(self.learning_rate, proximal)

    def __call__(self, c: Change) -> Change:
        step = {
            name: -strength_of(self.learning_rate, "learning_rate", c.gates, c.inputs[name]) * G
            for name, G in c.gradient.items()
        }
        return replace(c, change=step)


@dataclass(frozen=True)
class momentum:
    """S ← μ S + change, and S is the change (Titans (13); paper-facts §3.1 form B)."""

    momentum_decay: Strength = None

    def __call__(self, c: Change) -> Change:
        μ = strength_of(self.momentum_decay, "momentum_decay", c.gates)
        S = c.change if c.carried is None else {name: μ * c.carried[name] + step for name, step in c.change.items()}
        return replace(c, change=S, carried=S)


@dataclass(frozen=True)
class erase:
    """− η (M x) xᵀ on every matrix M, with its own input x at the last tick: the factor (I − η x xᵀ) of DGD.

    ``unit`` scales the inputs of all matrices named in it to length 1 first, e.g. ``unit=("W1",)`` for the hidden
    layer of an MLP memory (reading (a′) of paper-facts §10.1.7); ``only`` limits the piece to some matrices
    (reading (a): ``only=("W2",)``).
    """

    learning_rate: Strength = None
    unit: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    per_token = True

    def __call__(self, c: Change) -> Change:
        change = dict(c.change)
        for name, M in c.memory.items():
            if self.only is not None and name not in self.only:
                continue
            x = c.inputs[name]
            x = torch.nn.functional.normalize(x, dim=-1, eps=1e-6) if name in self.unit else x
            η = strength_of(self.learning_rate, "learning_rate", c.gates, x)
            change[name] = change[name] - η * times(M, x)[..., :, None] * x[..., None, :]
        return replace(c, change=change)


@dataclass(frozen=True)
class retention:
    """α M instead of M, the gradient being that of the undecayed memory (Titans (14), HOPE (88))."""

    retention: Strength = None

    def __call__(self, c: Change) -> Change:
        α = strength_of(self.retention, "retention", c.gates)
        return replace(c, change={name: step + (α - 1) * c.memory[name] for name, step in c.change.items()})


@dataclass(frozen=True)
class decay_first:
    """α M before anything else, so that the gradient too is that of the decayed memory (Gated DeltaNet, §9.4).

    Not the same as ``retention`` for equal gates (§10.3).
    """

    retention: Strength = None
    per_token = True

    def before(self, memory: Parameters, gates: dict) -> Parameters:
        α = strength_of(self.retention, "retention", gates)
        return {name: α * M for name, M in memory.items()}

    def __call__(self, c: Change) -> Change:
        return c
