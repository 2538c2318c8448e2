"""Rules for a two-layer memory f(z) = z + W₁ σ(W₂ z) (equation (89); paper-facts §6.5): Titans and self-modifying.

Shapes as in ``nbhelpers.ops.conventions`` with Dv = Dk = D; W₁ is (B, H, D, Dh), W₂ (B, H, Dh, D). Several memories
that share keys and gates are one call with an axis of memories after the heads: values (B, H, m, L, D), queries
(B, H, n, L, D) for the first n ≤ m memories (the rest are not read), or None; W₁ (B, H, m, D, Dh), W₂ (B, H, m, Dh, D);
keys and gates stay as they are. With ``own_values`` the values, (B, H, L, D), are what every memory is asked for its
own target v̂_t = f_ξ(v_t) (paper-facts §6.3).

Gradients of the inner loss, ½‖f(k) − v‖² ("l2") or −⟨f(k), v⟩ ("dot"), are taken at the memory of the last chunk
boundary, so ``chunk_size`` is part of the rule. There is no default initial memory: zeros would never move (both
gradients vanish there). ``mlp_state(W1, W2)`` makes the state to start from.

How (α I − η k kᵀ) multiplies a memory of two matrices is not said in the paper (§10.1.7). ``erase`` chooses:

* ``"both"`` (default, reading (a′) of the engine notes): the factor acts on each matrix through that matrix's own
  input: k for W₂, the hidden activation at the chunk start, scaled to length 1, for W₁.
* ``"inner"`` (reading (a)): the factor on W₂ alone; W₁ only fades with α.
* ``"none"`` (reading (b)): both only fade. That is plain gradient descent with retention, i.e. Titans.

Even on one repeated unit key η ≤ α does not keep this memory small, as it keeps a matrix: the gradient of W₁ grows with
‖σ(W₂ k)‖, that of W₂ with ‖W₁‖, so that each lets the other grow, faster than exponentially. ``gradient_bound`` c does
whatever the input: the gradient of each matrix, g pᵀ with p = k or â, is scaled down to length c where it is longer.
Then W p moves to (α − η) W p − η g, no longer than max(‖W p‖, c) for 0 ≤ η ≤ α ≤ 1, and for any keys and ``erase``
‖W_t‖ ≤ ‖W_{t-1}‖ + η c (derived; momentum adds at most 1 / (1 − μ) times as much). Default: no bound.
"""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor
from torch.nn import functional as F

from nbhelpers.memory.activation import value_named
from nbhelpers.ops.conventions import (
    State,
    at_position,
    check_inputs,
    check_state,
    inner_precision,
    outer,
    position_of,
    recall,
)  # fmt: skip
from nbhelpers.ops.mlp_chunk import mlp_recurrence

__all__ = [
    "mlp_recall", "mlp_state", "self_modifying_mlp", "self_modifying_mlp_sequential", "titans_mlp",
    "titans_mlp_sequential",
]  # fmt: skip

ERASES = ("both", "inner", "none")
OBJECTIVES = ("l2", "dot")


def mlp_state(W1: Tensor, W2: Tensor) -> State:
    """The state of an MLP memory before the first token.

    ``W1`` (B, H, D, Dh) and ``W2`` (B, H, Dh, D), each with an axis of memories after H if there are several.
    Gradients flow into both (a meta-learned initial memory). The anchor is the memory itself, momentum zero.
    """
    return {
        "W1": W1, "W2": W2, "anchor_W1": W1, "anchor_W2": W2,
        "position": torch.zeros(W1.shape[0], dtype=torch.int64),
    }  # fmt: skip


def mlp_recall(W1: Tensor, W2: Tensor, z: Tensor, activation: str = "gelu") -> Tensor:
    """f(z) = z + W₁ σ(W₂ z) for rows of inputs: (…, D, Dh), (…, Dh, D), (…, L, D) → (…, L, D)."""
    return z + value_named(activation)(z @ W2.mT) @ W1.mT


