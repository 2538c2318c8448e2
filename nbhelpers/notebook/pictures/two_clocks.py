"""Figures of the chapter *Two clocks*.

A run is an array of shape (2, samples + 1, ...) that holds the slow weight and the fast weight before each
sample and after the last. The flat learner is drawn in the colour of the middle level, since its one rate
is neither fast nor slow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import PathPatch, Wedge
from matplotlib.path import Path

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SWARM = np.random.default_rng(1).uniform(-0.28, 0.28, 200)  # heights of 200 dots in a row
FRAME = 4.6  # inches: a frame behind a slider fits a phone without scrolling
LABEL = {"fontsize": 9.5, "fontweight": "bold"}


def _dots(ax: Axes, x: np.ndarray, y: np.ndarray, colour: str, size: float, alpha: float = 0.5) -> None:
    """Draw dots as one path of points with round ends: a quarter of the bytes of as many markers."""
    spots = np.repeat(np.column_stack(np.broadcast_arrays(x, y)), 2, axis=0)
    path = Path(spots, np.tile([Path.MOVETO, Path.LINETO], len(spots) // 2))
    path.should_simplify = False  # lines of no length would be dropped
    style = {"ec": COLOUR[colour], "fc": "none", "lw": size, "capstyle": "round", "alpha": alpha}
    ax.add_patch(PathPatch(path, **style))


def _frame(rows: int = 1, columns: int = 1, *, height: float, **subplots) -> tuple[Figure, Axes]:
    """A figure for a slider: narrow enough for a phone, with fixed margins, so that frames do not jump.

    A fixed layout also draws once instead of twice. ``top``, ``bottom``, ``hspace`` … may be given.
    """
    names = {"left", "right", "top", "bottom", "hspace", "wspace"}
    margins = {"left": 0.14, "right": 0.96} | {name: subplots.pop(name) for name in names & set(subplots)}
    fig, axes = figure(rows, columns, height=height, layout="none", gridspec_kw=margins, **subplots)
    fig.set_size_inches(FRAME, height)
    return fig, axes


def idea(wave: np.ndarray, moments: Sequence[int]) -> Figure:
    """The world's line at five moments (three with the wave above zero), and its height over one turn of the wave."""
    fig, (plane, clock) = figure(1, 2, height=3.2, sharey=True, width_ratios=[1, 1.35])
    ends = np.array([-2.2, 2.2])
    beside = {True: ((-24, 4), (0, 13), (24, 5)), False: ((0, -14), (28, -4))}
    for sign in beside:
        for moment, offset in zip([m for m in moments if (wave[m] > 0) == sign], beside[sign], strict=True):
            height = wave[moment]
            plane.plot(ends, 2 * ends + height, color=COLOUR["slow"], lw=1.6)
            plane.plot(0, height, "o", color=COLOUR["fast"], ms=7)
            clock.plot(moment, height, "o", color=COLOUR["fast"], ms=7)
            place = {"xy": (moment, height), "xytext": offset, "textcoords": "offset points"}
            clock.annotate(f"t = {moment}", **place, ha="center", va="center", fontsize=9)
    clock.plot(wave, color=COLOUR["fast"])
    plane.set(xlabel="input x", ylabel="target y", xlim=(-2.5, 2.5), ylim=(-10.5, 10.5), title="five moments")
    clock.set(xlabel="time in samples", xlim=(0, len(wave) - 1), title="the height over one wave")
    label_line(plane, -2.35, 8.9, "rule: the tilt", "slow")
    label_line(plane, 0.1, -8.9, "context: the height", "fast", ha="left")
    return fig


def article(y: np.ndarray, predictions: Mapping[str, np.ndarray], surprises: Mapping[str, np.ndarray]) -> Figure:
    """The article's figure: target and predictions above, added surprise below."""
    fig, (track, cost) = figure(2, 1, height=5.4, height_ratios=[1.5, 1], sharex=True)
    track.plot(y, color=COLOUR["grid"], lw=3)
    looks = {"flat": ("middle", "--", 6.2), "nested": ("ink", "-", 0.9)}
    for name, (colour, dash, place) in looks.items():
        track.plot(predictions[name], dash, color=COLOUR[colour], lw=1.3)
        label_line(track, 304, place, name, colour)
        total = np.cumsum(surprises[name])
        cost.plot(total, dash, color=COLOUR[colour], lw=2.2)
        label_line(cost, 304, total[-1], name, colour)
    label_line(track, 304, 3.6, "target", "muted")
    track.set(ylabel="target, predictions")
    cost.set(xlabel="sample", ylabel="surprise, added up", xlim=(0, 340))
    return fig


