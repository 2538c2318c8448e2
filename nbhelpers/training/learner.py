"""A reader that may change its mind: told by one gradient step, asked without the sentence in view.

The task of ``python -m nbhelpers.training amnesiac task=learner``. Half of a batch's rows are those of the task
``facts``. Each of the others also asks for a fact that its text never tells. Its sentence was read before, alone, and
the row's own copy of the MLPs took one step on it (``nbhelpers.models.adapt``). The gradient of the loss goes through
that step, so that the weights are trained for what a step makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from nbhelpers.data.facts import DIGITS, Filler, as_rows, episodes, probes, told_tokens
from nbhelpers.models import LanguageModel, learn_once, recalled
from nbhelpers.training.facts import Facts, FactsConfig, ToldFacts

ONCE = "told once"  # the name of the measure: by a step, then asked from two windows away


@dataclass(frozen=True)
class LearnerConfig(FactsConfig):
    """A model, its episodes, and the step that it learns by.

    Parameters
    ----------
    told_rate: learning rate of the step on a told sentence, on the sum of its tokens' losses.

    The others are those of ``FactsConfig``.
    """

    task: ClassVar[str] = "learner"

    told_rate: float = 0.03

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.told_rate < float("inf"):
            raise ValueError(f"told_rate is {self.told_rate}; expected a number above 0.")
        if self.batch_size % 2:
            raise ValueError(f"batch_size is {self.batch_size}; half of the rows learn, so it must be even.")


class Told(ToldFacts):
    """Loss of a batch: inputs, targets, answers (B, L) and told sentences (B, T), zeros for rows that do not learn."""

    def __init__(self, model: LanguageModel, answer_weight: float, rate: float):
        super().__init__(model, answer_weight)
        self.rate = rate

    def forward(self, inputs: Tensor, targets: Tensor, answers: Tensor, told: Tensor) -> Tensor:
        learns = told.any(1)
        total = inputs.new_zeros((), dtype=torch.float32)
        for rows in (~learns, learns):
            if not rows.any():
                continue
            changes = None
            if rows is learns:
                with sdpa_kernel(SDPBackend.MATH):  # the one kind of attention that can be differentiated twice
                    changes = learn_once(self.model, told[rows], self.rate, differentiable=True)
            logits, _ = self.model(inputs[rows], changes)
            total = total + self.weighed(logits, targets[rows], answers[rows]) * rows.sum() / len(inputs)
        return total


class Learner(Facts):
    """The task: what share of facts the model cannot say, told in its window, and told by a step alone."""

    config: LearnerConfig

    def replace_model(self, model: LanguageModel) -> None:
        super().replace_model(model)
        self.module = Told(model, self.config.answer_weight, self.config.told_rate)

    def batches(self, start_step: int, rank: int = 0, processes: int = 1) -> Iterator[tuple[Tensor, ...]]:
        c = self.config
        options = {"seed": self.seed, "start_step": start_step, "rank": rank, "processes": processes}
        return episodes(self.filler, c.batch_size, c.length, facts=c.facts, outside=True, **options)

    def _probes(self, part: str) -> dict[str, Any]:
        """Those of the task ``facts``, and under ``ONCE`` sentences (N, T) with rows that ask far from them."""
        c = self.config
        far = probes(Filler(c.texts, part), 2 * c.length, c.held_out // c.length, part, others=c.facts - 1)
        return super()._probes(part) | {ONCE: (told_tokens([one.fact for one in far]), as_rows(far))}

    def _measure(self, device: torch.device, probes: dict[str, Any]) -> dict[str, float]:
        c = self.config
        found = super()._measure(device, {name: rows for name, rows in probes.items() if name != ONCE})
        del found["mean"]
        right, (told, rows) = 0, probes[ONCE]
        for sentence, row in zip(told.to(device).split(c.batch_size), rows.to(device).split(c.batch_size), strict=True):
            changes = learn_once(self.model, sentence, c.told_rate)
            right += int(recalled(self.model, row, DIGITS, c.length, changes).sum())
        found[ONCE] = 1 - right / len(rows)
        return found | {"mean": sum(found.values()) / len(found)}
