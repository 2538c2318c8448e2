"""Figures of the chapter *Many clocks in one optimizer*. Warm is the fast memory or a single one, cool the slow one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import PercentFormatter

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME = 4.6  # inches: a frame behind a slider fits a phone without scrolling
MEMORIES = {"fast": "fast", "slow": "slow"}
LEARNERS = {"momentum": "frozen", "M3, fast only": "fast", "M3, period 8": "middle", "M3, period 32": "slow"}
OPTIMIZERS = ("middle", "frozen", "slow", "fast", "bad")


def _points(ax: Axes, values: Any, row: float, colour: str, width: float = 0.3) -> None:
    """The runs of one setting as dots beside each other at height ``row``, with a bar at their median."""
    values = np.asarray(values)
    ax.plot(values, np.full(len(values), row), "o", color=COLOUR[colour], ms=5, alpha=0.75)
    ax.plot([np.median(values)] * 2, [row - width, row + width], color=COLOUR[colour], lw=2.2)


def hum(pictures: Any, loudness: Sequence[Any], since: int) -> Figure:
    """What two memories hold: ``pictures`` (2, 10, 8, 8), and how loud the old and the new tune are in each."""
    pictures = np.asarray(pictures)
    margins = {"left": 0.12, "right": 0.98, "top": 0.92, "bottom": 0.12, "hspace": 0.45}
    fig, axes = figure(3, height=3.9, layout="none", gridspec_kw=margins | {"height_ratios": [1, 1, 2.1]})
    fig.set_size_inches(FRAME, 3.9)
    for ax, tiles, name in zip(axes, pictures, MEMORIES, strict=False):
        page = np.full((8, 10 * 9 - 1), np.nan)
        for place, tile in enumerate(tiles):
            page[:, 9 * place : 9 * place + 8] = tile
        ax.imshow(page, cmap="gray_r", vmin=0, vmax=max(float(tiles.max()), 1e-9), interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(name, rotation=0, ha="right", va="center", color=COLOUR[name], fontweight="bold")
        ax.grid(visible=False)
        for spine in ax.spines.values():
            spine.set_visible(False)
    axes[0].set_title(f"{since} steps after the change")
    bars = axes[2]
    for row, (name, values) in enumerate(zip(MEMORIES, loudness, strict=True)):
        old, new = (float(v) for v in values)
        bars.barh(row - 0.19, old, 0.34, color=COLOUR[name])
        bars.barh(row + 0.19, new, 0.34, color=COLOUR[name], alpha=0.35, hatch="///", edgecolor=COLOUR[name])
        for value, offset, word in ((old, -0.19, "old tune"), (new, 0.19, "new tune")):
            bars.text(max(value, 0) + 0.02, row + offset, word, va="center", fontsize=9)
    bars.axvline(0, color=COLOUR["muted"], lw=0.8)
    bars.set(xlim=(-0.1, 1.3), ylim=(1.5, -0.5), xticks=(0, 0.5, 1), xlabel="how loud", yticks=(0, 1))
    bars.set_yticklabels(list(MEMORIES))
    for label, name in zip(bars.get_yticklabels(), MEMORIES, strict=True):
        label.set(color=COLOUR[name], fontweight="bold")
    return fig


def weights(ages: Any, curves: Mapping[str, Any], stairs: Any) -> Figure:
    """Weight of a gradient by its age: averages, and a memory that is told in blocks."""
    fig, ax = figure(height=3.6)
    looks = (("fast", "-", (18, 0.04)), ("slow", (0, (6, 2)), (330, 1.6e-3)), ("middle", "-", (440, 8e-5)))
    for (name, values), (colour, dash, place) in zip(curves.items(), looks, strict=True):
        ax.plot(ages, values, color=COLOUR[colour], ls=dash)
        label_line(ax, *place, name, colour)
    stairs = np.asarray(stairs)
    ax.step(ages, np.where(stairs > 0, stairs, np.nan), where="mid", color=COLOUR["ink"], lw=1.2)
    label_line(ax, 135, 1.2e-5, "told in blocks of 32", "ink")
    ax.set(yscale="log", ylim=(3e-6, 0.2), xlim=(0, 600), xlabel="age of the gradient in steps", ylabel="its weight")
    return fig


def division(values: Mapping[str, Any]) -> Figure:
    """Singular values, relative to the largest: of a momentum, after Newton-Schulz, after the division."""
    fig, ax = figure(height=3.1)
    looks = (("fast", "-"), ("slow", (0, (6, 2))), ("bad", (0, (2, 1))))
    for (name, value), (colour, dash) in zip(values.items(), looks, strict=True):
        value = np.asarray(value) / float(value[0])
        place = np.arange(1, len(value) + 1)
        ax.plot(place, value, "o", ls=dash, color=COLOUR[colour], ms=4)
        label_line(ax, len(value) + 0.15, value[-1], name, colour)
    ax.set(ylim=(0, 1.05), xlim=(0.8, len(value) + 2.9), xticks=place)
    ax.set(xlabel="singular value, from the largest", ylabel="relative to the largest")
    return fig


def old_task(curves: Mapping[str, Any], switch: int) -> Figure:
    """Accuracy on the first task over the steps, (runs, points) by learner; the task changes at ``switch``."""
    fig, axes = figure(len(curves), height=6.6, sharex=True, sharey=True)
    for ax, (name, values) in zip(axes, curves.items(), strict=True):
        values = 100 * np.asarray(values)
        steps = np.arange(1, values.shape[1] + 1) * (2 * switch // values.shape[1])
        ax.plot(steps, values.T, color=COLOUR[LEARNERS[name]], lw=0.9)
        ax.plot(steps, np.median(values, 0), color=COLOUR[LEARNERS[name]], lw=2.4)
        ax.axvline(switch, color=COLOUR["ink"], lw=1)
        label_line(ax, 8, 92, name, LEARNERS[name])
        ax.set(ylabel="first task right", ylim=(48, 96), xlim=(0, 2 * switch))
        ax.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    axes[0].text(switch + 5, 52, "second task", fontsize=9)
    axes[-1].set_xlabel("step")
    return fig


def streams(rows: Mapping[str, tuple[Any, int, int]]) -> Figure:
    """Which classes each batch holds (steps, batch), by stream, with lines where the labels change (season, steps)."""
    fig, axes = figure(len(rows), height=4.2, sharex=True)
    for ax, (name, (classes, season, steps)) in zip(axes, rows.items(), strict=True):
        classes = np.asarray(classes)
        shown = np.unique(np.stack([np.repeat(np.arange(steps), classes.shape[1]), classes.ravel()]), axis=1)
        ax.plot(*shown, "s", color=COLOUR["fast"], ms=1.3, mew=0, rasterized=True)
        for change in range(season, steps, season):
            ax.axvline(change, color=COLOUR["slow"], lw=2)
        ax.set_title(name)
        ax.set(ylim=(-0.7, 9.7), xlim=(0, 400), yticks=(0, 9), ylabel="class")
    axes[-1].set_xlabel("step")
    return fig


def contest(scores: Mapping[str, tuple[Any, Any]]) -> Figure:
    """Share of all classes right by stream: one clock above, two below, runs as dots and their median as a bar."""
    fig, ax = figure(height=3.2)
    for row, (one, two) in enumerate(scores.values()):
        for values, offset, colour, word in ((one, -0.2, "fast", "one"), (two, 0.2, "slow", "two")):
            values = 100 * np.asarray(values)
            _points(ax, values, row + offset, colour, 0.16)
            label_line(ax, values.max() + 0.8, row + offset, word, colour, fontsize=9)
    ax.set(yticks=range(len(scores)), ylim=(len(scores) - 0.5, -0.5), xlabel="test digits right, all ten classes")
    ax.set_yticklabels(list(scores))
    ax.xaxis.set_major_formatter(PercentFormatter(decimals=0))
    return fig


def periods(period: Sequence[int], curves: Mapping[str, Any], level: Any = None) -> Figure:
    """Share right by half-life of the slow memory, (runs, periods) by name; ``level`` is one clock at its best."""
    fig, ax = figure(height=3.7)
    fig.set_size_inches(FRAME, 3.7)
    x = np.arange(len(period))
    looks = {
        "told in blocks": ("slow", "-", 0.06),
        "told every step": ("middle", (0, (6, 2)), 0.14),
        "told every 8 steps": ("ink", (0, (1, 2)), 0.22),
    }
    for name, values in curves.items():
        colour, dash, height = looks[name]
        values = 100 * np.asarray(values)
        middle = np.median(values, 0)
        ax.plot(x, middle, ls=dash, color=COLOUR[colour])
        ax.plot(x, values.T, ".", color=COLOUR[colour], ms=5)
        label_line(ax, 0.03, height, name, colour, transform=ax.transAxes)
    if level is not None:
        ax.axhline(100 * level, color=COLOUR["fast"], lw=1.4)
        label_line(ax, 0.03, 0.30, "level: one clock, its best decay", "fast", transform=ax.transAxes)
    ax.set(xlabel="half-life of the slow memory in steps", ylabel="all classes right", ylim=(20, 90))
    ax.set_xticks(x, [str(p) for p in period])
    ax.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    return fig


def race(losses: Mapping[str, tuple[Any, Any]]) -> Figure:
    """Final training and test loss by optimizer, runs as dots and their median as a bar."""
    fig, axes = figure(1, 2, height=3.3, sharey=True)
    for ax, part, word in zip(axes, (0, 1), ("training loss", "test loss"), strict=True):
        for row, (values, colour) in enumerate(zip(losses.values(), OPTIMIZERS, strict=True)):
            _points(ax, values[part], row, colour)
        ax.set(xlabel=word, ylim=(len(losses) - 0.5, -0.5), yticks=range(len(losses)))
        ax.set_yticklabels(list(losses))
    return fig


def rare_ink(losses: Mapping[str, Any], ink: Any, largest: Mapping[str, Any]) -> Figure:
    """Test loss over the steps by optimizer; below, the largest entry of a step by how often a pixel has ink."""
    fig, (above, below) = figure(2, height=5.6)
    looks = {
        "Adam": ("frozen", (0, (6, 2)), 1.3),
        "M3, tiny guard": ("bad", "-", 1),
        "M3, guard 0.001": ("slow", "-", 0.8),
    }
    for name, loss in losses.items():
        colour, dash, lift = looks[name]
        loss = np.asarray(loss)
        above.plot(loss, ls=dash, color=COLOUR[colour])
        label_line(above, len(loss) + 3, loss[-1] * lift, name, colour)
    above.set(yscale="log", xlim=(0, len(loss) * 1.35), xlabel="step", ylabel="test loss")
    for name, height in (("M3, tiny guard", 0.62), ("Adam", 0.16)):
        seen = np.asarray(largest[name]) > 0  # a pixel without ink never moves
        below.plot(np.asarray(ink)[seen], np.asarray(largest[name])[seen], "o", color=COLOUR[looks[name][0]], ms=4)
        label_line(below, 0.03, height, name, looks[name][0], transform=below.transAxes)
    below.set(
        yscale="log", xscale="log", xlabel="share of digits with ink in the pixel", ylabel="largest entry of a step"
    )
    return fig
