"""Figures of the chapter *Deep momentum, and the fair contest*.

Each optimizer has one colour, one dash and one name in every figure. Deep momentum is drawn in the colour of the fast
level, the momentum that it replaces in that of the slow one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {  # optimizer -> colour, dash, name
    "sgd": ("muted", (0, (1, 1.2)), "SGD"),
    "momentum": ("slow", (0, (3, 1.5)), "momentum"),
    "adamw": ("middle", (0, (6, 2)), "AdamW"),
    "muon": ("good", (0, (5, 1, 1, 1)), "Muon"),
    "dgd": ("bad", (0, (2, 2)), "DGD"),
    "delta_momentum": ("ink", "-", "delta momentum"),
    "deep_momentum": ("fast", "-", "deep momentum"),
    "looks_ahead": ("good", (0, (5, 1, 1, 1)), "told what came next"),
    "last": ("muted", (0, (1, 1.2)), "the last gradient"),
}
FRAME = 4.8  # inches: a figure of this width fits a phone without scrolling


def _frame(rows: int, height: float, **margins: float) -> tuple[Figure, Any]:
    """A figure for a slider, with margins that do not move from frame to frame."""
    box = {"left": 0.15, "right": 0.97, "bottom": 0.14, "top": 0.93} | margins
    fig, axes = figure(rows, height=height, layout="none", gridspec_kw=box)
    fig.set_size_inches(FRAME, height)
    return fig, axes


def _spread(heights: Sequence[float], apart: float) -> list[float]:
    """Heights moved upwards as little as needed to lie at least ``apart`` from each other, in their order."""
    order = np.argsort(heights)
    moved = np.array(heights, float)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + apart)
    return list(moved)


def _name_lines(ax: Axes, names: Sequence[str], heights: Sequence[float], apart: float) -> None:
    """Names to the right of the axes, at heights given as shares of the axis."""
    for name, height in zip(names, _spread(heights, apart), strict=True):
        colour, _, words = LOOKS[name]
        label_line(ax, 1.02, height, words, colour, transform=ax.transAxes, fontsize=8.5)


def tunes(periods: Sequence[int], cosines: Mapping[str, Sequence[float]]) -> Figure:
    """Cosine between what a memory answers and minus the next gradient, against the length of the tune."""
    fig, ax = figure(height=3.0)
    fig.set_size_inches(FRAME, 3.0)
    for name, values in cosines.items():
        colour, dash, _ = LOOKS[name]
        ax.plot(periods, values, ls=dash, color=COLOUR[colour], marker="o", ms=4)
    ax.axhline(0, color=COLOUR["muted"], lw=0.9)
    ax.set(xlabel="gradients in the tune", ylabel="agrees with the next one", ylim=(-0.3, 1.08), xticks=list(periods))
    _name_lines(ax, list(cosines), [(v[-1] + 0.3) / 1.38 for v in cosines.values()], 0.09)
    return fig


def valley(
    height: Callable[[Any], Any], paths: Mapping[str, tuple[Any, int, float]], span: tuple[float, float, float, float]
) -> Figure:
    """The landscape as contours of its logarithm, with one path (steps, 2) a rule, its steps and its rate."""
    import torch

    fig, ax = _frame(1, 4.3, top=0.82)
    x, y = np.linspace(span[0], span[1], 45), np.linspace(span[2], span[3], 45)
    grid = torch.tensor(np.stack(np.meshgrid(x, y), -1))
    ax.contour(
        x, y, np.log10(np.asarray(height(grid)) + 0.03), levels=7, colors=COLOUR["frozen"], linewidths=0.7, alpha=0.7
    )
    ax.plot(0, 0, "*", color=COLOUR["good"], ms=12)
    for row, (name, (path, steps, rate)) in enumerate(paths.items()):
        colour, dash, words = LOOKS[name]
        path = np.asarray(path)[: min(steps, 150) + 1]
        ax.plot(*path.T, ls=dash, color=COLOUR[colour], lw=1.3, marker="o", ms=1.8)
        found = f"{steps} steps" if steps < 2000 else "not in 2000 steps"
        label_line(ax, 0, 1.14 - 0.08 * row, f"{words}: {found}, rate {rate:.2g}", colour, transform=ax.transAxes)
    ax.plot(-3.5, 2, "s", color=COLOUR["ink"], ms=6)
    ax.set(xlim=span[:2], ylim=span[2:], xlabel="r", ylabel="θ")
    ax.grid(visible=False)
    return fig


def first_to_arrive(momentum: Any, others: Mapping[str, Any]) -> Figure:
    """Steps of the delta rules against those of momentum, one dot a landscape, both at their best rates."""
    fig, ax = figure(height=3.9)
    fig.set_size_inches(FRAME, 3.9)
    marks = iter((("ink", "o", "delta momentum"), ("fast", "^", "implicit form (ours)")))
    ax.plot([45, 2400], [45, 2400], color=COLOUR["muted"], lw=1)
    for (_, steps), (colour, mark, words) in zip(others.items(), marks, strict=True):
        ax.plot(momentum, steps, mark, color=COLOUR[colour], ms=6, mfc="none", mew=1.5)
        label_line(ax, 230, 125 if mark == "o" else 92, f"{'○' if mark == 'o' else '△'} {words}", colour)
    label_line(ax, 230, 62, "below: delta rule first", "muted")
    ax.set(xscale="log", yscale="log", xlim=(45, 2400), ylim=(45, 2400))
    ax.set(xlabel="momentum: steps to the bottom", ylabel="delta rule: steps")
    return fig


def answers_by_age(ages: Any, cosines: Mapping[str, Any]) -> Figure:
    """Cosine of a memory's answer with minus the gradient of another step, against that step's distance in time."""
    fig, ax = figure(height=3.2)
    fig.set_size_inches(FRAME, 3.2)
    ages = np.asarray(ages)
    for name, values in cosines.items():
        colour, dash, _ = LOOKS[name]
        ax.plot(ages, np.asarray(values), ls=dash, color=COLOUR[colour], marker="o", ms=2.5, lw=1.4)
    ax.axhline(0, color=COLOUR["muted"], lw=0.9)
    ax.axvspan(0.5, ages[-1] + 0.5, color=COLOUR["panel"], zorder=0)
    label_line(ax, 0.75, 0.93, "to come", "muted", fontsize=9)
    label_line(ax, -0.3, 0.93, "told already", "muted", fontsize=9, ha="right")
    for name, place in zip(cosines, ((-19.5, 0.74), (-19.5, 0.6), (-19.5, 0.46)), strict=False):
        colour, _, words = LOOKS[name]
        label_line(ax, *place, words, colour)
    ax.set(
        xlabel="gradient, counted from the newest", ylabel="agreement", ylim=(-0.3, 1.02), xlim=(-20, ages[-1] + 0.5)
    )
    return fig


def two_grids(rates: Any, losses: Mapping[str, Any]) -> Figure:
    """Validation loss (rates, seeds) against the rate, for two sets of features; the coarse grid is ringed."""
    fig, ax = figure(height=3.3)
    fig.set_size_inches(FRAME, 3.3)
    looks = (("slow", (0, (3, 1.5))), ("fast", "-"))
    for (words, loss), (colour, dash), at in zip(losses.items(), looks, (0.14, 0.86), strict=True):
        loss = np.asarray(loss)
        mean = loss.mean(1)
        ax.plot(rates, loss, color=COLOUR[colour], lw=0.6, alpha=0.4)
        ax.plot(rates, mean, ls=dash, color=COLOUR[colour], lw=2, marker="o", ms=3)
        ax.plot(rates[::2], mean[::2], "o", color=COLOUR[colour], ms=9, mfc="none", mew=1.5)
        label_line(ax, at, 0.93, words, colour, transform=ax.transAxes, ha="left" if at < 0.5 else "right")
    ax.set(xscale="log", ylim=(0.09, 0.3), xlim=(1.3e-4, 2.4e-3), xlabel="learning rate", ylabel="validation loss")
    ax.set_xticks([2e-4, 5e-4, 1e-3, 2e-3], ["0.0002", "0.0005", "0.001", "0.002"])
    ax.minorticks_off()
    return fig


def tuning(tried: Mapping[str, Mapping[float, float]], best: Mapping[str, float], measure: str, top: float) -> Figure:
    """All trials of a contest: the score against the rate, one line an optimizer; the chosen trial is a large dot."""
    fig, ax = _frame(1, 3.6, right=0.68, top=0.97)
    low = min(min(scores.values()) for scores in tried.values())
    for place, (name, scores) in enumerate(tried.items()):
        colour, dash, words = LOOKS[name]
        rates = np.array(sorted(scores))
        values = np.array([scores[rate] for rate in rates])
        values[~(values < 3 * top)] = np.nan
        ax.plot(rates, values, ls=dash, color=COLOUR[colour], lw=1.4, marker="o", ms=2.5)
        ax.plot(best[name], scores[best[name]], "o", color=COLOUR[colour], ms=8)
        height = 0.93 - 0.13 * place
        ax.plot([1.03, 1.11], [height] * 2, ls=dash, color=COLOUR[colour], transform=ax.transAxes, clip_on=False)
        label_line(ax, 1.13, height, words, colour, transform=ax.transAxes, fontsize=8)
    ax.set(xscale="log", yscale="log", ylim=(low * 0.85, top), xlabel="learning rate", ylabel=measure)
    _plain_log(ax)
    return fig


def scoreboard(
    scores: Mapping[str, Sequence[float]],
    notes: Mapping[str, str],
    measure: str,
    heading: str,
    limits: tuple[float, float],
) -> Figure:
    """Optimizers in the order of their mean test loss, a ring a seed; ``notes`` stand at the right."""
    fig, ax = _frame(1, 4.0, left=0.46, right=0.75, top=0.86, bottom=0.13)
    order = sorted(scores, key=lambda name: np.mean(scores[name]))
    for place, name in enumerate(order):
        colour, _, words = LOOKS[name]
        values, mean = np.asarray(scores[name]), np.mean(scores[name])
        ax.axhline(-place, color=COLOUR["grid"], lw=0.8, zorder=0)
        if mean < limits[1]:
            ax.plot(values, [-place] * len(values), "o", color=COLOUR[colour], ms=6, mfc="none", mew=1.2)
            ax.plot([mean, mean], [-place - 0.3, -place + 0.3], color=COLOUR[colour], lw=2.5)
        else:
            label_line(ax, 0.97, -place, "off the board →", colour, transform=ax.get_yaxis_transform(), ha="right")
        across = ax.get_yaxis_transform()
        label_line(ax, -0.58, -place, f"{place + 1}. {words}", colour, transform=across, ha="right", fontsize=8.5)
        label_line(ax, -0.03, -place, f"{mean:#.3g}", colour, transform=across, ha="right", fontsize=8.5)
        ax.text(1.04, -place, notes[name], transform=across, va="center", fontsize=7.5, linespacing=1.1)
    label_line(ax, -1.55, 1.1, heading, "ink", transform=ax.transAxes, fontsize=11)
    ax.set(xlim=limits, ylim=(-len(order) + 0.4, 0.6), yticks=[], xlabel=measure)
    ax.locator_params(axis="x", nbins=4)
    ax.spines["left"].set_visible(False)
    return fig


def _plain_log(ax: Axes) -> None:
    """Ticks at 1, 2, 5 of every decade of a logarithmic height, written as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 200 * low else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def curves(runs: Mapping[str, tuple[Any, Any, float]], measure: str, limits: tuple[float, float]) -> Figure:
    """Validation loss against steps (above) and seconds (below): by optimizer steps (T,), losses (seeds, T), cost."""
    fig, axes = figure(2, height=5.6)
    fig.set_size_inches(5.6, 5.6)
    end = min(steps[-1] * cost for steps, _, cost in runs.values())
    for ax, seconds in zip(axes, (False, True), strict=True):
        last = {}
        for name, (steps, losses, cost) in runs.items():
            colour, dash, _ = LOOKS[name]
            x, mean = np.asarray(steps) * (cost if seconds else 1), np.asarray(losses).mean(0)
            inside = x <= (end * 1.001 if seconds else np.inf)
            ax.plot(x[inside], mean[inside], ls=dash, color=COLOUR[colour], lw=1.5)
            last[name] = mean[inside][-1] if inside.any() else limits[1]
        ax.set(yscale="log", ylim=limits, ylabel=measure, xlabel="seconds of processor time" if seconds else "steps")
        _plain_log(ax)
        low, high = np.log(limits)
        _name_lines(ax, list(last), [(np.log(min(v, limits[1])) - low) / (high - low) for v in last.values()], 0.085)
    return fig
