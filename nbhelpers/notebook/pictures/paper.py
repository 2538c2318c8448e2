"""Bare sheets with pictures of digits on them, shared by the chapters that draw digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.notebook.figures import figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def sheet(width: float, height: float, inches: float = 6.9) -> tuple[Figure, Axes]:
    """A figure that is one bare sheet, measured in units of its own; `inches` is its width, narrow for phones."""
    whole = {"left": 0, "right": 1, "bottom": 0, "top": 1}
    fig, ax = figure(layout="none", gridspec_kw=whole)
    fig.set_size_inches(inches, inches * height / width)
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.axis("off")
    return fig, ax


def digit(ax: Axes, image: Any, x: float, y: float, width: float, ink: str = "Greys") -> None:
    """A digit, or a half of one, with its lower left corner at (x, y): dark ink on light paper in both themes.

    Parameters
    ----------
    image: 64 grey values for a whole digit, 32 for a half, from 0 (paper) to 1 (ink).
    width: of the picture; a half is half as high as it is wide.
    ink: a matplotlib colour map from paper to ink.
    """
    rows = np.asarray(image).reshape(-1, 8)
    box = (x, x + width, y, y + width * len(rows) / 8)
    ax.imshow(rows, cmap=ink, vmin=-0.12, vmax=1, extent=box, interpolation="none")
