"""Figures of the chapter *Momentum remembers gradients*.

Colours follow the length of the memory: none is grey, decay 0.5 warm, 0.9 between, 0.99 cool. Bars that push the ball
onward are green and point up, bars that push it back are red and point down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Circle

from nbhelpers.notebook.figures import COLOUR, figure, label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FRAME = 4.6  # inches: a frame behind a slider fits a phone without scrolling
SHOWN = 30  # bars of past gradients
MEMORY = {0.0: "frozen", 0.5: "fast", 0.9: "middle", 0.99: "slow"}  # colour by momentum decay


def _frame(height: float, **subplots: Any) -> tuple[Figure, Sequence[Axes]]:
    """Two panels above each other with fixed margins, so that the frames of a slider do not jump."""
    margins = {"left": 0.13, "right": 0.97, "top": 0.93, "bottom": 0.11} | subplots
    fig, axes = figure(2, height=height, layout="none", gridspec_kw=margins)
    fig.set_size_inches(FRAME, height)
    return fig, axes


def _bars(ax: Axes, values: np.ndarray, **style: Any) -> None:
    """One bar for each value, the newest on the right at age 0."""
    ages = np.arange(len(values))[::-1]
    ax.bar(-ages, values, 0.75, color=[COLOUR["good" if v > 0 else "bad"] for v in values], **style)
    ax.axhline(0, color=COLOUR["muted"], lw=0.8)


def fading(told: Any, decay: float) -> Figure:
    """Gradients as they were told (steps,), what is left of each, and the sum of that."""
    told = -np.asarray(told, dtype=float)
    ages = np.arange(len(told))[::-1]
    fig, (above, below) = figure(2, height=3.9, sharex=True, sharey=True)
    _bars(above, told)
    _bars(below, told, alpha=0.22)
    _bars(below, told * decay**ages)
    total = float((told * decay**ages).sum())
    below.bar(3, total, 1.6, color=COLOUR["ink"])
    label_line(below, 3, total + 0.25 * np.sign(total), "sum", "ink", ha="center")
    above.set(title="what was told, one gradient a step", ylabel="minus gradient")
    below.set(title="what is left of each (pale: what was told)", ylabel="in the momentum", xlabel="steps ago")
    ticks = np.arange(-20, 1, 5)
    below.set_xticks([*ticks, 3], [*(str(-tick) for tick in ticks), "all"])
    return fig


def ball(
    step: int, decay: float, rate: float, path: Any, told: Any, height: Callable[[np.ndarray], np.ndarray]
) -> Figure:
    """The ball after some steps, and below it what is left of each gradient in the step that it is about to make."""
    path, told = np.asarray(path), np.asarray(told)
    fig, (hill, bars) = _frame(4.7, hspace=0.42, height_ratios=[1.15, 1])
    w = np.linspace(-3.4, 5.4, 110)
    hill.fill_between(w, height(w), -0.55, color=COLOUR["grid"], lw=0)
    hill.plot(w, height(w), color=COLOUR["muted"], lw=1.2)
    trail = path[max(0, step - 14) : step]
    hill.plot(trail, height(trail) + 0.14, "o", color=COLOUR["muted"], ms=3)
    now, after = path[step], path[step + 1]
    hill.plot(now, height(now) + 0.2, "o", color=COLOUR["ink"], ms=11)
    tip = {"arrowprops": {"arrowstyle": "-|>", "color": COLOUR["ink"], "lw": 1.8, "shrinkA": 0, "shrinkB": 0}}
    if abs(after - now) > 0.05:
        hill.annotate("", (now + 5 * (after - now), height(now) + 0.75), (now, height(now) + 0.75), **tip)
    hill.set(xlim=(-3.4, 5.4), ylim=(-0.55, 4.4), xticks=(-2, 0, 2, 4), yticks=(0, 1, 2, 3))
    hill.set(ylabel="loss", title=f"decay {decay}, after {step} steps")
    here, last = told[step], told[: step + 1][-SHOWN:]
    share = -rate * decay ** np.arange(len(last))[::-1] * last
    for y, name, number in ((4.2, "slope here", here), (3.6, "step", after - now)):
        number = f"{round(float(number), 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")  # + 0.0: no "-0.00"
        hill.text(5.3, y, f"{name} {number}", ha="right", va="top")
    _bars(bars, share)
    edge = 1.15 * rate
    bars.set(xlim=(-SHOWN, 1), ylim=(-edge, edge), xticks=(-25, -20, -15, -10, -5, 0))
    bars.set_xticklabels(["25", "20", "15", "10", "5", "0"])
    bars.set(xlabel="steps ago", ylabel="part of the step")
    bars.set_title("the step, un-mixed into gradients")
    return fig


def horizon(counts: Any, shares: Mapping[float, tuple[Any, Any]], marks: Mapping[str, tuple[int, float]]) -> Figure:
    """Share of the newest n gradients in the memory by decay: (by weight, by squared length); marks are the paper's."""
    fig, ax = figure(height=3.7)
    places = {0.5: (1.05, 0.62), 0.9: (3.5, 0.24), 0.99: (26, 0.13)}
    for decay, (weight, squared) in shares.items():
        colour = MEMORY[decay]
        ax.plot(counts, weight, color=COLOUR[colour])
        ax.plot(counts, squared, "--", color=COLOUR[colour], lw=1.2)
        label_line(ax, *places[decay], f"decay {decay}", colour)
    for text, (n, share) in marks.items():
        ax.plot(n, share, "o", color=COLOUR["ink"], ms=5)
        low = share < 0.9
        at = {"va": "top", "ha": "left"} if low else {"va": "bottom", "ha": "center"}
        ax.annotate(text, (n, share), (5, -4) if low else (0, 6), textcoords="offset points", fontsize=9, **at)
    for level in (0.5, 0.99):
        ax.axhline(level, color=COLOUR["muted"], lw=0.8, ls=":")
    ax.set(xscale="log", xlim=(1, 500), ylim=(0, 1.13), xlabel="newest gradients counted", ylabel="their share")
    ax.set_xticks([1, 3, 7, 22, 44, 100, 300], ["1", "3", "7", "22", "44", "100", "300"])
    ax.set_yticks([0, 0.5, 0.99], ["0", "50 %", "99 %"])
    ax.minorticks_off()
    return fig


