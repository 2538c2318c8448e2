"""Figures of the chapter *Associative memory*.

Digits come as rows of 64 grey values from 0 (paper) to 1 (ink), halves as 32. What is typed in or told is grey, what a
memory answers is orange, in every figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.notebook.figures import COLOUR, figure, label_line
from nbhelpers.notebook.pictures.paper import digit, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOLD, ANSWERED = "Greys", "Oranges"
RULES = {"Hebbian": ("slow", "o"), "delta rule": ("fast", "s"), "best matrix": ("good", "^")}
KEYS = {"random": ("frozen", "o"), "centred digits": ("middle", "s"), "digits": ("bad", "^")}


def _shown(image: Any) -> np.ndarray:
    """An answer as ink: nothing below zero, and never darker than full ink."""
    image = np.clip(np.asarray(image, dtype=float), 0, None)
    return image / max(1.0, image.max())


def stamps(keys: Any, values: Any, alike: Any) -> Figure:
    """Three pairs with their stamps, the sheet with all of them, and the answer to the last key.

    keys, values: (3, 32) each; alike: (3,) similarities of the keys to the last one.
    """
    keys, values, alike = (np.asarray(part, dtype=float) for part in (keys, values, alike))
    fig, ax = sheet(13, 11.6, inches=4.6)
    whole = values.T @ keys
    for row, (key, value, similarity) in enumerate(zip(keys, values, alike, strict=True)):
        y = 7.7 - 3.4 * row
        digit(ax, key / key.max(), 0.3, y + 1.3, 2.2, TOLD)
        digit(ax, value, 0.3, y, 2.2, TOLD)
        _stamp(ax, np.outer(value, key), 3.4, y, 2.4)
        label_line(ax, 6.1, y + 1.2, f"{similarity:.2f}", "slow")
        ax.plot([8.0, 8.4], [y + 1.2, y + 1.2], color=COLOUR["muted"], lw=0.9)
    _stamp(ax, whole, 9.2, 6.6, 3.4)
    answer = whole @ keys[-1]
    digit(ax, keys[-1] / keys[-1].max(), 9.7, 3.3, 2.4, TOLD)
    digit(ax, _shown(answer), 9.7, 1.95, 2.4, ANSWERED)
    for x, y, text in [
        (1.4, 11.0, "key and\nvalue"),
        (4.6, 10.8, "stamp"),
        (7.0, 11.0, "like the\nquestion"),
        (10.9, 11.0, "the sheet:\nstamps added"),
        (10.9, 5.1, "asked"),
        (10.9, 1.4, "answer: its own\nhalf, two ghosts"),
    ]:
        ax.text(x, y, text, ha="center", va="center", fontsize=9.5)
    ax.plot([8.4, 8.4, 9.1], [2.1, 8.9, 8.9], color=COLOUR["muted"], lw=0.9)
    return fig


def _stamp(ax: Axes, square: np.ndarray, x: float, y: float, size: float) -> None:
    box = (x, x + size, y, y + size)
    ax.imshow(square, cmap=TOLD, vmin=0, vmax=square.max(), extent=box, interpolation="none")
    ax.plot([x, x + size, x + size, x, x], [y, y, y + size, y + size, y], color=COLOUR["muted"], lw=0.6)


def halves(queries: Any, answers: Any, share: float, pairs: int) -> Figure:
    """Typed halves of digits (n, 64) over recalled ones (n, 32), the digits themselves below; the last was not told."""
    queries, answers = (np.asarray(part, dtype=float) for part in (queries, answers))
    fig, ax = sheet(15, 7.3, inches=4.4)
    places = [*range(len(queries) - 1), 6]
    for place, query, answer in zip(places, queries, answers, strict=True):
        x = 0.35 + 2.08 * place
        digit(ax, query[:32], x, 4.2, 1.8, TOLD)
        digit(ax, _shown(answer), x, 3.2, 1.8, ANSWERED)
        digit(ax, query, x + 0.45, 0.9, 0.95, TOLD)
    told = f"{pairs} pairs told" if pairs > 1 else "one pair told"
    ax.text(0.3, 6.9, f"{told}, {share:.0%} of the halves found", va="center", fontweight="bold")
    labels = [(1.25, "told\nfirst"), (11.65, "told\nlast"), (13.73, "never\ntold")]
    for x, text in labels if len(queries) == 7 else labels[::2]:
        ax.text(x, 5.85, text, ha="center", va="center", fontsize=9.5)
    ax.text(0.3, 2.5, "typed in grey, recalled in orange, true below", va="center", fontsize=9.5)
    return fig


def rounds(states: Any, patterns: Any, right: int) -> Figure:
    """Retrieval: states (4, n, 64) after 0, 1, 2 and 30 rounds, and the patterns (n, 64) that they were cut from."""
    states, patterns = np.asarray(states, dtype=float), np.asarray(patterns, dtype=float)
    fig, ax = sheet(15.2, 11.6, inches=4.6)
    names = ["typed", "1 round", "2 rounds", "30 rounds", "true"]
    for row, (name, images) in enumerate(zip(names, [*states, patterns], strict=True)):
        y = 9.0 - 2.05 * row - (0.3 if name == "true" else 0)
        ax.text(2.9, y + 0.9, name, ha="right", va="center")
        for column, image in enumerate(images):
            ink = TOLD if name in ("typed", "true") else ANSWERED
            digit(ax, image / image.max(), 3.2 + 1.98 * column, y, 1.8, ink)
    ax.text(3.2, 11.2, f"{right} of {len(patterns)} end at their own digit", va="center", fontweight="bold")
    return fig


def capacity(
    counts: Sequence[int],
    errors: Mapping[str, Any],
    shares: Mapping[str, Any],
    lines: Mapping[str, Sequence[float]],
    curve: Sequence[float],
) -> Figure:
    """Error and share found against pairs stored: (counts, seeds) by rule, with the theory's lines."""
    fig, (top, below) = figure(2, height=5.6, sharex=True)
    for name, (colour, marker) in RULES.items():
        _dots(top, counts, errors[name], colour, marker)
        _dots(below, counts, 100 * np.asarray(shares[name]), colour, marker)
        shown = np.array(lines[name]) > 1e-3
        top.plot(np.array(counts)[shown], np.array(lines[name])[shown], color=COLOUR[colour], lw=1.2)
    below.plot(counts, 100 * np.asarray(curve), color=COLOUR["slow"], lw=1.2)
    top.axvline(64, color=COLOUR["muted"], lw=0.8, ls=":")
    below.axvline(64, color=COLOUR["muted"], lw=0.8, ls=":")
    top.set(yscale="log", ylim=(8e-3, 20), ylabel="relative squared error")
    below.set(xscale="log", ylim=(0, 106), ylabel="values found (%)", xlabel="pairs stored")
    below.set_xticks([2, 8, 32, 64, 128, 512], ["2", "8", "32", "64", "128", "512"])
    below.minorticks_off()
    label_line(top, 10, 0.35, "Hebbian", "slow", ha="right")
    label_line(top, 14, 0.055, "delta rule, one pass", "fast")
    label_line(top, 76, 0.028, "best matrix,\nno error up to 64", "good")
    label_line(below, 270, 82, "Hebbian", "slow")
    label_line(below, 60, 45, "delta rule,\none pass", "fast", ha="right")
    label_line(below, 260, 98, "best matrix", "good")
    return fig


