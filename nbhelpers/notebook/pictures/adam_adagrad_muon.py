"""Figures of the chapter *Adam, AdaGrad, Muon*.

Colours follow the length of the memory: momentum (ten steps) is warm, Muon (twenty) lies between, Adam (its sizes fade
over a thousand) is cool, both AdaGrads (for ever) are grey or black. Dashes tell them apart as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME = 4.6  # inches: a frame behind a slider fits a phone without scrolling
LOOKS = {
    "momentum": ("fast", "-"),
    "Muon": ("middle", (0, (6, 1.5))),
    "Adam": ("slow", "-"),
    "AdaGrad": ("frozen", (0, (3, 1.5))),
    "full AdaGrad": ("data", (0, (1, 1.2))),
}
MINUS = "\N{MINUS SIGN}"


def _frame(rows: int, height: float, **subplots: Any) -> tuple[Figure, Sequence[Axes]]:
    """Panels above each other with fixed margins, so that the frames of a slider do not jump."""
    margins = {"left": 0.14, "right": 0.97, "top": 0.94, "bottom": 0.09} | subplots.pop("margins", {})
    fig, axes = figure(rows, height=height, layout="none", gridspec_kw=margins, **subplots)
    fig.set_size_inches(FRAME, height)
    return fig, axes


def _narrow(made: tuple[Figure, Any]) -> tuple[Figure, Any]:
    """Give a figure the width of a frame, so that a phone shows its labels without scrolling."""
    made[0].set_size_inches(FRAME, made[0].get_size_inches()[1])
    return made


def first_combs(combs: Mapping[str, Any]) -> Figure:
    """The combs (32,) of the first step, each scaled to a largest tooth of one; equal ones share a line."""
    fig, ax = _narrow(figure(height=3.4))
    lines = {
        "the gradient itself:\nmomentum": ("momentum", (1.6, 0.0022)),
        "its signs:\nAdam, AdaGrad": ("Adam", (12.5, 0.055)),
        "flat: full AdaGrad": ("full AdaGrad", (19.5, 1.9)),
        "nearly flat: Muon": ("Muon", (10.5, 0.4)),
    }
    x = np.arange(1, len(combs["Adam"]) + 1)
    for text, (name, place) in lines.items():
        colour, dash = LOOKS[name]
        teeth = np.asarray(combs[name])
        ax.plot(x, teeth / teeth[0], ls=dash, color=COLOUR[colour], marker="o", ms=3)
        label_line(ax, *place, text, colour)
    ax.set(yscale="log", ylim=(3e-4, 3), xlim=(0, 33), xlabel="tooth", ylabel="singular value, largest = 1")
    ax.set_xticks([1, 8, 16, 24, 32])
    ax.set_yticks([0.001, 0.01, 0.1, 1], ["0.001", "0.01", "0.1", "1"])
    ax.minorticks_off()
    return fig


def combs(quiet: Mapping[str, Any], now: Mapping[str, Any]) -> Figure:
    """One comb for each optimizer: its steps (32, 64) undisturbed, pale, and now; lengths and directions compared."""
    fig, axes = _frame(len(now), 6.2, sharex=True, margins={"hspace": 0.62, "right": 0.96, "bottom": 0.075})
    x = np.arange(1, 33)
    for ax, name in zip(axes, now, strict=True):
        colour = COLOUR[LOOKS[name][0]]
        before, after = (torch.linalg.svdvals(steps[name]).numpy() for steps in (quiet, now))
        unit, floor = before[0], 1e-4
        ax.vlines(x, floor, before / unit, color=colour, lw=6, alpha=0.25)
        ax.vlines(x, floor, after / unit, color=colour, lw=2.4)
        longer = float(now[name].norm() / quiet[name].norm())
        cosine = float((now[name] * quiet[name]).sum() / now[name].norm() / quiet[name].norm())
        ax.set_title(name, color=colour, fontweight="bold", pad=3)
        ax.text(1, 1.06, _compared(longer, cosine), transform=ax.transAxes, ha="right", fontsize=9)
        ax.set(yscale="log", ylim=(floor, 5e3), xlim=(0.3, 32.7))
        ax.set_yticks([1e-3, 1, 1e3], ["0.001", "1", "1000"])
        ax.minorticks_off()
    axes[-1].set_xticks([1, 8, 16, 24, 32])
    axes[-1].set_xlabel("tooth (pale: no factor; its largest is 1)")
    return fig


def _compared(longer: float, cosine: float) -> str:
    length = f"{longer:.0f}" if longer >= 10 else f"{longer:.2g}"
    return f"length × {length}, cosine {cosine + 0.0:.2f}".replace("-", MINUS)


def ridge_lines(lines: Mapping[str, tuple[Any, float, float]]) -> Figure:
    """For each entry: past gradients, all at the height of the target, and the best line through the origin."""
    fig, axes = _narrow(figure(1, 2, height=2.9))
    for ax, (name, (gradients, target, slope)) in zip(axes, lines.items(), strict=True):
        g = np.asarray(gradients)
        edge = 1.1 * np.abs(g).max()
        ax.axhline(0, color=COLOUR["muted"], lw=0.8)
        ax.axvline(0, color=COLOUR["muted"], lw=0.8)
        ax.plot(g, np.full_like(g, target), "o", color=COLOUR["slow"], ms=4, alpha=0.45)
        ends = np.array([-edge, edge])
        ax.plot(ends, slope * ends, color=COLOUR["fast"], lw=2)
        ax.set(xlim=(-edge, edge), ylim=(-0.55 * target, 1.45 * target), yticks=[0, target])
        ax.set_yticklabels(["0", "target"])
        ax.set(title=name, xlabel="gradient")
        tick = float(f"{0.7 * edge:.0e}")  # one digit
        ax.set_xticks([-tick, 0, tick], [f"{MINUS}{tick:g}", "0", f"{tick:g}"])
    first = next(iter(lines.values()))
    edge = 1.1 * np.abs(np.asarray(first[0])).max()
    label_line(axes[0], -0.95 * edge, 1.16 * first[1], "wish", "slow")
    label_line(axes[0], -0.95 * edge, -0.35 * first[1], "answer", "fast")
    return fig


def newton_schulz(steps: int, iteration: str, curve: tuple[Any, Any], teeth: Any) -> Figure:
    """Where singular values from 0 to 1 go (curve: from, to), and the comb of a matrix after the same steps."""
    fig, (top, below) = _frame(2, 4.8, margins={"hspace": 0.38})
    start, end = curve
    top.axhline(1, color=COLOUR["ink"], lw=0.8, ls=":")
    top.plot(start, end, color=COLOUR["middle"], lw=1.8)
    top.set(xlim=(0, 1), ylim=(0, 1.3), xlabel="singular value at the start", ylabel="and now")
    top.set_title(f"{iteration}, {steps} step{'' if steps == 1 else 's'}")
    top.set_yticks([0, 0.5, 1])
    teeth = np.asarray(teeth)
    below.axhline(1, color=COLOUR["ink"], lw=0.8, ls=":")
    below.bar(np.arange(1, len(teeth) + 1), teeth, 0.6, color=COLOUR["middle"])
    below.set(xlim=(0.3, len(teeth) + 0.7), ylim=(0, 1.3), xlabel="tooth", ylabel="singular value")
    below.set_xticks([1, 8, 16, 24, 32])
    below.set_yticks([0, 0.5, 1])
    text = f"{(teeth > 0.5).sum()} teeth longer than 0.5"
    below.text(len(teeth), 1.22, text, ha="right", va="center", fontsize=9)
    return fig


def echoes(changes: Mapping[str, Any]) -> Figure:
    """Relative change of the step (steps, networks) after one loud gradient: thin networks, thick their median."""
    fig, ax = _narrow(figure(height=3.7))
    places = {
        "momentum": (1.25, 700),
        "Muon": (20, 0.5),
        "Adam": (1300, 0.42),
        "AdaGrad": (400, 1.55),
        "full AdaGrad": (4, 5.5),
    }
    for name, off in changes.items():
        colour, dash = LOOKS[name]
        n = np.unique(np.geomspace(1, len(off), 120).astype(int))
        change = np.asarray(off)[n - 1]
        ax.plot(n, change, color=COLOUR[colour], lw=0.5, alpha=0.3)
        ax.plot(n, np.median(change, axis=1), ls=dash, color=COLOUR[colour])
        label_line(ax, *places[name], name, colour)
    ax.axhline(0.1, color=COLOUR["ink"], lw=0.8, ls=":")
    ax.text(1.1, 0.075, "below this line: over it", fontsize=9, va="top")
    ax.set(xscale="log", yscale="log", xlim=(1, 16000), ylim=(0.02, 2000))
    ax.set(xlabel="steps since the loud gradient", ylabel="change of the step")
    ax.set_xticks([1, 10, 100, 1000, 10000], ["1", "10", "100", "1000", "10,000"])
    ax.set_yticks([0.1, 1, 10, 100, 1000], ["10 %", "its length", "10 ×", "100 ×", "1000 ×"])
    ax.minorticks_off()
    return fig


def contest(curves: Mapping[str, Mapping[str, Any]], every: int) -> Figure:
    """Recall (probes, seeds) of rare and of common classes by optimizer, medians thick."""
    fig, axes = _narrow(figure(2, height=5.2, sharex=True))
    for ax, which in zip(axes, ("rare", "common"), strict=True):
        ends = {}
        for name, parts in curves.items():
            colour, dash = LOOKS[name]
            values = 100 * np.asarray(parts[which])
            steps = every * np.arange(1, len(values) + 1)
            middle = np.median(values, axis=1)
            ax.plot(steps, values, color=COLOUR[colour], lw=0.5, alpha=0.3)
            ax.plot(steps, middle, ls=dash, color=COLOUR[colour])
            ends[name] = middle[-1]
        for name, y in _apart(ends, 0.068 * (100 if which == "rare" else 60)).items():
            label_line(ax, steps[-1] + 4, y, name, LOOKS[name][0])
        ax.set(title=f"{which} classes", ylabel="recall (%)", xlim=(0, steps[-1] * 1.4))
    axes[0].set_ylim(0, 100)
    axes[1].set_ylim(40, 102)
    axes[1].set_xlabel("step")
    axes[1].set_xticks(np.arange(0, steps[-1] + 1, 100))
    return fig


def _apart(places: Mapping[str, float], distance: float) -> dict[str, float]:
    """Move labels apart, in order, to at least a distance from one to the next; their mean stays."""
    order = sorted(places, key=places.get)
    moved = np.array([places[name] for name in order], dtype=float)
    for _ in range(200):
        for k in range(len(moved) - 1):
            short = distance - (moved[k + 1] - moved[k])
            if short > 0:
                moved[k] -= short / 2
                moved[k + 1] += short / 2
    return dict(zip(order, moved.tolist(), strict=True))


def next_to_the_goal(heights: Mapping[str, Any], early: int = 200) -> Figure:
    """Error above the bottom (steps + 1,) by optimizer on a log axis: the early steps above, all below."""
    fig, axes = _narrow(figure(2, height=5.6))
    looks = {  # line, and the places of its labels
        "momentum": ("fast", "-", (120, 8e-10), (1290, 1.4e-8)),
        "Adam, fresh": ("slow", "-", (40, 3e-2), (30, 2e-14)),
        "Adam with a memory": ("slow", (0, (1, 1.2)), (35, 2.2e-8), (900, 0.3)),
        "Muon, rate 0.01": ("middle", "-", (110, 6e-3), (100, 0.02)),
        "Muon, rate 0.001": ("middle", (0, (1, 1.2)), (110, 2e-5), None),
    }
    for name, (colour, dash, *places) in looks.items():
        found = np.asarray(heights[name])
        whole = np.arange(0, len(found), 4)  # enough for the eye
        for ax, n, place in zip(axes, (np.arange(early + 1), whole), places, strict=True):
            ax.plot(n, found[n], ls=dash, color=COLOUR[colour], lw=1.4)
            if place:
                label_line(ax, *place, name, colour)
    for ax, limits, low in zip(axes, (early, len(found) - 1), (1e-10, 1e-15), strict=True):
        ax.axhline(found[0], color=COLOUR["ink"], lw=0.8, ls=":")
        ax.set(yscale="log", xlim=(0, limits), ylim=(low, 10), ylabel="error above the bottom")
        ax.minorticks_off()
    axes[0].text(early - 2, found[0] * 0.7, "the start", fontsize=9, ha="right", va="top")
    axes[1].set_xlabel("step")
    return fig
