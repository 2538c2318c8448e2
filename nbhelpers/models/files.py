"""A model as two files: ``config.json`` and ``model.safetensors``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from nbhelpers.models.config import Config
from nbhelpers.models.language_model import LanguageModel

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save(model: LanguageModel, folder: str | Path) -> Path:
    """Write the model into a folder (made if missing); each file appears whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in model.state_dict().items()}
    parts = folder / (WEIGHTS + ".part"), folder / (CONFIG + ".part")
    save_file(tensors, parts[0])
    parts[1].write_text(json.dumps(model.config.to_json(), indent=1) + "\n", encoding="utf-8")
    os.replace(parts[0], folder / WEIGHTS)
    os.replace(parts[1], folder / CONFIG)
    return folder


def load(folder: str | Path) -> LanguageModel:
    """The model that ``save`` wrote, on the CPU, in the type that it was saved in.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If the files are damaged, or are not a model of this book; the message says which file and why.
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name} is missing; a saved model is the two files {CONFIG} and {WEIGHTS}."
            )
    try:
        config = Config.from_json(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(
            f"{folder / CONFIG} is not a model's config ({error}); copy or save the model again."
        ) from None
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is damaged ({error}); copy it or save the model again.") from None
    model = LanguageModel(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        odd = sorted(set(wanted.items()) ^ set(found.items()))[:3]
        raise ValueError(f"{folder / WEIGHTS} does not hold the model of its config; they differ at {odd}.")
    model.to(next(iter(tensors.values())).dtype if tensors else torch.float32)
    model.load_state_dict(tensors)
    return model
