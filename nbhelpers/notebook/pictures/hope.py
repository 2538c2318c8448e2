"""Figures of the chapter *HOPE*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from nbhelpers.notebook.figures import COLOUR, figure, label_line
from nbhelpers.notebook.pictures.paper import sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {
    "HOPE": ("fast", "D"),
    "Titans": ("good", "^"),
    "Mamba-2": ("slow", "s"),
    "Gated DeltaNet": ("frozen", "o"),
    "Transformer": ("middle", "v"),
    "HOPE-Attention": ("bad", "X"),
}
PARTS = (("fade", "slow", ":"), ("erase", "middle", "--"), ("ask", "fast", "-"), ("whole step", "ink", "-"))


def block() -> Figure:
    """One block of HOPE, from the stream that enters below to the one that leaves above."""
    fig, ax = sheet(20, 17.5, inches=4.8)
    rows = [
        (1.6, "fast", "self-modifying memory", "changes with every token", "one a text"),
        (5.6, "fast", "fast block", "every step of training", "one for all texts"),
        (9.6, "middle", "middle block", "every 4 steps", "one for all texts"),
        (13.6, "slow", "slow block", "every 16 steps", "one for all texts"),
    ]
    stream = 1.2
    ax.annotate("", (stream, 17.3), (stream, 0.2), arrowprops={"arrowstyle": "-|>", "color": COLOUR["ink"], "lw": 1.6})
    ax.text(stream + 0.4, 0.5, "the stream of one token", va="center", fontsize=9, color=COLOUR["muted"])
    for y, colour, name, when, whose in rows:
        ax.fill_between([3.6, 19.4], y, y + 2.9, color=COLOUR["panel"], lw=0)
        ax.plot([3.6, 19.4, 19.4, 3.6, 3.6], [y, y, y + 2.9, y + 2.9, y], color=COLOUR[colour], lw=1.3)
        ax.text(4.2, y + 2.05, name, color=COLOUR[colour], fontweight="bold", fontsize=11, va="center")
        ax.text(4.2, y + 0.85, f"{when}; {whose}", fontsize=9.5, va="center")
        ax.annotate("", (3.5, y + 0.7), (stream, y + 0.7), arrowprops={"arrowstyle": "-|>", "color": COLOUR["muted"]})
        ax.annotate("", (stream, y + 2.2), (3.5, y + 2.2), arrowprops={"arrowstyle": "-|>", "color": COLOUR["muted"]})
        ax.text(2.4, y + 1.15, "norm", ha="center", fontsize=8, color=COLOUR["muted"])
        ax.text(2.4, y + 2.5, "add", ha="center", fontsize=8, color=COLOUR["muted"])
    return fig


def sizes(hope: Mapping[int, int], cache: Mapping[int, int], crossing: int) -> Figure:
    """Numbers that one text holds, in thousands, against tokens read."""
    fig, ax = figure(height=3.0)
    for held, colour in ((hope, "fast"), (cache, "middle")):
        ax.plot(list(held), np.array(list(held.values())) / 1e3, color=COLOUR[colour], lw=2)
    ax.axvline(crossing, color=COLOUR["muted"], lw=0.8, ls=":")
    last, top = max(cache), max(cache.values()) / 1e3
    label_line(ax, crossing + 0.02 * last, 0.9 * top, f"{crossing} tokens", "muted", fontweight="normal")
    label_line(ax, 0.6 * last, 0.68 * top, "attention's cache", "middle", ha="right")
    label_line(ax, 0.97 * last, max(hope.values()) / 1e3 + 0.06 * top, "HOPE", "fast", ha="right")
    ax.set(xlabel="tokens read", ylabel="numbers held (thousands)", xlim=(0, 1.02 * last), ylim=(0, 1.05 * top))
    return fig


def steps(lengths: Any, words: Sequence[str], memories: Sequence[str]) -> Figure:
    """Lengths of fade, erase, request and whole step, (tokens, 4, memories), one panel a memory."""
    lengths = np.asarray(lengths, dtype=float)
    fig, axes = figure(len(memories), height=7.2, sharex=True, sharey=True)
    top = lengths.max()
    for place, (ax, name) in enumerate(zip(axes, memories, strict=True)):
        for part, (_, colour, dash) in enumerate(PARTS):
            width = 2.2 if part == 3 else 1.4
            ax.plot(lengths[:, part, place], color=COLOUR[colour], ls=dash, lw=width, alpha=0.5 if part == 3 else 1)
        ax.set_title(name, fontsize=9.5, pad=2)
        ax.set(ylim=(0, 1.08 * top), xlim=(-0.5, len(words) - 0.5))
        ax.yaxis.set_major_locator(MaxNLocator(3))
        ax.grid(axis="x", visible=False)
    for part, (name, colour, _) in enumerate(PARTS):
        x = (0.2, 0.34, 0.5, 0.64)[part] * len(words)
        axes[0].text(x, 1.18 * top, name, color=COLOUR[colour], fontsize=9, fontweight="bold")
    axes[-1].set_xticks(range(len(words)), [word.strip() or "·" for word in words], rotation=90, fontsize=8)
    axes[len(memories) // 2].set_ylabel("length of the step")
    return fig


def rivals(scores: Mapping[str, Any]) -> Figure:
    """Bits per byte by family: a dot a seed, a line from the lowest to the highest, a bar at the mean."""
    fig, ax = figure(height=3.0)
    for place, (name, values) in enumerate(scores.items()):
        colour, marker = LOOKS[name]
        values = np.asarray(values, dtype=float)
        ax.hlines(-place, values.min(), values.max(), color=COLOUR[colour], lw=1.4)
        ax.plot(values, np.full(len(values), -place), marker, color=COLOUR[colour], ms=6)
        ax.plot(values.mean(), -place, "|", color=COLOUR["ink"], ms=14, mew=1.6)
    ax.set_yticks(-np.arange(len(scores)), list(scores))
    ax.set(xlabel="bits per byte of test text", ylim=(-len(scores) + 0.4, 0.6))
    return fig


def live(curves: Mapping[str, Any], guess: float) -> Figure:
    """Training curves, a line a seed, (seeds, steps) by family, and the entropy of a guess by frequency."""
    fig, ax = figure(height=3.2)
    for name, lines in curves.items():
        lines, colour = np.asarray(lines, dtype=float), LOOKS[name][0]
        for line in lines:
            ax.plot(np.arange(1, len(line) + 1), line, color=COLOUR[colour], lw=1, alpha=0.8)
        count = len(lines[0])
        label_line(ax, 1.02 * count, lines[:, -5:].mean(), name, colour)
    ax.axhline(guess, color=COLOUR["muted"], lw=1, ls=":")
    ax.text(1, guess - 0.08, "guess by frequency", color=COLOUR["muted"], va="top", fontsize=9)
    ax.set(xlabel="step of training", ylabel="bits per byte", xlim=(0, 1.3 * count))
    return fig


def choices(costs: Mapping[str, tuple[float, float]]) -> Figure:
    """By variant: the mean cost against the whole, in bits per byte, and the half-width of its bar."""
    fig, ax = figure(height=0.6 + 0.3 * len(costs))
    for place, (mean, half) in enumerate(costs.values()):
        clear = abs(mean) > half
        colour = COLOUR["bad" if mean > 0 else "good"] if clear else COLOUR["frozen"]
        ax.hlines(-place, mean - half, mean + half, color=colour, lw=2.4)
        ax.plot(mean, -place, "o" if clear else "s", color=colour, ms=6, mfc=colour if clear else COLOUR["paper"])
    ax.axvline(0, color=COLOUR["ink"], lw=1)
    ax.set_yticks(-np.arange(len(costs)), list(costs))
    ax.set(xlabel="bits per byte more than the whole", ylim=(-len(costs) + 0.4, 0.6))
    return fig
