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
    """One update of a layer (10, 64) in pictures, with the tools of the page written where they belong.

    The weights share a colour scale; the step, far larger than what the rate leaves of it, has its own.
    """
    whole = {"left": 0, "right": 1, "bottom": 0, "top": 1}
    fig, ax = _frame(1, 4.9, **whole)
    ax.set(xlim=(0, 30), ylim=(0, 32), aspect="equal")
    ax.axis("off")
    scales = [float(np.abs(np.asarray(matrix)).max()) for matrix in (old, old, step)]
    rows = [
        (25.0, "", "new weights", new, "slow", "argmin: which problem\nthis line solves"),
        (
            16.6,
            "= α",
            "old weights",
            old,
            "middle",
            "geometric series:\nwhat α leaves in the end\nridge: why α < 1\npulls to zero",
        ),
        (8.2, "− η", "surprise times input", step, "fast", "gradient: why this one\nouter product: its shape"),
    ]
    for (y, sign, name, matrix, colour, note), scale in zip(rows, scales, strict=True):
        _ten_pictures(ax, matrix, 4.2, y, 0.3, scale)
        ax.text(0.6, y + 2.5, sign, va="center", fontsize=17)
        ax.text(4.2, y + 5.4, name, va="bottom", fontweight="bold")
        label_line(ax, 18.3, y + 2.5, note, colour, fontsize=9)
    ax.plot([0.6, 29.4], [6.4, 6.4], color=COLOUR["muted"], lw=0.8)
    below = [
        ("Frobenius norm", "how large they are"),
        ("singular values", "in which directions"),
        ("complex gain, eigenvalues", "what comes of it, run again and again"),
    ]
    for row, (tool, what) in enumerate(below):
        ax.text(0.6, 5.0 - 1.8 * row, f"{tool}: {what}", va="center", fontsize=9)
    return fig


def two_steps(reach: Any, gradient: Any, proximal: Any) -> Figure:
    """What is left of the weight after one step of each kind, by rate times curvature."""
    fig, ax = _frame(1, 2.9, bottom=0.17)
    ax.axhspan(-1, 1, color=COLOUR["good"], alpha=0.1, lw=0)
    ax.plot(reach, gradient, color=COLOUR["fast"])
    ax.plot(reach, proximal, "--", color=COLOUR["slow"])
    ax.axhline(0, color=COLOUR["muted"], lw=0.8)
    label_line(ax, 1.25, -1.6, "gradient step", "fast")
    label_line(ax, 2.45, 0.52, "proximal step", "slow")
    ax.text(3.95, -0.88, "shaded: nearer to the minimum", fontsize=9, va="center", ha="right")
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
    t = np.arange(65)  # whole steps: between them a rule has no value
    turn = np.exp(2j * np.pi * t / period)
    time.plot(t, turn.real, color=COLOUR["data"], lw=1.2)
    time.plot(t, (gain * turn).real, color=COLOUR["slow"], lw=2.4)
    time.set(xlim=(0, 64), ylim=(-1.15, 1.15), xlabel="step", yticks=(-1, 0, 1))
    return fig


def triangle(settings: Mapping[str, tuple[float, float]], runs: Mapping[str, Any]) -> Figure:
    """The plane of trace and determinant with its triangle, and three runs from inside and outside of it."""
    fig, (plane, time) = _frame(2, 5.2, height_ratios=[1.25, 1], hspace=0.33, top=0.98, left=0.15)
    trace = np.linspace(-2.6, 2.6, 200)
    plane.fill([-2, 0, 2], [1, -1, 1], color=COLOUR["good"], alpha=0.16, lw=0)
    plane.plot([-2, 0, 2, -2], [1, -1, 1, 1], color=COLOUR["ink"], lw=1.2)
    plane.plot(trace, trace**2 / 4, "--", color=COLOUR["muted"], lw=1.1)
    plane.text(0, 0.6, "complex", ha="center", va="center", fontsize=9)
    plane.text(0, -0.3, "real", ha="center", va="center", fontsize=9)
    looks = (("slow", "-", "s"), ("fast", "-", "o"), ("bad", "--", "X"))
    for (name, place), (colour, dash, marker) in zip(settings.items(), looks, strict=True):
        plane.plot(*place, marker, color=COLOUR[colour], ms=8)
        left = name != "creeps"
        label_line(plane, place[0] + (-0.18 if left else 0.18), place[1], name, colour, ha="right" if left else "left")
        time.plot(runs[name], dash, color=COLOUR[colour], lw=1.6)
    plane.set(xlabel="trace", ylabel="determinant", xlim=(-3.4, 3.4), ylim=(-1.2, 1.35))
    time.set(xlabel="step", ylabel="weight", xlim=(0, 30), ylim=(-4.4, 4.4))
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


def dials(dials: Mapping[str, tuple[Sequence[float], Any, Any]], level: Mapping[str, Any]) -> Figure:
    """Test errors by dial: (values, errors (draws, values), index chosen by draw); errors (draws,) of two others."""
    fig, axes = _frame(len(dials), 5.2, hspace=0.36, top=0.98)
    for ax, (name, (values, errors, chosen)), colour in zip(axes, dials.items(), ("slow", "middle"), strict=True):
        errors = 100 * np.asarray(errors)
        ax.plot(values, errors.T, color=COLOUR[colour], lw=0.7, alpha=0.6)
        for row, pick in zip(errors, chosen, strict=True):
            ax.plot(values[pick], row[pick], "o", color=COLOUR[colour], ms=5, alpha=0.7)
        for other in level.values():
            other = 100 * np.asarray(other)
            ax.axhspan(other.min(), other.max(), color=COLOUR["muted"], alpha=0.14, lw=0)
            ax.axhline(np.median(other), color=COLOUR["muted"], lw=1, ls=(0, (4, 2)))
        ax.set(xscale="log", xlabel=name, ylabel="misread (%)", ylim=(0, 80))
    left, right = axes[0].get_xlim()
    upper, lower = level
    above, below = 100 * np.max(np.asarray(level[upper])), 100 * np.min(np.asarray(level[lower]))
    axes[0].text(right, above + 1, f"{upper} ", fontsize=9, ha="right", va="bottom")
    axes[0].text(left, below - 1, f" {lower}", fontsize=9, ha="left", va="top")
    return fig


def detour(norms: Mapping[str, Any]) -> Figure:
    """Largest growth after each number of steps, for recurrences with the same eigenvalues."""
    fig, ax = _frame(1, 2.9, bottom=0.17)
    for (name, values), (colour, dash) in zip(norms.items(), (("bad", "-"), ("slow", "--")), strict=True):
        ax.plot(values, dash, color=COLOUR[colour])
        peak = int(np.argmax(values))
        label_line(ax, peak + 3, float(values[peak]) + (0 if peak else 0.8), name, colour)
    ax.axhline(1, color=COLOUR["muted"], lw=0.8)
    ax.set(xlabel="step", ylabel="largest growth", xlim=(0, 60))
    return fig
