"""Writing text token by token, with a state instead of the text so far."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nbhelpers.models.language_model import LanguageModel, State


@torch.no_grad()
def stream(
    model: LanguageModel,
    prompt: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    state: State | None = None,
) -> Iterator[tuple[Tensor, State]]:
    """Yield (token (B,), state) without end. The state's size does not grow, except with attention.

    Parameters
    ----------
    prompt: (B, L) int64 with L ≥ 1, read first.
    temperature: 0 takes the likeliest token; default 1.
    top_k: sample among the k likeliest only; None for all.
    generator: source of randomness; None is torch's own.
    state: of what was read before the prompt.
    """
    if prompt.dim() != 2 or prompt.shape[1] == 0:
        raise ValueError(f"The prompt is {tuple(prompt.shape)}; expected (B, L) with at least one token.")
    if temperature < 0:
        raise ValueError(f"temperature is {temperature}; expected 0 or more.")
    logits, state = model(prompt, state)
    while True:
        token = choose_token(logits[:, -1].float(), temperature, top_k, generator)
        yield token, state
        logits, state = model(token[:, None], state)


def generate(model: LanguageModel, prompt: Tensor, count: int, **options) -> Tensor:
    """The prompt (B, L) followed by ``count`` tokens; options as for ``stream``."""
    tokens = [token for _, (token, _) in zip(range(count), stream(model, prompt, **options), strict=False)]
    return torch.cat([prompt, *(token[:, None] for token in tokens)], 1)


def choose_token(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None) -> Tensor:
    """One token for each row of logits (B, V)."""
    if temperature == 0:
        return logits.argmax(-1)
    if top_k is not None:
        logits = logits.masked_fill(logits < logits.topk(min(top_k, logits.shape[-1])).values[:, -1:], -torch.inf)
    return torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator)[:, 0]
