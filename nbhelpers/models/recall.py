"""Whether a model can say what it was told: recall of an answer, with all the tokens before it or the last few."""

from __future__ import annotations

import torch
from torch import Tensor

from nbhelpers.models.language_model import LanguageModel, State


@torch.no_grad()
def recalled(
    model: LanguageModel, tokens: Tensor, answer: int, window: int | None = None, state: State | None = None
) -> Tensor:
    """Which rows end as the model would write them: (B,) bool.

    A row counts where each of its last ``answer`` tokens is the most likely next one after all before it, so that
    greedy writing would have given exactly them.

    Parameters
    ----------
    model: the reader.
    tokens: (B, N) int64; the last ``answer`` are the answer.
    answer: tokens of the answer, below N.
    window: read the last so many tokens alone, as a reader with a truncated context does; None reads all. The last
        token of the answer is written, not read.
    state: of the sequences before the first token, such as the changes of ``learn_once``; None begins.

    Raises
    ------
    ValueError
        If there is no question before the answer, or the window does not reach back to it.
    """
    if not 1 <= answer < tokens.shape[1] or (window is not None and window < answer):
        raise ValueError(
            f"answer={answer}, window={window} and rows of {tokens.shape[1]} tokens: expected an answer of 1 token or "
            "more, something before it, and a window that holds the answer."
        )
    read, wanted = tokens[:, :-1], tokens[:, -answer:]
    if window is not None:
        read = read[:, -window:]
    logits, _ = model(read, state)
    return (logits[:, -answer:].argmax(-1) == wanted).all(-1)
