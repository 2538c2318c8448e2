"""The one drawing of the final model: parts by period, time across, with a chapter's own part lit.

As the last line of a cell, ``model_map("two-clocks")`` shows it with its alt text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from nbhelpers.notebook.figures import COLOUR, show, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Part:
    """One row of the drawing. ``period`` counts tokens between updates; None draws no ticks."""

    name: str
    when: str
    level: str  # a key of COLOUR
    period: int | None


PARTS = {
    "attention": Part("attention window", "every token", "fast", 1),
    "memory": Part("self-modifying memory", "every token", "fast", 1),
    "fast": Part("fast level", "after a few tokens", "fast", 4),
    "middle": Part("middle level", "after many", "middle", 8),
    "slow": Part("slow level", "seldom", "slow", 16),
    "weights": Part("frozen weights", "never, once trained", "frozen", None),
    "optimizer": Part("optimizer memory", "every training step", "data", None),
}
ALL = tuple(PARTS)

# What each chapter of data/chapters.yml is about; a test compares the names.
LIT: dict[str, tuple[str, ...]] = {
    "the-mathematics-you-need": ALL,
    "a-language-model-in-one-sitting": ("attention", "weights"),
    "the-amnesiac": ("attention", "weights"),
    "two-clocks": ("fast", "slow"),
    "associative-memory": ("memory",),
    "a-layer-is-a-solver": ("weights",),
    "momentum-remembers-gradients": ("optimizer",),
    "adam-adagrad-muon": ("optimizer",),
    "delta-gradient-descent": ("memory", "optimizer"),
    "deep-momentum-and-the-fair-contest": ("optimizer",),
    "many-clocks-in-one-optimizer": ("optimizer",),
    "levels": ALL,
    "fast-weights": ("memory",),
    "the-same-in-parallel": ("memory",),
    "a-memory-trained-while-it-reads": ("memory",),
    "four-ways-to-wire-it-in": ("attention", "memory"),
    "continuum-memory": ("fast", "middle", "slow"),
    "self-modifying-titans": ("memory",),
    "hope": ("memory", "fast", "middle", "slow", "weights"),
    "training-hope-on-a-gpu": ALL,
    "scaling-out": ALL,
    "long-context": ("attention", "memory"),
    "one-task-after-another": ("fast", "middle", "slow"),
    "streams-of-domains-and-languages": ("fast", "middle", "slow"),
    "a-memory-you-can-carry": ("middle",),
    "moods-and-traits": ("fast", "slow"),
    "the-amnesiac-again": ALL,
}


class Drawing(Figure):
    """A figure that knows its alt text, so that a notebook shows it as the book shows figures, not as a bare PNG.

    It is no pyplot figure: the inline backend would show it a second time.
    """

    alt: str = ""

    def _ipython_display_(self) -> None:
        show(self, alt=self.alt)


# In points. A phone shows the drawing 340 pixels wide, one pixel a point: text stays at 11 pixels or more.
WIDTH, ROW, GAP, TOP, LEFT, RIGHT = 340, 49, 5, 27, 14, 328
TOKENS, WINDOW = 32, 8


def model_map(here: str | None = None) -> Drawing:
    """Draw the final model; rows are its parts from the shortest period to the longest, time runs to the right.

    Parameters
    ----------
    here: slug of the chapter whose part is lit, the rest is muted. None, the default, lights everything.

    Raises
    ------
    ValueError
        If the chapter is unknown; the message lists the known ones.
    """
    lit = _lit(here)
    use_style()
    height = TOP + len(PARTS) * (ROW + GAP) + 2 * GAP
    figure = Drawing(figsize=(WIDTH / 72, height / 72), layout="none")
    figure.alt = model_map_alt(here)
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
    ax.axis("off")
    ax.text(LEFT, 15, "text, token by token", color=COLOUR["muted"], fontsize=11, va="center")
    ax.annotate(
        "",
        (RIGHT, 15),
        (146, 15),
        arrowprops={"arrowstyle": "-|>", "color": COLOUR["muted"], "shrinkA": 0, "shrinkB": 0},
    )
    y = TOP
    for name, part in PARTS.items():
        if name == "optimizer":
            ax.plot([LEFT, RIGHT], [y + GAP / 2] * 2, color=COLOUR["muted"], linewidth=0.8, linestyle=(0, (2, 3)))
            y += GAP
        _row(ax, name, part, y, name in lit)
        y += ROW + GAP
    return figure


def model_map_alt(here: str | None = None) -> str:
    """Return the alt text that belongs to ``model_map(here)``. Raises ValueError like :func:`model_map`."""
    lit = _lit(here)
    names = [PARTS[name].name for name in PARTS if name in lit]
    which = "All parts are lit." if len(names) == len(PARTS) else f"Lit in this chapter: {_listed(names)}."
    return (
        "The final model over time, from the part that changes with every token at the top to the one that never "
        f"changes in use: {_listed([part.name for part in list(PARTS.values())[:-1]])}; below them the optimizer "
        f"memory of training. {which}"
    )


def _lit(here: str | None) -> tuple[str, ...]:
    if here is None:
        return ALL
    if here not in LIT:
        raise ValueError(f'The drawing has no part for "{here}"; chapters: {", ".join(LIT)}.')
    return LIT[here]


def _row(ax: Axes, name: str, part: Part, y: float, lit: bool) -> None:
    colour = COLOUR[part.level] if lit else COLOUR["muted"]
    if lit:
        ax.add_patch(
            FancyBboxPatch(
                (4, y),
                WIDTH - 8,
                ROW,
                boxstyle="round,pad=0,rounding_size=4",
                facecolor=COLOUR["panel"],
                edgecolor=colour,
                linewidth=1,
            )
        )
        ax.add_patch(Rectangle((4, y), 4, ROW, facecolor=colour, linewidth=0))
    ax.text(LEFT, y + 14, part.name, color=colour, fontsize=12.5, fontweight="bold" if lit else "normal", va="center")
    ax.text(RIGHT, y + 14, part.when, color=COLOUR["muted"], fontsize=11, ha="right", va="center")
    line = y + ROW - 10
    if name == "attention":
        _window(ax, line, colour, lit)
    elif name == "optimizer":
        _fading(ax, line, colour)
    else:
        _clock(ax, part, line, colour, lit)


def _clock(ax: Axes, part: Part, y: float, colour: str, lit: bool) -> None:
    """A line that ticks once a period; a line without ticks never changes."""
    ax.plot([LEFT, RIGHT], [y, y], color=colour, linewidth=(3.2 if part.period is None else 1.4) if lit else 1)
    if part.period is None:
        return
    times = range(part.period, TOKENS + 1, part.period)
    tall = {1: 6, 4: 8, 8: 10, 16: 12}[part.period]
    for time in times:
        ax.plot([_x(time)] * 2, [y + 2, y - tall], color=colour, linewidth=2.4 if lit else 1.2, solid_capstyle="round")


def _window(ax: Axes, y: float, colour: str, lit: bool) -> None:
    """Tokens as squares: those in the window filled, older ones empty."""
    for time in range(1, TOKENS + 1):
        inside = time > TOKENS - WINDOW
        ax.add_patch(
            Rectangle(
                (_x(time) - 6.4, y - 6),
                6.4,
                7.5,
                facecolor=colour if inside else "none",
                edgecolor=colour,
                linewidth=0.9 if lit else 0.6,
            )
        )


def _fading(ax: Axes, y: float, colour: str) -> None:
    """Past gradients in a momentum: each a little shorter than the next one."""
    for time in range(1, TOKENS + 1):
        tall = 0.5 + 14 * 0.88 ** (TOKENS - time)
        ax.add_patch(Rectangle((_x(time) - 6.4, y + 2 - tall), 6.4, tall, facecolor=colour, linewidth=0))


def _x(time: int) -> float:
    return LEFT + (RIGHT - LEFT) * time / TOKENS


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
