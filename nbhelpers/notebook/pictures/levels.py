"""Figures of the chapter *Levels*.

The axis of periods runs from never on the left to anew for each question on the right. Warm is fast and cool is slow;
a ring is a session's part, a disc is everyone's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME = 4.6  # inches: a frame behind a slider fits a phone without scrolling
GROUPS = "everyone's", "own"
# Periods in pairs on the axis: where they stand and what they are called there.
PLACES = {math.inf: 0.0, 600: 1.0, 240: 1.4, 60: 2.2, 30: 2.8, 20: 3.1, 5: 4.0, 1: 4.8, 0: 6.0}
TICKS = {math.inf: "never", 240: "step of\ntraining", 30: "session", 1: "pair", 0: "question"}
NAMES = {
    math.inf: "frozen weights",
    600: "weights in training",
    60: "tuned after each user",
    20: "a middle level",
    5: "a memory in chunks",
    1: "fast weights",
    0: "attention",
}
SHOWN = {  # parts that share a place on the axis are named together
    "SGD with momentum": {1: "momentum, then weights"},
    "Transformer": {0: "cache", 240: "MLP, key map"},
    "linear attention": {1: "memory", 240: "start, key map"},
    "fast weights": {1: "memory", 240: "start, key map"},
    "MAML": {30: "head", 240: "start, key map"},
}


def _colour(period: float) -> str:
    if period == math.inf:
        return "frozen"
    return "fast" if period <= 5 else "middle" if period <= 30 else "slow"


def _mark(ax: Axes, period: float, y: float, mine: bool, size: float = 9) -> None:
    """A ring for a session's part, a disc for everyone's."""
    colour = COLOUR[_colour(period)]
    ax.plot(PLACES[period], y, "o", ms=size, mfc=COLOUR["paper"] if mine else colour, mec=colour, mew=2)


def _axis(ax: Axes, tables: Mapping[str, Sequence[Any]], text: float, named: bool, left: float) -> None:
    """Five systems as rows on the axis of periods, lines from ``left``; without ``named`` the parts have no names."""
    count = len(tables)
    for row, (system, parts) in enumerate(tables.items()):
        y = count - row
        ax.plot([left, 6.5], [y, y], color=COLOUR["grid"], lw=0.8, zorder=0)
        ax.text(-1.9, y, system.replace("SGD with momentum", "SGD, momentum"), ha="left", va="center", fontsize=text)
        for period in {part.period for part in parts}:
            mine = any(part.owner == "session" for part in parts if part.period == period)
            _mark(ax, period, y, mine)
            if named:
                ax.text(PLACES[period], y + 0.24, SHOWN[system][period], ha="center", va="bottom", fontsize=9)
    ax.set_xticks([PLACES[period] for period in TICKS], TICKS.values())
    ax.set_yticks([])
    ax.set(xlim=(-1.95, 6.55), ylim=(0.4, count + 0.75))
    ax.grid(visible=False)
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)


def axis(tables: Mapping[str, Sequence[Any]]) -> Figure:
    """Five systems on one axis of periods; tables: system → parts with ``period`` and ``owner``."""
    fig, ax = figure(height=3.7)
    _axis(ax, tables, 10, named=True, left=-0.35)
    ax.set_xlabel("changes once a ...          (slow to the left, fast to the right)")
    return fig


def drag(tables: Mapping[str, Sequence[Any]], chosen: str, curves: Mapping[str, Any]) -> Figure:
    """The axis with the reader's part at a period, and what it learns of own names: curves (seeds, fives) by period."""
    period = math.inf if chosen == "never" else float(chosen)
    margins = {"left": 0.12, "right": 0.97, "top": 0.97, "bottom": 0.1, "hspace": 0.42, "height_ratios": [1.25, 1]}
    fig, (top, below) = figure(2, height=5.2, layout="none", gridspec_kw=margins)
    fig.set_size_inches(FRAME, 5.2)
    _axis(top, tables, 8.5, named=False, left=0.2)
    top.set_position([0.02, 0.55, 0.95, 0.44])
    top.set_ylim(-1.7, 5.6)
    top.plot([-0.6, 6.5], [-0.2, -0.2], color=COLOUR["ink"], lw=1)
    top.text(-1.9, -0.2, "yours", ha="left", va="center", fontsize=8.5, fontweight="bold")
    _mark(top, period, -0.2, period < 60, size=14)
    side = "left" if PLACES[period] < 1 else "right" if PLACES[period] > 5 else "center"
    label_line(top, PLACES[period], -1.05, NAMES[period], _colour(period), ha=side, fontsize=11)
    told = 5 * np.arange(len(next(iter(curves.values()))[0])) + 2.5
    for other, curve in curves.items():
        if other != chosen:
            below.plot(told, np.median(curve, 0), color=COLOUR["grid"], lw=1.2)
    mine = np.asarray(curves[chosen])
    colour = COLOUR[_colour(period)]
    below.fill_between(told, mine.min(0), mine.max(0), color=colour, alpha=0.2, lw=0)
    below.plot(told, np.median(mine, 0), color=colour, lw=2.4)
    below.set(xlim=(0, 60), ylim=(0, 1), xlabel="pairs told by this user", ylabel="own names right")
    below.set_xticks([0, 20, 40, 60])
    return fig