def running(
    sample: int, x: np.ndarray, y: np.ndarray, wave: np.ndarray, flat: np.ndarray, nested: np.ndarray
) -> Figure:
    """Both learners at one sample: their lines above, their heights so far below."""
    layout = {"sharex": "row", "sharey": "row", "height_ratios": [1.7, 1], "hspace": 0.32, "wspace": 0.12}
    fig, axes = _frame(2, 2, height=4.4, top=0.94, bottom=0.11, **layout)
    ends = np.array([-3.0, 3.0])
    looks = ((flat, "middle", "middle", "flat learner"), (nested, "slow", "fast", "nested learner"))
    for (top, bottom), (run, tilt, dot, title) in zip(axes.T, looks, strict=True):
        slow, fast = run[:, sample]
        top.plot(ends, 2 * ends + wave[sample], color=COLOUR["grid"], lw=7)
        top.plot(ends, slow * ends + fast, color=COLOUR[tilt], lw=2.2)
        top.plot(0, fast, "o", color=COLOUR[dot], ms=9)
        guess = slow * x[sample] + fast
        top.plot([x[sample]] * 2, [guess, y[sample]], color=COLOUR["bad"], lw=2.4)
        top.plot(x[sample], y[sample], "X", color=COLOUR["data"], ms=8)
        top.set(xlim=(-3, 3), ylim=(-12, 12), xticks=(-2, 0, 2), yticks=(-10, 0, 10), xlabel="input x", title=title)
        bottom.plot(range(0, len(wave), 8), wave[::8], color=COLOUR["grid"], lw=4)
        bottom.plot(range(0, sample + 1, 3), run[1, : sample + 1 : 3], color=COLOUR[dot])
        bottom.plot(sample, fast, "o", color=COLOUR[dot], ms=7)
        bottom.set(xlabel="sample", xlim=(-8, len(wave) + 8), ylim=(-8, 8), xticks=(0, 150, 300), yticks=(-5, 0, 5))
    axes[0, 0].set_ylabel("target y")
    axes[1, 0].set_ylabel("height")
    return fig


def gauge(ax: Axes, share: float, text: str) -> None:
    """A dial from 0 to 100 % with its needle at ``share`` (0 to 1) and a line of text below."""
    ax.set(xlim=(-1.3, 1.3), ylim=(-0.85, 1.25), aspect="equal")
    ax.axis("off")
    ax.add_patch(Wedge((0, 0), 1, 0, 180, width=0.3, color=COLOUR["grid"], lw=0))
    ax.add_patch(Wedge((0, 0), 1, 180 * (1 - share), 180, width=0.3, color=COLOUR["fast"], lw=0))
    for mark in (0, 25, 50, 75, 100):
        angle = np.pi * (1 - mark / 100)
        place = 1.15 * np.cos(angle), 1.13 * np.sin(angle)
        ax.text(*place, str(mark), ha="center", va="center", fontsize=9, color=COLOUR["muted"])
    tip = np.pi * (1 - share)
    needle = [0, 0.88 * np.cos(tip)], [0, 0.88 * np.sin(tip)]
    ax.plot(*needle, color=COLOUR["ink"], lw=3.2, solid_capstyle="round")
    ax.plot(0, 0, "o", color=COLOUR["ink"], ms=11)
    ax.text(0, -0.4, f"carries {share:.0%}", ha="center", fontsize=17, fontweight="bold", color=COLOUR["fast"])
    ax.text(0, -0.72, text, ha="center", fontsize=9.5, color=COLOUR["ink"])


