"""Fashion-6k: 6,000 images of clothes, 28 by 28 pixels, from Fashion-MNIST (Zalando SE, MIT licence).

420 training and 60 validation images a class are the first of Fashion-MNIST's training part, 120 test images a
class the first of its test part.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nbhelpers.data.sources import DATA, read

if TYPE_CHECKING:
    import torch

FASHION = "vision/fashion6k.npz"
CLASSES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "trainer", "bag", "ankle boot")
PER_CLASS = {"train": 420, "validation": 60, "test": 120}


@dataclass(frozen=True)
class Fashion:
    """The images, split. N = 4,200 for training, 600 for validation, 1,200 for testing.

    Attributes
    ----------
    train_images, validation_images, test_images: (N, 784) grey values from 0 to 1, less the mean training
        image if centred.
    train_labels, validation_labels, test_labels: (N,) integers, positions in ``CLASSES``.
    mean_image: (784,) mean of the uncentred training images.
    """

    train_images: torch.Tensor
    train_labels: torch.Tensor
    validation_images: torch.Tensor
    validation_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    mean_image: torch.Tensor


def load_fashion(*, centred: bool = False, dtype: torch.dtype | None = None, folder: Path = DATA) -> Fashion:
    """Load Fashion-6k, scaled to 0…1. The split is fixed.

    Parameters
    ----------
    centred: subtract the mean training image from every part, default False.
    dtype: of the images, default ``torch.get_default_dtype()``.
    folder: default the clone's ``data/``.

    Raises
    ------
    DataFileError
        If the file is missing or damaged.
    """
    import torch

    raw = np.load(io.BytesIO(read(FASHION, folder)), allow_pickle=False)
    kind = dtype or torch.get_default_dtype()
    images = {part: torch.tensor(raw[f"{part}_images"], dtype=kind).flatten(1) / 255 for part in PER_CLASS}
    labels = {part: torch.tensor(raw[f"{part}_labels"], dtype=torch.int64) for part in PER_CLASS}
    mean = images["train"].mean(0)
    if centred:
        images = {part: values - mean for part, values in images.items()}
    fields = {f"{part}_images": values for part, values in images.items()}
    return Fashion(**fields, **{f"{part}_labels": values for part, values in labels.items()}, mean_image=mean)
