"""Checkpoints: all that a run needs to go on as if it had never stopped.

    checkpoint/step-00000200/
        shard-….safetensors     weights, optimizer tensors, random state; with FSDP2, each process writes its part
        state.json              the rest: step, config, optimizer settings, sha256 of each shard

A checkpoint is written beside its place and then renamed, so it is whole or not there. Reading it needs neither the
number of processes nor the kind of parallelism that wrote it (``torch.distributed.checkpoint``). Nothing is pickled.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from nbhelpers.core.records import read_json

STATE = "state.json"
FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint is damaged, or is that of another run; the message says which and what to do."""


def save_checkpoint(
    folder: Path, model: nn.Module, optimizers: list[Optimizer], step: int, identity: str, extra: dict[str, Any]
) -> Path:
    """Write the checkpoint of a step and remove the one before. Every process calls it.

    Parameters
    ----------
    folder: of this run's checkpoints.
    identity: of the run (its record's id); ``load_checkpoint`` refuses any other.
    extra: further values that JSON holds.
    """
    leads = not dist.is_initialized() or dist.get_rank() == 0
    final = folder / f"step-{step:08d}"
    part = final.with_name(final.name + ".part")
    if leads:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    _wait()
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"random.{name}": state for name, state in random_state().items()}
    settings = []
    for number, optimizer in enumerate(optimizers):
        settings.append(_take_tensors(optimizer.state_dict(), f"optimizer.{number}", tensors))
    with _one_process_is_fine():
        dcp.save(tensors, storage_writer=HuggingFaceStorageWriter(str(part), save_distributed=True))
    _wait()
    if leads:
        shards = {path.name: _digest(path) for path in sorted(part.glob("*.safetensors"))}
        head = {"format": FORMAT, "run": identity, "step": step, "shards": shards}
        (part / STATE).write_text(json.dumps(head | {"extra": extra, "optimizers": settings}), encoding="utf-8")
        for path in part.iterdir():
            _flush(path)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(part, final)
        _flush(folder)
        for old in folder.glob("step-*"):
            if old != final:
                shutil.rmtree(old)
    _wait()
    return final


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run, or None."""
    found = sorted(path for path in folder.glob("step-*") if path.suffix != ".part")
    return found[-1] if found else None


def load_checkpoint(
    path: Path, model: nn.Module, optimizers: list[Optimizer], identity: str
) -> tuple[int, dict[str, Any]]:
    """Put a checkpoint's state into model, optimizers and torch's random generators; return its step and ``extra``.

    Nothing is changed before every file has been compared with its sha256.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged, or the checkpoint is that of another run.
    """
    again = f"delete {path} to begin the run anew, or bring the file back"
    try:
        head = read_json(path / STATE)
        kind, owner, shards = head["format"], head["run"], head["shards"]
        settings, step, extra = head["optimizers"], head["step"], head["extra"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path / STATE} is not the state of a checkpoint ({error}); {again}.") from None
    if kind != FORMAT:
        raise CheckpointError(f"{path} has format {kind}, and this version reads {FORMAT}; {again}.")
    if owner != identity:
        raise CheckpointError(f"{path} belongs to the run {owner}, not to {identity}; {again}.")
    for name, digest in shards.items():
        if not (path / name).is_file():
            raise CheckpointError(f"{path / name} is missing; {again}.")
        if _digest(path / name) != digest:
            raise CheckpointError(f"{path / name} is damaged: its sha256 is not the recorded one; {again}.")

    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"random.{name}": torch.empty_like(state) for name, state in random_state().items()}
    loaded = []
    for optimizer, plain in zip(optimizers, settings, strict=True):
        members = [p for group in optimizer.param_groups for p in group["params"]]
        loaded.append(_put_tensors(plain, members, tensors))
    with _one_process_is_fine():
        dcp.load(tensors, storage_reader=HuggingFaceStorageReader(str(path)))
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    for optimizer, state in zip(optimizers, loaded, strict=True):
        optimizer.load_state_dict(state)
    set_random_state({n.removeprefix("random."): t for n, t in tensors.items() if n.startswith("random.")})
    return step, extra


def random_state() -> dict[str, Tensor]:
    """The state of torch's generators: the CPU's, and this process's GPU's."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_initialized() else state


def set_random_state(state: dict[str, Tensor]) -> None:
    """Undo ``random_state``."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


def _take_tensors(tree: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A state without its tensors, each replaced by its name, shape and type; they go into ``tensors``."""
    if isinstance(tree, Tensor):
        tensors[name] = tree
        return {"tensor": name, "shape": list(tree.shape), "type": str(tree.dtype).removeprefix("torch.")}
    if isinstance(tree, dict):
        return {"keys": [[key, _take_tensors(value, f"{name}.{key}", tensors)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return {"items": [_take_tensors(value, f"{name}.{i}", tensors) for i, value in enumerate(tree)]}
    return {"value": tree}


def _put_tensors(tree: dict[str, Any], members: list[Tensor], tensors: dict[str, Tensor], owner: Any = None) -> Any:
    """The inverse: empty tensors of the right shape and kind in their places, also in ``tensors``, to be filled.

    What has the shape of its parameter is sharded as the parameter is; ``owner`` is that parameter.
    """
    if "tensor" in tree:
        shape, kind = tree["shape"], getattr(torch, tree["type"])
        alike = owner is not None and list(owner.shape) == shape
        if alike and isinstance(owner, DTensor):
            tensors[tree["tensor"]] = torch.zeros_like(owner, dtype=kind)
        else:
            device = owner.device if alike else "cpu"
            tensors[tree["tensor"]] = torch.zeros(shape, dtype=kind, device=device)
        return tensors[tree["tensor"]]
    if "keys" in tree:
        found = {}
        for key, value in tree["keys"]:
            inside = members[key] if owner is None and isinstance(key, int) else owner
            found[key] = _put_tensors(value, members, tensors, inside)
        return found
    if "items" in tree:
        return [_put_tensors(value, members, tensors, owner) for value in tree["items"]]
    return tree["value"]


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Have the system put a file or a folder's entries on disk: a rename must not outlive what it names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _wait() -> None:
    if dist.is_initialized():
        dist.barrier()


@contextmanager
def _one_process_is_fine():
    """Without torchrun, torch remarks that there is one process; that is what is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
