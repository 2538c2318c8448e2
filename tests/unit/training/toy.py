"""A task that takes no time: linear regression, with a batch that can be poisoned."""

from __future__ import annotations

import torch
from torch import nn

from nbhelpers.core.records import Record
from nbhelpers.training.loop import run_loop
from nbhelpers.training.optimizers import make_optimizers
from nbhelpers.training.settings import build
from nbhelpers.training.world import World

WORLD = World(0, 1, torch.device("cpu"), "none")


class Squares(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x, y):
        return (self.layer(x) - y).square().mean()


class Toy:
    """``poisoned`` names a step whose inputs are NaN; ``grows`` scales the targets of later steps."""

    def __init__(self, seed: int = 0, poisoned: int | None = None, grows: float = 1.0):
        torch.manual_seed(seed)
        self.module = Squares()
        self.model = self.module.layer
        self.poisoned, self.grows = poisoned, grows

    def batches(self, start_step, rank, processes):
        step = start_step
        while True:
            generator = torch.Generator().manual_seed(step)
            x = torch.randn(8, 4, generator=generator)
            if step == self.poisoned:
                x = x * float("nan")
            yield x, x[:, :3] * self.grows**step
            step += 1

    def validate(self, module, device):
        x, y = next(self.batches(10**6, 0, 1)) if self.grows == 1 else (torch.zeros(1, 4), torch.zeros(1, 3))
        return {"mean": module(x, y).item()}


def run(folder, task: Toy, kind="bench", **settings):
    """Run the loop on a toy; return its record. Sixteen tokens a step, by default 40 steps."""
    given = {"length": 2, "batch_size": 8, "tokens": 640, "log_every": 1, "checkpoint_every": 10, "progress": False}
    config, options = build(given | {"tokenizer": "bytes", "learning_rate": 0.05} | settings | {"to": str(folder)})
    record = Record(kind, "toy", options.seed, config.to_json(), options.to).begin()
    optimizers = make_optimizers(config.optimizer, task.model, config.learning_rate, config.weight_decay)
    run_loop(task, task.module, optimizers, config, options, record, WORLD)
    return record
