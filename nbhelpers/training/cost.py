"""What one training step of each optimizer costs, measured side by side so that a busy machine is fair to all."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nbhelpers.core.records import RUNS, Record
from nbhelpers.core.seeds import seed_everything
from nbhelpers.training.config import StepConfig
from nbhelpers.training.loop import clip
from nbhelpers.training.optimizers import make_optimizers
from nbhelpers.training.settings import make_task

ROUNDS = 20
BLOCK = 10  # steps of one arm in a row, so that each works with its own data at hand


def record_cost(name: str, arms: Mapping[str, StepConfig], rounds: int = ROUNDS, to: str | Path = RUNS) -> Record:
    """The record of kind "bench" that says what a step of each arm costs; measured if it is not there yet.

    Its result holds ``step_seconds`` (:func:`step_seconds`) and ``rounds``. Measured once, it stays: the budgets of a
    contest by time must not change with the next measurement.
    """
    config = {"rounds": rounds, "arms": {arm: config.to_json() for arm, config in sorted(arms.items())}}
    record = Record("bench", name, 0, config, to)
    if not record.result:
        record.begin().finish(step_seconds=step_seconds(arms, rounds), rounds=rounds)
    return record


def step_seconds(arms: Mapping[str, StepConfig], rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds that the processor works for one step (loss, gradients, update) of each arm: the median over rounds.

    In every round each arm makes ``BLOCK`` steps, in an order drawn anew, in one process on one thread: so all arms
    meet the same machine. The first step of a block, which finds the caches full of another arm, does not count.
    """
    racers = {arm: Racer(config) for arm, config in arms.items()}
    times: dict[str, list[float]] = {arm: [] for arm in racers}
    order, draw = list(racers), random.Random(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(rounds):
            draw.shuffle(order)
            for arm in order:
                racers[arm].step()
                times[arm].append(statistics.fmean(racers[arm].step() for _ in range(BLOCK)))
    finally:
        torch.set_num_threads(threads)
    return {arm: statistics.median(found) for arm, found in times.items()}


class Racer:
    """A task with its optimizers, one step at a time."""

    def __init__(self, config: StepConfig):
        seed_everything(0)
        self.config, self.task = config, make_task(config, 0)
        arguments: tuple[Any, ...] = (config.learning_rate, config.weight_decay, config.options)
        self.optimizers = make_optimizers(config.optimizer, self.task.model, *arguments)
        self.data = self.task.batches(0)

    def step(self) -> float:
        """Make a step; return the processor's seconds, without those for fetching the batch."""
        batch = next(self.data)
        started = time.process_time()
        self.task.module.zero_grad()
        self.task.module(*batch).backward()
        clip(self.task.model, self.config.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        return time.process_time() - started
