"""Figures of the chapter *The amnesiac*.

Recall by distance comes as an array of distances (D,) and shares (seeds, D), from 0 to 1. Distances lie on a log axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME = 4.6  # inches: a frame behind a slider fits a phone without scrolling
TICKS = (50, 100, 200, 400, 1000)
CHANCE = 0.01  # one of the hundred numbers of two digits
NEVER = 3e7  # tokens: where the axis of periods puts what never changes
LOOKS = {  # of the models: colour, dash, width
    "window": ("fast", "-", 2.6),
    "stacked": ("middle", (0, (6, 2)), 2.2),
    "recurrent": ("slow", (0, (3, 1.5)), 2.2),
}


def tape(ax: Axes, y: float, distance: int, window: int, length: int, title: str) -> None:
    """One line of text, from ``length`` tokens ago to now: the sentence that told, the question, and the window."""
    ax.add_patch(Rectangle((-length, y), length, 0.34, fc=COLOUR["grid"], lw=0))
    ax.add_patch(Rectangle((-window - 3, y - 0.1), window + 6, 0.54, fc="none", ec=COLOUR["fast"], lw=2))
    inside = distance <= window
    ax.add_patch(Rectangle((-distance, y), 22, 0.34, fc=COLOUR["slow" if inside else "frozen"], lw=0))
    ax.add_patch(Rectangle((-16, y), 16, 0.34, fc=COLOUR["ink"], lw=0))
    ax.text(-length, y + 0.5, title, fontsize=9.5, va="bottom", color=COLOUR["ink"])


def idea(distances: Mapping[str, int], window: int, length: int) -> Figure:
    """The same fact and the same question, with more and more text between them."""
    fig, ax = figure(height=2.9)
    for row, (title, distance) in enumerate(distances.items()):
        tape(ax, 2.4 - 1.2 * row, distance, window, length, title)
    label_line(ax, -window + 6, -0.52, "the window", "fast")
    label_line(ax, -length, -0.52, "grey: text   blue: the fact   black: the question", "ink", fontweight="normal")
    ax.set(xlim=(-length - 5, 8), ylim=(-0.75, 3.4))
    ax.axis("off")
    return fig


def _curve(ax: Axes, distances: Sequence[int], recall: np.ndarray, colour: str, dash, width: float) -> None:
    """Mean over the seeds, with a band from the lowest to the highest."""
    ax.fill_between(distances, recall.min(0), recall.max(0), color=COLOUR[colour], alpha=0.2, lw=0)
    ax.plot(distances, recall.mean(0), ls=dash, color=COLOUR[colour], lw=width)


def _share_axis(ax: Axes) -> None:
    ax.set(ylim=(-0.04, 1.06))
    ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])


def _recall_axes(ax: Axes, distances: Sequence[int]) -> None:
    first, last = distances[0], distances[-1]
    ax.set(xscale="log", xlim=(first * 0.96, last * 1.04), ylabel="facts recalled")
    _share_axis(ax)
    shown = [tick for tick in TICKS if first <= tick <= last]
    ax.set_xticks(shown, [str(tick) for tick in shown])
    ax.minorticks_off()


def cliff(distances: Sequence[int], recall: np.ndarray, window: int) -> Figure:
    """Recall of the model with a window, against the distance of the question."""
    fig, ax = figure(height=3.3)
    ax.axvspan(distances[0] * 0.9, window, color=COLOUR["fast"], alpha=0.1, lw=0)
    _curve(ax, distances, recall, *LOOKS["window"])
    ax.axhline(CHANCE, color=COLOUR["ink"], lw=1, ls=":")
    label_line(ax, window * 0.95, 0.5, "inside the window", "fast", ha="right")
    label_line(ax, window * 1.25, 0.5, "outside", "frozen")
    label_line(ax, distances[0], 0.06, "a blind guess: 1 in 100", "ink", fontweight="normal")
    _recall_axes(ax, distances)
    ax.set(xlabel="distance of the question, in tokens (log scale)")
    return fig


def three(
    distances: Sequence[int], recall: Mapping[str, np.ndarray], names: Mapping[str, tuple[float, float, str]]
) -> Figure:
    """Recall of the three models, keyed as ``LOOKS``; ``names`` gives for each the place of its label and the text."""
    fig, ax = figure(height=3.7)
    for look, curves in recall.items():
        _curve(ax, distances, curves, *LOOKS[look])
    for look, (x, y, text) in names.items():
        label_line(ax, x, y, text, LOOKS[look][0])
    ax.axhline(CHANCE, color=COLOUR["ink"], lw=1, ls=":")
    _recall_axes(ax, distances)
    ax.set(xlabel="distance of the question, in tokens (log scale)")
    return fig


def load(loads: Sequence[int], recall: Mapping[str, np.ndarray], names: Mapping[str, str]) -> Figure:
    """Recall (seeds, loads) against the number of facts that a row tells, keyed as ``LOOKS``."""
    fig, ax = figure(height=3.0)
    for look, shares in recall.items():
        _curve(ax, loads, shares, *LOOKS[look])
        label_line(ax, loads[-1], shares.mean(0)[-1] - 0.09, names[look], LOOKS[look][0], ha="right")
    ax.axhline(CHANCE, color=COLOUR["ink"], lw=1, ls=":")
    ax.set(xlabel="facts told in the row", ylabel="facts recalled", xticks=loads)
    _share_axis(ax)
    return fig


def periods(parts: Mapping[str, tuple[float, str]], brain: Mapping[str, tuple[float, float]]) -> Figure:
    """Periods on log axes: parts of models in tokens (period, colour), bands of brain waves in seconds (from, to)."""
    fig, (top, bottom) = figure(2, 1, height=4.4, height_ratios=[1.7, 1])
    for row, (name, (period, colour)) in enumerate(reversed(parts.items())):
        at = min(period, NEVER)
        top.plot([0.3, at], [row, row], color=COLOUR["grid"], lw=1.2, zorder=0)
        top.plot(at, row, "o" if period < NEVER else ">", color=COLOUR[colour], ms=9)
        left = at < 1e4
        label_line(top, at * (1.7 if left else 0.58), row, name, colour, ha="left" if left else "right")
    top.set(xscale="log", xlim=(0.3, 6e7), ylim=(-0.6, len(parts) - 0.4), yticks=[])
    top.set_xlabel("tokens between two changes (log scale)")
    top.set_xticks([1, 1e3, 1e6, NEVER], ["1", "1,000", "1,000,000", "never"])
    for row, (name, (short, long)) in enumerate(reversed(brain.items())):
        bottom.plot([short, long], [row, row], color=COLOUR["data"], lw=7, solid_capstyle="butt")
        label_line(bottom, long * 1.15, row, name, "data")
    bottom.set(xscale="log", xlim=(0.008, 20), ylim=(-0.6, len(brain) - 0.4), yticks=[])
    bottom.set_xlabel("an analogy, on another clock: seconds for one wave (log scale)")
    bottom.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    for ax in (top, bottom):
        ax.minorticks_off()
        ax.spines["left"].set_visible(False)
    return fig


def moment(
    distance: int,
    reader: str,
    distances: Sequence[int],
    recall: Mapping[str, np.ndarray],
    prices: Mapping[str, Mapping[str, float]],
    window: int,
) -> Figure:
    """The question at one distance: the tape, recall of the chosen reader and of the first one, and what it costs.

    ``recall`` is keyed by reader, the frozen one first; ``prices`` by what is lost and then by reader, as shares.
    """
    margins = {"left": 0.2, "right": 0.97, "top": 0.98, "bottom": 0.06, "hspace": 0.55}
    fig, (strip, curve, bill) = figure(
        3, 1, height=5.6, layout="none", height_ratios=[0.5, 1.7, 1.1], gridspec_kw=margins
    )
    fig.set_size_inches(FRAME, 5.6)
    tape(strip, 0, distance, window, 1040, f"told {distance} tokens ago")
    strip.set(xlim=(-1050, 12), ylim=(-0.2, 1.2))
    strip.axis("off")
    frozen = next(iter(recall))
    curve.axvspan(distances[0] * 0.9, window, color=COLOUR["fast"], alpha=0.1, lw=0)
    for name in dict.fromkeys((frozen, reader)):
        _curve(curve, distances, recall[name], "frozen" if name == frozen else "slow", "-", 2.4)
    now = float(recall[reader].mean(0)[list(distances).index(distance)])
    colour = "frozen" if reader == frozen else "slow"
    curve.plot(distance, now, "o", color=COLOUR[colour], ms=10)
    away = {"ha": "right", "xytext": (-9, 0)} if distance > 100 else {"ha": "left", "xytext": (9, 0)}
    place = {"va": "top" if now > 0.5 else "bottom"} | away | {"xytext": (away["xytext"][0], -5 if now > 0.5 else 5)}
    curve.annotate(
        f"{now:.0%}", (distance, now), textcoords="offset points", fontweight="bold", color=COLOUR[colour], **place
    )
    _recall_axes(curve, distances)
    curve.set(xlabel="distance of the question, in tokens")
    names = list(reversed(prices))
    bill.barh(range(len(names)), [prices[name][reader] for name in names], color=COLOUR["bad"], height=0.4)
    for row, name in enumerate(names):
        bill.text(0.0, row + 0.3, name, fontsize=9, va="bottom", color=COLOUR["ink"])
        bill.text(prices[name][reader] + 0.015, row, f"{prices[name][reader]:.1%}", fontsize=9, va="center")
    bill.set(xlim=(0, 1.15), ylim=(-0.4, len(names) - 0.1), yticks=[], xticks=[])
    bill.grid(False)
    bill.spines["bottom"].set_visible(False)
    return fig


def rates(rate: Sequence[float], tried: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """One panel a model: facts recalled after a step, and strangers given the same number, by the step's rate."""
    fig, panels = figure(len(tried), 1, height=2.3 * len(tried), sharex=True)
    for ax, (title, shares) in zip(panels, tried.items(), strict=True):
        for name, colour, dash in (("recall", "slow", "-"), ("strangers", "bad", "--")):
            _curve(ax, rate, shares[name], colour, dash, 2.3)
        _share_axis(ax)
        ax.set_title(title)
        ax.set(xscale="log")
    label_line(panels[0], rate[0], 0.85, "told fact recalled", "slow")
    label_line(panels[0], rate[0], 0.65, "strangers given its number (dashed)", "bad")
    panels[-1].set(xlabel="learning rate of the step (log scale)")
    return fig


def in_turn(first: np.ndarray, last: np.ndarray) -> Figure:
    """Recall (seeds, facts told since) of the first fact and of the one told last, as more facts are told."""
    fig, ax = figure(height=3.1)
    later = np.arange(first.shape[1])
    for curves, colour, dash in ((first, "slow", "-"), (last, "fast", (0, (6, 2)))):
        for curve in curves:
            ax.plot(later, curve, ls=dash, color=COLOUR[colour], lw=1, alpha=0.55)
        ax.plot(later, curves.mean(0), "o", ls=dash, color=COLOUR[colour], lw=2.6)
    label_line(ax, later[-1], 0.98, "the first fact", "slow", ha="right")
    label_line(ax, later[-1], 0.87, "the fact told last (dashed)", "fast", ha="right")
    ax.axhline(CHANCE, color=COLOUR["ink"], lw=1, ls=":")
    ax.set(xlabel="facts told since the first, one step each", ylabel="facts recalled", xticks=later)
    _share_axis(ax)
    return fig
