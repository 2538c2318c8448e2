"""Images to classes with a small network of linear layers: a task on which optimizers meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nbhelpers.data.digits import load_digits
from nbhelpers.data.images import load_fashion
from nbhelpers.training.config import StepConfig, check_choices, check_least
from nbhelpers.training.weights import load_weights, save_weights

DATASETS = ("fashion", "digits")


@dataclass(frozen=True)
class ImagesConfig(StepConfig):
    """A network of linear layers with ReLU between them, on images.

    Parameters
    ----------
    images: "fashion" (Fashion-6k, default) or "digits" (8 by 8 pixels).
    hidden, depth: width and number of hidden layers.
    samples: to train on; the number of steps is what they fill, rounded down.

    The others are those of ``StepConfig``; ``batch_size`` counts images.
    """

    task: ClassVar[str] = "images"
    budget: ClassVar[str] = "samples"

    batch_size: int = 64
    weight_decay: float = 0.0
    images: str = "fashion"
    hidden: int = 64
    depth: int = 2
    samples: int = 64_000

    def __post_init__(self):
        super().__post_init__()
        check_choices(self, images=DATASETS)
        check_least(self, hidden=1, depth=1, samples=self.batch_size)

    @property
    def name(self) -> str:
        return self.images

    @property
    def steps(self) -> int:
        return self.samples // self.batch_size


class Classify(nn.Module):
    """Mean cross-entropy of a classifier: images (N, P), labels (N,) → nats."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.model(images), labels)


class Images:
    """The task: measured in nats (``"loss"``, also as ``"mean"``) and in the share of wrong answers (``"error"``)."""

    def __init__(self, config: ImagesConfig, seed: int):
        self.config, self.seed = config, seed
        self.train, self.validation, self.held_out = split(config.images)
        sizes = [self.train[0].shape[1], *[config.hidden] * config.depth]
        layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
        self.replace_model(nn.Sequential(*layers, nn.Linear(sizes[-1], 10)))

    def replace_model(self, model: nn.Module) -> None:
        self.model, self.blocks = model, []
        self.module = Classify(model)

    def batches(self, start_step: int, rank: int = 0, processes: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        size, count = self.config.batch_size, len(self.train[1])
        epoch, first = divmod(start_step, count // size)
        while True:
            order = np.random.default_rng([self.seed, epoch]).permutation(count)
            for step in range(first, count // size):
                rows = order[step * size : (step + 1) * size][rank::processes]
                yield self.train[0][rows], self.train[1][rows]
            epoch, first = epoch + 1, 0

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        return self._measure(self.validation, device)

    def test(self, device: torch.device) -> dict[str, float]:
        return self._measure(self.held_out, device)

    @torch.no_grad()
    def _measure(self, part: tuple[Tensor, Tensor], device: torch.device) -> dict[str, float]:
        images, labels = (tensor.to(device) for tensor in part)
        scores = self.model(images)
        loss = F.cross_entropy(scores, labels).item()
        error = (scores.argmax(1) != labels).float().mean().item()
        return {"loss": loss, "error": error, "mean": loss}

    def extras(self, device: torch.device, sample: int) -> dict[str, Any]:
        return {}

    def save(self, folder: Path) -> None:
        save_weights(self.model, folder)

    def load(self, folder: Path) -> None:
        load_weights(self.model, folder)


def split(name: str) -> tuple[tuple[Tensor, Tensor], ...]:
    """Training, validation and test images (N, P), centred, with labels (N,). Digits: the last fifth validates."""
    if name == "fashion":
        data = load_fashion(centred=True)
        validation = data.validation_images, data.validation_labels
        return (data.train_images, data.train_labels), validation, (data.test_images, data.test_labels)
    data = load_digits(centred=True)
    cut = len(data.train_labels) * 4 // 5
    parts = [(data.train_images[rows], data.train_labels[rows]) for rows in (slice(0, cut), slice(cut, None))]
    return (*parts, (data.test_images, data.test_labels))
