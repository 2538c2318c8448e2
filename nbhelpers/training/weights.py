"""The weights of a task's module as one safetensors file, for tasks whose record's config makes the module."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

WEIGHTS = "model.safetensors"


def save_weights(module: nn.Module, folder: Path) -> None:
    """Write the weights into a folder, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().cpu() for name, tensor in module.state_dict().items()}, folder / WEIGHTS)


def load_weights(module: nn.Module, folder: Path) -> None:
    """Fill the module with what ``save_weights`` wrote, in float32.

    Raises
    ------
    ValueError
        If the file holds other names or shapes.
    """
    try:
        module.load_state_dict({name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()})
    except RuntimeError as error:
        raise ValueError(f"{folder} holds another network than the record's config: {error}") from None
