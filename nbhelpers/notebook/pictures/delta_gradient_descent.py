"""Figures of the chapter *Delta gradient descent*.

Gradient descent is drawn in the colour of the slow level, delta gradient descent in that of the fast one, in every
figure; what both are compared with is green or grey.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {  # rule -> colour, dash, name
    "gradient": ("slow", (0, (3, 1.5)), "gradient descent"),
    "normalised": ("good", (0, (1, 1.2)), "normalised"),
    "dgd": ("fast", "-", "DGD"),
    "given": ("middle", (0, (6, 2)), "DGD, value given"),
}
FRAME = 4.8  # inches: a figure of this width fits a phone without scrolling


def _frame(rows: int, height: float, **margins: float) -> tuple[Figure, Any]:
    """A figure for a slider, with margins that do not move from frame to frame."""
    box = {"left": 0.13, "right": 0.97, "bottom": 0.14, "top": 0.95} | margins
    fig, axes = figure(rows, height=height, layout="none", gridspec_kw=box)
    fig.set_size_inches(FRAME, height)
    return fig, axes


def _arrow(ax: Axes, start: float, end: float, y: float, colour: str) -> None:
    ax.annotate("", (end, y), (start, y), arrowprops={"arrowstyle": "-|>", "color": COLOUR[colour], "lw": 2})


def number_lines(answers: Sequence[float], target: float, share: float) -> Figure:
    """Three layers on a number line: the answer now, the correction, and where each rule moves the answer."""
    fig, ax = figure(height=3.6)
    fig.set_size_inches(FRAME, 3.6)
    for row, answer in enumerate(answers):
        y, correction = -1.6 * row, target - answer
        ax.plot([0, 1.05], [y, y], color=COLOUR["grid"], lw=1.2, zorder=0)
        ax.plot([target, target], [y - 0.25, y + 0.25], color=COLOUR["good"], lw=2.5)
        ax.plot(correction, y, "D", color=COLOUR["middle"], ms=8, mfc="none", mew=2)
        ax.plot(answer, y, "o", color=COLOUR["ink"], ms=8)
        _arrow(ax, answer, answer + share * correction, y + 0.42, "slow")
        towards = answer + share * (correction - answer)
        if abs(towards - answer) > 1e-9:
            _arrow(ax, answer, towards, y - 0.42, "fast")
        else:
            label_line(ax, answer, y - 0.5, "DGD stays", "fast", ha="center")
    label_line(ax, answers[0] - 0.02, 0.78, "gradient descent", "slow")
    label_line(ax, answers[0] - 0.02, -0.78, "DGD", "fast")
    label_line(ax, target - answers[0] - 0.02, -0.34, "correction", "middle", ha="right")
    label_line(ax, target + 0.02, 0.05, "right", "good")
    label_line(ax, answers[0] - 0.03, 0, "now", "ink", ha="right")
    ax.set(xlim=(-0.05, 1.17), ylim=(-3.95, 1.05), yticks=[], xlabel="answer")
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    return fig


def telling(runs: Mapping[str, Any]) -> Figure:
    """Answers (times told + 1,) by rule; each is labelled with where it ends, or with the fact that it does not."""
    fig, ax = _frame(1, 3.7, top=0.7)
    ax.axhline(1, color=COLOUR["good"], lw=0.9)
    ax.axhline(0.5, color=COLOUR["muted"], lw=0.9)
    for row, (name, run) in enumerate(runs.items()):
        colour, dash, words = LOOKS[name]
        run = np.asarray(run)
        swing = np.abs(np.diff(run))
        settled = swing[-3:].max() <= swing[:3].max()
        ends = f"after {len(run) - 1}: {run[-1]:.2f}" if settled else "flies apart"
        shown = np.where(np.abs(run - 0.5) < 6, run, np.nan)  # off the axis, a few steps are enough
        ax.plot(shown, ls=dash, color=COLOUR[colour], marker="o", ms=2.5, lw=1.6, clip_on=True)
        ax.plot(
            [0.02, 0.1], [1.34 - 0.1 * row] * 2, ls=dash, color=COLOUR[colour], transform=ax.transAxes, clip_on=False
        )
        label_line(ax, 0.13, 1.34 - 0.1 * row, f"{words}, {ends}", colour, transform=ax.transAxes)
    label_line(ax, 30.2, 1.13, "told", "good", ha="right")
    label_line(ax, 30.2, 0.36, "half", "muted", ha="right")
    ax.set(xlim=(-0.3, 30.5), ylim=(-0.45, 2.15), xlabel="times told", ylabel="answer")
    return fig


def sureness(sure: Mapping[str, Any], cap: float) -> Figure:
    """Probability of the right class against the number of times told, by rule, and the cap of equation (9)."""
    fig, ax = figure(height=3.1)
    fig.set_size_inches(FRAME, 3.1)
    for name, run in sure.items():
        colour, dash, words = LOOKS[name]
        run = np.asarray(run)
        times = np.unique(np.geomspace(1, len(run), 120).astype(int))
        ax.plot(times, run[times - 1], ls=dash, color=COLOUR[colour])
        label_line(ax, len(run) * 0.9, run[-1] - 0.08, words, colour, ha="right")
    ax.axhline(cap, color=COLOUR["muted"], lw=0.9, zorder=0)
    label_line(ax, len(run) * 0.9, cap + 0.06, f"never more than {cap:.0%}", "muted", ha="right")
    ax.set(xscale="log", ylim=(0, 1.03), xlabel="times told", ylabel="probability of its class")
    return fig


def streams(rows: Mapping[tuple[str, float], tuple[Any, float]]) -> Figure:
    """One row of digits for each stream (images, stay): the images (n, 64) and the mean cosine of neighbours."""
    fig, ax = figure(height=2.4)
    fig.set_size_inches(5.6, 2.4)
    for row, ((name, stay), (images, alike)) in enumerate(rows.items()):
        top = -1.18 * row - (0.35 if name == "centred" else 0)
        strip = np.full((8, 9 * len(images)), np.nan)
        for place, image in enumerate(np.asarray(images)):
            strip[:, 9 * place : 9 * place + 8] = image.reshape(8, 8)
        low, high = (-0.12, 1) if name == "raw" else (-0.8, 0.8)
        ax.imshow(strip, cmap="Greys", vmin=low, vmax=high, extent=(0, len(images), top - 1, top), interpolation="none")
        ax.text(-0.2, top - 0.5, f"{name}, stay {stay:g}", ha="right", va="center", fontsize=8.5)
        ax.text(len(images) + 0.15, top - 0.5, f"{round(alike, 2) + 0:.2f}", va="center", fontsize=9)
    ax.text(16.15, 0.3, "cosine", va="center", fontsize=9, color=COLOUR["muted"])
    ax.set(xlim=(-4.2, 17.9), ylim=(-7.4, 0.6), aspect="equal")
    ax.axis("off")
    return fig


def rate_curves(rates: Any, scores: Mapping[str, Any], at_best: Callable, rules: Sequence[str]) -> Figure:
    """Share right against the rate, one panel a yardstick: scores (streams, rules, rates), chosen rates marked."""
    fig, axes = _frame(2, 5.4, bottom=0.1, top=0.95, hspace=0.34)
    rates = np.asarray(rates)
    for ax, (yardstick, score) in zip(axes, scores.items(), strict=True):
        best, reported = at_best(score)
        for row, rule in enumerate(rules):
            colour, dash, words = LOOKS[rule]
            ax.plot(rates, 100 * np.asarray(score[5:, row].median(0).values), ls=dash, color=COLOUR[colour])
            median = 100 * float(reported[row].median())
            ax.plot(rates[int(best[row])], median, "o", color=COLOUR[colour], ms=7)
            label_line(
                ax, 0.985, 0.3 - 0.11 * row, f"{words} {median:.0f}%", colour, ha="right", transform=ax.transAxes
            )
        ax.set(xscale="log", ylim=(0, 102), ylabel="right (%)", title=yardstick)
    axes[1].set_xlabel("learning rate")
    return fig


def run_of_one(runs: Mapping[str, Sequence[Any]]) -> Figure:
    """By rule: other classes right and size of each write, both (seeds, steps), during a run of one class."""
    fig, (above, below) = figure(2, height=4.6, sharex=True)
    fig.set_size_inches(FRAME, 4.6)
    for name, (right, size) in runs.items():
        colour, dash, words = LOOKS[name]
        right, size = 100 * np.asarray(right), np.asarray(size)
        steps = np.arange(right.shape[1])
        for ax, part in ((above, right), (below, size)):
            ax.plot(steps, part.T, color=COLOUR[colour], lw=0.7, alpha=0.35)
            ax.plot(steps, np.median(part, 0), ls=dash, color=COLOUR[colour], lw=2)
        label_line(above, steps[-1] + 0.6, np.median(right[:, -1]), words, colour)
        label_line(below, steps[-1] + 0.6, np.median(size[:, -5:]), words, colour)
    above.set(ylabel="others right (%)", ylim=(40, 100))
    below.set(ylabel="size of the write", xlabel="digits of one class", xlim=(0, 55), yscale="log")
    return fig
