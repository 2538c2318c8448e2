"""Figures of the chapter *Fast weights*.

Rules keep one colour and one mark throughout: what only adds is grey, what fades blue, what erases green, what does
both orange; attention is purple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.notebook.figures import COLOUR, figure, label_line
from nbhelpers.notebook.pictures.paper import digit, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {
    "linear attention": ("frozen", "o"),
    "fading": ("slow", "s"),
    "delta rule": ("good", "^"),
    "gated delta rule": ("fast", "D"),
    "attention": ("middle", "v"),
    "attention, late first": ("middle", "P"),
    "attention, same gates": ("middle", "X"),
}
VALUES = "abcdef"


def two_levels() -> Figure:
    """What a token does: slow weights make key, value, query and gates; a fast weight matrix is written and read."""
    fig, ax = sheet(20, 13.2, inches=4.6)
    _box(ax, 0.4, 9.4, 19.2, 3.2, "slow", "slow weights", "the same for every token, changed by training alone")
    _box(ax, 0.4, 1.6, 19.2, 3.2, "fast", "fast weights $M$", "one matrix a sequence, changed by every token")
    parts = [
        (2.7, "key $k$", "where to file"),
        (7.3, "value $v$", "what to file"),
        (12.2, "gates", "how firmly,\nhow much stays"),
        (17.2, "query $q$", "what to look up"),
    ]
    for x, name, says in parts:
        ax.annotate("", (x, 4.9), (x, 9.3), arrowprops={"arrowstyle": "-|>", "color": COLOUR["muted"]})
        ax.text(x, 7.9, name, ha="center", va="center", fontweight="bold", backgroundcolor=COLOUR["paper"])
        ax.text(x, 6.5, says, ha="center", va="center", fontsize=9, backgroundcolor=COLOUR["paper"])
    ax.annotate("", (17.2, 0.5), (17.2, 1.5), arrowprops={"arrowstyle": "-|>", "color": COLOUR["fast"]})
    ax.text(16.6, 0.8, "answer $Mq$", ha="right", va="center", color=COLOUR["fast"], fontweight="bold")
    return fig


def _box(ax: Axes, x: float, y: float, width: float, height: float, colour: str, name: str, says: str) -> None:
    ax.fill_between([x, x + width], y, y + height, color=COLOUR["panel"], lw=0)
    ax.plot([x, x, x + width, x + width, x], [y, y + height, y + height, y, y], color=COLOUR[colour], lw=1.2)
    ax.text(x + 0.5, y + 0.68 * height, name, color=COLOUR[colour], fontsize=11, fontweight="bold", va="center")
    ax.text(x + 0.5, y + 0.28 * height, says, fontsize=9.5, va="center")


def four_maps(answers: Mapping[str, Any], stream: Sequence[str], written: int) -> Figure:
    """Heat maps of what memories answer: (3 values, 3 keys) each, rows 1 to 3, columns A to C."""
    fig, ax = sheet(19, 16.4, inches=4.6)
    for place, step in enumerate(stream):
        x, done = 0.5 + 3.1 * place, place < written
        weight, colour = ("bold", "ink") if done else ("normal", "muted")
        ax.text(x, 15.6, step, va="center", fontweight=weight, color=COLOUR[colour])
        if done:
            ax.plot([x - 0.1, x + 2.0], [15.05, 15.05], color=COLOUR["fast"], lw=2)
    corners = ((1.1, 8.0), (10.7, 8.0), (1.1, 0.5), (10.7, 0.5))
    for (left, low), (name, table) in zip(corners, answers.items(), strict=True):
        table = np.asarray(table, dtype=float)
        ax.text(left, low + 6.0, name, va="center", fontweight="bold", fontsize=9.5, color=COLOUR[LOOKS[name][0]])
        box = (left, left + 4.5, low, low + 4.5)
        ax.imshow(np.abs(table), cmap="Oranges", vmin=0, vmax=2.6, extent=box, interpolation="none")
        for row in range(3):
            y = low + 3.75 - 1.5 * row
            ax.text(left - 0.45, y, str(row + 1), ha="center", va="center", color=COLOUR["muted"])
            for column in range(3):
                if abs(table[row, column]) > 0.004:
                    text = f"{table[row, column]:.2f}".replace("-", "\N{MINUS SIGN}").rstrip("0").rstrip(".")
                    x = left + 0.75 + 1.5 * column
                    ax.text(x, y, text, ha="center", va="center", fontsize=8.5, color="#24292E")
        for column, key in enumerate("ABC"):
            x = left + 0.75 + 1.5 * column
            ax.text(x, low + 5.0, key, ha="center", va="center", color=COLOUR["muted"])
            says = f"{key}? {_largest(table[:, column])}"
            ax.text(left + 4.9, low + 3.75 - 1.5 * column, says, va="center", fontweight="bold", fontsize=9)
    return fig


def _largest(column: np.ndarray) -> str:
    """The value with the largest answer, several where they tie, a dash where there is none."""
    if column.max() < 0.01:
        return "\N{EN DASH}"
    return " or ".join(str(i + 1) for i in np.flatnonzero(column > column.max() - 0.01))


def trade(points: Mapping[str, Any]) -> Figure:
    """How much stays of a value that was replaced (x) against how much stays of the others (y): (settings, 2) each."""
    fig, ax = figure(height=3.6)
    for name, rows in points.items():
        colour, marker = LOOKS[name]
        rows = np.asarray(rows, dtype=float)
        ax.plot(rows[:, 0], rows[:, 1], marker, ls="-", color=COLOUR[colour], ms=6, lw=1.2)
    ax.set(xlabel="left of the value that was replaced (%)", ylabel="left of the values\nthat still hold (%)")
    ax.set(xlim=(-4, 106), ylim=(-4, 112))
    label_line(ax, 40, 107, "delta rule", "good")
    label_line(ax, 42, 50, "fading", "slow")
    label_line(ax, 103, 82, "linear\nattention", "frozen", ha="right")
    label_line(ax, 2, 92, "wanted: here", "ink", va="top")
    return fig


def told_again(times: Sequence[int], shares: Mapping[str, Any]) -> Figure:
    """Share of last values found against how often each key was told: (times, seeds) by memory."""
    fig, ax = figure(height=3.9)
    places = {
        "linear attention": (7.7, 13, "right"),
        "fading": (7.7, 66, "right"),
        "delta rule": (2.1, 91, "left"),
        "gated delta rule": (4.2, 91, "left"),
        "attention": (2.6, 52, "left"),
        "attention, late first": (8, 108, "right"),
    }
    _lines(ax, times, shares)
    for name, (x, y, ha) in places.items():
        label_line(ax, x, y, name, LOOKS[name][0], ha=ha)
    ax.set(xscale="log", xlabel="how often each key is told", ylabel="last values found (%)", ylim=(0, 114))
    ax.set_xticks(times, [str(t) for t in times])
    ax.minorticks_off()
    return fig


def crowded(counts: Sequence[int], shares: Mapping[str, Any], room: int) -> Figure:
    """Share of last values found against the number of keys, each told twice: (counts, seeds) by memory."""
    fig, ax = figure(height=3.6)
    _lines(ax, counts, shares)
    ax.axvline(room, color=COLOUR["muted"], lw=0.8, ls=":")
    places = {
        "linear attention": (90, 28, "right"),
        "fading": (13, 72, "right"),
        "delta rule": (35, 93, "left"),
        "gated delta rule": (47, 82, "left"),
        "attention": (22, 43, "right"),
        "attention, late first": (128, 108, "right"),
    }
    for name, (x, y, ha) in places.items():
        label_line(ax, x, y, name, LOOKS[name][0], ha=ha)
    ax.set(xscale="log", xlabel="keys, each told twice", ylabel="last values found (%)", ylim=(0, 114))
    ax.set_xticks(counts, [str(n) for n in counts])
    ax.minorticks_off()
    return fig


def _lines(ax: Axes, xs: Sequence[int], shares: Mapping[str, Any]) -> None:
    """The mean over seeds as a line, the range as a bar."""
    for name, rows in shares.items():
        colour, marker = LOOKS[name]
        rows = 100 * np.asarray(rows, dtype=float)
        ax.vlines(xs, rows.min(1), rows.max(1), color=COLOUR[colour], lw=1.2)
        dash = "--" if name == "attention" else "-"
        ax.plot(xs, rows.mean(1), marker, ls=dash, color=COLOUR[colour], ms=5.5, lw=1.4)


def costs(lengths: Sequence[int], seconds: Mapping[str, Sequence[float]], held: Mapping[str, Sequence[int]]) -> Figure:
    """Milliseconds for a whole sequence and numbers held at its end, against its length."""
    fig, (top, below) = figure(2, height=5.2, sharex=True)
    looks = {"loop": ("bad", "o"), "chunks": ("fast", "D"), "attention": ("middle", "v"), "memory": ("fast", "D")}
    for ax, lines in ((top, {k: 1000 * np.asarray(v) for k, v in seconds.items()}), (below, held)):
        for name, line in lines.items():
            colour, marker = looks[name]
            ax.plot(lengths, line, marker, ls="-", color=COLOUR[colour], ms=5.5, lw=1.4)
            label_line(ax, lengths[-1] * 1.1, line[-1], name, colour)
        ax.set(xscale="log", yscale="log", xlim=(lengths[0] * 0.85, lengths[-1] * 3.2))
    top.set(ylabel="milliseconds")
    below.set(ylabel="numbers held", xlabel="tokens in the sequence")
    below.set_xticks(lengths, [str(n) for n in lengths])
    below.minorticks_off()
    return fig


def story(images: Any, values: Sequence[int], questions: Any, answers: Sequence[int]) -> Figure:
    """One story: twelve tokens, each an image over its value (an empty image is the break), then the questions."""
    fig, ax = sheet(19, 10, inches=4.6)
    for place, (image, value) in enumerate(zip(np.asarray(images), values, strict=True)):
        x, y = 0.4 + 3.1 * (place % 6), 6.7 - 3.4 * (place // 6)
        if np.abs(image).sum() == 0:
            ax.text(x + 1.1, y + 1.1, "new\npage", ha="center", va="center", color=COLOUR["bad"], fontweight="bold")
            continue
        digit(ax, image, x, y, 2.0)
        ax.text(x + 1.0, y - 0.5, f"is {VALUES[value]}", ha="center", va="center", fontweight="bold")
    for place, (image, answer) in enumerate(zip(np.asarray(questions), answers, strict=True)):
        x = 0.4 + 4.6 * place
        digit(ax, image, x, 0.15, 1.7)
        says = VALUES[answer] if answer < len(VALUES) else "nothing"
        ax.text(x + 1.9, 0.95, says, va="center", color=COLOUR["fast"], fontweight="bold", fontsize=9.5)
    return fig


def contest(scores: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Share of right answers by task and rule: the mean over seeds as a mark, the range as a bar; (seeds,) each."""
    fig, axes = figure(len(scores), height=1.1 + 1.75 * len(scores), sharex=True)
    for ax, (task, rows) in zip(np.atleast_1d(axes), scores.items(), strict=True):
        for place, (name, row) in enumerate(rows.items()):
            colour, marker = LOOKS.get(name, ("bad", "x"))
            row = 100 * np.asarray(row, dtype=float)
            ax.hlines(-place, row.min(), row.max(), color=COLOUR[colour], lw=3, alpha=0.6)
            ax.plot(row.mean(), -place, marker, color=COLOUR[colour], ms=6.5)
        ax.set_yticks(-np.arange(len(rows)), list(rows))
        ax.set(title=task, ylim=(-len(rows) + 0.4, 0.6))
    np.atleast_1d(axes)[-1].set(xlabel="right answers about new digits (%)", xlim=(10, 101))
    return fig


def filing(ten: Any, tables: Sequence[Any]) -> Figure:
    """Mean likeness of keys between ten classes of digits, before and after training: (10, 10) each."""
    fig, ax = sheet(25, 13, inches=4.6)
    for left, title, table in zip((1.3, 13.8), ("before training", "after training"), tables, strict=True):
        box = (left, left + 10, 1.2, 11.2)
        ax.imshow(np.asarray(table), cmap="PuOr_r", vmin=-1, vmax=1, extent=box, interpolation="none")
        ax.text(left, 12.5, title, va="center", fontweight="bold")
        for c, image in enumerate(np.asarray(ten)):
            digit(ax, image, left + c + 0.06, 11.25, 0.88)
            digit(ax, image, left - 0.95, 10.26 - c, 0.88)
    ax.text(1.3, 0.5, "orange: alike; white: at right angles; purple: opposite", va="center", fontsize=9)
    return fig