def dial(share: complex, omega: float, late: float) -> Figure:
    """The gauge beside a wave of frequency ``omega`` and the fast weight that carries the complex ``share`` of it."""
    fig, (top, bottom) = _frame(2, height=5.0, height_ratios=[1.25, 1], top=1.0, bottom=0.1, hspace=0.04)
    top.set_anchor("C")
    gauge(top, abs(share), f"{late:.0f} sample{'' if round(late) == 1 else 's'} late, misses {abs(1 - share):.0%}")
    t = np.arange(0, 251, 5)
    wave, carried = 5 * np.sin(omega * t), 5 * abs(share) * np.sin(omega * t + np.angle(share))
    bottom.fill_between(t, wave, carried, color=COLOUR["bad"], alpha=0.16, lw=0)
    bottom.plot(t, wave, color=COLOUR["data"], lw=1.4)
    bottom.plot(t, carried, color=COLOUR["fast"], lw=2.8)
    bottom.set(xlabel="sample", ylim=(-6, 7.9), xlim=(0, 250), xticks=(0, 100, 200), yticks=(-5, 0, 5))
    label_line(bottom, 4, 7.0, "the wave", "data")
    label_line(bottom, 82, 7.0, "the fast weight", "fast")
    label_line(bottom, 204, 7.0, "missed", "bad")
    return fig


def waterbed(cycles: np.ndarray, missed: Mapping[str, np.ndarray], mark: float) -> Figure:
    """Share of a wave that is missed, against cycles a sample, for three settings; ``mark`` is the article's wave."""
    fig, ax = figure(height=4.2)
    looks = {
        "flat, as printed": ("middle", "--", (0.30, 1.1)),
        "nested, as printed": ("fast", ":", (0.33, 1.45)),
        "nested, retention 1": ("fast", "-", (0.33, 2.0)),
    }
    for name, (colour, dash, place) in looks.items():
        ax.plot(cycles, missed[name], dash, color=COLOUR[colour], lw=2)
        label_line(ax, *place, name, colour)
    line = missed["nested, retention 1"]
    for part, colour in ((line < 1, "good"), (line > 1, "bad")):
        ax.fill_between(cycles, line, 1, where=part, color=COLOUR[colour], alpha=0.2, lw=0, interpolate=True)
    label_line(ax, 0.03, 0.82, "helps", "good")
    label_line(ax, 0.455, 1.53, "harms", "bad")
    ax.axhline(1, color=COLOUR["ink"], lw=1)
    ax.axvline(mark, color=COLOUR["data"], lw=1.2, ls=(0, (2, 2)))
    label_line(ax, mark + 0.004, 0.062, "the article's wave", "data")
    ax.set(yscale="log", ylim=(0.055, 2.5), xlim=(0, 0.5), ylabel="share of the wave missed")
    ax.set(xlabel="length of the wave in samples")
    ax.set_yticks([0.1, 0.3, 1, 2], ["10 %", "30 %", "100 %", "200 %"])
    ax.set_xticks([0, 1 / 16, 1 / 8, 1 / 4, 1 / 3, 1 / 2], ["∞", "16", "8", "4", "3", "2"])
    ax.minorticks_off()
    return fig


def seeds(flat: np.ndarray, nested: np.ndarray, marked: int) -> Figure:
    """Final slopes of all seeds with one of them marked, and the median error of the slope over time."""
    fig, (left, right) = figure(1, 2, height=3.3, width_ratios=[1, 1.35])
    for row, (run, colour, dash) in enumerate(((nested, "slow", "-"), (flat, "middle", "--"))):
        _dots(left, run[0, -1], row + SWARM, colour, 3.4)
        left.plot(run[0, -1, marked], row, "D", color=COLOUR["ink"], ms=8)
        right.plot(np.median(np.abs(run[0] - 2.0), axis=1), dash, color=COLOUR[colour])
    left.axvline(2, color=COLOUR["ink"], lw=1)
    left.set(yticks=[0, 1], yticklabels=["nested", "flat"], ylim=(-0.5, 1.5), xlabel="final slope")
    left.set_title(f"200 seeds (diamond: seed {marked})")
    right.axvline(300, color=COLOUR["ink"], lw=1.5)
    right.set(xlabel="sample", ylim=(0, 0.6), xlim=(0, 306), title="median error of the slope")
    label_line(right, 186, 0.41, "flat", "middle")
    label_line(right, 122, 0.075, "nested", "slow")
    label_line(right, 294, 0.55, "the stream stops", "ink", ha="right")
    return fig


