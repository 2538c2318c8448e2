"""A quadratic whose directions differ a thousandfold in curvature: the plainest ground on which optimizers differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nbhelpers.training.config import StepConfig, check_least


@dataclass(frozen=True)
class QuadraticConfig(StepConfig):
    """Find W* (outputs, inputs) from samples y = W* x + noise, where x has covariance Σ.

    Parameters
    ----------
    inputs, outputs: size of W*.
    condition: largest eigenvalue of Σ (which is 1) over the smallest; the others lie between, evenly in log.
    noise: standard deviation of each entry of y.
    samples: to train on; the number of steps is what they fill, rounded down.

    The others are those of ``StepConfig``; ``batch_size`` counts samples.
    """

    task: ClassVar[str] = "quadratic"
    budget: ClassVar[str] = "samples"

    batch_size: int = 32
    weight_decay: float = 0.0
    clip: float = 0.0
    inputs: int = 32
    outputs: int = 16
    condition: float = 1000.0
    noise: float = 0.1
    samples: int = 16_000

    def __post_init__(self):
        super().__post_init__()
        check_least(self, inputs=1, outputs=1, condition=1, noise=0, samples=self.batch_size)

    @property
    def steps(self) -> int:
        return self.samples // self.batch_size


class HalfSquares(nn.Module):
    """½ ‖W x − y‖², the mean over samples: x (N, inputs), y (N, outputs)."""

    def __init__(self, model: nn.Linear):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.model(x) - y).square().sum(1).mean() / 2


class Quadratic:
    """The task: measured by the expected loss above its minimum, ½ tr((W − W*) Σ (W − W*)ᵀ), which needs no samples."""

    def __init__(self, config: QuadraticConfig, seed: int):
        self.config, self.seed = config, seed
        generator = torch.Generator().manual_seed(seed)
        basis, _ = torch.linalg.qr(torch.randn(config.inputs, config.inputs, generator=generator))
        spread = torch.logspace(0, -torch.log10(torch.tensor(float(config.condition))).item(), config.inputs)
        self.root = basis * spread.sqrt()  # Σ = root rootᵀ
        self.target = torch.randn(config.outputs, config.inputs, generator=generator)
        model = nn.Linear(config.inputs, config.outputs, bias=False)
        nn.init.zeros_(model.weight)
        self.replace_model(model)

    def replace_model(self, model: nn.Linear) -> None:
        self.model, self.blocks = model, []
        self.module = HalfSquares(model)

    def batches(self, start_step: int, rank: int = 0, processes: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        c, step = self.config, start_step
        while True:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            x = torch.randn(c.batch_size, c.inputs, generator=generator) @ self.root.T
            y = x @ self.target.T + c.noise * torch.randn(c.batch_size, c.outputs, generator=generator)
            yield x[rank::processes], y[rank::processes]
            step += 1

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        return self.test(device)

    @torch.no_grad()
    def test(self, device: torch.device) -> dict[str, float]:
        """The measure is exact, so nothing is held out."""
        miss = (self.model.weight - self.target.to(device)) @ self.root.to(device)
        return {"mean": miss.square().sum().item() / 2}

    def extras(self, device: torch.device, sample: int) -> dict[str, Any]:
        return {}

    def save(self, folder: Path) -> None:
        raise ValueError("The weights of a quadratic are not kept; set keep_model=no.")

    def load(self, folder: Path) -> None:
        raise ValueError(f"{folder}: the weights of a quadratic are not kept.")
