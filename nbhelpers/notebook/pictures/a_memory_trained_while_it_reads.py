"""Figures of the chapter *A memory trained while it reads*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from nbhelpers.notebook.figures import COLOUR, figure, label_line
from nbhelpers.notebook.pictures.paper import sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# By what the words of a page are coloured: the value that leaves a word white, and the one of the strongest colour.
SCALES = {
    "the page's memory": (0.7, 1.15, "error of the memory, from 0.7 to 1.15"),
    "memories inside": (0.7, 1.3, "surprise over its mean, from 0.7 to 1.3"),
    "bits of the next word": (0.0, 14.0, "bits a token, from 0 to 14"),
}
DARK, LIGHT = "#24292E", "#FFFEFC"  # of the printed page, the same in both themes
PHONE = 4.8  # inches: a figure that a phone can show nearly whole
COLUMN, LINE, SIZE = 156.0, 13.5, 7.6  # width of a column, height of a line, letters: points


def loop() -> Figure:
    """The inner loop of one token: surprise, momentum, forgetting, write."""
    fig, ax = sheet(20, 13.4, inches=4.6)
    boxes = [
        (0.4, 10.0, "frozen", "token", "key $k$, value $v$"),
        (10.8, 10.0, "fast", "memory $M$", "what does it say to $k$?"),
        (10.8, 5.4, "bad", "1 surprise", "its error: which way, how far"),
        (0.4, 5.4, "middle", "2 momentum $S$", "the old fades, the new adds"),
        (0.4, 0.8, "slow", "3 forgetting", "all of $M$ fades a little"),
        (10.8, 0.8, "fast", "4 write", "$M$ for the next token"),
    ]
    for x, y, colour, name, says in boxes:
        ax.fill_between([x, x + 8.8], y, y + 2.9, color=COLOUR["panel"], lw=0)
        ax.plot([x, x + 8.8, x + 8.8, x, x], [y, y, y + 2.9, y + 2.9, y], color=COLOUR[colour], lw=1.2)
        ax.text(x + 0.4, y + 2.0, name, color=COLOUR[colour], fontsize=10.5, fontweight="bold", va="center")
        ax.text(x + 0.4, y + 0.85, says, fontsize=8.6, va="center")
    arrows = [
        ((9.3, 11.4), (10.7, 11.4)),
        ((15.2, 9.9), (15.2, 8.4)),
        ((10.7, 6.8), (9.3, 6.8)),
        ((4.8, 5.3), (4.8, 3.8)),
        ((9.3, 2.2), (10.7, 2.2)),
    ]
    for start, end in arrows:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": COLOUR["muted"]})
    return fig


def _narrow(height: float, rows: int = 1, columns: int = 1, **more: Any) -> tuple[Figure, Any]:
    """A figure of the width of a phone."""
    fig, axes = figure(rows, columns, height=height, **more)
    fig.set_size_inches(PHONE, height)
    return fig, axes


def swell(ages: Any, weights: Mapping[float, Any]) -> Figure:
    """Weight of a write against its age, by momentum decay."""
    fig, ax = _narrow(2.8)
    ages = np.asarray(ages)
    for (decay, row), colour in zip(weights.items(), ("frozen", "slow", "fast"), strict=True):
        row = np.asarray(row)
        ax.plot(ages, row, color=COLOUR[colour])
        name = f"momentum decay {decay:g}" if decay else "no momentum"
        x, y = {0.9: (42, row[42] + 0.4), 0.5: (8, 2.3), 0.0: (4, 0.22)}.get(decay, (20, row[20]))
        label_line(ax, x, y, name, colour)
    ax.set(xlabel="tokens since the write", ylabel="weight of the write", ylim=(0, None), xlim=(-1, 121))
    return fig


def page(way: str, columns: Sequence[Sequence[tuple[str, float, bool]]]) -> Figure:
    """Two readings side by side, words as (word, surprise, planted): a dark, high bar is much surprise."""
    low, high, scale = SCALES[way]
    laid = [_lay(words) for words in columns]
    height = LINE * (max(row for words in laid for *_, row in words) + 1) + 46
    fig, ax = sheet(2 * COLUMN + 34, height, inches=PHONE)
    ax.fill_between([0, 2 * COLUMN + 34], 0, height, color=LIGHT, lw=0)
    shade, bars, colours = colormaps["Oranges"], [], []
    for title, left, words in zip(("first reading", "second reading"), (10, COLUMN + 24), laid, strict=True):
        ax.text(left, height - 13, title, fontsize=9, fontweight="bold", va="center", color=DARK)
        for (word, surprise, planted), x, row in words:
            strength = float(np.clip((surprise - low) / (high - low), 0, 1))
            y, begin, end = height - 34 - LINE * row, left + x - 0.8, left + x + _width(word, planted) + 0.8
            top = y - 5 + 10.5 * strength
            bars.append([(begin, y - 5), (end, y - 5), (end, top), (begin, top)])
            colours.append(to_hex(shade(0.62 * strength)))
            weight = "bold" if planted else "normal"
            ax.text(left + x, y, word, fontsize=SIZE, va="center", color=DARK, fontweight=weight)
    ax.add_collection(PolyCollection(bars, facecolors=colours, linewidths=0))
    ax.text(10, 11, f"bars: {scale}. Bold: planted", fontsize=7.6, va="center", color=DARK)
    return fig


@cache
def _width(word: str, bold: bool = False) -> float:
    """How wide a word is, in points."""
    return TextPath((0, 0), word, SIZE, prop=FontProperties(weight="bold" if bold else "normal")).get_extents().x1


def _lay(words: Sequence[tuple[str, float, bool]]) -> list[tuple[tuple[str, float, bool], float, int]]:
    """Words into lines: (word, place in the line, number of the line)."""
    placed, x, row, space, opened = [], 0.0, 0, 0.4 * SIZE, False
    for one in words:
        word, width = one[0], _width(one[0], one[2])
        mark = not word[0].isalnum() and word not in "“‘("
        if x and (mark or opened):
            x -= space  # no space before a mark, nor after an opening one
        elif x + width > COLUMN:
            x, row = 0.0, row + 1
        placed.append((one, x, row))
        x, opened = x + width + space, word in "“‘("
    return placed


def ranks(found: Mapping[tuple[str, str], Any]) -> Figure:
    """Ranks of planted sentences, by measure and kind: pages as dots, means as bars."""
    fig, ax = _narrow(3.6)
    names = []
    for place, ((way, kind), row) in enumerate(found.items()):
        y, row = -place - 0.6 * (place // 3), 100 * np.asarray(row)
        colour, marker = ("bad", "o") if kind == "false" else ("slow", "s")
        ax.plot(row, y + np.linspace(-0.22, 0.22, len(row)), marker, ls="", color=COLOUR[colour], ms=4, alpha=0.7)
        ax.plot([row.mean()] * 2, [y - 0.4, y + 0.4], color=COLOUR["ink"], lw=2)
        names.append((y, f"{way}:\n{kind}"))
    ax.axvline(50, color=COLOUR["muted"], lw=0.8, ls=":")
    ax.set_yticks(*zip(*names, strict=True))
    ax.set(xlabel="rank of the planted sentence (%)", xlim=(-3, 103))
    return fig


def names(scores: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Bits of an invented name at first and later mentions, and word pairs put right: range and mean over sets."""
    fig, (left, right) = _narrow(3.4, 1, 2, sharey=True, width_ratios=(2, 1))
    for place, parts in enumerate(scores.values()):
        rows = {
            kind: np.array([part[kind][:, 0].sum() / part[kind][:, 1].sum() for part in parts])
            for kind in ("first", "later", "grammar")
        }
        looks = [
            (left, "first", 0.17, "frozen", "o"),
            (left, "later", -0.17, "fast", "D"),
            (right, "grammar", 0.0, "slow", "s"),
        ]
        for ax, kind, up, colour, marker in looks:
            row = rows[kind] * (100 if kind == "grammar" else 1)
            ax.hlines(up - place, row.min(), row.max(), color=COLOUR[colour], lw=3, alpha=0.6)
            ax.plot(row.mean(), up - place, marker, color=COLOUR[colour], ms=6)
    left.set_yticks(-np.arange(len(scores)), list(scores))
    left.set(xlabel="bits of an invented name", ylim=(-len(scores) + 0.4, 0.9))
    left.set_title("circle: first mention\ndiamond: later mention")
    right.set(xlabel="pairs right (%)", xlim=(45, 105))
    return fig


