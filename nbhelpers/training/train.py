"""Train one model: data → model → step → log → record."""

from __future__ import annotations

import json
import shutil

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import Optimizer

from nbhelpers.core.records import Record
from nbhelpers.core.seeds import seed_everything
from nbhelpers.training.config import RunOptions, StepConfig
from nbhelpers.training.loop import run_loop
from nbhelpers.training.optimizers import make_optimizers
from nbhelpers.training.settings import make_task
from nbhelpers.training.task import Task
from nbhelpers.training.watch import Diverged
from nbhelpers.training.world import World, join_world


def train(config: StepConfig, options: RunOptions | None = None, kind: str = "train") -> Record:
    """Train a language model, or go on where it was stopped; return its finished record.

    A run that is over is returned as it is. The record's ``result`` holds ``status`` ("done"), steps, tokens, seconds
    (of training alone), tokens_per_second, parameters, ``validation`` and, except for kind "sweep", ``test``: bits per
    byte by domain and their mean, of the weights as they are stored (rounded to bfloat16), computed in float32.

    Parameters
    ----------
    kind: of record: "train", "sweep" or "contest".

    Raises
    ------
    Diverged
        If the loss is not finite or climbs. The record then ends with ``status`` "diverged" and the fault.
    Interrupted
        If Ctrl-C or SIGTERM asked for it; the same call goes on from there.
    """
    options = options or RunOptions()
    record = Record(kind, options.name or config.name, options.seed, config.to_json(), options.to)
    if record.result:
        return record
    world = join_world(options)
    seed_everything(options.seed)
    task = make_task(config, options.seed)
    if world.leads:
        record.begin()
    task.module.to(world.device)
    module = world.wrap(task.module, task.blocks)
    if options.compile == "yes" or (options.compile == "auto" and world.device.type == "cuda"):
        module = torch.compile(module)
    arguments = (config.learning_rate, config.weight_decay, config.options)
    optimizers = make_optimizers(config.optimizer, task.model, *arguments)
    try:
        seconds = run_loop(task, module, optimizers, config, options, record, world)
    except Diverged as fault:
        if world.leads:
            record.finish(status="diverged", step=fault.step, fault=str(fault))
        raise
    if world.parallel == "fsdp":
        task.replace_model(whole_model(task.model, config, options, world))
    if world.leads:
        finish(record, task, optimizers, config, options, world, seconds)
    world.barrier()
    if dist.is_initialized():
        dist.destroy_process_group()
    return record


def finish(
    record: Record,
    task: Task,
    optimizers: list[Optimizer],
    config: StepConfig,
    options: RunOptions,
    world: World,
    seconds: float,
) -> None:
    """Round the weights as they are stored, measure them, keep them, write the result."""
    task.model.to(torch.bfloat16)
    if options.keep_model:
        task.save(record.folder / "model")
    task.model.float()
    measures = {"validation": task.validate(task.module, world.device)}
    if record.kind != "sweep":
        measures |= {"test": task.test(world.device), **task.extras(world.device, options.sample)}
    record.finish(
        status="done",
        steps=config.steps,
        tokens=config.steps * config.units,
        seconds=round(seconds, 2),
        tokens_per_second=round(config.steps * config.units / seconds, 1),
        parameters=sum(p.numel() for p in task.model.parameters()),
        processes=world.processes,
        parallel=world.parallel,
        optimizer_bytes=state_bytes(optimizers),
        **memory(world),
        **measures,
    )
    shutil.rmtree(record.folder / "checkpoint", ignore_errors=True)


def whole_model(model: nn.Module, config: StepConfig, options: RunOptions, world: World) -> nn.Module:
    """The model on one device, gathered from the parts that FSDP2 left with each process."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    full = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    whole = make_task(config, options.seed).model
    if world.leads:
        whole.load_state_dict(full)
    return whole.to(world.device)


def state_bytes(optimizers: list[Optimizer]) -> int:
    """What the optimizers remember, in bytes (this process's part of it)."""
    states = [entry for one in optimizers for entry in one.state_dict()["state"].values()]
    tensors = [value for entry in states for value in entry.values() if isinstance(value, torch.Tensor)]
    return sum(t.numel() * t.element_size() for t in tensors)


def memory(world: World) -> dict[str, float]:
    """Peak memory of the GPU in GB, if there is one."""
    if world.device.type != "cuda":
        return {}
    return {"peak_memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 3)}


def report(record: Record) -> str:
    """The result of a run in a few lines."""
    result = record.result
    if result["status"] != "done":
        return f"{record.id}: {result['status']} at step {result['step']}: {result['fault']}"
    measures = [f"  {part}: {json.dumps(result[part])}" for part in ("validation", "test") if part in result]
    head = f"{record.id}: {result['parameters']:,} parameters, {result['tokens_per_second']:,.0f} tokens/s"
    return "\n".join([head, *measures, f"  sample: {result.get('sample', '')!r}"])
