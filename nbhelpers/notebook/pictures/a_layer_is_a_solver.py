"""Figures of the chapter *A layer is a solver*.

Digits come as rows of 64 grey values from 0 (paper) to 1 (ink). Bars that speak for a class point right or up
and are green, bars that speak against it point left or down and are red.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.notebook.figures import COLOUR, figure, label_line
from nbhelpers.notebook.pictures.paper import digit, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Line = tuple[str, float, Any]  # text, signed amount, 64 grey values or None


def _column(ax: Axes, images: Sequence[Any], x: float, top: float, pitch: float) -> None:
    """Digits below each other, one every ``pitch``, the first ending at ``top``: one picture, which draws faster."""
    strip = np.full((9 * len(images), 8), np.nan)
    for row, image in enumerate(images):
        strip[9 * row : 9 * row + 8] = np.asarray(image).reshape(8, 8)
    box = (x, x + pitch * 8 / 9, top - pitch * len(images), top)
    ax.imshow(strip, cmap="Greys", vmin=-0.12, vmax=1, extent=box, interpolation="none")


def _for_or_against(amount: float) -> str:
    return COLOUR["good" if amount > 0 else "bad"]


def _ten_bars(ax: Axes, values: np.ndarray, x: float, y: float, width: float, height: float) -> None:
    places = x + width * (np.arange(10) + 0.5) / 10
    ax.bar(places, height * values, 0.075 * width, bottom=y, color=[_for_or_against(value) for value in values])
    ax.plot([x, x + width], [y, y], color=COLOUR["muted"], lw=0.8)


def _ten_names(ax: Axes, x: float, y: float, width: float) -> None:
    for c in range(10):
        ax.text(x + width * (c + 0.5) / 10, y, str(c), ha="center", va="top", fontsize=8, color=COLOUR["muted"])


def index_cards(fronts: Any, backs: Any, query: Any, alike: Any) -> Figure:
    """Cards with their fronts (n, 64) and backs (n, 10), compared with a query (64,) by `alike` (n,)."""
    fronts, backs, alike = (np.asarray(part, dtype=float) for part in (fronts, backs, alike))
    fig, ax = sheet(17, 10)
    for row, (front, back, similarity) in enumerate(zip(fronts, backs, alike, strict=True)):
        y = 6.9 - 2.15 * row
        digit(ax, front, 0.3, y, 1.75)
        _ten_bars(ax, back, 2.6, y + 0.55, 3.5, 1.1)
        ax.plot([7.8, 11.0], [y + 0.85, 5.0], color=COLOUR["slow"], lw=12 * similarity**6, solid_capstyle="round")
        label_line(ax, 7.1, y + 0.85, f"{similarity:.2f}", "slow", ha="center")
    _ten_names(ax, 2.6, 0.3, 3.5)
    _ten_bars(ax, alike @ backs, 11.3, 4.6, 5.4, 1.2)
    _ten_names(ax, 11.3, 3.4, 5.4)
    digit(ax, query, 13.0, 7.1, 2.0)
    for x, y, text in [
        (1.18, 9.35, "came in"),
        (4.35, 9.35, "should change"),
        (7.1, 9.35, "similarity"),
        (14.0, 9.6, "new digit"),
        (14.0, 2.2, "answer:\nbacks times similarities, added"),
    ]:
        ax.text(x, y, text, ha="center", va="center")
    return fig


def bowl(rate: float) -> Figure:
    """Loss w²/2, its tangent at w = 2, the bowl of form (2) on it, and where a step of this rate lands."""
    margins = {"left": 0.075, "right": 0.985, "bottom": 0.15, "top": 0.97}
    fig, ax = figure(height=3.4, layout="none", gridspec_kw=margins)
    w = np.linspace(-3.6, 4.6, 100)
    goal = low = 2 - 2 * rate  # the bottom of the bowl lies at (goal, low); here the two happen to be equal
    tangent = 2 + 2 * (w - 2)
    ax.plot(w, w**2 / 2, color=COLOUR["ink"])
    ax.plot(w, tangent, ":", color=COLOUR["muted"])
    ax.plot(w, tangent + (w - 2) ** 2 / (2 * rate), "--", color=COLOUR["slow"])
    ax.plot([goal, goal], [low, goal**2 / 2], color=COLOUR["fast"], lw=1)
    ax.plot(2, 2, "o", color=COLOUR["ink"])
    ax.plot(goal, low, "v", color=COLOUR["slow"])
    ax.plot(goal, goal**2 / 2, "o", color=COLOUR["fast"])
    ax.set(xlim=(-3.6, 4.6), ylim=(-4.4, 7.4), xlabel="weight w", ylabel="loss")
    label_line(ax, -3.1, 6.7, "loss", "ink")
    label_line(ax, 3.75, 5.0, "tangent", "muted")
    legend = [
        ("now: loss 2.00", "ink", "o"),
        ("bottom of the bowl", "slow", "v"),
        (f"next: loss {goal**2 / 2:.2f}", "fast", "o"),
    ]
    for row, (text, colour, marker) in enumerate(legend):
        ax.plot(0.75, -1.5 - row, marker, color=COLOUR[colour])
        label_line(ax, 0.95, -1.5 - row, text, colour)
    return fig


def receipt(image: Any, title: str, lines: Sequence[Line], total: Line) -> Figure:
    """A till receipt: the queried digit, one signed line for each contribution, and their sum.

    Lines with an image stand together, after the first and before the last line.
    """
    fig, ax = sheet(12, 17, inches=4.6)
    digit(ax, image, 0.2, 13.6, 3.2)
    ax.text(3.9, 16.6, title, va="top", fontweight="bold", linespacing=1.6)
    heights = 12.9 - 0.84 * np.arange(len(lines))
    amounts = np.array([amount for _, amount, _ in lines])
    ax.barh(heights, 2.7 / abs(amounts).max() * amounts, 0.5, left=7.1, color=[*map(_for_or_against, amounts)])
    ax.plot([7.1, 7.1], [1.6, 13.3], color=COLOUR["muted"], lw=0.8)
    _column(ax, [front for _, _, front in lines[1:-1]], 0.2, heights[1] + 0.42 - 0.84 / 18, 0.84)
    for y in (1.42, 1.28):
        ax.plot([0.2, 11.8], [y, y], color=COLOUR["ink"], lw=0.8)
    for y, (text, amount, front) in zip([*heights, 0.6], [*lines, total], strict=True):
        weight = "bold" if y == 0.6 else "normal"
        ax.text(0.2 if front is None else 1.25, y, text, va="center", fontweight=weight)
        number = f"{amount:+.2f}".replace("-", "\N{MINUS SIGN}")
        ax.text(11.8, y, number, va="center", ha="right", fontweight=weight)
    return fig


def dropping(shares: Any, curves: Mapping[str, Any], whole: float) -> Figure:
    """Accuracy against the share of cards kept: curves (seeds, shares) by name, and the whole network's accuracy."""
    fig, ax = figure(height=3.7)
    looks = {
        "in time": ("fast", "-", (4.2, 76, "in order\nof time", "left")),
        "output": ("middle", "-.", (21, 46, "output layer only", "left")),
        "centred": ("good", "--", (27, 66, "mean image\nsubtracted", "left")),
        "largest": ("slow", "-", (56, 72, "both layers,\nlargest first", "left")),
        "random": ("frozen", ":", (50, 4, "both layers, random cards", "left")),
    }
    for name, (colour, dash, (x, y, text, side)) in looks.items():
        ax.plot(100 * np.asarray(shares), 100 * np.asarray(curves[name]).T, dash, color=COLOUR[colour], lw=1.1)
        label_line(ax, x, y, text, colour, ha=side)
    ax.axhline(100 * whole - 1, color=COLOUR["ink"], lw=0.8)
    ax.text(0.8, 100 * whole + 1.2, "one point below the whole network", fontsize=8.5)
    ax.set(xlabel="cards kept (%)", ylabel="test accuracy (%)", xlim=(0, 100), ylim=(0, 104))
    return fig


