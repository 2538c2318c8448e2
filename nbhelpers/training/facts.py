"""Told-fact episodes: the task of ``python -m nbhelpers.training amnesiac``. Told a number, asked for it later."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nbhelpers.data.facts import DIGITS, Filler, as_rows, episodes, probes
from nbhelpers.models import Config, LanguageModel, load, recalled, save
from nbhelpers.training.config import StepConfig, check_least

SHARES = (0.25, 1.0)  # of a row: the distances at which recall is measured


@dataclass(frozen=True)
class FactsConfig(StepConfig):
    """A byte-level model and its episodes. On the command line the values of ``model`` are named without ``model``.

    Parameters
    ----------
    model: the language model; its vocabulary is the 256 bytes.
    texts: between the sentences: a domain of ``nbhelpers.data.texts``.
    length: tokens of a row.
    tokens: to train on; the number of steps is what they fill, rounded down.
    facts: the most that a row tells.
    answer_weight: of an answer's digit in the loss; any other token has 1.
    held_out: tokens a distance that validation and the final evaluation read.

    The others are those of ``StepConfig``.

    Raises
    ------
    ValueError
        If a value is not allowed; the message says which are.
    """

    task: ClassVar[str] = "facts"

    model: Config = field(default_factory=lambda: Config("transformer", vocabulary=256))
    texts: str = "fiction"
    length: int = 256
    tokens: int = 8_000_000
    facts: int = 4
    answer_weight: float = 20.0
    held_out: int = 131_072

    def __post_init__(self):
        super().__post_init__()
        check_least(self, length=1, facts=1, answer_weight=0, held_out=self.length)
        if self.steps < 1:
            raise ValueError(
                f"tokens is {self.tokens}, less than one step of {self.batch_size} rows of {self.length} tokens."
            )
        if self.model.vocabulary != 256:
            object.__setattr__(self, "model", dataclasses.replace(self.model, vocabulary=256))

    @property
    def name(self) -> str:
        return f"facts.{self.model.family}"

    @property
    def units(self) -> int:
        return self.batch_size * self.length

    @property
    def steps(self) -> int:
        return self.tokens // self.units

    @property
    def distances(self) -> tuple[int, ...]:
        """At which recall is measured, in tokens."""
        return tuple(int(share * self.length) for share in SHARES)

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"model": self.model.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> FactsConfig:
        return super().from_json(values | {"model": Config.from_json(values["model"])})


class ToldFacts(nn.Module):
    """Next-token loss in which answers weigh more: inputs, targets, answers (B, L) → nats a token."""

    def __init__(self, model: LanguageModel, answer_weight: float):
        super().__init__()
        self.model, self.answer_weight = model, answer_weight

    def forward(self, inputs: Tensor, targets: Tensor, answers: Tensor) -> Tensor:
        return self.weighed(self.model(inputs)[0], targets, answers)

    def weighed(self, logits: Tensor, targets: Tensor, answers: Tensor) -> Tensor:
        """The loss of logits (B, L, V)."""
        losses = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)
        return torch.where(answers, self.answer_weight * losses, losses).mean()


class Facts:
    """The task: what share of the facts it was told a model cannot say, by distance."""

    def __init__(self, config: FactsConfig, seed: int):
        self.config, self.seed = config, seed
        self.filler = Filler(config.texts, "train")
        self.validation = self._probes("validation")
        self.replace_model(LanguageModel(config.model))

    def replace_model(self, model: LanguageModel) -> None:
        self.model, self.blocks = model, model.blocks
        self.module = ToldFacts(model, self.config.answer_weight)

    def batches(self, start_step: int, rank: int = 0, processes: int = 1) -> Iterator[tuple[Tensor, ...]]:
        c = self.config
        options = {"seed": self.seed, "start_step": start_step, "rank": rank, "processes": processes}
        return episodes(self.filler, c.batch_size, c.length, facts=c.facts, **options)

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        return self._measure(device, self.validation)

    def test(self, device: torch.device) -> dict[str, float]:
        return self._measure(device, self._probes("test"))

    def _probes(self, part: str) -> dict[str, Tensor]:
        """Rows (N, length + 1) by distance; the same for every seed of the training."""
        c, filler = self.config, Filler(self.config.texts, part)
        count = c.held_out // c.length
        options = {"least": c.length, "others": c.facts - 1}
        return {str(d): as_rows(probes(filler, d, count, part, **options)) for d in c.distances}

    def _measure(self, device: torch.device, probes: dict[str, Tensor]) -> dict[str, float]:
        found = {}
        for distance, rows in probes.items():
            pieces = rows.to(device).split(self.config.batch_size)
            right = sum(int(recalled(self.model, piece, DIGITS).sum()) for piece in pieces)
            found[distance] = 1 - right / len(rows)
        return found | {"mean": float(np.mean(list(found.values())))}

    def extras(self, device: torch.device, sample: int) -> dict[str, str]:
        return {}

    def save(self, folder: Path) -> None:
        save(self.model, folder)

    def load(self, folder: Path) -> None:
        model = load(folder).float()
        if model.config != self.config.model:
            raise ValueError(f"{folder} holds {model.config}, not the model of the record's config.")
        self.replace_model(model)