def contest(cost: Mapping[str, np.ndarray], error: Mapping[str, np.ndarray]) -> Figure:
    """Surprise and slope error of every stream, a row for each learner, medians marked."""
    fig, axes = figure(1, 2, height=3.8, sharey=True)
    names = list(reversed(cost))
    for row, name in enumerate(names):
        colour = "middle" if name.startswith("flat") else "slow"
        for ax, values in zip(axes, (cost[name], np.maximum(error[name], 1e-3)), strict=True):
            _dots(ax, values, row + SWARM, colour, 3, 0.4)
            middle = float(np.median(values))
            ax.plot([middle] * 2, [row - 0.34, row + 0.34], color=COLOUR["ink"], lw=2.6)
            ax.text(middle, row + 0.37, f"{middle:.2f}", ha="center", va="bottom", **LABEL)
    axes[0].set(xscale="log", xlabel="mean surprise of a stream", ylim=(-0.5, 4.75), xlim=(0.22, 3.2))
    axes[0].set(yticks=range(len(names)), yticklabels=names)
    axes[0].set_xticks([0.3, 0.5, 1, 2], ["0.3", "0.5", "1", "2"])
    axes[1].set(xscale="log", xlabel="error of the slope", xlim=(8e-4, 2.5))
    axes[1].set_xticks([0.001, 0.01, 0.1, 1], ["0.001", "0.01", "0.1", "1"])
    for ax in axes:
        ax.minorticks_off()
    return fig


def tradeoff(
    flat: np.ndarray, nested: np.ndarray, retention: np.ndarray, printed: Mapping[str, Sequence[float]]
) -> Figure:
    """Slope error against surprise for every setting tried; rows of ``flat`` and ``nested`` are (surprise, error)."""
    fig, ax = figure(height=4.1)
    forgets = retention < 0.95
    _dots(ax, *nested[forgets].T, "frozen", 3.5, 0.55)
    _dots(ax, *nested[~forgets].T, "fast", 5.5, 0.6)
    ax.plot(*flat.T, "--", color=COLOUR["middle"], lw=2.8)
    for (name, at), offset in zip(printed.items(), ((-6, 11), (-30, -19)), strict=True):
        ax.plot(*at, "D", color=COLOUR["ink"], ms=8)
        ax.annotate(name, at, offset, textcoords="offset points", **LABEL)
    label_line(ax, 0.47, 0.33, "flat: one rate, one curve", "middle")
    label_line(ax, 0.315, 0.0185, "nested, retention 0.99 or 1", "fast")
    label_line(ax, 1.32, 0.045, "nested,\nretention 0.9 or less", "frozen")
    ax.set(xscale="log", yscale="log", xlim=(0.3, 3.6), ylim=(0.015, 1.2))
    ax.set(xlabel="mean surprise (less is better)", ylabel="error of the slope (less is better)")
    ax.set_xticks([0.3, 0.5, 1, 2, 3], ["0.3", "0.5", "1", "2", "3"])
    ax.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5, 1], ["0.02", "0.05", "0.1", "0.2", "0.5", "1"])
    ax.minorticks_off()
    return fig


def bands(loud: Mapping[str, np.ndarray], calm: Mapping[str, np.ndarray], ratio: Mapping[str, float]) -> Figure:
    """The slow weight of nine seeds in ten, with the context and without, a panel for each learner."""
    fig, axes = figure(1, len(loud), height=3.3, sharey=True)
    at = np.arange(0, 301, 3)
    for ax, name in zip(axes, loud, strict=True):
        for run, colour, alpha in ((loud[name], "fast", 0.35), (calm[name], "slow", 0.8)):
            low, high = np.quantile(run[0], [0.05, 0.95], axis=1)
            ax.fill_between(at, low[at], high[at], color=COLOUR[colour], alpha=alpha, lw=0)
        ax.axhline(2, color=COLOUR["ink"], lw=1)
        ax.set(title=name, xlabel="sample", ylim=(0.8, 3.2), xlim=(0, 300))
        ax.text(294, 0.88, f"interference {ratio[name]:.1f}", ha="right", **LABEL)
    axes[0].set_ylabel("slow weight")
    label_line(axes[0], 40, 3.08, "with the context", "fast")
    label_line(axes[0], 40, 2.9, "context off", "slow")
    return fig


