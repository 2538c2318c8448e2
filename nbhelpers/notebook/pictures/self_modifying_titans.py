"""Figures of the chapter *Self-modifying Titans*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.notebook.figures import COLOUR, figure, label_line
from nbhelpers.notebook.pictures.paper import sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Arms of nbhelpers.training.small_memories, as the page calls them.
ARMS = {
    "attention": "attention",
    "gated_delta": "gated delta rule",
    "titans": "Titans",
    "single_erase": "single erase",
    "double_erase": "double erase",
    "static": "own targets",
    "keys": "own + keys",
    "values": "own + values",
    "rates": "own + rates",
    "all": "all of them",
}


def who_makes_what() -> Figure:
    """Above, fixed tables make key, value and rates for one memory; below, memories make them, all rewritten."""
    fig, ax = sheet(20, 17, inches=4.6)
    rows = ((9.4, "so far: fixed tables", "slow"), (0.6, "self-modifying: five memories", "fast"))
    for low, title, colour in rows:
        ax.text(0.4, low + 6.9, title, fontweight="bold", fontsize=11, va="center", color=COLOUR[colour])
        for x, name, says in zip((0.4, 4.3, 8.2, 12.1), ("key", "value", "rate", "retention"), "kvηα", strict=True):
            letter = f"${says}$" if says in "kv" else says
            _box(ax, x, low + 3.6, 3.5, 2.3, colour, name)
            ax.annotate(
                "",
                (x + 1.75, low + 2.3),
                (x + 1.75, low + 3.5),
                arrowprops={"arrowstyle": "-|>", "color": COLOUR["muted"]},
            )
            ax.text(x + 2.1, low + 2.9, letter, va="center", fontsize=10)
        _box(ax, 0.4, low, 15.2, 2.2, "fast", "main memory $M$")
        ax.annotate("", (18.4, low + 1.1), (15.7, low + 1.1), arrowprops={"arrowstyle": "-|>", "color": COLOUR["fast"]})
        ax.text(18.5, low + 1.9, "answer", ha="right", va="center", color=COLOUR["fast"], fontweight="bold", fontsize=9)
    ax.annotate(
        "",
        (15.7, 5.4),
        (15.7, 2.4),
        arrowprops={"arrowstyle": "-|>", "color": COLOUR["fast"], "connectionstyle": "arc3,rad=0.9", "lw": 1.6},
    )
    ax.text(17.2, 4.4, "each\ntoken\nrewrites\nall five", va="center", fontsize=9, color=COLOUR["fast"])
    return fig


def _box(ax: Axes, x: float, y: float, width: float, height: float, colour: str, name: str) -> None:
    ax.fill_between([x, x + width], y, y + height, color=COLOUR["panel"], lw=0)
    ax.plot([x, x, x + width, x + width, x], [y, y + height, y + height, y, y], color=COLOUR[colour], lw=1.3)
    ax.text(x + width / 2, y + height / 2, name, ha="center", va="center", fontsize=9.5, fontweight="bold")


def told_often(curves: Mapping[str, Sequence[float]]) -> Figure:
    """How long the answer to one key is, after each time it was told."""
    fig, ax = figure(height=2.9)
    looks = {"delta rule": ("good", "--"), "dot product": ("slow", ":"), "squared error": ("fast", "-")}
    for name, curve in curves.items():
        colour, dash = looks[name]
        ax.plot(range(len(curve)), curve, ls=dash, color=COLOUR[colour], lw=2.2)
    label_line(ax, 13, 1.05, "delta rule and dot product", "good")
    label_line(ax, 13, 0.42, "squared error: half", "fast")
    ax.axhline(1, color=COLOUR["muted"], lw=0.8, ls=":")
    ax.set(xlabel="times told", ylabel="answer / value", ylim=(0, 1.12), xlim=(0, 25))
    return fig


def targets(curves: Mapping[str, Mapping[str, Any]], every: int) -> Figure:
    """What is left of the targets, by kind of pairs (panels) and by whether gradients pass (lines, one a seed).

    Of the arms of a kind the two that ``looks`` names are drawn.
    """
    fig, axes = figure(len(curves), height=5.4, sharex=True)
    looks = {"constants": ("good", "-"), "gradient passes": ("bad", "--")}
    for ax, (kind, lines) in zip(axes, curves.items(), strict=True):
        for name, (colour, dash) in looks.items():
            rows = np.asarray(lines[name], dtype=float)
            ax.plot(np.arange(rows.shape[1]) * every, rows.T, ls=dash, color=COLOUR[colour], lw=1.2)
        ax.set(title=kind, ylim=(-0.05, 1.75), ylabel="left")
    label_line(axes[0], 150, 1.2, "targets are constants", "good")
    label_line(axes[0], 90, 0.3, "gradient passes through targets", "bad")
    axes[-1].set(xlabel="tokens")
    return fig


def around(name: str, told: Any, untold: Any, turn: int) -> Figure:
    """Right answers by step around the swap: names told, and names not told since; (seeds, steps) each."""
    fig, ax = figure(height=2.8)
    for rows, colour, dash in ((told, "fast", "-"), (untold, "slow", "--")):
        rows = 100 * np.array([[np.nan if x is None else x for x in row] for row in rows])
        steps = np.arange(1, rows.shape[1] + 1)
        ax.plot(steps, rows.T, ls=dash, color=COLOUR[colour], lw=0.8, alpha=0.6)
        ax.plot(steps, rows.mean(0), ls=dash, color=COLOUR[colour], lw=2.4)
    ax.axvline(turn + 0.5, color=COLOUR["muted"], lw=0.9, ls=":")
    ax.axhline(50, color=COLOUR["muted"], lw=0.9, ls=":")
    ax.text(turn + 0.3, 3, "swap", ha="right", color=COLOUR["muted"], fontsize=9)
    label_line(ax, 2.2, 12, "all names told", "fast")
    label_line(ax, 30, 12, "not told since", "slow", ha="right")
    ax.set(title=name, xlabel="step", ylabel="right (%)", ylim=(0, 104), xlim=(1, 30.5))
    return fig


def board(results: Mapping[str, Mapping[str, Any]], measures: Mapping[str, tuple[str, str]], label: str) -> Figure:
    """Right answers of each arm, several measures (name → colour, mark): seeds small, their median large."""
    fig, ax = figure(height=0.8 + 0.36 * len(results))
    for place, test in enumerate(results.values()):
        for shift, (name, (colour, mark)) in enumerate(measures.items()):
            row, y = 100 * np.asarray(test[name]), -place - 0.2 * (shift - (len(measures) - 1) / 2)
            ax.plot(row, np.full(len(row), y), mark, color=COLOUR[colour], ms=3.5, alpha=0.5)
            ax.plot(np.median(row), y, mark, color=COLOUR[colour], ms=7, label=name if place == 0 else None)
    ax.axvline(50, color=COLOUR["muted"], lw=0.9, ls=":")
    ax.set_yticks(-np.arange(len(results)), [ARMS[name] for name in results])
    ax.set(xlabel=label, xlim=(-2, 103), ylim=(-len(results) + 0.4, 0.6))
    fig.legend(loc="outside upper left", ncols=len(measures), fontsize=9)
    return fig


def turning(angles: Sequence[float], sizes: Mapping[int, Sequence[float]], single: Sequence[float]) -> Figure:
    """What one chunk multiplies the memory by, against how far its keys turn; by chunk size, and with one token."""
    fig, ax = figure(height=3.0)
    for (size, line), colour in zip(sizes.items(), ("middle", "fast"), strict=True):
        ax.plot(angles, line, color=COLOUR[colour])
        best = int(np.argmax(line))
        label_line(ax, angles[best], max(line) + 0.16, f"chunks of {size}", colour, ha="center")
    ax.plot(angles, single, color=COLOUR["good"], ls="--")
    label_line(ax, 180, 0.75, "gradient at each token", "good", ha="center")
    ax.set(xlabel="turn of the keys in a chunk (degrees)", ylabel="largest growth", ylim=(0, 3.4))
    ax.set_xticks(range(0, 361, 60))
    return fig
