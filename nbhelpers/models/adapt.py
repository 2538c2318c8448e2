"""Learning at test time, by an explicit call: the CMS levels with ``period_tokens`` change while a text is read."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from nbhelpers.layers.mlp import WEIGHTS
from nbhelpers.models.language_model import LanguageModel, State

LAST = "last_token"


def adapt(
    model: LanguageModel, tokens: Tensor, state: State | None = None, *, differentiable: bool = False
) -> tuple[Tensor, State]:
    """Predict each token, then learn from it: the loss of a finished period moves the levels whose period it was.

    Every token is predicted before anything has learned from it. The change is per sequence and lives in the state;
    the model's weights stay as they are.

    The inner gradient is that of the tokens between two ticks of the fastest level; it does not reach back through the
    mixers' states. A text may come in pieces. Pieces whose ends are multiples of the shortest period (the first piece:
    plus one token, which nothing predicts) give the same numbers as the whole; elsewhere the end of the piece cuts as
    a tick does.

    Parameters
    ----------
    tokens: (B, L) int64.
    state: what the last call returned; None begins.
    differentiable: keep the graph, so that the losses can be differentiated through the updates, with respect to the
        model's weights: the blocks' learned starts are then trained for what they become (as in MAML). Default False.

    Returns
    -------
    losses: (B, N) nats of the predicted tokens: N = L, or L − 1 in the first piece.
    state: mixers' states, changes of the CMS, and the last token, which is read with the next piece.

    Raises
    ------
    ValueError
        If no level of the model has ``period_tokens``.
    """
    periods = {
        level.period_tokens for block in model.blocks for level in block.cms.levels if level.period_tokens is not None
    }
    if not periods:
        raise ValueError(
            "No level of this model has period_tokens, so nothing can adapt; give its levels one with "
            "set_token_periods(model, periods, learning_rate)."
        )
    state = model.initial_state(len(tokens)) if state is None else dict(state)
    last = state.pop(LAST, None)
    sequence = tokens if last is None else torch.cat([last[:, None], tokens], 1)
    inputs, targets = sequence[:, :-1], sequence[:, 1:]
    position = int(state["0.mixer.position"][0])
    losses, start = [], 0
    while start < inputs.shape[1]:
        stop = min(inputs.shape[1], *(start + p - (position + start) % p for p in periods))
        loss, state = _learn_piece(
            model, inputs[:, start:stop], targets[:, start:stop], state, position + stop, differentiable
        )
        losses.append(loss)
        start = stop
    losses = torch.cat(losses, 1) if losses else sequence.new_zeros(len(tokens), 0, dtype=torch.float32)
    return losses, {**state, LAST: sequence[:, -1]}


def set_token_periods(model: LanguageModel, periods: tuple[int | None, ...], learning_rate: float) -> None:
    """Give each CMS level of every block, fast to slow, a period in tokens for ``adapt``; None leaves it frozen.

    ``learning_rate`` is the rate of every level. The outer periods become 1: a level has one clock.

    Raises
    ------
    ValueError
        If the blocks have another number of levels.
    """
    for block in model.blocks:
        if len(periods) != len(block.cms.levels):
            raise ValueError(f"{len(periods)} periods for {len(block.cms.levels)} levels; expected one each.")
        block.cms.levels = tuple(
            dataclasses.replace(level, period_steps=1, period_tokens=period, learning_rate=learning_rate)
            for level, period in zip(block.cms.levels, periods, strict=True)
        )


def learn_once(
    model: LanguageModel,
    tokens: Tensor,
    learning_rate: float,
    changes: State | None = None,
    *,
    differentiable: bool = False,
) -> State:
    """One gradient step of every CMS level on a whole text: W ← W − η Σ_t ∇ L_t, for each sequence on its own.

    This is ``adapt`` with one period as long as the text. What was read is forgotten, the change is kept: give it as
    the state of the next text, ``model(tokens, changes)``.

    Parameters
    ----------
    tokens: (B, L) int64, L ≥ 2.
    learning_rate: η, on the sum of the L − 1 losses.
    changes: what earlier calls returned, to go on from; None begins at the model's weights.
    differentiable: as for ``adapt``.

    Returns
    -------
    The changes of the sequences so far, (B, out, in) for each weight, named as in the model's state.

    Raises
    ------
    ValueError
        If there is nothing to predict.
    """
    if tokens.dim() != 2 or tokens.shape[1] < 2:
        raise ValueError(f"tokens is {tuple(tokens.shape)}; expected (B, L) with two tokens or more.")
    before = [block.cms.levels for block in model.blocks]
    try:
        set_token_periods(model, (tokens.shape[1] - 1,) * len(before[0]), learning_rate)
        state = model.initial_state(len(tokens)) | (changes or {})
        _, state = adapt(model, tokens, state, differentiable=differentiable)
    finally:
        for block, levels in zip(model.blocks, before, strict=True):
            block.cms.levels = levels
    return {name: change for name, change in state.items() if ".cms." in name and ".sum." not in name}


def _learn_piece(model, inputs, targets, state, position, differentiable):
    """Read one piece with the weights as they are, sum its gradients, and step the levels whose period is over."""
    changes = {
        f"{i}.cms.{ℓ}.{name}": _leaf(state[f"{i}.cms.{ℓ}.{name}"], differentiable)
        for i, block in enumerate(model.blocks)
        for ℓ in block.cms.adapting()
        for name in WEIGHTS
    }
    with torch.enable_grad():
        logits, new = model(inputs, state | changes)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
        found = torch.autograd.grad(loss.sum(), list(changes.values()), create_graph=differentiable)
    gradients = dict(zip(changes, found, strict=True))
    if not differentiable:
        new, loss = {name: tensor.detach() for name, tensor in new.items()}, loss.detach()
    for i, block in enumerate(model.blocks):
        prefix = f"{i}.cms."
        own = {name[len(prefix) :]: tensor for name, tensor in new.items() if name.startswith(prefix)}
        mine = {name[len(prefix) :]: tensor for name, tensor in gradients.items() if name.startswith(prefix)}
        new |= {prefix + name: tensor for name, tensor in block.cms.learn(own, mine, position).items()}
    return loss, new


def _leaf(change: Tensor, differentiable: bool) -> Tensor:
    """A tensor to differentiate with respect to: cut off from its past, unless that is to be differentiated too."""
    if differentiable and change.requires_grad:
        return change.view_as(change)  # a name of its own for this piece: earlier pieces do not count twice
    return change.detach().requires_grad_()
