"""The book's figures: one style, colours that mean levels, and one call that shows a figure with its alt text.

A figure becomes an inline SVG whose named colours are CSS variables, so that it follows the page's light
or dark theme; where no style sheet defines them (Colab) the colours below are used. A figure with too many
points for an SVG becomes a PNG on white.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Warm is fast, cool is slow. Distances under simulated colour blindness and contrasts are tested.
COLOUR = {
    "fast": "#C14A00",
    "middle": "#841F71",
    "slow": "#026BBA",
    "frozen": "#6C7179",
    "data": "#23282E",
    "good": "#0F7A5A",
    "bad": "#B3261E",
    "ink": "#24292F",
    "muted": "#5F6873",
    "grid": "#D9DEE4",
    "paper": "#FFFFFF",
    "panel": "#F4F6F8",
}
DARK = {
    "fast": "#FEA962",
    "middle": "#C46BBC",
    "slow": "#80C5FF",
    "frozen": "#A9B1BB",
    "data": "#E7EBEF",
    "good": "#5FD0A5",
    "bad": "#FF8A80",
    "ink": "#E6EAEE",
    "muted": "#A3ADB8",
    "grid": "#3A424B",
    "paper": "#14181D",
    "panel": "#1C2127",
}
DASH = {"fast": "-", "middle": (0, (6, 2)), "slow": (0, (3, 1.5)), "frozen": (0, (1, 2)), "data": "-"}

WIDTH = 6.9  # inches: the page's measure at 96 pixels an inch
SVG_LIMIT = 300_000  # characters; above it a figure is shown as a PNG
ALT = (20, 400)  # characters that an alt text may have


def use_style() -> None:
    """Set matplotlib's defaults to the book's style."""
    plt.rcParams.update(
        {
            "figure.dpi": 96,
            "figure.constrained_layout.use": True,
            "figure.facecolor": COLOUR["paper"],
            "savefig.facecolor": COLOUR["paper"],
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "mathtext.fontset": "dejavusans",
            "svg.fonttype": "none",
            "svg.hashsalt": "nested-learning",
            "text.color": COLOUR["ink"],
            "axes.facecolor": COLOUR["paper"],
            "axes.edgecolor": COLOUR["muted"],
            "axes.labelcolor": COLOUR["ink"],
            "axes.titlesize": 10.5,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": COLOUR["grid"],
            "grid.linewidth": 0.7,
            "xtick.color": COLOUR["muted"],
            "ytick.color": COLOUR["muted"],
            "xtick.labelcolor": COLOUR["ink"],
            "ytick.labelcolor": COLOUR["ink"],
            "lines.linewidth": 1.8,
            "legend.frameon": False,
            "axes.prop_cycle": plt.cycler(color=[COLOUR[name] for name in ("slow", "fast", "middle", "frozen")]),
        }
    )


def figure(rows: int = 1, columns: int = 1, *, height: float = 3.2, **subplots) -> tuple[Figure, Axes]:
    """Make a figure of the book's width in its style.

    Parameters
    ----------
    rows, columns: panels, default one. Prefer rows: a phone shows them at full width.
    height: inches of the whole figure, default 3.2.
    subplots: handed to ``matplotlib.pyplot.subplots`` (``sharex``, ``width_ratios`` …).
    """
    use_style()
    return plt.subplots(rows, columns, figsize=(WIDTH, height), **subplots)


def label_line(ax: Axes, x: float, y: float, text: str, colour: str, **kwargs):
    """Write ``text`` at data point (x, y) in a named or plain colour: labels on lines rather than legends."""
    settings = {"va": "center", "ha": "left", "fontsize": 9.5, "fontweight": "bold"} | kwargs
    return ax.text(x, y, text, color=COLOUR.get(colour, colour), **settings)


def show(fig: Figure, alt: str, caption: str | None = None) -> None:
    """Show a figure in the page with its alt text, and close it.

    Parameters
    ----------
    fig: a matplotlib figure.
    alt: what is on the axes and what one should see, 20 to 400 characters.
    caption: optional sentence under the figure.

    Raises
    ------
    ValueError
        If the alt text is missing, too short or too long.
    """
    from IPython.display import HTML, display

    markup = f'<figure class="nb-figure">{picture(fig, alt)}'
    if caption:
        markup += f"<figcaption>{html.escape(caption)}</figcaption>"
    display(HTML(markup + "</figure>"))


def picture(fig: Figure, alt: str) -> str:
    """Return the HTML of one figure (``<svg>`` or ``<img>``) with its alt text, and close the figure."""
    alt = " ".join(alt.split())
    if not ALT[0] <= len(alt) <= ALT[1]:
        raise ValueError(
            f"The alt text has {len(alt)} characters; write {ALT[0]} to {ALT[1]}: what is on the axes, what one sees."
        )
    markup = _svg(fig, alt)
    if len(markup) > SVG_LIMIT:
        markup = _png(fig, alt)
    plt.close(fig)
    return markup


def _svg(fig: Figure, alt: str) -> str:
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    for name, colour in COLOUR.items():
        text = re.sub(rf"{colour}\b", f"var(--nb-{name}, {colour})", text, flags=re.I)
    text = re.sub(
        r"(font(?:-family)?: [^;\"]*)'DejaVu Sans'[^;\"]*", r"\1var(--nb-font, 'DejaVu Sans', sans-serif)", text
    )
    text = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", text)
    # a hundredth of a point is finer than any screen; numbers that are read stand between the tags
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d+\.\d{2})\d+", r"\1", tag[0]), text)
    text = re.sub(r"\s*\n\s*", " ", text)
    named = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in named else "", text)
    # ids must differ between the figures of one page
    prefix = "f" + hashlib.sha256((alt + text).encode()).hexdigest()[:8]
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    width, height = (round(96 * side) for side in fig.get_size_inches())
    view = re.search(r'viewBox="([^"]+)"', text).group(1)
    head = (
        f'<svg class="nb-picture" role="img" aria-label="{html.escape(alt, quote=True)}" '
        f'width="{width}" height="{height}" viewBox="{view}" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return head + text[text.index(">") + 1 :]


def _png(fig: Figure, alt: str) -> str:
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    width, height = (round(96 * side) for side in fig.get_size_inches())
    return (
        f'<img class="nb-picture" alt="{html.escape(alt, quote=True)}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{data}">'
    )
