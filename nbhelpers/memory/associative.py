"""An associative memory that learns: a memory, an objective, a rule, a clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from nbhelpers.memory.clock import Clock
from nbhelpers.memory.memories import MatrixMemory, Parameters, ResidualMLP
from nbhelpers.memory.rules import Change, Rule


@dataclass(frozen=True)
class Held:
    """What is held between two tokens. Writing makes a new one; nothing is changed in place or detached."""

    memory: Parameters  # live
    anchor: Parameters  # at the last tick
    position: int = 0  # tokens told so far
    momentum: Parameters | None = None
    gathered: Parameters | None = None  # gradients of the period that runs, for a summed clock


@dataclass(frozen=True)
class AssociativeMemory:
    """Tell it pairs, ask it keys (Definition 1 of the paper; paper-facts §1.1).

    >>> told = AssociativeMemory(MatrixMemory(2, 1), squared_error, rule(gradient(1.0)))  # the delta rule
    >>> held = told.start()
    >>> held = told.write(held, torch.tensor([1.0, 0.0]), torch.tensor([3.0]))
    >>> told.read(held, torch.tensor([1.0, 0.0]))
    tensor([3.])

    ``objective`` is a function (answer, value) → loss (``objectives``), ``rule`` a chain of pieces (``rules``),
    ``clock`` a period (``clock``; default 1: every token, exact).

    Raises
    ------
    ValueError
        For a summed clock with a rule that needs single tokens (``erase``, ``proximal``, ``decay_first``): what they
        would do to a whole period is not defined by the paper.
    """

    memory: MatrixMemory | ResidualMLP
    objective: object
    rule: Rule
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self):
        if self.clock.mode == "summed" and self.rule.per_token:
            raise ValueError(
                "A summed clock takes one step from the gradients of a whole period; erase, proximal and decay_first "
                'need single tokens. Use Clock(period, mode="live"), or leave these pieces out.'
            )

    def start(
        self,
        parameters: Parameters | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
    ) -> Held:
        """Begin with ``parameters`` ((…, outputs, inputs) each), or with the memory's own start.

        ``generator`` and ``dtype`` (default: torch's) are for the memory's own start.
        """
        W = self.memory.start(generator, dtype) if parameters is None else parameters
        return Held(memory=W, anchor=W)

    def read(self, held: Held, query: Tensor) -> Tensor:
        """What the live memory answers: (…, keys) → (…, values). Read before or after writing: it is your loop."""
        return self.memory.read(held.memory, query)

    def surprise(self, held: Held, key: Tensor, value: Tensor) -> Tensor:
        """The local surprise: the objective's gradient with respect to the answer, at the live memory (…, values)."""
        return torch.func.grad(lambda answer: self.objective(answer, value).sum())(self.read(held, key))

    def write(self, held: Held, key: Tensor, value: Tensor, **gates: float | Tensor) -> Held:
        """Tell one pair per batch row: key (…, keys), value (…, values), both treated as data.

        ``gates`` are the numbers that the rule's pieces were made without, one per batch row or one for all:
        ``learning_rate``, ``retention``, ``momentum_decay``.
        """
        _check_token(held.memory, key, value)
        memory = self.rule.before(held.memory, gates)
        anchor = memory if self.clock.ticks(held.position) else held.anchor

        def loss(W):  # rows of the batch are independent: the gradient of the sum is the gradient of each
            return self.objective(self.memory.read(W, key), value).sum()

        gradient = torch.func.grad(loss)(anchor)
        position, gathered = held.position + 1, None
        if self.clock.mode == "summed":
            if held.gathered is not None:
                gradient = {name: held.gathered[name] + G for name, G in gradient.items()}
            if not self.clock.ticks(position):
                return Held(memory, anchor, position, held.momentum, gathered=gradient)
        inputs = self.memory.inputs(anchor, key)
        change = Change(memory, gradient, inputs, gates, carried=held.momentum)
        memory, momentum = self.rule(change)
        return Held(memory, anchor, position, momentum, gathered)


def _check_token(memory: Parameters, key: Tensor, value: Tensor) -> None:
    """Refuse a key or value of another width or type than the memory's, with what was expected."""
    name, W = next((name, memory[name]) for name in ("M", "W2") if name in memory)
    width, out = W.shape[-1], (W if name == "M" else memory["W1"]).shape[-2]
    if key.shape[-1] != width or value.shape[-1] != out:
        raise ValueError(
            f"key is {tuple(key.shape)} and value {tuple(value.shape)}; this memory takes keys (…, {width}) and values "
            f"(…, {out})."
        )
    if not key.dtype == value.dtype == W.dtype:
        raise ValueError(
            f"key is {key.dtype}, value {value.dtype}, the memory {W.dtype}; expected one type. "
            "start(dtype=…) makes a memory of another."
        )
