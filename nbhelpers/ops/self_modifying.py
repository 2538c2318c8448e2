"""The update rule of self-modifying Titans for a matrix memory: delta gradient descent with retention.

Shapes, state and ``read`` as in ``nbhelpers.ops.conventions``. ``values`` are the targets v̂, or, with ``own_values``,
what the memory itself is asked for its target, v̂_t = M_ξ v_t (paper-facts §6.3), as wide as a key; how keys, values
and rates are made is the layer's business. Several memories that share keys and gates are one call: stack their targets
along Dv, or, with ``own_values``, the memories alone.

The gradient is taken at the memory M_ξ of the last chunk boundary, the factor (α I − η k kᵀ) multiplies the live
memory (paper-facts §6.7), so ``chunk_size`` is part of the rule: 1 is the rule as printed. The inner loss is
½‖M k − v̂‖² ("l2") or −⟨M k, v̂⟩ ("dot"); the paper's loss without ½ would double the second η. Momentum is in the
paper's ablation but in none of its equations; here it gathers the gradient and leaves the factor alone (§6.9).
"""

from __future__ import annotations

from torch import Tensor

from nbhelpers.ops.chunk import decayed_recurrence
from nbhelpers.ops.conventions import State, check_inputs, inner_precision, outer, recall
from nbhelpers.ops.sequential import Walk

__all__ = ["self_modifying", "self_modifying_sequential"]

OBJECTIVES = ("l2", "dot")
ERASES = ("live", "chunk_start", "none")


def _check_options(objective: str, erase: str) -> None:
    if objective not in OBJECTIVES:
        raise ValueError(f"objective is {objective!r}; expected one of {', '.join(OBJECTIVES)}.")
    if erase not in ERASES:
        raise ValueError(f"erase is {erase!r}; expected one of {', '.join(ERASES)}.")


@inner_precision
def self_modifying_sequential(
    queries: Tensor | None,
    keys: Tensor,
    values: Tensor,
    learning_rate: Tensor,
    retention: Tensor,
    momentum_decay: Tensor | None = None,
    state: State | None = None,
    *,
    chunk_size: int,
    read="before",
    objective: str = "l2",
    erase: str = "live",
    read_width: int | None = None,
    own_values: bool = False,
) -> tuple[Tensor | None, State]:
    """M_t = M_{t-1} (α_t I − η_t k_t k_tᵀ) + S_t,  S_t = μ_t S_{t-1} − η_t ∇L(M_ξ; k_t, v̂_t), one token at a time.

    ∇L = (M k − v̂) kᵀ for "l2", −v̂ kᵀ for "dot" (with the sign that (92) prints wrong, §10.1.6). Without
    ``momentum_decay`` S_t is the gradient step alone. Source: (88), (90), (93); paper-facts §6.4, §6.6–§6.9.

    ``erase="chunk_start"`` takes the factor's η k kᵀ at M_ξ too: cheaper, not what (90) says (§6.8). ``"none"`` leaves
    η k kᵀ out, so that the factor only fades: plain gradient descent with retention, with "l2" the rule of Titans.
    ``read_width`` n reads the first n of the Dv rows only (the rest are memories that nobody asks); y is (B, H, L, n).
    ``queries=None`` reads nothing and returns None for y.
    On a repeated unit key "l2" is stable for 0 ≤ η ≤ α ≤ 1 at every chunk size; on keys that turn through a chunk it
    need not be (``ops.stability``).
    """
    _check_options(objective, erase)
    gates = {"learning_rate": learning_rate, "retention": retention, "momentum_decay": momentum_decay}
    walk = Walk(
        queries, keys, values, gates, state, chunk_size, read, momentum_decay is not None, read_width, own_values
    )  # fmt: skip
    for q, k, v, η, α, μ in walk:
        gradient = outer(recall(walk.anchor, k) - v, k) if objective == "l2" else -outer(v, k)
        S = -η * gradient if μ is None else μ * walk.momentum - η * gradient
        erased = 0 if erase == "none" else η * outer(recall(walk.memory if erase == "live" else walk.anchor, k), k)
        M = α * walk.memory - erased + S
        walk.step(M, q, None if μ is None else S)
    return walk.finish()


@inner_precision
def self_modifying(
    queries: Tensor | None,
    keys: Tensor,
    values: Tensor,
    learning_rate: Tensor,
    retention: Tensor,
    momentum_decay: Tensor | None = None,
    state: State | None = None,
    *,
    chunk_size: int,
    read="before",
    objective: str = "l2",
    erase: str = "live",
    read_width: int | None = None,
    own_values: bool = False,
) -> tuple[Tensor | None, State]:
    """``self_modifying_sequential`` with whole chunks at a time; same arguments, same numbers."""
    check_inputs(
        queries,
        keys,
        values,
        {"learning_rate": learning_rate, "retention": retention, "momentum_decay": momentum_decay},
        chunk_size,
        read,
    )
    _check_options(objective, erase)
    η = learning_rate
    return decayed_recurrence(
        queries,
        keys,
        values,
        retention=retention,
        write=η,
        correct=η if objective == "l2" else None,
        erase=None if erase == "none" else η,
        erase_at=erase,
        momentum=momentum_decay,
        state=state,
        chunk_size=chunk_size,
        read=read,
        read_width=read_width,
        own_values=own_values,
    )