def two_layers(learned: Any, accuracy: Sequence[tuple[float, float]], gap: Any) -> Figure:
    """What layers with frozen and with their own values learned, (2, 10, 64), and their gap, (seeds, steps)."""
    fig, (rows, below) = figure(2, height=4.75, layout="none")
    rows.set_position((0.01, 0.48, 0.98, 0.52))
    below.set_position((0.1, 0.1, 0.88, 0.33))
    rows.set(xlim=(0, 20), ylim=(-0.9, 5.9), aspect="equal", anchor="N")
    rows.axis("off")
    names = ("frozen values", "its own values")
    for row, (name, pictures, (low, high)) in enumerate(zip(names, np.asarray(learned), accuracy, strict=True)):
        top, limit = 4.9 - 2.9 * row, abs(pictures).max()
        for c, picture in enumerate(pictures.reshape(10, 8, 8)):
            box = (2 * c + 0.08, 2 * c + 1.93, top - 1.85, top)
            rows.imshow(picture, extent=box, cmap="PuOr_r", vmin=-limit, vmax=limit, interpolation="none")
        text = f"{name}: {low:.0%} to {high:.0%} of the test digits right"
        rows.text(0.08, top + 0.2, text, va="bottom", fontweight="bold")
    _ten_names(rows, 0, -0.05, 20)
    rows.set(xlim=(0, 20), ylim=(-0.9, 5.9))
    below.plot(np.arange(1, np.asarray(gap).shape[1] + 1), np.asarray(gap).T, color=COLOUR["fast"], lw=1)
    below.set(xscale="log", xlabel="step", ylabel="gap of the two,\nby distance learned")
    label_line(below, 1.0, 0.42, "equal after one step", "fast")
    return fig