def recognised(ages: Any, rates: Any, told: Any, lure: Any, ideal: Any) -> Figure:
    """Recognition by age, one line a seed (seeds, ages), and the mean cosines behind it (ages,)."""
    fig, (top, below) = figure(2, height=5.4, sharex=True)
    top.plot(ages, np.asarray(rates).T, color=COLOUR["middle"], lw=0.9)
    top.axhline(0.5, color=COLOUR["ink"], lw=0.8, ls=":")
    top.text(0.6, 0.46, "chance", fontsize=9)
    label_line(top, 7, 0.8, "five networks", "middle")
    top.set(ylim=(0.25, 1), ylabel="told one recognised", title="shown a told gradient and a lure")
    below.plot(ages, told, color=COLOUR["middle"])
    below.plot(ages, lure, "--", color=COLOUR["frozen"])
    below.plot(ages, ideal, ":", color=COLOUR["ink"], lw=1.3)
    below.axhline(0, color=COLOUR["muted"], lw=0.8)
    label_line(below, 9, 0.27, "told", "middle")
    label_line(below, 21, 0.12, "lure", "frozen")
    below.text(15, 0.2, "dotted: told, if all gradients were at right angles", fontsize=9)
    below.set(xlabel="steps ago", ylabel="cosine with the memory", xlim=(0, 60))
    for ax in (top, below):
        for age in (6, 43):
            ax.axvline(age, color=COLOUR["muted"], lw=0.8, ls=(0, (2, 2)))
    top.text(6.4, 0.96, "7th newest", fontsize=9, va="center")
    top.text(42.6, 0.96, "44th newest", fontsize=9, va="center", ha="right")
    return fig