def parts(saved: Mapping[str, Sequence[float]]) -> Figure:
    """Bits a token that memories save, by kind: sets of pages as dots, means as bars; the first kind is the measure."""
    fig, ax = _narrow(3.4)
    for place, (arm, row) in enumerate(saved.items()):
        colour = "frozen" if not place else "fast" if arm.startswith("with") else "middle" if "deep" in arm else "slow"
        ax.plot(row, -place + np.linspace(-0.15, 0.15, len(row)), "o", color=COLOUR[colour], ms=5)
        ax.plot([np.mean(row)] * 2, [-place - 0.3, -place + 0.3], color=COLOUR["ink"], lw=2)
    ax.axvline(np.mean(next(iter(saved.values()))), color=COLOUR["muted"], lw=0.9, ls=":")
    ax.set_yticks(-np.arange(len(saved)), list(saved))
    ax.set(xlabel="bits a token saved beside the model")
    return fig


def broken(errors: Mapping[str, Any]) -> Figure:
    """Error at one key that is told again and again, token by token, on a logarithmic axis."""
    fig, ax = _narrow(2.8)
    for (name, row), colour in zip(errors.items(), ("good", "bad", "slow"), strict=True):
        row = np.maximum(np.asarray(row, dtype=float), 1e-4)
        ax.plot(np.arange(len(row)), row, color=COLOUR[colour], drawstyle="steps-post")
        at = len(row) - 1
        label_line(ax, at + 1, row[at], name.replace(", ", ",\n"), colour)
    ax.set(yscale="log", xlabel="tokens read", ylabel="surprise", xlim=(0, 1.5 * len(row)))
    return fig
