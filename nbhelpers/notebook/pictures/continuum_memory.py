"""Figures of the chapter *Continuum memory*. Warm is the fast block, cool the slow one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbhelpers.notebook.figures import COLOUR, DASH, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME = 4.6  # inches: a frame behind a slider fits a phone without scrolling
LEVELS = "fast", "middle", "slow"
LANGUAGES = "English", "French", "Spanish"
TOPICS = "geography", "people", "technology"
KINDS = "language", "topic", "article"
SPAN = 512  # words that the lanes of the slider show


def _level(periods: Sequence[float], place: int) -> str:
    """The level of the block at a place of the chain, by its period among the others."""
    return LEVELS[sorted(periods).index(periods[place])]


def _bars(ax: Axes, numbers: Any, y: float, names: Sequence[str] | None, size: float = 8.5) -> None:
    """Runs of equal numbers as bars side by side, shaded in turn, named where there is room."""
    numbers = np.asarray(numbers)
    cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1), len(numbers)]
    for turn, (a, b) in enumerate(itertools.pairwise(cuts)):
        shade = COLOUR["grid"] if turn % 2 else COLOUR["panel"]
        ax.barh(y, b - a, left=a, height=0.8, color=shade, edgecolor=COLOUR["muted"], lw=0.6)
        if names is not None:
            ax.text((a + b) / 2, y, names[numbers[a]], ha="center", va="center", fontsize=size)


def _plain(ax: Axes) -> None:
    ax.grid(visible=False)
    ax.tick_params(left=False)
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)


def idea(stream: Any, periods: Sequence[int], words: int = 4096) -> Figure:
    """The beginning of a stream as bars, and the ticks of each block below."""
    fig, ax = figure(height=3.0)
    _bars(ax, stream.language[:words], 5, LANGUAGES, 9.5)
    _bars(ax, stream.topic[:words] % 3, 4, TOPICS, 9)
    _bars(ax, stream.article[:words], 3, None)
    for place, name in enumerate(LEVELS):
        ticks = np.arange(periods[place], words + 1, periods[place])
        ax.vlines(ticks, 1.6 - place, 2.3 - place, color=COLOUR[name], lw=(0.5, 1.2, 2.6)[place])
    ax.set_yticks(
        [5, 4, 3, 1.95, 0.95, -0.05], ["language", "topic", "article", *(f"every {p} words" for p in periods)]
    )
    for label, name in zip(ax.get_yticklabels()[3:], LEVELS, strict=True):
        label.set(color=COLOUR[name], fontweight="bold")
    _plain(ax)
    ax.set(xlim=(0, words), ylim=(-0.6, 5.6), xlabel="words read")
    return fig


def rates(rows: Mapping[int, Sequence[Mapping[str, Any]]]) -> Figure:
    """Loss against the rate for chains with one period; rows of tuning by period."""
    fig, ax = figure(height=3.3)
    for (period, trials), name in zip(rows.items(), LEVELS, strict=True):
        good = [(row["rate"], row["loss"]) for row in trials if row["loss"] is not None]
        rate, loss = np.array(good).T
        ax.plot(rate, loss, color=COLOUR[name], ls=DASH[name], marker="o", ms=3)
        last = rate[loss < 9].max()
        label_line(ax, last * 0.75, 7.6, f"every {period}", name, ha="right")
    ax.set(xscale="log", yscale="log", ylim=(4.4, 9), xlim=(2e-6, 0.15), xlabel="rate", ylabel="nats a word")
    ax.set_yticks([5, 6, 7, 8, 9], ["5", "6", "7", "8", "9"])
    ax.minorticks_off()
    return fig


def contest(gaps: Mapping[str, Any]) -> Figure:
    """Loss of each arm minus that of the first, (4, seeds): all words and the three kinds."""
    panels = ("all words", *(f"{kind} words" for kind in KINDS))
    fig, axes = figure(2, 2, height=5.4, sharey=True)
    arms = list(gaps)[1:]
    for ax, panel, which in zip(axes.flat, panels, range(4), strict=True):
        ax.axvline(0, color=COLOUR["ink"], lw=1)
        for row, arm in enumerate(arms):
            values = np.asarray(gaps[arm])[which]
            colour = COLOUR["fast" if "16" in arm else "slow" if "512" in arm else "middle"]
            ax.plot(values, np.full(len(values), -row), "o", color=colour, ms=5, alpha=0.75)
            ax.plot([np.median(values)] * 2, [-row - 0.3, -row + 0.3], color=colour, lw=2.2)
        ax.set_title(panel)
        ax.set_yticks([-row for row in range(len(arms))], arms, fontsize=9)
        ax.grid(visible=False, axis="y")
        ax.set_xscale("symlog", linthresh=0.1)
        ax.set_xticks([-0.1, 0, 0.1, 1], ["-0.1", "0", "0.1", "1"])
        ax.minorticks_off()
    for ax in axes[1]:
        ax.set_xlabel("nats a word above three clocks")
    return fig


def damage(held: Any) -> Figure:
    """Reset damage (seeds, blocks, kinds), a row of dots for each block and kind."""
    held = np.asarray(held)
    fig, axes = figure(3, height=4.4, sharex=True)
    for ax, kind, k in zip(axes, KINDS, range(3), strict=True):
        ax.axvline(0, color=COLOUR["ink"], lw=1)
        for block, name in enumerate(LEVELS):
            values = held[:, block, k]
            ax.plot(values, np.full(len(values), -block), "o", color=COLOUR[name], ms=6, alpha=0.75)
            ax.plot([np.median(values)] * 2, [-block - 0.3, -block + 0.3], color=COLOUR[name], lw=2.2)
        ax.set_title(f"{kind} words")
        ax.set_yticks([0, -1, -2], LEVELS)
        for label, name in zip(ax.get_yticklabels(), LEVELS, strict=True):
            label.set(color=COLOUR[name], fontweight="bold")
        ax.set_ylim(-2.6, 0.6)
        ax.grid(visible=False, axis="y")
    axes[-1].set_xlabel("reset damage, nats a word (one mark a seed)")
    return fig


def lanes(stream: Any, read: int, periods: Sequence[int], damages: Any) -> Figure:
    """Where we are in the text, the ticks of the last 512 words, and the reset damage of each block by kind of word.

    damages: (times, blocks, kinds), every 512 words.
    """
    margins = {"left": 0.19, "right": 0.97, "top": 0.95, "bottom": 0.09, "hspace": 0.5}
    fig, (top, mid, low) = figure(
        3, height=5.0, layout="none", gridspec_kw=margins | {"height_ratios": [0.8, 1.5, 2.4]}
    )
    fig.set_size_inches(FRAME, 5.0)
    words = SPAN * len(damages)
    _bars(top, stream.language[:words], 1, LANGUAGES, 9)
    _bars(top, stream.topic[:words] % 3, 0, ("geo", "people", "tech"), 8)
    top.axvspan(read - SPAN, read, color=COLOUR["ink"], alpha=0.2, lw=0)
    top.set(xlim=(0, words), ylim=(-0.5, 1.5), xticks=(0, 3072, 6144))
    top.set_xticklabels(["0", "3,072", "6,144"], fontsize=8.5)
    top.get_xticklabels()[2].set_ha("right")
    top.set_yticks([1, 0], ["language", "topic"], fontsize=8.5)
    span = slice(read - SPAN, read)
    _bars(mid, stream.article[span], 3, None)
    for place, period in enumerate(periods):
        name = _level(periods, place)
        ticks = np.arange(period, SPAN + 1, period)
        mid.vlines(ticks, 1.65 - place, 2.35 - place, color=COLOUR[name], lw=(1, 2, 4)[LEVELS.index(name)])
    heads = ["article", *(f"{where}: {p}" for where, p in zip(("1st", "2nd", "3rd"), periods, strict=True))]
    mid.set_yticks([3, 2, 1, 0], heads, fontsize=8.5)
    for label, place in zip(mid.get_yticklabels()[1:], range(3), strict=True):
        label.set(color=COLOUR[_level(periods, place)], fontweight="bold")
    mid.set(xlim=(0, SPAN + 4), ylim=(-0.6, 3.5), xticks=(0, SPAN))
    mid.set_xticklabels([f"{read - SPAN:,}", f"{read:,} words"], fontsize=8.5)
    mid.get_xticklabels()[0].set_ha("left")
    mid.get_xticklabels()[1].set_ha("right")
    for ax in (top, mid):
        _plain(ax)
    now = np.asarray(damages)[read // SPAN - 1]
    for k in range(3):
        for place in range(3):
            y = -k - 0.26 * (place - 1)
            name = _level(periods, place)
            low.barh(y, now[place, k], 0.22, color=COLOUR[name])
    low.axvline(0, color=COLOUR["ink"], lw=1)
    low.set_yticks([0, -1, -2], [f"{kind}\nwords" for kind in KINDS], fontsize=9)
    least, most = np.min(damages), np.max(damages)
    low.set(ylim=(-2.5, 0.5), xlim=(min(least, 0) * 1.05, most * 1.05))
    low.set_xlabel("nats a word worse without the block", fontsize=9)
    low.grid(visible=False, axis="y")
    return fig


def visits(arms: Mapping[str, Any]) -> Figure:
    """Loss on the probes of three languages, (seeds, times, languages) every 512 words, an arm a panel."""
    fig, axes = figure(len(arms), height=2.1 * len(arms) + 0.3, sharex=True, sharey=True)
    for ax, (arm, values) in zip(axes, arms.items(), strict=True):
        values = np.asarray(values)
        at = SPAN * (np.arange(values.shape[1]) + 1)
        for language, dash in enumerate(("-", (0, (5, 2)), (0, (1, 1.5)))):
            one = values[:, :, language]
            ax.plot(at, np.median(one, 0), color=COLOUR["ink"], ls=dash)
            ax.fill_between(at, one.min(0), one.max(0), color=COLOUR["muted"], alpha=0.2, lw=0)
        for visit in range(1, 6):
            ax.axvline(3072 * visit, color=COLOUR["muted"], lw=0.8)
        ax.set_title(arm)
        ax.set(ylabel="nats a word", xlim=(0, at[-1]))
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low, high + 0.2 * (high - low))
    for visit in range(6):
        x, y = 3072 * visit + 1536, high + 0.08 * (high - low)
        line = ("—", "- -", "····")[visit % 3]
        label_line(axes[0], x, y, f"{line} {LANGUAGES[visit % 3]}", "ink", ha="center", fontsize=8.5)
    axes[-1].set_xlabel("words read")
    return fig


def passing(moved: Mapping[str, Any], since: Sequence[int]) -> Figure:
    """Information (times, seeds, blocks) about a topic that is over, a variant a panel."""
    names = {"cms": "sequential", "independent": "independent", "nested": "nested"}
    fig, axes = figure(len(moved), height=6.3, sharex=True)
    places = np.arange(len(since))
    for ax, (variant, values) in zip(axes, moved.items(), strict=True):
        values = np.asarray(values)
        for block, name in enumerate(LEVELS):
            one = values[:, :, block]
            ax.plot(places, np.median(one, 1), color=COLOUR[name], ls=DASH[name], marker="o", ms=4)
            ax.fill_between(places, one.min(1), one.max(1), color=COLOUR[name], alpha=0.15, lw=0)
        low, high = ax.get_ylim()
        heights = np.median(values[-1], 0)
        for rank, block in enumerate(np.argsort(heights)):  # labels that do not touch
            least = low + (0.02 + 0.13 * rank) * (high - low)
            label_line(ax, places[-1] + 0.08, max(heights[block], least), LEVELS[block], LEVELS[block])
        ax.axhline(0, color=COLOUR["ink"], lw=0.8)
        ax.set_title(names[variant])
        ax.set(ylabel="nats a word", xlim=(-0.1, len(since) - 0.55))
    axes[-1].set_xticks(places, ["before the\nlast tick", "topic ends", *(f"{n:,} words\nlater" for n in since[2:])])
    return fig


def stacking(saved: Mapping[str, Any], titles: Sequence[str]) -> Figure:
    """Nats a token saved on each text, a row of marks for each arm."""
    fig, ax = figure(height=3.6)
    names = {"many.first.layer.fast": "four, first layer fast", "many.last.layer.fast": "four, last layer fast"}
    marks = "os^Dvx"
    for row, (arm, values) in enumerate(saved.items()):
        colour = COLOUR["middle" if arm in names else "slow"]
        ax.axhline(-row, color=COLOUR["grid"], lw=0.8, zorder=0)
        for value, mark in zip(values, marks, strict=True):
            ax.plot(value, -row, mark, color=colour, ms=6, alpha=0.8)
        ax.plot([np.median(values)] * 2, [-row - 0.3, -row + 0.3], color=colour, lw=2.2)
    ax.axvline(0, color=COLOUR["ink"], lw=1)
    ax.set_yticks([-row for row in range(len(saved))], [names.get(arm, arm.replace(".", ", ")) for arm in saved])
    ax.set(xlabel="nats a token saved", ylim=(-len(saved) + 0.4, 1.6))
    for place, (title, mark) in enumerate(zip(titles, marks, strict=True)):
        x, y = (0.01 + 0.34 * (place % 3), 0.97 - 0.085 * (place // 3))
        ax.plot(x, y, mark, transform=ax.transAxes, color=COLOUR["ink"], ms=5)
        ax.text(x + 0.02, y, title.split(",")[0], transform=ax.transAxes, fontsize=8.5, va="center")
    ax.grid(visible=False, axis="y")
    return fig
