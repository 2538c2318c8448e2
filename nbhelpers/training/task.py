"""What is trained: a loss, batches that any step can resume, and a held-out measure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from nbhelpers.data.streams import batches
from nbhelpers.data.tokenizer import load_tokenizer
from nbhelpers.models import LanguageModel, evaluate, generate, summed_loss
from nbhelpers.training.config import TrainingConfig
from nbhelpers.training.text_streams import held_out_streams, training_stream


class Task(Protocol):
    """What the loop asks of a task.

    ``module`` maps a batch to its loss, a scalar that is a mean over the rows; ``model`` is the part of it with the
    parameters.
    """

    module: nn.Module
    model: nn.Module

    def batches(self, start_step: int, rank: int, processes: int) -> Iterator[tuple[Tensor, ...]]:
        """The batches of this process from a step on; rows are the first axis."""

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        """Held-out measures; ``"mean"`` is the one that choices are made by, lower is better."""


class NextToken(nn.Module):
    """Mean next-token loss of a language model: inputs, targets (B, L) → nats. ``reduction="sum"`` for the sum."""

    def __init__(self, model: LanguageModel):
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        total = summed_loss(self.model(inputs)[0], targets)
        return total / targets.numel() if reduction == "mean" else total


class Language:
    """A language model on texts: the task of ``python -m nbhelpers.training``."""

    def __init__(self, config: TrainingConfig, seed: int):
        self.config, self.seed = config, seed
        self.tokenizer = load_tokenizer(config.tokenizer)
        self.stream = training_stream(config.texts, config.tokenizer)
        self.held_out = held_out_streams(config.texts, config.tokenizer, "validation", config.held_out)
        self.model = LanguageModel(config.model)
        self.module = NextToken(self.model)

    def batches(self, start_step: int, rank: int = 0, processes: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        c = self.config
        options = {"seed": self.seed, "start_step": start_step, "rank": rank, "processes": processes}
        return batches(self.stream, c.batch_size, c.length, **options)

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        return self.measure(module, device, self.held_out)

    def test(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        """Bits per byte on the works that nothing was chosen by."""
        c = self.config
        return self.measure(module, device, held_out_streams(c.texts, c.tokenizer, "test", c.held_out))

    def measure(self, module: nn.Module, device: torch.device, streams: dict) -> dict[str, float]:
        c = self.config

        def loss(inputs, targets):
            return module(inputs, targets, reduction="sum")

        return evaluate(loss, streams, self.tokenizer, batch_size=c.batch_size, length=c.length, device=device)

    def sample(self, count: int, device: torch.device) -> str:
        """Some text of the model's own, the same draw each time it is asked."""
        generator = torch.Generator(device).manual_seed(self.seed)
        prompt = torch.full((1, 1), self.tokenizer.end_id, device=device)
        tokens = generate(self.model, prompt, count, temperature=0.8, generator=generator)
        return self.tokenizer.decode(tokens[0, 1:].tolist())
