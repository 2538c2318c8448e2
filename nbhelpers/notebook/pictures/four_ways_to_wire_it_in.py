"""Figures of the chapter *Four ways to wire it in*.

What attention does is purple, what the memory does orange, what is the same for every input grey. In the contest each
wiring keeps one colour and one mark.
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

LOOKS = {
    "window alone": ("middle", "v"),
    "memory alone": ("fast", "D"),
    "MAC": ("good", "^"),
    "MAG": ("slow", "s"),
    "MAL": ("data", "o"),
    "attention to all": ("frozen", "x"),
}
PATHS = {"attention": "middle", "memory": "fast", "persistent": "frozen"}


def wirings() -> Figure:
    """The four wirings as flows from the tokens x, below, to the output o, above."""
    fig, ax = sheet(20, 23.6, inches=4.6)
    _lmm(ax, 0.3, 12.2)
    _mal(ax, 10.3, 12.2)
    _mag(ax, 0.3, 0.3)
    _mac(ax, 10.3, 0.3)
    return fig


def _panel(ax: Axes, x: float, y: float, short: str, says: str) -> None:
    ax.fill_between([x, x + 9.4], y, y + 11.1, color=COLOUR["panel"], lw=0)
    ax.text(x + 0.4, y + 10.35, short, fontsize=11.5, fontweight="bold", va="center")
    ax.text(x + 2.7, y + 10.35, says, fontsize=9.5, va="center", color=COLOUR["muted"])


def _box(ax: Axes, x: float, y: float, name: str, path: str, width: float = 4.0, height: float = 1.7) -> None:
    """A box around (x, y)."""
    left, right, low, high = x - width / 2, x + width / 2, y - height / 2, y + height / 2
    ax.fill_between([left, right], low, high, color=COLOUR["paper"], lw=0, zorder=2)
    ax.plot([left, right, right, left, left], [low, low, high, high, low], color=COLOUR[PATHS[path]], lw=1.4, zorder=3)
    ax.text(x, y, name, ha="center", va="center", fontsize=9.5, color=COLOUR[PATHS[path]], fontweight="bold", zorder=4)


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = "muted", bend: float = 0
) -> None:
    style = {"arrowstyle": "-|>", "color": COLOUR[colour], "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style | {"connectionstyle": f"arc3,rad={bend}"}, zorder=1)


def _ends(ax: Axes, x: float, y: float) -> None:
    ax.text(x, y + 0.55, "x", ha="center", va="center", fontsize=11, fontweight="bold")
    ax.text(x, y + 9.25, "o", ha="center", va="center", fontsize=11, fontweight="bold")


def _persistent(ax: Axes, x: float, y: float) -> None:
    """Persistent tokens, small squares, with an arrow to the right."""
    ax.plot([x, x + 0.55], [y, y], "s", color=COLOUR["frozen"], ms=6)
    _arrow(ax, (x + 0.95, y), (x + 1.65, y), "frozen")


def _gate(ax: Axes, x: float, y: float) -> None:
    ax.plot([x], [y], "o", ms=17, mfc=COLOUR["paper"], mec=COLOUR["ink"], mew=1.2, zorder=3)
    ax.text(x, y, "×σ", ha="center", va="center", fontsize=9, zorder=4)


def _lmm(ax: Axes, x: float, y: float) -> None:
    _panel(ax, x, y, "LMM", "the memory alone")
    middle = x + 4.7
    _ends(ax, middle, y)
    _arrow(ax, (middle, y + 1.1), (middle, y + 4.0))
    _box(ax, middle, y + 4.9, "memory", "memory")
    _arrow(ax, (middle, y + 5.8), (middle, y + 8.75))


def _mal(ax: Axes, x: float, y: float) -> None:
    _panel(ax, x, y, "MAL", "memory as a layer")
    middle = x + 4.7
    _ends(ax, middle, y)
    _arrow(ax, (middle, y + 1.1), (middle, y + 2.35))
    _box(ax, middle, y + 3.2, "memory", "memory")
    _arrow(ax, (middle, y + 4.1), (middle, y + 5.65))
    _box(ax, middle, y + 6.5, "window", "attention")
    _persistent(ax, x + 0.9, y + 6.5)
    _arrow(ax, (middle, y + 7.4), (middle, y + 8.75))


def _mag(ax: Axes, x: float, y: float) -> None:
    _panel(ax, x, y, "MAG", "memory as a gate")
    left, right = x + 3.9, x + 7.3
    ax.text(left, y + 0.55, "x", ha="center", va="center", fontsize=11, fontweight="bold")
    ax.text(left, y + 9.25, "o", ha="center", va="center", fontsize=11, fontweight="bold")
    _arrow(ax, (left, y + 1.1), (left, y + 3.3))
    _arrow(ax, (left + 0.4, y + 0.6), (right, y + 3.3), bend=0.3)
    _box(ax, left, y + 4.2, "window", "attention", 3.0)
    _persistent(ax, x + 0.5, y + 4.2)
    _box(ax, right, y + 4.2, "memory", "memory", 3.2)
    _arrow(ax, (left, y + 5.1), (left, y + 6.45))
    _gate(ax, left, y + 7.2)
    _arrow(ax, (right, y + 5.1), (left + 0.8, y + 7.2), "fast", 0.35)
    _arrow(ax, (left, y + 7.95), (left, y + 8.75))


def _mac(ax: Axes, x: float, y: float) -> None:
    _panel(ax, x, y, "MAC", "memory as context")
    left, right = x + 3.9, x + 7.5
    ax.text(left, y + 0.55, "x", ha="center", va="center", fontsize=11, fontweight="bold")
    ax.text(left, y + 9.25, "o", ha="center", va="center", fontsize=11, fontweight="bold")
    _arrow(ax, (left, y + 1.1), (left, y + 4.3))
    _arrow(ax, (left + 0.4, y + 0.6), (right, y + 1.3), bend=0.3)
    _box(ax, right, y + 2.2, "recall", "memory", 3.0, 1.5)
    _arrow(ax, (right - 1.6, y + 2.6), (left + 0.9, y + 4.3), "fast", -0.2)
    _box(ax, left, y + 5.1, "segment", "attention", 3.4, 1.5)
    _persistent(ax, x + 0.4, y + 5.1)
    _arrow(ax, (left + 1.8, y + 5.4), (right, y + 6.2), "middle", -0.3)
    _box(ax, right, y + 7.0, "memory", "memory", 3.2, 1.5)
    _arrow(ax, (left, y + 6.0), (left, y + 6.9))
    _gate(ax, left, y + 7.6)
    _arrow(ax, (right - 1.7, y + 7.3), (left + 0.8, y + 7.55), "fast")
    _arrow(ax, (left, y + 8.3), (left, y + 8.8))
    _arrow(ax, (right + 0.9, y + 6.1), (right + 0.9, y + 3.1), "fast")
    ax.text(right + 0.7, y + 4.6, "next\nsegment", ha="right", va="center", fontsize=8, color=COLOUR["fast"])


def masks(tables: Mapping[str, Any], persistent: int, tokens: int) -> Figure:
    """Who attention lets a token look at: rows are queries, columns persistent, then recalled, then tokens."""
    fig, axes = figure(1, len(tables), width_ratios=[np.shape(table)[1] for table in tables.values()])
    fig.set_size_inches(4.6, 1.6)
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        table = np.asarray(table, dtype=float)
        shade = table.copy()
        shade[:, :persistent] *= 0.45
        if table.shape[1] > persistent + tokens:
            shade[:, persistent : persistent + tokens] *= 0.7
        ax.imshow(shade, cmap="Purples", vmin=0, vmax=1.15, aspect="equal", interpolation="none")
        edges = [persistent - 0.5] + [persistent + tokens - 0.5] * (table.shape[1] > persistent + tokens)
        for edge in edges:
            ax.axvline(edge, color=COLOUR["muted"], lw=0.8)
        ax.set(title=name, yticks=[], xlabel="p, h, x" if len(edges) > 1 else "p, x", xticks=[])
        ax.grid(visible=False)
    axes[0].set(ylabel="asks")
    return fig


def reach(rows: Mapping[str, Mapping[str, tuple[str, Any]]], query: int, segment: int) -> Figure:
    """What reaches a query, by wiring and path: lanes of squares, filled where the path carries that token.

    Parameters
    ----------
    rows: by wiring, by lane: the path's name in ``PATHS`` and a bool for each token.
    query: the token that asks.
    segment: tokens of a segment; thin lines stand at its borders.

    Before the lanes of attention stand two persistent tokens.
    """
    lanes = sum(len(row) for row in rows.values())
    tokens = len(next(iter(next(iter(rows.values())).values()))[1])
    height = 1.7 * lanes + 1.6 * len(rows) + 1.5
    fig, ax = sheet(tokens + 3.9, height, inches=4.6)
    ax.set(xlim=(-2.6, tokens + 1.3))
    y = height - 1.2
    for wiring, row in rows.items():
        ax.text(-2.4, y, wiring, fontweight="bold", va="center", fontsize=10.5)
        y -= 1.2
        for lane, (path, carried) in row.items():
            carried = np.asarray(carried, dtype=bool)
            x = 1 + np.arange(tokens)
            ax.plot(x[~carried], np.full((~carried).sum(), y), "s", color=COLOUR["grid"], ms=5)
            ax.plot(x[carried], np.full(carried.sum(), y), "s", color=COLOUR[PATHS[path]], ms=8)
            if path == "attention":
                ax.plot([-1.5, -0.6], [y, y], "s", color=COLOUR["frozen"], ms=8)
            for border in range(segment, tokens, segment):
                ax.plot([border + 0.5] * 2, [y - 0.5, y + 0.5], color=COLOUR["muted"], lw=1)
            ax.text(1 - 0.4, y - 0.95, lane, fontsize=8.5, va="center", color=COLOUR[PATHS[path]])
            y -= 1.9
        y -= 0.2
    ax.text(query + 1, height - 0.7, "asks", ha="center", va="center", fontsize=9, fontweight="bold")
    ax.plot([query + 1], [height - 1.5], "v", color=COLOUR["ink"], ms=6)
    return fig


def held(lengths: Sequence[int], numbers: Mapping[str, Sequence[int]]) -> Figure:
    """Numbers held against tokens read, by wiring."""
    fig, ax = figure(height=3.4)
    for name, line in numbers.items():
        colour, marker = LOOKS[name]
        ax.plot(lengths, line, marker, ls="-", color=COLOUR[colour], ms=5, lw=1.4)
    order = sorted(numbers, key=lambda name: numbers[name][-1])
    last = 0.0
    for name in order:
        place = max(numbers[name][-1], last * 1.28)
        label_line(ax, lengths[-1] * 1.12, place, name, LOOKS[name][0])
        last = place
    ax.set(xscale="log", yscale="log", xlabel="tokens read", ylabel="numbers held")
    ax.set(xlim=(lengths[0] * 0.85, lengths[-1] * 6))
    ax.set_xticks(lengths[::2], [str(n) for n in lengths[::2]])
    ax.minorticks_off()
    return fig


def contest(errors: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Wrong answers by demand and wiring: the mean over seeds as a mark, each seed as a dot; (seeds,) each."""
    fig, axes = figure(len(errors), height=0.8 + 1.75 * len(errors), sharex=True)
    for ax, (demand, rows) in zip(np.atleast_1d(axes), errors.items(), strict=True):
        for place, (name, row) in enumerate(rows.items()):
            colour, marker = LOOKS[name]
            row = 100 * np.asarray(row, dtype=float)
            ax.hlines(-place, row.min(), row.max(), color=COLOUR[colour], lw=3, alpha=0.6)
            ax.plot(row, np.full(len(row), -place), ".", color=COLOUR[colour], ms=5)
            ax.plot(row.mean(), -place, marker, color=COLOUR[colour], ms=7)
        ax.set_yticks(-np.arange(len(rows)), list(rows))
        ax.set(title=demand, ylim=(-len(rows) + 0.4, 0.6), xlim=(-3, 103))
    np.atleast_1d(axes)[-1].set(xlabel="wrong answers on plays never trained on (%)")
    return fig


