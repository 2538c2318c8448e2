"""Figures of the chapter *The amnesiac*.

Recall by distance comes as an array of distances (D,) and shares (seeds, D), from 0 to 1. Distances lie on a log axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME = 4.6  # inches: a frame behind a slider fits a phone without scrolling
TICKS = (50, 100, 200, 400, 1000)
LOOKS = {  # of the models: colour, dash, width
    "window": ("fast", "-", 2.6),
    "stacked": ("middle", (0, (6, 2)), 2.2),
    "recurrent": ("slow", (0, (3, 1.5)), 2.2),
}


def tape(ax: Axes, y: float, distance: int, window: int, length: int, title: str) -> None:
    """One line of text, from ``length`` tokens ago to now: the sentence that told, the question, and the window."""
    ax.add_patch(Rectangle((-length, y), length, 0.34, fc=COLOUR["grid"], lw=0))
    seen = min(window, length)
    box = (-seen - 4, y - 0.12), seen + 8, 0.58
    ax.add_patch(FancyBboxPatch(*box, boxstyle="round,pad=0,rounding_size=6", fc="none", ec=COLOUR["fast"], lw=2))
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


def _curve(ax: Axes, distances: Sequence[int], recall: np.ndarray, look: str) -> None:
    """Mean over the seeds, with a band from the lowest to the highest."""
    colour, dash, width = LOOKS[look]
    ax.fill_between(distances, recall.min(0), recall.max(0), color=COLOUR[colour], alpha=0.2, lw=0)
    ax.plot(distances, recall.mean(0), ls=dash, color=COLOUR[colour], lw=width)


def _recall_axes(ax: Axes, first: int, last: int) -> None:
    ax.set(xscale="log", xlim=(first * 0.96, last * 1.04), ylim=(-0.04, 1.06))
    ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    ax.set_xticks([t for t in TICKS if first <= t <= last], [str(t) for t in TICKS if first <= t <= last])
    ax.minorticks_off()


def cliff(distances: Sequence[int], recall: np.ndarray, window: int) -> Figure:
    """Recall of the model with a window, against the distance of the question."""
    fig, ax = figure(height=3.3)
    ax.axvspan(distances[0] * 0.9, window, color=COLOUR["fast"], alpha=0.1, lw=0)
    _curve(ax, distances, recall, "window")
    label_line(ax, window * 0.97, 0.3, "inside the window", "fast", ha="right")
    label_line(ax, window * 1.2, 0.3, "outside", "frozen")
    _recall_axes(ax, distances[0], distances[-1])
    ax.set(xlabel="distance of the question, in tokens (log scale)", ylabel="facts recalled")
    return fig


def three(
    distances: Sequence[int], recall: Mapping[str, np.ndarray], names: Mapping[str, tuple[float, float]]
) -> Figure:
    """Recall of the three models; ``names`` gives each label and its place, keyed ``"look: label"``."""
    fig, ax = figure(height=3.7)
    for look, curves in recall.items():
        _curve(ax, distances, curves, look)
    for text, place in names.items():
        look, label = text.split(": ", 1)
        label_line(ax, *place, label, LOOKS[look][0])
    _recall_axes(ax, distances[0], distances[-1])
    ax.set(xlabel="distance of the question, in tokens (log scale)", ylabel="facts recalled")
    return fig


def periods(parts: Mapping[str, tuple[float, str]], brain: Mapping[str, tuple[float, float]]) -> Figure:
    """Periods on log axes: parts of models in tokens (period, colour), bands of brain waves in seconds (from, to).

    A period of 0.3 or less is drawn at the left edge as "every token, anew"; infinity at the right edge.
    """
    fig, (top, bottom) = figure(2, 1, height=4.6, height_ratios=[1.5, 1])
    edge = 3e7
    for row, (name, (period, colour)) in enumerate(reversed(parts.items())):
        at = min(period, edge)
        top.plot([0.3, at], [row, row], color=COLOUR["grid"], lw=1.2, zorder=0)
        top.plot(at, row, "o" if period < edge else ">", color=COLOUR[colour], ms=9)
        label_line(top, at * (1.6 if at < 1e4 else 0.62), row, name, colour, ha="left" if at < 1e4 else "right")
    top.set(xscale="log", xlim=(0.3, 6e7), ylim=(-0.6, len(parts) - 0.4), yticks=[])
    top.set_xlabel("tokens between two changes (log scale)")
    top.set_xticks([1, 1e3, 1e6, edge], ["1", "1,000", "1,000,000", "never"])
    for row, (name, (short, long)) in enumerate(reversed(brain.items())):
        bottom.plot([short, long], [row, row], color=COLOUR["data"], lw=7, solid_capstyle="butt")
        label_line(bottom, long * 1.15, row, name, "data")
    bottom.set(xscale="log", xlim=(0.008, 20), ylim=(-0.6, len(brain) - 0.4), yticks=[])
    bottom.set_xlabel("seconds for one wave (log scale)")
    bottom.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    for ax in (top, bottom):
        ax.minorticks_off()
        ax.spines["left"].set_visible(False)
    return fig


def moment(
    distance: int,
    steps: int,
    distances: Sequence[int],
    recall: Mapping[int, np.ndarray],
    prices: Mapping[str, Mapping[int, float]],
    window: int,
) -> Figure:
    """The question at one distance: the tape, recall with and without a step, and what the step cost.

    ``recall`` and each of ``prices`` are keyed by the number of steps; prices are shares from 0 to 1.
    """
    margins = {"left": 0.13, "right": 0.97, "top": 0.98, "bottom": 0.09, "hspace": 0.5}
    fig, (strip, curve, bill) = figure(
        3, 1, height=5.4, layout="none", height_ratios=[0.55, 1.7, 1.0], gridspec_kw=margins
    )
    fig.set_size_inches(FRAME, 5.4)
    tape(strip, 0, distance, window, 1040, f"told {distance} tokens ago")
    strip.set(xlim=(-1050, 12), ylim=(-0.2, 1.2))
    strip.axis("off")
    curve.axvspan(distances[0] * 0.9, window, color=COLOUR["fast"], alpha=0.1, lw=0)
    at = list(distances).index(distance)
    for count, colour, dash in ((0, "frozen", "-"), (1, "slow", "-")):
        if count <= steps:
            curve.plot(distances, recall[count], dash, color=COLOUR[colour], lw=2.4)
    now = float(recall[steps][at])
    curve.plot(distance, now, "o", color=COLOUR["slow" if steps else "frozen"], ms=10)
    beside = {"ha": "left", "xytext": (10, 0)} if distance < 500 else {"ha": "right", "xytext": (-8, 12)}
    curve.annotate(f"{now:.0%}", (distance, now), textcoords="offset points", fontweight="bold", va="center", **beside)
    _recall_axes(curve, distances[0], distances[-1])
    curve.set(xlabel="distance of the question, in tokens", ylabel="recalled")
    names = list(reversed(prices))
    bill.barh(range(len(names)), [prices[name][steps] for name in names], color=COLOUR["bad"], height=0.5)
    for row, name in enumerate(names):
        bill.text(0.01, row + 0.36, name, fontsize=8.5, va="bottom", color=COLOUR["ink"])
        bill.text(prices[name][steps] + 0.015, row, f"{prices[name][steps]:.0%}", fontsize=9, va="center")
    bill.set(xlim=(0, 1.12), ylim=(-0.5, len(names) - 0.2), yticks=[], xticks=[])
    bill.grid(False)
    bill.set_xlabel("what it cost")
    return fig


def rates(rate: Sequence[float], recall: np.ndarray, strangers: np.ndarray, chosen: float) -> Figure:
    """Facts recalled after one step, and strangers given the same number, by the size of the step."""
    fig, ax = figure(height=3.3)
    for curves, colour, dash in ((recall, "slow", "-"), (strangers, "bad", "--")):
        ax.fill_between(rate, curves.min(0), curves.max(0), color=COLOUR[colour], alpha=0.18, lw=0)
        ax.plot(rate, curves.mean(0), dash, color=COLOUR[colour], lw=2.3)
    ax.axvline(chosen, color=COLOUR["ink"], lw=1)
    ax.set(
        xscale="log", ylim=(-0.04, 1.06), xlabel="learning rate of the step (log scale)", ylabel="share of questions"
    )
    ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    return fig


def in_turn(recall: np.ndarray) -> Figure:
    """Recall of a fact (seeds, facts told since) as more facts are told after it."""
    fig, ax = figure(height=3.0)
    later = np.arange(recall.shape[1])
    ax.fill_between(later, recall.min(0), recall.max(0), color=COLOUR["slow"], alpha=0.2, lw=0)
    ax.plot(later, recall.mean(0), "o-", color=COLOUR["slow"])
    ax.set(xlabel="facts told since, one step each", ylabel="facts recalled", ylim=(-0.04, 1.06))
    ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    return fig