def _dots(ax: Axes, counts: Sequence[int], rows: Any, colour: str, marker: str) -> None:
    """The mean over seeds as a mark, the range as a line."""
    rows = np.asarray(rows, dtype=float)
    ax.vlines(counts, rows.min(1), rows.max(1), color=COLOUR[colour], lw=1)
    ax.plot(counts, rows.mean(1), marker, color=COLOUR[colour], ms=5)


def similarities(ten: Any, tables: Sequence[Any]) -> Figure:
    """Two tables of similarities (10, 10) between the digits ``ten`` (10, 64), side by side."""
    fig, ax = sheet(25, 13.4, inches=4.6)
    for left, title, table in zip((1.3, 13.8), ("as they are", "centred"), tables, strict=True):
        box = (left, left + 10, 1.6, 11.6)
        ax.imshow(np.asarray(table), cmap="PuOr_r", vmin=-1, vmax=1, extent=box, interpolation="none")
        ax.text(left, 12.9, title, va="center", fontweight="bold")
        for c, image in enumerate(ten):
            digit(ax, image, left + c + 0.06, 11.65, 0.88)
            digit(ax, image, left - 0.95, 10.66 - c, 0.88)
    for step in range(41):
        ax.fill_between([4.7 + 0.4 * step, 5.12 + 0.4 * step], 0.6, 1.2, color=_orange(step / 20 - 1), lw=0)
    for x, text in ((4.5, "\N{MINUS SIGN}1"), (21.4, "+1: fully")):
        ax.text(x, 0.9, text, va="center", ha="right" if x < 5 else "left", fontsize=9)
    ax.text(12.9, 0.25, "0: silent", va="center", ha="center", fontsize=9)
    return fig