def curves(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], guess: float) -> Figure:
    """Wrong far answers against tokens trained on, by wiring, one line a run; dashed: ``guess``."""
    fig, ax = figure(height=3.2)
    ax.axhline(100 * guess, color=COLOUR["muted"], lw=1, ls="--")
    first = min(tokens[0] for tokens, _ in lines.values()) / 1e6
    label_line(ax, first, 100 * guess - 6, "any told letter", "muted")
    taken = []
    for name, (tokens, wrong) in lines.items():
        colour, marker = LOOKS[name.split(",")[0]]
        below = any(abs(wrong[-1] - other) < 0.1 for other in taken)
        taken.append(wrong[-1])
        ax.plot(np.asarray(tokens) / 1e6, 100 * np.asarray(wrong), marker, ls="-", color=COLOUR[colour], ms=5, lw=1.4)
        label_line(ax, tokens[-1] / 1e6, 100 * wrong[-1] + (-9 if below else 7), name, colour, ha="right")
    ax.set(xlabel="tokens trained on (millions)", ylabel="wrong far answers (%)", ylim=(-4, 112))
    return fig


def border(wrong: Mapping[str, Any], window: int) -> Figure:
    """Share of wrong near answers by the place of the question in its segment; a row of places a wiring."""
    fig, ax = figure(height=3.2)
    for name, row in wrong.items():
        colour, marker = LOOKS[name]
        row = 100 * np.asarray(row, dtype=float)
        ax.plot(range(window), row, marker, ls="-", color=COLOUR[colour], ms=5, lw=1.4)
    label_line(ax, 5.4, 62, "MAC", LOOKS["MAC"][0])
    rest = " and ".join(name for name in wrong if name != "MAC")
    label_line(ax, 0, 9, rest, "ink")
    ax.set(xlabel="place of the question in its segment", ylabel="wrong near answers (%)", ylim=(-4, 106))
    return fig
