"""Known layers and optimizers as associative memories: one line each (paper-facts §1.7, §3.1, §4.7, §6, §9).

Strengths left out (None) come with each token: ``write(…, learning_rate=…, retention=…, momentum_decay=…)``. The write
strength β of the delta rules is the ``learning_rate`` of their gradient step.
"""

from __future__ import annotations

from torch import Tensor

from nbhelpers.memory.associative import AssociativeMemory
from nbhelpers.memory.clock import Clock
from nbhelpers.memory.memories import MatrixMemory, ResidualMLP
from nbhelpers.memory.objectives import dot_product, squared_error
from nbhelpers.memory.rules import decay_first, erase, gradient, momentum, proximal, retention, rule

Number = float | Tensor | None


def linear_attention(keys: int, values: int) -> AssociativeMemory:
    """M + v kᵀ: one step of rate 1 on the dot product ((14)–(18))."""
    return AssociativeMemory(MatrixMemory(keys, values), dot_product, rule(gradient(1.0)))


def momentum_memory(
    inputs: int, outputs: int, momentum_decay: Number = None, learning_rate: Number = None
) -> AssociativeMemory:
    """m ← μ m − η δ xᵀ: momentum as a memory told that input x belongs to −δ ((10)–(13), (32)–(34)).

    Write ``key = x``, ``value = −δ`` with δ the gradient at the layer's output. What is called momentum decay in an
    optimizer is retention in the memory: without a number here give it as ``retention=…``.
    """
    return AssociativeMemory(
        MatrixMemory(inputs, outputs), dot_product, rule(gradient(learning_rate), retention(momentum_decay))
    )


def delta_rule(keys: int, values: int, write_strength: Number = None) -> AssociativeMemory:
    """M − β (M k − v) kᵀ: the same step on the squared error (§9.4)."""
    return AssociativeMemory(MatrixMemory(keys, values), squared_error, rule(gradient(write_strength)))


def gated_delta_rule(
    keys: int, values: int, write_strength: Number = None, retention_: Number = None
) -> AssociativeMemory:
    """α M first, then the delta rule on what is left (§9.4)."""
    return AssociativeMemory(
        MatrixMemory(keys, values), squared_error, rule(decay_first(retention_), gradient(write_strength))
    )


def ttt(memory: MatrixMemory | ResidualMLP, learning_rate: Number = None, chunk_size: int = 16) -> AssociativeMemory:
    """Gradient descent in mini-batches, gradients at the chunk start, nothing forgotten (§9.5).

    TTT's own layer adds a layer norm to the memory and scales the rate by 1/i inside a mini-batch; neither is here.
    """
    return AssociativeMemory(memory, squared_error, rule(gradient(learning_rate)), Clock(chunk_size))


def titans(
    memory: MatrixMemory | ResidualMLP,
    learning_rate: Number = None,
    retention_: Number = None,
    momentum_decay: Number = None,
    chunk_size: int = 1,
) -> AssociativeMemory:
    """Surprise, momentum, forgetting: S ← μ S − η ∇, M ← α M + S (§9.1, with the ½ loss)."""
    chain = rule(gradient(learning_rate), momentum(momentum_decay), retention(retention_))
    return AssociativeMemory(memory, squared_error, chain, Clock(chunk_size))


def dgd(
    memory: MatrixMemory | ResidualMLP, objective=squared_error, learning_rate: Number = None, exact: bool = True
) -> AssociativeMemory:
    """Delta gradient descent: M (I − η' x xᵀ) − η' ∇, with η' = η/(1 + η‖x‖²), or η if not ``exact`` (§4.7)."""
    rate = proximal(learning_rate) if exact else learning_rate
    return AssociativeMemory(memory, objective, rule(gradient(rate), erase(rate)))


def self_modifying(
    memory: MatrixMemory | ResidualMLP,
    objective=squared_error,
    learning_rate: Number = None,
    retention_: Number = None,
    momentum_decay: Number = None,
    with_momentum: bool = False,
    chunk_size: int = 1,
) -> AssociativeMemory:
    """M (α I − η x xᵀ) − η ∇: explicit DGD with retention, optional momentum on the gradient alone ((88), §6.4, §6.9).

    An MLP memory takes the factor through each matrix's own input, the hidden one scaled to length 1 (reading (a′)).
    """
    pieces = [gradient(learning_rate), erase(learning_rate, unit=("W1",)), retention(retention_)]
    if with_momentum:
        pieces.insert(1, momentum(momentum_decay))
    return AssociativeMemory(memory, objective, rule(*pieces), Clock(chunk_size))