def _orange(value: float) -> Any:
    import matplotlib

    return matplotlib.colormaps["PuOr_r"]((value + 1) / 2)


def correlated(counts: Sequence[int], by_keys: Mapping[str, tuple[Any, Any]], sizes: Mapping[str, float]) -> Figure:
    """Hebbian error, and the share found by the Hebbian and the best matrix, for three kinds of keys."""
    fig, (top, below) = figure(2, height=5.6, sharex=True)
    for name, (colour, marker) in KEYS.items():
        errors, shares = by_keys[name]
        _dots(top, counts, errors[0], colour, marker)
        top.plot(counts, [(n - 1) / sizes[name] for n in counts], color=COLOUR[colour], lw=1.2)
        below.plot(counts, 100 * np.asarray(shares[0]).mean(1), marker, ls="-", color=COLOUR[colour], ms=5, lw=1.4)
        below.plot(counts, 100 * np.asarray(shares[2]).mean(1), marker, ls=":", color=COLOUR[colour], ms=5, lw=1.4)
    top.set(yscale="log", ylim=(8e-3, 300), ylabel="Hebbian error")
    below.set(xscale="log", ylim=(0, 106), ylabel="values found (%)", xlabel="pairs stored")
    below.set_xticks([2, 8, 32, 128, 256], ["2", "8", "32", "128", "256"])
    below.minorticks_off()
    label_line(top, 3.6, 6.5, "digits", "bad", ha="right")
    label_line(top, 15, 4.4, "centred digits", "middle")
    label_line(top, 60, 0.38, "random keys", "frozen")
    label_line(below, 5.2, 40, "Hebbian,\ndigits", "bad", ha="right")
    label_line(below, 100, 62, "Hebbian,\ncentred", "middle")
    label_line(below, 2, 8, "dotted: the best matrix", "ink")
    return fig


def networks(sizes: Sequence[int], held: Mapping[str, Any]) -> Figure:
    """Error against pairs stored for a matrix, two networks and a matrix on fixed features: (sizes, seeds) each."""
    fig, ax = figure(height=3.8)
    looks = {
        "matrix": ("good", "-", "o"),
        "equal": ("fast", "-", "s"),
        "wide": ("fast", "--", "D"),
        "features": ("slow", ":", "^"),
    }
    for name, (colour, dash, marker) in looks.items():
        rows = np.asarray(held[name], dtype=float)
        ax.fill_between(sizes, rows.min(1), rows.max(1), color=COLOUR[colour], alpha=0.15, lw=0)
        ax.plot(sizes, rows.mean(1), marker, ls=dash, color=COLOUR[colour], ms=5, lw=1.5)
    ax.set(xlabel="pairs stored", ylabel="relative squared error", xlim=(5, 99), ylim=(-0.04, 1.15))
    ax.set_xticks([8, 16, 32, 64, 96])
    label_line(ax, 30, 0.64, "network (256)", "fast", ha="right")
    label_line(ax, 40, 0.48, "matrix (256)", "good")
    label_line(ax, 78, 0.26, "matrix on fixed features (1024)", "slow", ha="right")
    label_line(ax, 98, 0.05, "network (1024)", "fast", ha="right")
    return fig


