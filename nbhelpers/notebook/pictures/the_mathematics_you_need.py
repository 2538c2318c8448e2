"""Figures of *The mathematics you need*.

A matrix of a layer with ten outputs and 64 inputs is drawn as ten pictures of 8 by 8 pixels, one for each output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Circle

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME = 4.6  # inches: a frame behind a slider fits a phone without scrolling


def _frame(rows: int, height: float, **layout: Any) -> tuple[Figure, Any]:
    """Panels above each other with fixed margins, so that the frames of a slider do not jump."""
    margins = {"left": 0.13, "right": 0.97, "top": 0.95, "bottom": 0.11} | layout
    fig, axes = figure(rows, height=height, layout="none", gridspec_kw=margins)
    fig.set_size_inches(FRAME, height)
    return fig, axes


def _ten_pictures(ax: Axes, matrix: np.ndarray, x: float, y: float, size: float, scale: float) -> None:
    """The ten rows of a matrix as pictures, two rows of five, the lower left corner at (x, y)."""
    sheet = np.full((17, 44), np.nan)
    for row, picture in enumerate(np.asarray(matrix).reshape(10, 8, 8)):
        top, left = 9 * (row // 5), 9 * (row % 5)
        sheet[top : top + 8, left : left + 8] = picture
    box = (x, x + 44 * size, y, y + 17 * size)
    ax.imshow(sheet, cmap="BrBG", vmin=-scale, vmax=scale, extent=box, interpolation="none")


def anatomy(old: Any, step: Any, new: Any) -> Figure:
    """One update of a layer (10, 64) as pictures, with the tools of the page written where they belong."""
    whole = {"left": 0, "right": 1, "bottom": 0, "top": 1}
    fig, ax = figure(height=3.9, layout="none", gridspec_kw=whole)
    ax.set(xlim=(0, 34.5), ylim=(0, 19.5), aspect="equal")
    ax.axis("off")
    size, y = 0.2, 9.3
    scale = float(np.abs(np.asarray(old)).max())
    for matrix, x in ((new, 0.5), (old, 13.0), (step, 25.2)):
        _ten_pictures(ax, matrix, x, y, size, scale)
    for x, sign in ((10.4, "="), (12.05, "α"), (23.0, "−"), (24.3, "η")):
        ax.text(x, y + 1.7, sign, ha="center", va="center", fontsize=18)
    for x, name in ((4.9, "new weights"), (17.4, "old weights"), (29.6, "surprise times input")):
        ax.text(x, y + 4.2, name, ha="center", va="bottom", fontweight="bold")
    notes = [
        (4.9, 7.9, "argmin: which problem\nthis line solves", "slow"),
        (17.4, 7.9, "ridge: why α < 1 pulls to zero\ngeometric series: what α leaves", "middle"),
        (29.6, 7.9, "gradient: why this one\nouter product: its shape", "fast"),
    ]
    for x, top, text, colour in notes:
        label_line(ax, x, top, text, colour, ha="center", va="top", fontsize=9)
    ax.plot([0.5, 34], [4.4, 4.4], color=COLOUR["muted"], lw=0.8)
    below = "Frobenius norm: how large    ·    singular values: in which directions\n"
    below += "complex gain, eigenvalues: what happens when the line is run again and again"
    ax.text(17.2, 3.6, below, ha="center", va="top", fontsize=9)
    return fig


def two_steps(reach: Any, gradient: Any, proximal: Any) -> Figure:
    """What is left of the weight after one step of each kind, by rate times curvature."""
    fig, ax = figure(height=2.9)
    ax.axhspan(-1, 1, color=COLOUR["good"], alpha=0.1, lw=0)
    ax.plot(reach, gradient, color=COLOUR["fast"])
    ax.plot(reach, proximal, "--", color=COLOUR["slow"])
    ax.axhline(0, color=COLOUR["muted"], lw=0.8)
    label_line(ax, 2.45, -1.72, "gradient step", "fast")
    label_line(ax, 2.45, 0.52, "proximal step", "slow")
    ax.text(0.05, -0.88, "shaded: closer to the minimum than before", fontsize=9, va="center")
    ax.set(xlabel="rate times curvature", ylabel="what is left", xlim=(0, 4), ylim=(-2.2, 1.15))
    return fig


def turning(period: int, gain: complex) -> Figure:
    """A wave of length one as an arrow, the average's answer as another, and both over time."""
    fig, (plane, time) = _frame(2, 4.9, height_ratios=[1.55, 1], hspace=0.28)
    plane.add_patch(Circle((0, 0), 1, fill=False, ec=COLOUR["grid"], lw=1.2))
    tip = {"arrowstyle": "-|>", "lw": 2.2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14}
    plane.annotate("", (1, 0), (0, 0), arrowprops={**tip, "color": COLOUR["data"]})
    plane.annotate("", (gain.real, gain.imag), (0, 0), arrowprops={**tip, "color": COLOUR["slow"]})
    plane.set(xlim=(-2.2, 2.2), ylim=(-1.15, 1.15), aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    plane.text(-2.15, 1.1, f"carries {abs(gain):.0%}", va="top", fontsize=13, fontweight="bold", color=COLOUR["slow"])
    late = -np.angle(gain) / (2 * np.pi) * period
    plane.text(-2.15, 0.72, f"{late:.1f} steps late", va="top", fontsize=9.5)
    label_line(plane, 1.08, 0.12, "wave", "data")
    label_line(plane, 1.08, -0.75, "average", "slow")
    t = np.linspace(0, 64, 129)
    turn = np.exp(2j * np.pi * t / period)
    time.plot(t, turn.imag, color=COLOUR["data"], lw=1.2)
    time.plot(t, (gain * turn).imag, color=COLOUR["slow"], lw=2.4)
    time.set(xlim=(0, 64), ylim=(-1.15, 1.15), xlabel="step", yticks=(-1, 0, 1))
    return fig


def triangle(settings: Mapping[str, tuple[float, float]], runs: Mapping[str, Any]) -> Figure:
    """The plane of trace and determinant with its triangle, and three runs that start inside and outside of it."""
    fig, (plane, time) = figure(1, 2, height=3.5, width_ratios=[1.15, 1])
    trace = np.linspace(-2.6, 2.6, 200)
    plane.fill([-2, 0, 2], [1, -1, 1], color=COLOUR["good"], alpha=0.16, lw=0)
    plane.plot([-2, 0, 2, -2], [1, -1, 1, 1], color=COLOUR["ink"], lw=1.2)
    plane.plot(trace, trace**2 / 4, "--", color=COLOUR["muted"], lw=1.1)
    plane.text(0, 0.62, "turns", ha="center", fontsize=9)
    plane.text(0, -0.35, "two real eigenvalues", ha="center", fontsize=9)
    looks = (("slow", "-", "s"), ("fast", "-", "o"), ("bad", "--", "X"))
    for (name, (x, y)), (colour, dash, marker) in zip(settings.items(), looks, strict=True):
        plane.plot(x, y, marker, color=COLOUR[colour], ms=8)
        time.plot(np.clip(runs[name], -4, 4), dash, color=COLOUR[colour], lw=1.6)
    plane.set(xlabel="trace", ylabel="determinant", xlim=(-2.5, 2.5), ylim=(-1.35, 1.5), title="inside: dies away")
    time.set(xlabel="step", ylabel="weight", xlim=(0, 30), ylim=(-2.6, 3.6), title="three of them run")
    for (name, _), (colour, _, _), y in zip(settings.items(), looks, (3.3, 2.8, 2.3), strict=True):
        label_line(time, 10, y, name, colour)
    return fig


def rebuilt(originals: Any, copies: Any, values: Any, kept: int, share: float) -> Figure:
    """Digits (4, 64), what `kept` directions make of them, and the singular values with those in use in colour."""
    fig, (faces, bars) = _frame(2, 4.3, height_ratios=[1.5, 1], hspace=0.22)
    sheet = np.full((17, 35), np.nan)
    for row, images in enumerate((originals, copies)):
        for column, image in enumerate(np.asarray(images).reshape(4, 8, 8)):
            sheet[9 * row : 9 * row + 8, 9 * column : 9 * column + 8] = image
    faces.imshow(sheet, cmap="Greys", vmin=-0.12, vmax=1, interpolation="none")
    faces.axis("off")
    for row, text in ((3.5, "digit"), (12.5, "rebuilt")):
        faces.text(-1, row, text, ha="right", va="center", fontsize=9)
    values = np.asarray(values)
    places = np.arange(1, len(values) + 1)
    bars.bar(places[:kept], values[:kept], 0.8, color=COLOUR["slow"])
    bars.bar(places[kept:], values[kept:], 0.8, color=COLOUR["grid"])
    plural = "direction" if kept == 1 else "directions"
    bars.text(64, 29, f"{kept} {plural}", ha="right", va="top", fontsize=12, fontweight="bold", color=COLOUR["slow"])
    bars.text(64, 23.5, f"{share:.0%} of the squared length", ha="right", va="top", fontsize=9.5)
    bars.set(xlim=(0, 65), xlabel="direction", ylabel="singular value", xticks=(1, 16, 32, 48, 64))
    return fig


def dials(dials: Mapping[str, tuple[Sequence[float], Any, Any]], level: Mapping[str, float]) -> Figure:
    """Test errors by dial: (values, errors (seeds, values), index chosen by each seed), and medians of the others."""
    fig, axes = figure(1, len(dials), height=3.7, sharey=True)
    for ax, (name, (values, errors, chosen)), colour in zip(axes, dials.items(), ("slow", "middle"), strict=True):
        errors = 100 * np.asarray(errors)
        ax.plot(values, errors.T, color=COLOUR[colour], lw=0.9, alpha=0.75)
        for row, pick in zip(errors, chosen, strict=True):
            ax.plot(values[pick], row[pick], "o", color=COLOUR[colour], ms=6)
        for height in level.values():
            ax.axhline(100 * height, color=COLOUR["muted"], lw=1, ls=(0, (4, 2)))
        ax.set(xscale="log", xlabel=name, ylim=(0, 75))
    for other, height in level.items():
        axes[0].text(values_middle(dials), 100 * height + 1.2, other, fontsize=9, ha="center")
    axes[0].set_ylabel("test digits misread (%)")
    return fig


def values_middle(dials: Mapping[str, tuple[Sequence[float], Any, Any]]) -> float:
    """The middle of the first dial's values, on a log axis."""
    first = next(iter(dials.values()))[0]
    return float(np.sqrt(first[0] * first[-1]))


def detour(norms: Mapping[str, Any]) -> Figure:
    """Largest growth after each number of steps, for recurrences with the same eigenvalues."""
    fig, ax = figure(height=2.9)
    for (name, values), (colour, dash) in zip(norms.items(), (("bad", "-"), ("slow", "--")), strict=True):
        ax.plot(values, dash, color=COLOUR[colour])
        peak = int(np.argmax(values))
        label_line(ax, peak + 2.5, float(values[peak]) + (0.3 if peak else 0.6), name, colour)
    ax.axhline(1, color=COLOUR["muted"], lw=0.8)
    ax.set(xlabel="step", ylabel="largest growth so far", xlim=(0, 60))
    ax.set_ylabel("largest growth")
    return fig
