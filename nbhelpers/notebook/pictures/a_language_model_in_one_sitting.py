"""Figures of *A language model in one sitting*.

Time runs to the right in all of them: one column for each letter. Attention is warm, the MLP is cool.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME = 4.6  # inches: a frame behind a slider fits a phone without scrolling
SPELT = {" ": "␣", "\n": "↵"}
ARROW = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11}


def _whole(height: float) -> tuple[Figure, Axes]:
    """One panel that fills the figure, with no axes."""
    fig, ax = figure(height=height, layout="none", gridspec_kw={"left": 0, "right": 1, "top": 1, "bottom": 0})
    fig.set_size_inches(FRAME, height)
    ax.axis("off")
    return fig, ax


def _spelt(letter: str) -> str:
    return SPELT.get(letter, letter)


def streams(text: str, after: str) -> Figure:
    """The columns of a one-block model over a text: streams, attention from the left, MLP, the bet on what is next."""
    fig, ax = _whole(4.5)
    ax.set(xlim=(-1.6, len(text) - 0.4), ylim=(-0.95, 7.6))
    for column, (letter, following) in enumerate(zip(text, text[1:] + after, strict=True)):
        ax.annotate("", (column, 6.35), (column, 0.35), arrowprops={**ARROW, "color": COLOUR["ink"], "lw": 2})
        ax.text(column, 0, _spelt(letter), ha="center", va="center", fontsize=15, fontweight="bold")
        ax.text(column, 6.75, _spelt(following) + "?", ha="center", va="center", fontsize=14, color=COLOUR["muted"])
        for earlier in range(column):
            ax.annotate(
                "",
                (column - 0.3, 2.42),
                (earlier, 1.15),
                arrowprops={**ARROW, "color": COLOUR["fast"], "lw": 0.9, "alpha": 0.8, "mutation_scale": 8},
            )
        for height, colour in ((2.5, "fast"), (4.4, "slow")):
            box = FancyBboxPatch(
                (column - 0.3, height - 0.33),
                0.6,
                0.66,
                boxstyle="round,pad=0,rounding_size=0.1",
                facecolor=COLOUR["panel"],
                edgecolor=COLOUR[colour],
                lw=1.8,
                zorder=3,
            )
            ax.add_patch(box)
            ax.text(column, height, "+", ha="center", va="center", fontsize=13, color=COLOUR[colour], zorder=4)
    for height, name, colour in ((2.5, "attention", "fast"), (4.4, "MLP", "slow"), (0, "token", "ink")):
        label_line(ax, -0.4, height, name, colour, ha="right", fontsize=9)
    label_line(ax, -0.4, 6.75, "bet", "muted", ha="right", fontsize=9)
    ax.annotate("", (len(text) - 0.6, -0.7), (-0.3, -0.7), arrowprops={**ARROW, "color": COLOUR["muted"]})
    ax.text(-0.4, -0.7, "time", ha="right", va="center", fontsize=9, color=COLOUR["muted"])
    return fig


def _shaded(weights: np.ndarray, colour: str) -> np.ndarray:
    """Weights (H, T) as one colour of that opacity, (H, T, 4); a row keeps a trace where its weight is zero."""
    picture = np.empty((*weights.shape, 4))
    picture[..., :3] = to_rgb(colour)
    picture[..., 3] = 0.04 + 0.96 * weights
    return picture


def contest(scores: Sequence[float], counters: Mapping[int, float], xz: float) -> Figure:
    """Bits per byte on the test text: the model's seeds as dots, counting models by length, the packer xz."""
    fig, ax = figure(height=3.6, layout="none", gridspec_kw={"left": 0.37, "right": 0.96, "top": 0.98, "bottom": 0.14})
    fig.set_size_inches(FRAME, 3.6)
    rows = [("xz", [xz], "frozen", "D")]
    rows += [(f"counting, {n - 1} before", [bits], "slow", "s") for n, bits in counters.items()]
    rows += [(f"Transformer, {len(scores)} seeds", scores, "fast", "o")]
    for place, (_, values, colour, marker) in enumerate(rows):
        ax.axhline(place, color=COLOUR["grid"], lw=0.7, zorder=0)
        ax.plot(values, [place] * len(values), marker, color=COLOUR[colour], ms=7, alpha=0.85)
        ax.text(max(values) + 0.07, place, f"{np.mean(values):.2f}", va="center", fontsize=9, color=COLOUR[colour])
    ax.set_yticks(range(len(rows)), [name for name, *_ in rows])
    ax.set(xlabel="bits per byte on Hamlet (fewer is better)", ylim=(len(rows) - 0.5, -0.5))
    ax.set_xlim(min(min(values) for _, values, *_ in rows) - 0.15, max(counters.values()) + 0.4)
    ax.grid(axis="y", visible=False)
    return fig


