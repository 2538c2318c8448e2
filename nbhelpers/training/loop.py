"""The loop: data → model → step → log. Models, contests and sweeps all run through it."""

from __future__ import annotations

import math
import signal
import threading
import time
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm.auto import tqdm

from nbhelpers.core.records import Record
from nbhelpers.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from nbhelpers.training.config import RunOptions, StepConfig
from nbhelpers.training.optimizers import set_learning_rate
from nbhelpers.training.task import Task
from nbhelpers.training.watch import Diverged, Watch, find_fault
from nbhelpers.training.world import World


class Interrupted(RuntimeError):
    """The run was asked to stop (Ctrl-C, SIGTERM); its checkpoint is written."""


def learning_rate_at(step: int, config: StepConfig) -> float:
    """The learning rate of a step, counted from 0: a line up over the warm-up, then a cosine down to the last."""
    peak, warmup = config.learning_rate, math.ceil(config.warmup * config.steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, config.steps - 1 - warmup)
    return peak * (config.final_rate + (1 - config.final_rate) * (1 + math.cos(math.pi * min(done, 1.0))) / 2)


def run_loop(
    task: Task,
    module: nn.Module,
    optimizers: list[Optimizer],
    config: StepConfig,
    options: RunOptions,
    record: Record,
    world: World,
) -> float:
    """Train from the record's last checkpoint, or from the beginning, to the last step; return the seconds it took.

    Parameters
    ----------
    task, module: what is trained, and the same as this world computes it (compiled, distributed).
    record: gets ``step, tokens, loss, gradient_norm, learning_rate, seconds`` every ``log_every`` steps (the loss is
        the mean since the row before), and a row with ``validation`` every ``validate_every``.

    Raises
    ------
    Diverged
        If the loss is not finite or climbs; the last checkpoint is from before.
    Interrupted
        If Ctrl-C or SIGTERM asked for it, after the checkpoint is written.
    """
    folder, step, watch, seconds, losses = record.folder / "checkpoint", 0, Watch(), 0.0, []
    if found := latest_checkpoint(folder):
        step, extra = load_checkpoint(found, task.model, optimizers, record.id)
        watch, seconds, losses = Watch(**extra["watch"]), extra["seconds"], extra["losses"]
    if world.leads:
        record.rewind(step)
    compute = Compute(module, world, config, options)
    data = task.batches(step, world.rank, world.processes)
    hidden = not (world.leads and options.progress)
    bar = tqdm(total=config.steps, initial=step, desc=record.name, unit="step", disable=hidden, mininterval=1)
    with bar, stop_signals() as asked_to_stop:
        while step < config.steps:
            started = time.perf_counter()
            batch = tuple(tensor.to(world.device, non_blocking=True) for tensor in next(data))
            rate = learning_rate_at(step, config)
            set_learning_rate(optimizers, rate)

            loss = float(world.mean(compute.gradients(batch)))
            norm = clip(task.model, config.clip)
            try:
                watch.look(step + 1, loss, norm)
            except Diverged as fault:
                raise Diverged(f"{fault}. {find_fault(task.module, batch)}", step + 1) from None
            for optimizer in optimizers:
                optimizer.step()

            step += 1
            seconds += time.perf_counter() - started
            losses.append(loss)
            bar.update()
            last = step == config.steps
            if step % options.log_every == 0 or last:
                mean = sum(losses) / len(losses)
                losses.clear()
                if world.leads:
                    row = {"step": step, "tokens": step * config.units, "loss": mean, "gradient_norm": norm}
                    record.log(**row, learning_rate=rate, seconds=round(seconds, 3))
                bar.set_postfix_str(f"loss {mean:.3f}, {step * config.units / seconds:,.0f} tokens/s")
            if step % options.validate_every == 0 or last:
                validation = task.validate(compute.module, world.device)
                if world.leads:
                    record.log(step=step, validation=validation)
                if not hidden:
                    bar.write(f"{record.name} step {step}: validation {validation['mean']:.4f} ")
            stop = world.any(asked_to_stop.is_set())
            if step % options.checkpoint_every == 0 or last or stop:
                extra = {"watch": watch.state(), "seconds": seconds, "losses": losses}
                save_checkpoint(folder, task.model, optimizers, step, record.id, extra)
            if stop and not last:
                raise Interrupted(f"stopped after step {step} of {config.steps}; run the same command again to go on")
    return seconds


class Compute:
    """Loss and gradients of a batch, in micro-batches that fit into memory."""

    def __init__(self, module: nn.Module, world: World, config: StepConfig, options: RunOptions):
        self.module, self.world = module, world
        self.rows = options.micro_batch or config.batch_size
        self.autocast = config.precision == "bfloat16"

    def gradients(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Put the gradient of the batch's mean loss into ``.grad``; return the loss. Halves the micro-batch where
        memory runs out."""
        while True:
            try:
                return self.accumulate(batch)
            except torch.OutOfMemoryError:
                if self.rows <= 1 or self.world.processes > 1:
                    raise
                self.rows = min(self.rows, len(batch[0])) // 2
                torch.cuda.empty_cache()
                tqdm.write(f"Out of memory: going on with micro-batches of {self.rows} rows.")

    def accumulate(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Forward and backward over micro-batches, each weighted by its rows."""
        self.module.zero_grad()
        total, count = torch.zeros((), device=self.world.device), len(batch[0])
        for first in range(0, count, self.rows):
            piece = tuple(tensor[first : first + self.rows] for tensor in batch)
            share = len(piece[0]) / count
            last = first + self.rows >= count
            with (
                self.world.accumulate(self.module, last),
                torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.autocast),
            ):
                loss = self.module(*piece) * share
                loss.backward()
            total += loss.detach()
        return total


def clip(model: nn.Module, limit: float) -> float:
    """Scale gradients to a joint norm of at most ``limit`` (0: leave them); return the norm before."""
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit or math.inf, foreach=True)
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


@contextmanager
def stop_signals():
    """An event that Ctrl-C and SIGTERM set, so that a step is never cut in two; a second Ctrl-C stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread hears signals
        return

    def ask(number, frame):
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        tqdm.write("Stopping after this step; once more to stop at once.")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