def streams(
    truth: Mapping[str, np.ndarray], flat: Mapping[str, np.ndarray], nested: Mapping[str, np.ndarray]
) -> Figure:
    """One stream of each world: truth (slope, context) and what both learners make of it."""
    fig, axes = figure(2, 2, height=4.8, sharex=True, sharey="row")
    at = np.arange(0, 600, 2)
    for column, world in enumerate(truth):
        for ax, weight, colour in ((axes[0, column], 1, "fast"), (axes[1, column], 0, "slow")):
            ax.plot(truth[world][weight], color=COLOUR["grid"], lw=6)
            ax.plot(at, flat[world][weight, at], "--", color=COLOUR["middle"], lw=1.2)
            ax.plot(at, nested[world][weight, at], color=COLOUR[colour], lw=1.7)
        axes[0, column].set_title(world)
        axes[1, column].set(xlabel="sample", xlim=(0, 600))
    axes[0, 0].set(ylabel="height (context)", ylim=(-8.4, 9.6))
    axes[1, 0].set(ylabel="tilt (slope)", ylim=(-2.4, 6.9))
    label_line(axes[0, 0], 8, 8.5, "nested: fast weight", "fast")
    label_line(axes[0, 0], 390, 8.5, "flat, tuned", "middle")
    label_line(axes[1, 0], 8, 6.2, "nested: slow weight", "slow")
    label_line(axes[1, 0], 390, 6.2, "flat, tuned", "middle")
    return fig


def leak(lines: Mapping[str, np.ndarray]) -> Figure:
    """The slow weight of three clocks over time, averaged over streams, labelled in their colours."""
    fig, ax = _frame(height=3.4, top=0.97, bottom=0.15)
    looks = (("fast", "-", 1.2), ("middle", "--", 1.7), ("slow", "-", 2.6))
    for row, ((name, line), (colour, dash, thick)) in enumerate(zip(lines.items(), looks, strict=True)):
        ax.plot(range(0, len(line), 8), line[::8], dash, color=COLOUR[colour], lw=thick)
        label_line(ax, 30, 6.7 - 0.55 * row, name, colour, fontsize=9)
    ax.axhline(2, color=COLOUR["ink"], lw=1)
    ax.set(xlabel="sample", ylabel="slow weight", xlim=(0, 1500), ylim=(-0.8, 7.1))
    ax.set(xticks=(0, 500, 1000, 1500), yticks=range(6))
    return fig


def flowers(
    points: tuple[np.ndarray, np.ndarray, np.ndarray],
    slopes: tuple[float, float],
    learned: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Figure:
    """Irises (width, length, species) with their (pooled, within) slopes, and what learners made of them.

    ``learned`` maps a learner to its final slopes over 200 orders: species in turn, and mixed.
    """
    fig, (left, right) = figure(1, 2, height=3.7, width_ratios=[1, 1.2])
    width, length, species = points
    pooled, within = slopes
    for kind, marker in enumerate("osD"):
        pick = species == kind
        left.plot(width[pick], length[pick], marker, color=COLOUR["frozen"], ms=4, alpha=0.7, mew=0)
        reach = np.array([-1.5, 1.5])
        left.plot(width[pick].mean() + reach, length[pick].mean() + within * reach, color=COLOUR["slow"], lw=2.2)
    reach = np.array([-2.4, 3.0])
    left.plot(reach, pooled * reach, "--", color=COLOUR["bad"], lw=2.2)
    label_line(left, 1.75, 0.2, "pooled", "bad")
    label_line(left, 0.3, 2.85, "within species", "slow")
    left.set(ylim=(-2.2, 3.2), xlabel="sepal width (standardised)", ylabel="sepal length (standardised)")
    for row, name in enumerate(reversed(learned)):
        for values, shift, colour in zip(learned[name], (0.19, -0.19), ("slow", "frozen"), strict=True):
            _dots(right, values, row + shift + SWARM / 2, colour, 2.8)
            right.plot([np.median(values)] * 2, [row + shift - 0.15, row + shift + 0.15], color=COLOUR["ink"], lw=2.6)
    right.axvline(pooled, color=COLOUR["bad"], ls="--", lw=1.6)
    right.axvline(within, color=COLOUR["slow"], lw=1.6)
    right.set(yticks=range(len(learned)), yticklabels=list(reversed(learned)), xlim=(-1.0, 0.9))
    right.set(xlabel="slope learned in 200 orders", ylim=(-0.5, len(learned)))
    label_line(right, -0.97, len(learned) - 0.2, "species in turn", "slow")
    label_line(right, 0.5, len(learned) - 0.2, "mixed", "frozen")
    return fig