def _strip(ax: Axes, rows: Mapping[str, Any]) -> None:
    """One row for each name: accuracy of both groups of names (2, seeds), a dot a seed."""
    for place, scores in enumerate(rows.values()):
        y = len(rows) - place
        ax.axhline(y, color=COLOUR["grid"], lw=0.8, zorder=0)
        for offset, group, colour, marker in ((0.16, 0, "slow", "s"), (-0.16, 1, "fast", "o")):
            values = np.asarray(scores)[group]
            ax.plot(values, np.full(len(values), y + offset), marker, color=COLOUR[colour], ms=6, alpha=0.75)
    ax.set_yticks(range(len(rows), 0, -1), rows)
    ax.set(xlim=(-0.02, 1), ylim=(0.4, len(rows) + 0.9), xlabel="share of names right (one mark a seed)")
    ax.grid(visible=False, axis="y")


def ways(scores: Mapping[str, Any]) -> Figure:
    """Accuracy of the trained systems on everyone's and on own names."""
    fig, ax = figure(height=3.1)
    _strip(ax, scores)
    label_line(ax, 0.02, 5.2, "■ everyone's names", "slow")
    label_line(ax, 0.02, 4.8, "● own names", "fast")
    return fig


def outer(scores: Mapping[str, Any]) -> Figure:
    """Accuracy by what the outer loop was allowed to change."""
    fig, ax = figure(height=3.5)
    _strip(ax, scores)
    label_line(ax, 0.3, 6.75, "■ everyone's names", "slow", ha="left")
    label_line(ax, 0.62, 6.75, "● own names", "fast")
    return fig


def bilevel(steps: Sequence[int], ratios: Any) -> Figure:
    """Outer gradient of the start over that of the key map, (seeds, steps)."""
    fig, ax = figure(height=3.2)
    ax.plot(steps, np.asarray(ratios).T, color=COLOUR["slow"], lw=1.2, marker="o", ms=3.5)
    ax.set(xscale="log", yscale="log", xlabel="inner steps", ylabel="gradient of the start\n/ of the key map")
    label_line(ax, 1.1, 1e-3, "nested: a few steps,\nthe start matters", "ink", fontweight="normal")
    label_line(ax, 150, ratios.min() * 8, "bilevel: solved,\nit does not", "ink", ha="right", fontweight="normal")
    return fig


def resets(parts: Sequence[tuple[str, str]], guess: Any, broken: Any, asked: Any) -> Figure:
    """Predicted and measured breaks: guess, asked (parts, 2, 3) yes or no; broken (parts, 2, 3) share of seeds."""
    guess, broken, asked = (np.asarray(table) for table in (guess, broken, asked))
    fig, ax = figure(height=6.0)
    fig.set_size_inches(FRAME, 6.0)
    columns = [(group, when) for group in range(2) for when in range(3)]
    y, previous = 0.0, None
    for i, (system, part) in enumerate(parts):
        if system != previous:
            y -= 1.0
            ax.text(-3.9, y, system, fontweight="bold", va="center")
            y -= 0.85
            previous = system
        ax.text(-3.7, y, part, va="center")
        ax.axhline(y, xmin=0.33, color=COLOUR["grid"], lw=0.8, zorder=0)
        for x, (group, when) in enumerate(columns):
            x += 0.6 * group
            if not asked[i, group, when]:
                ax.text(x, y, "–", ha="center", va="center", color=COLOUR["muted"])
                continue
            if broken[i, group, when] > 0:
                ax.plot(x, y, "o", ms=3 + 6 * broken[i, group, when], color=COLOUR["bad"])
            if guess[i, group, when]:
                ax.plot(x, y, "o", ms=13, mfc="none", mec=COLOUR["ink"], mew=1.4)
        y -= 0.85
    for x, (group, when) in enumerate(columns):
        name = ("at\nonce", "told\nagain", "other\nuser")[when]
        ax.text(x + 0.6 * group, 0.1, name, ha="center", va="bottom", fontsize=8.5)
    for x, name in ((1, "everyone's names"), (4.6, "own names")):
        ax.text(x, 1.6, name, ha="center", va="bottom", fontweight="bold")
    ax.set(xlim=(-4, 6.2), ylim=(y - 0.2, 2.4))
    ax.axis("off")
    return fig


def serve(served: Mapping[tuple[str, bool], tuple[Any, Any]]) -> Figure:
    """Own names right over users in a row, emptied or not: (present, previous), each (seeds, users)."""
    fig, axes = figure(2, height=5.0, sharex=True, sharey=True)
    looks = {"linear attention": "middle", "fast weights": "fast"}
    for ax, which in zip(axes, (0, 1), strict=True):
        for (system, empties), pair in served.items():
            rows = np.asarray(pair[which])
            users = np.arange(rows.shape[1]) + 1 + which
            colour = COLOUR[looks[system]]
            ax.plot(users, np.median(rows, 0), "--" if empties else "-", color=colour)
            if not empties:
                ax.fill_between(users, rows.min(0), rows.max(0), color=colour, alpha=0.15, lw=0)
        ax.set(ylim=(0, 1), ylabel="own names right")
    axes[0].set_title("the present user's questions (dashed: emptied between users)")
    axes[1].set_title("the previous user's questions, asked by the present one")
    axes[1].set(xlabel="users served", xlim=(1, 10))
    label_line(axes[1], 3.3, 0.35, "linear attention", "middle")
    label_line(axes[1], 7, 0.92, "fast weights", "fast")
    return fig