def booked_and_gone(image: Any, title: str, rows: Sequence[tuple[str, Any, float, float]]) -> Figure:
    """For some training digits (text, image, booked amount, amount gone without it): two bars each."""
    fig, ax = sheet(12, 15, inches=4.6)
    digit(ax, image, 0.2, 11.6, 3.2)
    ax.text(3.9, 14.6, title, va="top", fontweight="bold", linespacing=1.6)
    label_line(ax, 3.9, 12.5, "booked on the receipt", "muted")
    label_line(ax, 3.9, 11.8, "gone without the digit", "fast")
    scale = 4.6 / max(abs(booked) for _, _, booked, _ in rows)
    ax.plot([7.1, 7.1], [0.6, 11.2], color=COLOUR["muted"], lw=0.8)
    _column(ax, [front for _, front, _, _ in rows], 0.2, 10.6 + 0.42 - 0.84 / 18, 0.84)
    for row, (text, _, booked, gone) in enumerate(rows):
        y = 10.6 - 0.84 * row
        ax.text(1.25, y, text, va="center")
        ax.barh(y, scale * booked, 0.62, left=7.1, color=COLOUR["grid"])
        ax.barh(y, scale * gone, 0.28, left=7.1, color=COLOUR["fast"])
    return fig


def delta_step(start: Any, ends: Mapping[str, Any], x: Any, target: float, rate: float) -> Figure:
    """Contours of objective (10) for a row of two weights, and where three rules end: gradient, delta, printed."""
    start, x = np.asarray(start), np.asarray(x)
    a, b = np.meshgrid(np.linspace(-1.2, 3.9, 200), np.linspace(0.05, 2.05, 120))
    height = (a * x[0] + b * x[1] - target) ** 2 / 2 + ((a - start[0]) ** 2 + (b - start[1]) ** 2) / (2 * rate)
    fig, ax = figure(height=3.3)
    levels = height.min() + np.array([0.02, 0.15, 0.5, 1.2, 2.5, 4.5, 7.5, 11])
    ax.contour(a, b, height, levels=levels, linewidths=0.9, colors=COLOUR["muted"], alpha=0.55)
    looks = {
        "gradient": ("slow", "o", "gradient descent:\nadds"),
        "delta": ("fast", "o", "(11): erases,\nthen adds"),
        "printed": ("bad", "X", "with the\nprinted rate"),
    }
    for name, (colour, marker, text) in looks.items():
        end = np.asarray(ends[name])
        ax.plot(*zip(start, end, strict=True), marker, ls="-", lw=1.4, color=COLOUR[colour], ms=8, markevery=[1])
        label_line(ax, end[0] + 0.1, end[1] - 0.28, text, colour, ha="center", va="top", linespacing=1.15)
    ax.plot(*start, "o", color=COLOUR["ink"], ms=8)
    label_line(ax, start[0], start[1] + 0.24, "weights now", "ink", ha="center")
    ax.set(xlabel="first weight", ylabel="second weight", aspect="equal")
    return fig
