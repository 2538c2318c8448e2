"""Learning at test time by plain gradient steps: one model becomes many, each a step away, each told something else.

The weights of the students are tensors with one more axis in front, (N, …) by name, so that all of them learn and are
asked in one pass. This is *dynamic evaluation* of a single sentence; ``nbhelpers.models.adapt`` learns while it reads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from nbhelpers.models import LanguageModel

Weights = dict[str, Tensor]


def learn_each(
    model: LanguageModel, texts: Tensor, learning_rate: float, steps: int = 1, start: Weights | None = None
) -> Weights:
    """W ← W − η ∇ (mean next-token loss of a text), ``steps`` times, for each text on its own.

    Parameters
    ----------
    model: the teacher of all; it stays as it is.
    texts: (N, L) int64, one a student.
    learning_rate: η, of every weight.
    steps: gradient steps, default 1; 0 gives copies.
    start: students that have learned before, (N, …) each; by default the model's own weights.

    Returns
    -------
    The students' weights by name, (N, …) each.

    Raises
    ------
    ValueError
        If a text is shorter than two tokens, or there are not as many students as texts.
    """
    if texts.dim() != 2 or texts.shape[1] < 2:
        raise ValueError(f"texts is {tuple(texts.shape)}; expected (N, L) with two tokens or more.")
    own = {name: p.detach() for name, p in model.named_parameters()}
    if start is None:
        start = {name: p.expand(len(texts), *p.shape).clone() for name, p in own.items()}
    if any(len(p) != len(texts) for p in start.values()):
        raise ValueError(f"start holds {len(next(iter(start.values())))} students for {len(texts)} texts.")

    def loss(weights: Weights, text: Tensor) -> Tensor:
        logits, _ = functional_call(model, weights, (text[None, :-1],))
        return F.cross_entropy(logits[0], text[1:])

    gradient = vmap(grad(loss))
    for _ in range(steps):
        with sdpa_kernel(SDPBackend.MATH):  # the one kind of attention that vmap runs for all students at once
            slopes = gradient(start, texts)
        start = {name: p - learning_rate * slopes[name] for name, p in start.items()}
    return start


@torch.no_grad()
def logits_each(model: LanguageModel, students: Weights, tokens: Tensor) -> Tensor:
    """What each student makes of its own rows: tokens (N, B, L) → logits (N, B, L, V)."""
    with sdpa_kernel(SDPBackend.MATH):
        return vmap(lambda weights, rows: functional_call(model, weights, (rows,))[0])(students, tokens)


def says_each(model: LanguageModel, students: Weights, rows: Tensor, answer: int, window: int | None = None) -> Tensor:
    """Which rows end as their student would write them, (N, B) bool; rows (N, B, T), else as ``recalled``."""
    read = rows[..., :-1] if window is None else rows[..., :-1][..., -window:]
    return (logits_each(model, students, read)[..., -answer:, :].argmax(-1) == rows[..., -answer:]).all(-1)


def bits_each(model: LanguageModel, students: Weights, rows: Tensor) -> Tensor:
    """Bits a token (a byte, for byte-level models) of each student on the same rows (B, T): (N,)."""
    count = len(next(iter(students.values())))
    logits = logits_each(model, students, rows[:, :-1].expand(count, -1, -1))
    losses = F.cross_entropy(logits.flatten(0, 2), rows[:, 1:].expand(count, -1, -1).flatten(), reduction="none")
    return losses.view(count, -1).mean(-1) / math.log(2)