def likeness(answers: Mapping[Any, Any], bins: Any) -> np.ndarray:
    """Likeness of answer and value in bins of age: the mean signal over the root mean squared length of the answers.

    answers: signal and squared length by age, (2, ages) each, newest first; bins: (first, last + 1) each.
    Returns (len(answers), len(bins)).
    """
    rows = [np.asarray(row, dtype=float) for row in answers.values()]
    return np.array([[row[0, a:b].mean() / np.sqrt(row[1, a:b].mean()) for a, b in bins] for row in rows])


def ages(measured: Mapping[Any, Any], expected: Mapping[Any, Any]) -> Figure:
    """Likeness of answer and value against age for retentions and the delta rule.

    Both hold signal and squared length by age, (2, ages) each, newest first.
    """
    fig, ax = figure(height=4.0)
    looks = {
        1.0: ("frozen", "o", (230, 0.31, "Hebbian, keeps all")),
        0.99: ("slow", "s", (34, 0.69, "0.99")),
        0.95: ("middle", "D", (1.3, 0.85, "0.95")),
        0.8: ("bad", "v", (8.6, 0.12, "0.8")),
        "delta": ("fast", "^", (5.6, 0.97, "delta rule")),
    }
    for name, (colour, marker, (x, y, text)) in looks.items():
        count = len(expected[name][0])
        edges = np.unique(np.geomspace(1, count + 1, 22).astype(int)) - 1
        means = likeness({name: measured[name]}, list(pairwise(edges)))[0]
        ax.plot([(a + b + 1) / 2 for a, b in pairwise(edges)], means, marker, color=COLOUR[colour], ms=5)
        line = likeness({name: expected[name]}, [(age, age + 1) for age in range(count)])[0]
        ax.plot(np.arange(1, count + 1), line, color=COLOUR[colour], lw=1.2)
        label_line(ax, x, y, text, colour)
    ax.set(xscale="log", xlabel="age: pairs told since, plus one", ylabel="likeness of answer and value")
    ax.set(ylim=(-0.12, 1.06))
    ax.set_xticks([1, 4, 16, 64, 256, 1024], ["1", "4", "16", "64", "256", "1024"])
    ax.minorticks_off()
    return fig


def order(stream: Any, before: Any, after: Any) -> Figure:
    """Digits told (n, 64), and the lower halves (n, 32) that a memory draws reading before and after the write."""
    stream, before, after = (np.asarray(part, dtype=float) for part in (stream, before, after))
    fig, ax = sheet(16.2, 9.2, inches=4.6)
    rows = [("told", 5.4), ("read before\nthe write", 2.9), ("read after\nthe write", 0.4)]
    for name, y in rows:
        ax.text(0.2, y + 0.95, name, va="center", fontsize=9.5)
    for column, (image, early, late) in enumerate(zip(stream, before, after, strict=True)):
        x = 4.1 + 2.0 * column
        digit(ax, image, x, 5.4, 1.8, TOLD)
        for y, answer in ((2.9, early), (0.4, late)):
            digit(ax, image[:32], x, y + 0.95, 1.8, TOLD)
            digit(ax, _shown(answer), x, y, 1.8, ANSWERED)
        ax.text(
            x + 0.9, 8.1, ["1st", "2nd", "3rd", "4th", "1st\nagain", "2nd\nagain"][column], ha="center", va="center"
        )
    return fig


def breaks(inks: Mapping[str, Sequence[float]]) -> Figure:
    """Ink on the sheet against pairs told; keys unscaled, of length one, unscaled at a rate that knows their length."""
    fig, ax = figure(height=2.9)
    looks = {
        "unscaled keys": ("bad", "-", (21, 1e68)),
        "length one": ("good", "-", (38, 1e6)),
        "unscaled, rate over length": ("slow", "--", (22, 1e-6)),
    }
    for name, (colour, dash, (x, y)) in looks.items():
        ax.plot(np.arange(1, len(inks[name]) + 1), inks[name], dash, color=COLOUR[colour])
        label_line(ax, x, y, name, colour, ha="right" if colour == "bad" else "left")
    ax.set(yscale="log", xlabel="pairs told", ylabel="ink on the sheet", ylim=(1e-12, None))
    return fig
