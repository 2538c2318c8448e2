"""How well a model predicts held-out text: bits per byte, by domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nbhelpers.data.streams import IGNORED, bits_per_byte, evaluation_batches
from nbhelpers.data.tokenizer import Tokenizer
from nbhelpers.models.language_model import LanguageModel


def summed_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Next-token loss in nats, summed over the targets that count: logits (B, L, V), targets (B, L)."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")


@torch.no_grad()
def evaluate(
    model: LanguageModel | Callable[[Tensor, Tensor], Tensor],
    streams: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    *,
    batch_size: int = 8,
    length: int = 256,
    context: int = 0,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """Bits per byte of each stream, and their unweighted mean under ``"mean"``.

    Parameters
    ----------
    model: a language model, or a function (inputs, targets) → summed loss in nats.
    streams: held-out tokens (N,) by domain; every token but the first is predicted once.
    tokenizer: what the streams were made with; it knows how many bytes each token stands for.
    batch_size, length: of a window; every window is read from an empty state.
    context: tokens of the window before that each window sees again, default 0.
    device: where the model is.
    """
    loss = model
    if isinstance(model, LanguageModel):

        def loss(inputs, targets):
            return summed_loss(model(inputs)[0], targets)

    found = {}
    for domain, tokens in streams.items():
        nats = 0.0
        for inputs, targets in evaluation_batches(tokens, batch_size, length, context=context):
            nats += float(loss(inputs.to(device), targets.to(device)))
        found[domain] = bits_per_byte(nats, tokenizer.count_bytes(tokens[1:]))
    return found | {"mean": sum(found.values()) / len(found)}