@inner_precision
def self_modifying_mlp_sequential(
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
    erase: str = "both",
    activation: str = "gelu",
    own_values: bool = False,
    gradient_bound: float = inf,
) -> tuple[Tensor | None, State]:
    """The self-modifying rule for an MLP memory, one token after the other, the gradient by automatic differentiation.

    W₁,t = W₁,t-1 (α_t I − η_t â_t â_tᵀ) + S₁,t,   S₁,t = μ_t S₁,t-1 − η_t ∇_W₁ L(W_ξ; k_t, v_t)
    W₂,t = W₂,t-1 (α_t I − η_t k_t k_tᵀ) + S₂,t,   S₂,t = μ_t S₂,t-1 − η_t ∇_W₂ L(W_ξ; k_t, v_t)

    with â_t = σ(W₂,ξ k_t) / ‖σ(W₂,ξ k_t)‖. Without ``momentum_decay`` S is the gradient step alone. ``erase``, shapes
    and losses as in the module's head. Source: (88)–(90) with the reading stated there.
    """
    _check_options(queries, keys, values, state, objective, erase, own_values, gradient_bound)
    gates = {"learning_rate": learning_rate, "retention": retention, "momentum_decay": momentum_decay}
    check_inputs(None, keys, _first(values), gates, chunk_size, read)
    σ = value_named(activation)

    def f(W1, W2, z):
        return z + recall(W1, σ(recall(W2, z)))

    def loss(W1, W2, k, v):  # rows of the batch are independent: the gradient of the sum is the gradient of each
        return 0.5 * (f(W1, W2, k) - v).square().sum() if objective == "l2" else -(f(W1, W2, k) * v).sum()

    gradient = torch.func.grad(loss, argnums=(0, 1))
    W1, W2 = state["W1"], state["W2"]
    anchor = state.get("anchor_W1", W1), state.get("anchor_W2", W2)
    S1, S2 = (state.get(f"momentum_{name}", torch.zeros_like(state[name])) for name in ("W1", "W2"))
    position, several, outputs = position_of(state, chunk_size, "anchor_W1"), W1.dim() == 5, []
    for t in range(keys.shape[2]):
        if position % chunk_size == 0:
            anchor = W1, W2
        before = W1, W2
        k = keys[:, :, t].unsqueeze(2) if several else keys[:, :, t]
        v = values[..., t, :]
        if own_values:
            v = f(*anchor, v.unsqueeze(2) if several else v)
        η, α = (gate[:, :, t].reshape(*keys.shape[:2], *[1] * (W1.dim() - 2)) for gate in (learning_rate, retention))
        G1, G2 = (_bounded(G, gradient_bound) for G in gradient(*anchor, k.expand_as(v), v))
        if momentum_decay is None:
            S1, S2 = -η * G1, -η * G2
        else:
            μ = momentum_decay[:, :, t].reshape(η.shape)
            S1, S2 = μ * S1 - η * G1, μ * S2 - η * G2
        a = F.normalize(σ(recall(anchor[1], k)), dim=-1, eps=1e-6)
        erase_1 = η * outer(recall(W1, a), a) if erase == "both" else 0
        erase_2 = η * outer(recall(W2, k), k) if erase in ("both", "inner") else 0
        W1, W2 = α * W1 - erase_1 + S1, α * W2 - erase_2 + S2
        position += 1
        if queries is not None:
            seen = {"after": (W1, W2), "before": before, "chunk_start": anchor}[read]
            if several:
                seen = tuple(W[:, :, : queries.shape[2]] for W in seen)
            outputs.append(f(*seen, queries[..., t, :]))
    new = {"W1": W1, "W2": W2, "anchor_W1": anchor[0], "anchor_W2": anchor[1]}
    if momentum_decay is not None:
        new |= {"momentum_W1": S1, "momentum_W2": S2}
    new["position"] = at_position(position, keys.shape[0])
    return (torch.stack(outputs, dim=-2) if outputs else None), new


@inner_precision
def self_modifying_mlp(
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
    erase: str = "both",
    activation: str = "gelu",
    own_values: bool = False,
    gradient_bound: float = inf,
) -> tuple[Tensor | None, State]:
    """``self_modifying_mlp_sequential`` with whole chunks at a time; same arguments, same numbers."""
    _check_options(queries, keys, values, state, objective, erase, own_values, gradient_bound)
    gates = {"learning_rate": learning_rate, "retention": retention, "momentum_decay": momentum_decay}
    check_inputs(None, keys, _first(values), gates, chunk_size, read)
    return mlp_recurrence(
        queries, keys, values, learning_rate, retention, momentum_decay, state,
        chunk_size=chunk_size, read=read, objective=objective, erase=erase, activation=activation,
        own_values=own_values, gradient_bound=gradient_bound,
    )  # fmt: skip


