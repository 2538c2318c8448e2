"""A language model on texts: the task of ``python -m nbhelpers.training``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nbhelpers.data import tokenizer as tokenizers
from nbhelpers.data.streams import batches
from nbhelpers.models import Config, LanguageModel, evaluate, generate, load, save, summed_loss
from nbhelpers.training.config import StepConfig, check_choices, check_least
from nbhelpers.training.text_streams import held_out_streams, training_stream


@dataclass(frozen=True)
class TrainingConfig(StepConfig):
    """A language model and what it reads. On the command line the values of ``model`` are named without ``model``.

    Parameters
    ----------
    model: the language model; its vocabulary is that of the tokenizer.
    texts: what is read: a domain of ``nbhelpers.data.texts`` ("all" by default), or the folder of a corpus that
        ``python -m nbhelpers.data.build`` made.
    tokenizer: "bytes", "bpe4096" (default) or "bpe8192".
    length: tokens of a row.
    tokens: to train on; the number of steps is what they fill, rounded down.
    held_out: tokens a domain that validation and the final evaluation read.

    The others are those of ``StepConfig``.

    Raises
    ------
    ValueError
        If a value is not allowed; the message says which are.
    """

    task: ClassVar[str] = "language"
    budget: ClassVar[str] = "tokens"

    model: Config = field(default_factory=lambda: Config("transformer", vocabulary=4096))
    texts: str = "all"
    tokenizer: str = "bpe4096"
    length: int = 256
    tokens: int = 1_500_000
    held_out: int = 6144

    def __post_init__(self):
        super().__post_init__()
        check_choices(self, tokenizer=tokenizers.NAMES)
        check_least(self, length=1, held_out=2)
        if self.steps < 1:
            raise ValueError(
                f"tokens is {self.tokens}, less than one step of {self.batch_size} rows of {self.length} tokens."
            )
        vocabulary = len(tokenizers.load_tokenizer(self.tokenizer))
        if self.model.vocabulary != vocabulary:
            object.__setattr__(self, "model", dataclasses.replace(self.model, vocabulary=vocabulary))

    @property
    def name(self) -> str:
        return self.model.family

    @property
    def units(self) -> int:
        return self.batch_size * self.length

    @property
    def steps(self) -> int:
        return self.tokens // self.units

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"model": self.model.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainingConfig:
        return cls(**values | {"model": Config.from_json(values["model"])})


class NextToken(nn.Module):
    """Mean next-token loss of a language model: inputs, targets (B, L) → nats. ``reduction="sum"`` for the sum."""

    def __init__(self, model: LanguageModel):
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        total = summed_loss(self.model(inputs)[0], targets)
        return total / targets.numel() if reduction == "mean" else total


class Language:
    """The task: next tokens of texts, measured in bits per byte by domain."""

    def __init__(self, config: TrainingConfig, seed: int):
        self.config, self.seed = config, seed
        self.tokenizer = tokenizers.load_tokenizer(config.tokenizer)
        self.validation = held_out_streams(config.texts, config.tokenizer, "validation", config.held_out)
        self.replace_model(LanguageModel(config.model))

    def replace_model(self, model: LanguageModel) -> None:
        self.model, self.blocks = model, model.blocks
        self.module = NextToken(model)

    @cached_property
    def stream(self) -> np.ndarray:
        """The training tokens (N,)."""
        return training_stream(self.config.texts, self.config.tokenizer)

    def batches(self, start_step: int, rank: int = 0, processes: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        c = self.config
        options = {"seed": self.seed, "start_step": start_step, "rank": rank, "processes": processes}
        return batches(self.stream, c.batch_size, c.length, **options)

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        return self._measure(module, device, self.validation)

    def test(self, device: torch.device) -> dict[str, float]:
        c = self.config
        return self._measure(self.module, device, held_out_streams(c.texts, c.tokenizer, "test", c.held_out))

    def _measure(self, module: nn.Module, device: torch.device, streams: dict) -> dict[str, float]:
        c = self.config

        def loss(inputs, targets):
            return module(inputs, targets, reduction="sum")

        return evaluate(loss, streams, self.tokenizer, batch_size=c.batch_size, length=c.length, device=device)

    def extras(self, device: torch.device, sample: int) -> dict[str, str]:
        """Some text of the model's own, the same draw each time it is asked."""
        if not sample:
            return {}
        generator = torch.Generator(device).manual_seed(self.seed)
        prompt = torch.full((1, 1), self.tokenizer.end_id, device=device)
        tokens = generate(self.model, prompt, sample, temperature=0.8, generator=generator)
        return {"sample": self.tokenizer.decode(tokens[0, 1:].tolist())}

    def save(self, folder: Path) -> None:
        save(self.model, folder)

    def load(self, folder: Path) -> None:
        model = load(folder).float()
        if model.config != self.config.model:
            raise ValueError(f"{folder} holds {model.config}, not the model of the record's config.")
        self.replace_model(model)
