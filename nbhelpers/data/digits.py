"""Handwritten digits, 8 by 8 pixels: the data set that comes with scikit-learn.

Provenance: ``sklearn.datasets.load_digits``, a copy of the test part of "Optical Recognition of Handwritten
Digits" (E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository, doi 10.24432/C50P49): 1797 images
of digits by 13 writers, 64 grey values from 0 to 16 each. Licence of the data: CC BY 4.0; scikit-learn, which
ships the file: BSD 3-clause. Nothing is downloaded.

The split below is random over images, so every writer is in both parts: a test accuracy here is for new
images by known writers, not for new writers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

COUNT = 1797
SPLIT_SEED = 0


@dataclass(frozen=True)
class Digits:
    """The digits, split. N = number of training images, M = number of test images.

    Attributes
    ----------
    train_images: (N, 64) grey values from 0 (paper) to 1 (ink), less the mean image if centred.
    train_labels: (N,) integers 0 to 9.
    test_images, test_labels: (M, 64) and (M,), the same for the test part.
    mean_image: (64,) mean of the uncentred training images.
    """

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    mean_image: torch.Tensor


def load_digits(*, test: int = 500, centred: bool = False, dtype: torch.dtype | None = None) -> Digits:
    """Load scikit-learn's digits, scaled to 0…1 and split once and for all.

    Parameters
    ----------
    test: number of test images, default 500; the other images are for training. The split depends on
        nothing else: no seed of a chapter changes it.
    centred: subtract the mean training image from both parts, default False.
    dtype: of the images, default ``torch.get_default_dtype()``; ``torch.float64`` for exact checks.

    Raises
    ------
    ValueError
        If ``test`` is not between 1 and 1796.
    """
    import torch
    from sklearn.datasets import load_digits as load

    if not 1 <= test < COUNT:
        raise ValueError(f"test={test}: keep between 1 and {COUNT - 1} of the {COUNT} images for testing.")
    raw = load()
    images = torch.tensor(raw.data / 16.0, dtype=dtype or torch.get_default_dtype())
    labels = torch.tensor(raw.target, dtype=torch.int64)
    order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(COUNT))
    train, held_out = order[:-test], order[-test:]
    mean = images[train].mean(0)
    if centred:
        images = images - mean
    return Digits(images[train], labels[train], images[held_out], labels[held_out], mean)