def roots(decay: float, steepness: float, eigenvalues: Any, path: Any) -> Figure:
    """The two eigenvalues in the unit circle, and the weight over the steps (path is clipped at the frame)."""
    fig, (plane, time) = _frame(5.0, hspace=0.28, height_ratios=[1.6, 1])
    eigenvalues = np.asarray(eigenvalues)
    size = abs(eigenvalues).max()
    colour = "good" if size < 1 - 1e-12 else "bad"
    plane.add_patch(Circle((0, 0), 1, fill=False, ec=COLOUR["ink"], lw=1.4))
    plane.add_patch(Circle((0, 0), decay**0.5, fill=False, ec=COLOUR["muted"], lw=1, ls=(0, (3, 2))))
    plane.axhline(0, color=COLOUR["grid"], lw=0.8)
    plane.axvline(0, color=COLOUR["grid"], lw=0.8)
    shown = np.clip(eigenvalues.real, -2.05, 2.05)
    plane.plot(shown, eigenvalues.imag, "o", color=COLOUR[colour], ms=9)
    plane.set(xlim=(-2.1, 2.1), ylim=(-1.2, 1.2), aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    plane.set_title(f"decay {decay}, steepness {steepness}")
    word = "dies away" if colour == "good" else "does not die away"
    plane.text(
        -2.05, 1.16, f"largest {size:.3f}\n{word}", va="top", fontsize=9, color=COLOUR[colour], fontweight="bold"
    )
    path = np.asarray(path)
    path = np.where(np.abs(path) < 4, path, np.nan)
    time.plot(path, color=COLOUR[colour], lw=1.6)
    time.set(xlim=(0, 60), ylim=(-2.2, 2.2), xlabel="step", ylabel="weight", yticks=(-2, -1, 0, 1, 2))
    return fig


def region(steepness: Any, decay: Any, size: Any, middle: tuple[Any, Any]) -> Figure:
    """Largest eigenvalue over the (steepness, decay) plane: stable or not, with the ringing part between two curves."""
    fig, ax = figure(height=3.5)
    ax.contourf(steepness, decay, size, levels=[0, 1], colors=[COLOUR["good"]], alpha=0.2)
    ax.plot(2 * (1 + decay), decay, color=COLOUR["ink"], lw=2)
    for edge in middle:
        ax.plot(edge, decay, "--", color=COLOUR["muted"], lw=1.2)
    label_line(ax, 3.15, 0.12, "grows", "bad")
    label_line(ax, 1.0, 0.62, "rings, and dies away at\nthe pace of the memory", "good", ha="center")
    label_line(ax, 0.03, 0.06, "creeps", "good")
    label_line(ax, 1.66, 0.05, "flips", "good", fontsize=9)
    ax.set(xlim=(0, 4.2), ylim=(0, 1), xlabel="steepness: rate times curvature", ylabel="decay")
    return fig


def seasons(periods: Sequence[int], ratios: Mapping[str, Any]) -> Figure:
    """Loss of learners with a memory over the loss without one (seeds, periods), by how long a task lasts."""
    fig, ax = figure(height=3.8)
    looks = {
        "decay 0.5": ("fast", "-", (3.15, 0.78)),
        "decay 0.9": ("middle", "-", (2.2, 1.86)),
        "decay 0.9, emptied at each change": ("frozen", "--", (0.0, 1.3)),
    }
    x = np.arange(len(periods))
    for name, (colour, dash, place) in looks.items():
        values = np.asarray(ratios[name])
        ax.plot(x, np.median(values, axis=0), dash, color=COLOUR[colour])
        ax.plot(x, values.T, ".", color=COLOUR[colour], ms=4)
        label_line(ax, *place, name.replace(", ", ",\n"), colour)
    ax.axhline(1, color=COLOUR["ink"], lw=1)
    ax.text(len(x) - 1.02, 1.03, "no memory", ha="right", fontsize=9)
    ax.set(yscale="log", ylabel="loss against no memory", xlabel="steps until the task changes")
    ax.set_xticks(x, [*(str(p) for p in periods[:-1]), "never"])
    ax.set_yticks([0.5, 0.7, 1, 1.4, 2], ["half", "0.7", "same", "1.4", "double"])
    ax.minorticks_off()
    return fig


def hills(w: Any, loss: Any, paths: Mapping[str, tuple[Any, Any]], shares: Mapping[str, Any]) -> Figure:
    """One rough hill with where two balls went, and the share of stuck runs by seed."""
    fig, (land, share) = figure(1, 2, height=3.5, width_ratios=[2.1, 1])
    land.plot(w, loss, color=COLOUR["muted"], lw=1.2)
    low, high = float(loss.min()), float(loss.max())
    right = max(float(path[-1]) for path, _ in paths.values())
    for row, (name, (path, at)) in enumerate(paths.items()):
        colour = ("frozen", "middle")[row]
        land.plot(path, at, "o", color=COLOUR[colour], ms=2.5, alpha=0.5)
        land.plot(path[-1], at[-1], "o", color=COLOUR[colour], ms=10)
        land.annotate(
            f"{name} ends here",
            (path[-1], at[-1]),
            (float(path[-1]), low - 0.12 * (high - low)),
            ha="left" if path[-1] == right else "right",
            va="top",
            color=COLOUR[colour],
            fontsize=9,
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": COLOUR[colour], "lw": 0.8},
        )
    land.set(xlabel="weight", ylabel="loss", title="one of the hills", ylim=(low - 0.27 * (high - low), None))
    for row, (name, values) in enumerate(shares.items()):
        values = np.asarray(values)
        share.plot(np.full(len(values), row), 100 * values, "o", color=COLOUR[("frozen", "middle")[row]], ms=5)
        label_line(share, row, 100 * values.max() + 6, name, ("frozen", "middle")[row], ha="center")
    share.set(xlim=(-0.6, 1.6), ylim=(0, 100), xticks=[], ylabel="stuck runs (%)", title="five times 400 hills")
    return fig


def two_tasks(switch: int, left: Any, accuracy: Mapping[str, Any]) -> Figure:
    """Share of the memory in the first task's directions, and its accuracy, (seeds, steps) each."""
    fig, (memory, scores) = figure(2, height=4.6, sharex=True)
    memory.plot(100 * np.asarray(left).T, color=COLOUR["middle"], lw=0.9)
    memory.set(ylabel="first task's share\nof the memory (%)", ylim=(-4, 104))
    places = {"first task": ("slow", (0.62, 91)), "second task": ("fast", (0.62, 40))}
    for name, (colour, (x, y)) in places.items():
        curve = 100 * np.asarray(accuracy[name])
        scores.plot(curve.T, color=COLOUR[colour], lw=0.9)
        label_line(scores, x * curve.shape[1], y, name, colour)
    scores.set(ylabel="test accuracy (%)", xlabel="step", ylim=(0, 100), xlim=(0, len(np.asarray(left).T)))
    for ax in (memory, scores):
        ax.axvline(switch, color=COLOUR["ink"], lw=1)
    label_line(memory, switch - 4, 40, "the task\nchanges", "ink", ha="right")
    return fig


def never_forgets(losses: Mapping[float, Any]) -> Figure:
    """Loss over the steps by momentum decay, the last of them 1."""
    fig, ax = figure(height=3.1)
    looks = {0.5: ("fast", "-"), 0.9: ("middle", "-"), 1.0: ("bad", "-")}
    for decay, loss in losses.items():
        colour, dash = looks[decay]
        ax.plot(loss, dash, color=COLOUR[colour], lw=1.6)
    label_line(ax, 303, losses[1.0][-40:].mean(), "decay 1", "bad")
    label_line(ax, 303, losses[0.5][-1] + 0.03, "decay 0.5", "fast")
    label_line(ax, 303, losses[0.9][-1] - 0.025, "decay 0.9", "middle")
    ax.set(xlabel="step", ylabel="training loss", xlim=(0, 360), ylim=(0, 0.53))
    ax.set_xticks([0, 100, 200, 300])
    return fig
