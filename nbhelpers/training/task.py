"""What the loop and the records ask of a task: a loss, batches that any step can resume, held-out measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Task(Protocol):
    """Something to train. Built from a config and a seed.

    Attributes
    ----------
    module: maps a batch to its loss, a scalar that is a mean over the rows.
    model: the part of it with the parameters.
    blocks: parts of the model that FSDP2 gathers one at a time.
    """

    module: nn.Module
    model: nn.Module
    blocks: Sequence[nn.Module]

    def batches(self, start_step: int, rank: int, processes: int) -> Iterator[tuple[Tensor, ...]]:
        """The batches of this process from a step on; rows are the first axis."""

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        """Held-out measures; ``"mean"`` is the one that choices are made by, lower is better."""

    def test(self, device: torch.device) -> dict[str, float]:
        """The same measures where no choice was made: what is reported."""

    def extras(self, device: torch.device, sample: int) -> dict[str, Any]:
        """What else a finished run shows, such as a sample of ``sample`` tokens."""

    def replace_model(self, model: nn.Module) -> None:
        """Let ``model`` and ``module`` be these weights from now on."""

    def save(self, folder: Path) -> None:
        """Write the weights."""

    def load(self, folder: Path) -> None:
        """Take the weights that ``save`` wrote."""
