"""The processes of a run: one, or those that torchrun started. All that differs between the two stands here."""

from __future__ import annotations

import os
import warnings
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nbhelpers.training.config import RunOptions


@dataclass(frozen=True)
class World:
    """Which process this is, of how many, and where it computes.

    Attributes
    ----------
    rank, processes: this process's number, and how many there are.
    device: where it computes.
    parallel: "none", "ddp" or "fsdp".
    """

    rank: int
    processes: int
    device: torch.device
    parallel: str

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def wrap(self, task: nn.Module, blocks: nn.ModuleList | list[nn.Module]) -> nn.Module:
        """The task as this run computes it; ``blocks`` are its parts that FSDP2 gathers one at a time."""
        if self.parallel == "ddp":
            ids = None if self.device.type == "cpu" else [self.device.index]
            return nn.parallel.DistributedDataParallel(task, device_ids=ids)
        if self.parallel == "fsdp":
            from torch.distributed.fsdp import fully_shard

            # Blocks hand on views of their states; nothing here writes into them.
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
            mesh = dist.init_device_mesh(self.device.type, (self.processes,))
            for part in (*blocks, task):
                fully_shard(part, mesh=mesh)
        return task

    def accumulate(self, wrapped: nn.Module, last: bool):
        """A context for a backward pass: with DDP, only the step's last one exchanges gradients."""
        return wrapped.no_sync() if self.parallel == "ddp" and not last else nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a number over all processes."""
        if self.processes > 1:
            dist.all_reduce(value)
        return value / self.processes

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.processes > 1:
            dist.barrier()

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process."""
        return flag if self.processes == 1 else bool(self.mean(torch.tensor(float(flag), device=self.device)) > 0)


def join_world(options: RunOptions) -> World:
    """The world of this process: what torchrun's environment says, or one process.

    Raises
    ------
    ValueError
        If ``parallel`` and the number of processes do not go together, or there is no GPU where one is asked for.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is cuda, and torch sees no GPU here; leave device out, or set device=cpu.")
    if processes == 1 and options.parallel == "none":
        return World(0, 1, torch.device(kind, 0) if kind == "cuda" else torch.device(kind), "none")
    if options.parallel == "none":
        raise ValueError(f"torchrun started {processes} processes; say how they share the work: parallel=ddp or fsdp.")
    if "WORLD_SIZE" not in os.environ:
        raise ValueError(
            f"parallel={options.parallel} needs processes that torchrun starts: "
            f"torchrun --nproc-per-node 2 -m nbhelpers.training … parallel={options.parallel}"
        )
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device(kind, local) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    return World(dist.get_rank(), processes, device, options.parallel)