def reading(text: str, letters: int, looks: Sequence[Any], belief: Any) -> Figure:
    """After some letters: where each head (blocks of (H, T, T)) looks, and the six bytes held most likely next."""
    fig, (above, below) = figure(
        2,
        height=4.7,
        layout="none",
        gridspec_kw={"left": 0.17, "right": 0.97, "top": 0.97, "bottom": 0.03, "height_ratios": [1.2, 1]},
    )
    fig.set_size_inches(FRAME, 4.7)
    for column, letter in enumerate(text):
        look = {"fontweight": "bold", "fontsize": 11} if column == letters - 1 else {"fontsize": 10}
        colour = COLOUR["ink" if column < letters else "grid"]
        above.text(column, -1.2, _spelt(letter), ha="center", va="center", color=colour, **look)
    top = 0.0
    for block, look in enumerate(looks, 1):
        weights = np.asarray(look)[:, letters - 1]
        above.imshow(
            _shaded(weights, COLOUR["fast"]),
            extent=(-0.5, len(text) - 0.5, top + len(weights) - 0.5, top - 0.5),
            aspect="auto",
            interpolation="none",
        )
        middle = top + (len(weights) - 1) / 2
        above.text(-1, middle, f"block {block}\n{len(weights)} heads", ha="right", va="center", fontsize=9)
        top += len(weights) + 0.5
    above.set(xlim=(-0.6, len(text) - 0.4), ylim=(top - 0.9, -2))
    above.axis("off")
    belief = np.asarray(belief)
    truth = ord(text[letters]) if letters < len(text) else None
    likely = np.argsort(-belief)[:6]
    below.barh(range(6), belief[likely], 0.72, color=COLOUR["slow"])
    for row, token in enumerate(likely):
        name = _spelt(chr(token)) if token < 127 else f"byte {token}"
        below.text(-0.03, row, name, ha="right", va="center", fontsize=11, fontweight="bold")
        comes = "  ← comes" if token == truth else ""
        below.text(belief[token] + 0.015, row, f"{belief[token]:.0%}{comes}", va="center", fontsize=9)
    if truth is not None and truth not in likely:
        what = f"what comes: “{_spelt(chr(truth))}” ({belief[truth]:.1%})"
        below.text(1, 5.3, what, ha="right", va="center", fontsize=9.5)
    below.set(xlim=(0, 1.02), ylim=(5.8, -0.6))
    below.axis("off")
    return fig


def learned(rates: Mapping[str, float], shared: float) -> Figure:
    """Learned rates by weight tensor, from the first to the last part of the model, and the one shared rate."""
    fig, ax = figure(height=4.6, layout="none", gridspec_kw={"left": 0.42, "right": 0.97, "top": 0.94, "bottom": 0.11})
    fig.set_size_inches(FRAME, 4.6)
    for place, rate in enumerate(rates.values()):
        ax.plot([shared, rate], [place, place], color=COLOUR["grid"], lw=2)
        ax.plot(rate, place, "o", color=COLOUR["fast" if rate > shared else "slow"], ms=6)
    ticks = [tick for tick in (0.01, 0.03, 0.1, 0.3, 1) if min(rates.values()) < 1.5 * tick < 3 * max(rates.values())]
    ax.axvline(shared, color=COLOUR["muted"], lw=1.2, ls=(0, (4, 2)))
    label_line(ax, shared, -1.1, "one rate for all", "muted", ha="center")
    ax.set_yticks(range(len(rates)), [_named(name) for name in rates], fontsize=8.5)
    ax.set(
        xscale="log",
        xticks=ticks,
        xticklabels=[f"{tick:g}" for tick in ticks],
        xlabel="learned rate",
        ylim=(len(rates) - 0.4, -0.6),
    )
    ax.minorticks_off()
    ax.grid(axis="y", visible=False)
    return fig


def _named(weight: str) -> str:
    """A weight's name for a reader: "block 1 · MLP gate" for "blocks.0.cms.blocks.0.gate"."""
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)", weight)
    if not found:
        return {"embedding.weight": "embedding", "norm.weight": "last norm"}[weight]
    part = {
        "norm.weight": "norm before attention",
        "mixer.qkv.weight": "queries, keys, values",
        "mixer.out.weight": "attention out",
        "cms.norms.0.weight": "norm before MLP",
    }.get(found[2], "MLP " + found[2].rsplit(".", 1)[-1])
    return f"block {int(found[1]) + 1} · {part}"
