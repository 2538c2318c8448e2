"""Token streams cut into batches: for training in an order that any step can resume, for evaluation each token once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

IGNORED = -100  # the target that torch's cross-entropy skips


def batches(
    tokens: np.ndarray,
    batch_size: int,
    length: int,
    *,
    seed: int = 0,
    start_step: int = 0,
    rank: int = 0,
    processes: int = 1,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Training batches without end: inputs and targets, each (B, L) int64.

    An epoch cuts the stream into windows of L tokens, from an offset of its own, and takes them in an order of
    its own. Both depend on the seed and the epoch's number alone, so starting at ``start_step`` gives, bit for bit,
    what a run from 0 gives from there on. Within one epoch no window is repeated; what does not fill a batch waits
    for the next epoch's other order.

    Parameters
    ----------
    tokens: (N,) integers.
    batch_size: rows of a step over all processes.
    length: L, tokens a row; targets are the inputs moved by one.
    seed: of the order, default 0.
    start_step: number of the first step to give, default 0.
    rank, processes: process ``rank`` of ``processes`` gets rows rank, rank + processes, …; together they get
        exactly what one process gets. Default one process.

    Raises
    ------
    ValueError
        If the stream is too short for one batch, a size is not positive, or the rows do not divide.
    """
    import torch

    for name, value, least in (("batch_size", batch_size, 1), ("length", length, 1), ("start_step", start_step, 0)):
        if value < least:
            raise ValueError(f"{name}={value}: it must be {least} or more.")
    if batch_size % processes or not 0 <= rank < processes:
        raise ValueError(
            f"rank={rank} of processes={processes} with batch_size={batch_size}: the batch must divide evenly "
            "and ranks count from 0."
        )
    windows = (len(tokens) - length) // length  # the last offset, length - 1, still leaves room for so many
    if windows < batch_size:
        raise ValueError(
            f"{len(tokens)} tokens make {max(windows, 0)} windows of {length}; a batch needs {batch_size}. "
            "Take a shorter length, a smaller batch or more text."
        )
    steps = windows // batch_size

    def epochs() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch, first = divmod(start_step, steps)
        while True:
            generator = np.random.default_rng([seed, epoch])
            offset = int(generator.integers(length))
            order = generator.permutation(windows)
            for step in range(first, steps):
                rows = order[step * batch_size : (step + 1) * batch_size][rank::processes]
                yield _cut(tokens, offset + rows * length, length)
            epoch, first = epoch + 1, 0

    def _cut(stream: np.ndarray, starts: np.ndarray, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        block = np.stack([stream[start : start + size + 1] for start in starts])
        block = torch.from_numpy(block.astype(np.int64))
        return block[:, :-1].contiguous(), block[:, 1:].contiguous()

    return epochs()


def evaluation_batches(
    tokens: np.ndarray, batch_size: int, length: int, *, context: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Held-out windows: inputs and targets, each (B, L) int64, that predict every token but the first exactly once.

    A target that does not count is ``IGNORED`` (-100, which ``torch.nn.functional.cross_entropy`` skips): what only
    fills the last window up, and the first ``context`` targets of each window after the first.

    Parameters
    ----------
    tokens: (N,) integers; N - 1 of them are predicted.
    batch_size: B, windows a batch; the last batch may be smaller.
    length: L, tokens a window.
    context: how many tokens of the window before each window sees again, default 0; below L.

    Raises
    ------
    ValueError
        If there is nothing to predict, or the sizes do not fit.
    """
    import torch

    if len(tokens) < 2:
        raise ValueError(f"The stream has {len(tokens)} tokens; two or more are needed to predict one.")
    if batch_size < 1 or not 0 <= context < length:
        raise ValueError(
            f"batch_size={batch_size}, length={length}, context={context}: a batch needs a window, and the context "
            "must be shorter than the window."
        )
    starts = np.arange(0, max(len(tokens) - 1 - context, 1), length - context)

    def pieces() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for first in range(0, len(starts), batch_size):
            chosen = starts[first : first + batch_size]
            inputs = np.zeros((len(chosen), length), dtype=np.int64)
            targets = np.full((len(chosen), length), IGNORED, dtype=np.int64)
            for row, start in enumerate(chosen):
                block = np.asarray(tokens[start : start + length + 1])
                inputs[row, : len(block) - 1] = block[:-1]
                counted = context if start else 0
                targets[row, counted : len(block) - 1] = block[1 + counted :]
            yield torch.from_numpy(inputs), torch.from_numpy(targets)

    return pieces()


def bits_per_byte(nats: float, byte_count: int) -> float:
    """Summed loss in nats over the bytes that it stands for, as bits per byte.

    ``tokenizer.count_bytes(stream[1:])`` is the number for all that ``evaluation_batches`` predicts.

    Raises
    ------
    ValueError
        If there are no bytes.
    """
    if byte_count < 1:
        raise ValueError(f"byte_count={byte_count}: bits per byte need at least one byte.")
    return nats / math.log(2) / byte_count