def titans_mlp_sequential(
    queries: Tensor | None,
    keys: Tensor,
    values: Tensor,
    learning_rate: Tensor,
    retention: Tensor,
    momentum_decay: Tensor | None = None,
    state: State | None = None,
    *,
    chunk_size: int,
    read="after",
    activation: str = "gelu",
    gradient_bound: float = inf,
) -> tuple[Tensor | None, State]:
    """Titans with an MLP memory: W_t = α_t W_{t-1} + S_t,  S_t = μ_t S_{t-1} − η_t ∇L(W_ξ; k_t, v_t) for both matrices.

    L = ½‖f(k) − v‖². Source: Titans (13)–(16), (18); the memory is the residual one of (89), not the bare MLP.
    """
    return self_modifying_mlp_sequential(
        queries, keys, values, learning_rate, retention, momentum_decay, state,
        chunk_size=chunk_size, read=read, erase="none", activation=activation, gradient_bound=gradient_bound,
    )  # fmt: skip


def titans_mlp(
    queries: Tensor | None,
    keys: Tensor,
    values: Tensor,
    learning_rate: Tensor,
    retention: Tensor,
    momentum_decay: Tensor | None = None,
    state: State | None = None,
    *,
    chunk_size: int,
    read="after",
    activation: str = "gelu",
    gradient_bound: float = inf,
) -> tuple[Tensor | None, State]:
    """``titans_mlp_sequential`` with whole chunks at a time; same arguments, same numbers."""
    return self_modifying_mlp(
        queries, keys, values, learning_rate, retention, momentum_decay, state,
        chunk_size=chunk_size, read=read, erase="none", activation=activation, gradient_bound=gradient_bound,
    )  # fmt: skip


def _bounded(gradient: Tensor, bound: float) -> Tensor:
    """A gradient (…, m, n) made no longer than ``bound``."""
    if bound == inf:
        return gradient
    size = torch.linalg.matrix_norm(gradient, keepdim=True)
    return gradient * (bound / size.clamp_min(bound))


def _first(values: Tensor) -> Tensor:
    return values[:, :, 0] if values.dim() == 5 else values


def _check_options(queries, keys, values, state, objective, erase, own_values, gradient_bound) -> None:
    if objective not in OBJECTIVES:
        raise ValueError(f"objective is {objective!r}; expected one of {', '.join(OBJECTIVES)}.")
    if erase not in ERASES:
        raise ValueError(f"erase is {erase!r}; expected one of {', '.join(ERASES)}.")
    if not gradient_bound > 0:
        raise ValueError(f"gradient_bound is {gradient_bound}; expected a positive number, or inf for no bound.")
    if state is None:
        raise ValueError("An MLP memory needs a state to start from, since zeros never move: state=mlp_state(W1, W2).")
    if keys.shape[-1] != values.shape[-1]:
        raise ValueError(
            f"keys are {keys.shape[-1]} wide and values {values.shape[-1]}; z + W1 σ(W2 z) needs equal widths."
        )
    check_state(state, {}, ("W1", "W2"))
    several = state["W1"].shape[2:-2] if own_values else values.shape[2:-2]
    if queries is not None:
        first = queries[:, :, 0] if several else queries
        if first.shape != keys.shape or (several and queries.shape[2] > several[0]):
            raise ValueError(
                f"queries are {tuple(queries.shape)}; expected the shape of the keys, {tuple(keys.shape)}, with the "
                f"first few memories after the heads if there are several (here: {several[0] if several else 'one'})."
            )
    hidden = state["W2"].shape[-2]
    W1 = (*keys.shape[:2], *several, keys.shape[-1], hidden)
    W2 = (*keys.shape[:2], *several, hidden, keys.shape[-1])
    kinds = ("", "anchor_", "momentum_")
    wanted = {kind + name: shape for kind in kinds for name, shape in (("W1", W1), ("W2", W2))}
    check_state(state, {name: shape for name, shape in wanted.items() if name in state}, ())
