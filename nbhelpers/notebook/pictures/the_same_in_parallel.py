"""Figures of the chapter *The same in parallel*.

Two colours throughout: what is computed at once inside a chunk is orange, what passes through the carried memory blue.
The loop is red, attention purple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.notebook.figures import COLOUR, figure, label_line
from nbhelpers.notebook.pictures.paper import sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HALF = (0.25, 0.75)  # bars of what is measured live, where one round of many may meet a busy machine
SMALLEST = {"single precision ends": 2.0**-149, "half precision ends": 2.0**-24}  # the smallest number above zero


def two_ways(tokens: int = 12, size: int = 4) -> Figure:
    """A chain of one memory a token, and a chain of one memory a chunk."""
    fig, ax = sheet(20, 11.6, inches=4.6)
    step = 18.4 / tokens
    ax.text(0.6, 10.9, f"the loop: {tokens} tokens, {tokens} small steps in a row", va="center", color=COLOUR["bad"])
    ax.text(0.6, 5.1, f"chunks of {size}: {tokens // size} larger steps", va="center", color=COLOUR["fast"])
    for t in range(tokens):
        x = 0.8 + step * (t + 0.5)
        _square(ax, x - 0.5, 8.9, 1.0, "bad")
        if t + 1 < tokens:
            _arrow(ax, x + 0.5, x + step - 0.5, 9.4, "bad")
        for y in (7.4, 0.7):
            ax.text(x, y, str(t + 1), ha="center", va="center", fontsize=8, color=COLOUR["muted"])
        ax.plot([x, x], [7.8, 8.8], color=COLOUR["muted"], lw=0.8)
    for c in range(tokens // size):
        left, width = 0.8 + step * size * c, step * size
        ax.fill_between([left + 0.3, left + width - 0.3], 1.3, 4.2, color=COLOUR["panel"], lw=0)
        _stairs(ax, left + 1.0, 1.6, 2.3, size, "fast")
        ax.text(left + 3.5, 2.75, "at\nonce", va="center", fontsize=9, color=COLOUR["fast"])
        if c + 1 < tokens // size:
            _arrow(ax, left + width - 0.9, left + width + 0.9, 2.75, "slow")
    return fig


def _square(ax: Axes, x: float, y: float, side: float, colour: str) -> None:
    ax.fill([x, x + side, x + side, x], [y, y, y + side, y + side], color=COLOUR[colour], lw=0)


def _arrow(ax: Axes, start: float, stop: float, y: float, colour: str) -> None:
    ax.annotate("", (stop, y), (start, y), arrowprops={"arrowstyle": "-|>", "color": COLOUR[colour], "shrinkA": 0,
                                                       "shrinkB": 0})  # fmt: skip


def _stairs(ax: Axes, left: float, low: float, side: float, count: int, colour: str) -> None:
    """The entries on and below the diagonal of a square table with its lower left corner at (left, low)."""
    cell = side / count
    xs, ys = [left], [low]
    for place in range(count, 0, -1):
        xs += [left + place * cell] * 2
        ys += [low + (count - place) * cell, low + (count - place + 1) * cell]
    xs.append(left)
    ys.append(low + side)
    ax.fill(xs, ys, color=COLOUR[colour], lw=0)


def blocks(length: int, size: int, counts: Mapping[str, float]) -> Figure:
    """Which pairs of reader and writer are computed inside chunks, which pass through the memory, and what it costs.

    ``counts`` holds multiplications under "blocks", "state", "loop" and "attention".
    """
    fig, ax = sheet(20, 13.4, inches=4.6)
    left, low, side = 1.2, 2.4, 9.6
    cell = side / length
    for start in range(0, length, size):
        top = low + side - start * cell
        if start:
            xs, ys = [left, left + start * cell], [top - size * cell, top]
            ax.fill_between(xs, *ys, color=COLOUR["slow"], alpha=0.35, lw=0)
            ax.plot(xs, [ys[1]] * 2, color=COLOUR["slow"], lw=0.7)
        _stairs(ax, left + start * cell, top - size * cell, size * cell, size, "fast")
    frame = [left, left + side, left + side, left, left], [low, low, low + side, low + side, low]
    ax.plot(*frame, color=COLOUR["muted"], lw=0.8)
    ax.text(left + side / 2, low + side + 0.6, "token that wrote", ha="center", va="center", color=COLOUR["muted"])
    ax.text(
        left - 0.6, low + side / 2, "token that reads", rotation=90, va="center", ha="center", color=COLOUR["muted"]
    )
    for start in range(0, length, size):  # one box a step, along the time that the steps take
        x = left + start * cell
        ax.plot([x + 0.04, x + size * cell - 0.04], [1.5, 1.5], color=COLOUR["slow"], lw=5, solid_capstyle="butt")
    steps = length // size
    says = f"{steps} steps, one after the other" if steps > 1 else "1 step"
    ax.text(left, 0.6, says, va="center", color=COLOUR["slow"], fontweight="bold")

    whole = counts["blocks"] + counts["state"]
    rows = [
        ("multiplications", "ink", None),
        ("inside chunks", "fast", counts["blocks"]),
        ("through the memory", "slow", counts["state"]),
        ("together", "ink", whole),
        ("the loop", "bad", counts["loop"]),
        ("attention", "middle", counts["attention"]),
    ]
    most = max(whole, counts["attention"], counts["loop"])
    for place, (name, colour, number) in enumerate(rows):
        y = 11.5 - 1.75 * place
        says = name if number is None else f"{name}: {number:,.0f}"
        ax.text(11.5, y, says, va="center", fontsize=9, color=COLOUR[colour], fontweight="bold")
        if number:
            ax.plot([11.5, 11.5 + 7.9 * number / most], [y - 0.7] * 2, color=COLOUR[colour], lw=4,
                    solid_capstyle="butt")  # fmt: skip
    return fig


def grouped(sizes: Sequence[int], times: Any) -> Figure:
    """Time a vector against how many vectors are multiplied at once: (rounds, sizes) in seconds."""
    fig, ax = figure(height=2.9)
    times = 1e6 * np.asarray(times)
    _spread(ax, sizes, times, "fast", "o", HALF)
    ax.set(xscale="log", yscale="log", xlabel="vectors in one product", ylabel="microseconds a vector")
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.minorticks_off()
    return fig


def by_chunk_size(sizes: Sequence[int], chunks: Any, loop: Any, curve: Any, best: float) -> Figure:
    """Time a token of the chunk form against the chunk size, with the loop and a two-number model: seconds.

    ``chunks`` is (rounds, sizes), ``loop`` (rounds,), ``curve`` (sizes,); ``best`` is where the model is least.
    """
    fig, ax = figure(height=3.5)
    chunks, loop, curve = (1e6 * np.asarray(x) for x in (chunks, loop, curve))
    ax.axhspan(*np.quantile(loop, HALF), color=COLOUR["bad"], alpha=0.25, lw=0)
    ax.axhline(np.median(loop), color=COLOUR["bad"], lw=1.4)
    ax.plot(sizes, curve, color=COLOUR["muted"], ls="--", lw=1.2)
    ax.axvline(best, color=COLOUR["muted"], lw=0.8, ls=":")
    _spread(ax, sizes, chunks, "fast", "D", HALF)
    label_line(ax, sizes[-1], np.median(loop) * 1.18, "the loop", "bad", ha="right", va="bottom")
    label_line(ax, sizes[0] * 1.25, np.median(chunks[:, 0]), "chunks", "fast")
    label_line(ax, best, chunks.min() * 0.62, "computed best", "muted", ha="center")
    ax.set(xscale="log", yscale="log", xlabel="tokens in a chunk", ylabel="microseconds a token")
    ax.set_ylim(bottom=chunks.min() * 0.5)
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.minorticks_off()
    return fig


def _spread(ax: Axes, xs: Sequence[float], rows: Any, colour: str, marker: str, share: Any = (0, 1)) -> None:
    """The median over rounds as a line, and bars between two quantiles, by default least to most: (rounds, xs)."""
    rows = np.asarray(rows)
    ax.vlines(xs, *np.quantile(rows, share, axis=0), color=COLOUR[colour], lw=1.6)
    ax.plot(xs, np.median(rows, 0), marker, ls="-", color=COLOUR[colour], ms=5, lw=1.4)


def recorded(gains: Mapping[int, Any], lengths: Sequence[int], shares: Any, sizes: Sequence[int], against: Any,
             long: Sequence[int]) -> Figure:  # fmt: skip
    """Three recorded measurements, (rounds, …) each: gain over the loop by width, share of the machine's best by chunk
    size, time over that of attention by length."""
    fig, (top, middle, below) = figure(3, height=8.4)
    looks = {
        width: (colour, mark) for width, colour, mark in zip(gains, ("fast", "middle", "slow"), "Ds^", strict=True)
    }
    for width, rows in gains.items():
        colour, marker = looks[width]
        _spread(top, lengths, rows, colour, marker)
        label_line(top, lengths[-1] * 1.06, np.median(np.asarray(rows)[:, -1]), f"width {width}", colour)
    top.set(xscale="log", yscale="log", xlim=(lengths[0] * 0.9, lengths[-1] * 1.6), xlabel="length of each sequence")
    top.set(title="how many times faster than the loop", ylabel="times")
    top.set_yticks([2, 5, 10], ["2", "5", "10"])
    _spread(middle, sizes, 100 * np.asarray(shares), "fast", "D")
    middle.set(xscale="log", ylim=(0, None), xlabel="tokens in a chunk", ylabel="%")
    middle.set_title("multiplications a second, in % of one large product")
    _spread(below, long, against, "fast", "D")
    below.axhline(1, color=COLOUR["middle"], lw=1.4)
    label_line(below, long[0], 1.12, "attention", "middle", va="bottom")
    below.set(xscale="log", yscale="log", xlabel="tokens in the sequence", ylabel="times")
    below.set_title("time of the chunk form over that of attention")
    for ax, ticks in ((top, lengths), (middle, sizes), (below, long)):
        ax.set_xticks(ticks, [str(n) for n in ticks])
        ax.minorticks_off()
    return fig


def fading_products(logs: Mapping[str, Any]) -> Figure:
    """Base-10 logarithm of what is left of the chunk's start, token by token, for a few heads: (tokens,) each."""
    fig, ax = figure(height=3.6)
    count = 0
    for name, line in logs.items():
        line = np.asarray(line)
        count = len(line)
        quick = line[-1] < -10
        ax.plot(np.arange(1, count + 1), line, color=COLOUR["fast" if quick else "slow"], lw=1.5)
        if quick:
            label_line(ax, count * 1.01, line[-1] + 2, name, "fast")
    label_line(ax, count * 1.01, -2, "the other heads", "slow")
    for (name, number), (x, ha) in zip(SMALLEST.items(), ((2, "left"), (count, "right")), strict=True):
        ax.axhline(np.log10(number), color=COLOUR["bad"], lw=1, ls="--")
        label_line(ax, x, np.log10(number) - 3.5, name, "bad", ha=ha, fontsize=9)
    ax.set(xlim=(0, count * 1.33), xlabel="tokens since the chunk began", ylabel="power of ten")
    ax.set_xticks(range(0, count + 1, 64))
    return fig
