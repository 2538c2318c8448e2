"""Sliders that work with no kernel: frames drawn ahead, held in nested ``Stack`` widgets, linked in the browser.

In the static book the html-manager script moves the sliders; on a live kernel the same widgets work. Where
ipywidgets has no ``Stack`` (Colab ships 7.7.1) the frames are drawn on demand with ``interact``.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from nbhelpers.notebook.figures import picture, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRAMES = 40
BYTES = 1_000_000


def explore(
    draw: Callable[..., Figure],
    *,
    alt: str | Callable[..., str],
    label: str,
    start: dict[str, Any] | None = None,
    **sliders: Sequence[Any],
) -> None:
    """Show ``draw(**values)`` with a slider for each keyword, live and in the static page.

    Parameters
    ----------
    draw: makes one matplotlib figure from one value of each slider.
    alt: the alt text of a frame: a template such as ``"Gain at rate {rate}: …"`` or a function of the same
        keywords as ``draw``.
    label: what the sliders are for; it is read out before them and printed above.
    start: the values shown first, default the first of each slider.
    sliders: ``name=values``; an underscore in a name is shown as a space. One to three sliders.

    Raises
    ------
    ValueError
        If there is no slider or more than three, a slider has fewer than two values, a start value is not
        among them, or the frames exceed the budget of 40 frames or 1 MB.
    """
    import ipywidgets
    from IPython.display import display

    sliders = {name: list(values) for name, values in sliders.items()}
    first = _start(sliders, start or {})
    describe = alt if callable(alt) else alt.format

    if not hasattr(ipywidgets, "Stack"):
        _interact(draw, describe, label, sliders, first)
        return

    markup = {
        combination: picture(draw(**_named(sliders, combination)), describe(**_named(sliders, combination)))
        for combination in product(*(range(len(values)) for values in sliders.values()))
    }
    size = sum(len(json.dumps(frame)) for frame in markup.values())
    if size > BYTES:
        raise ValueError(
            f"The {len(markup)} frames take {size / 1e6:.2f} MB, the budget is {BYTES / 1e6:g} MB: "
            "draw fewer points, or use fewer values."
        )
    controls = [_slider(name, values, first[name]) for name, values in sliders.items()]
    frames = _stack(markup, controls, ())
    heading = ipywidgets.HTML(f'<p class="nb-explore-label">{html.escape(label)}</p>')
    box = ipywidgets.VBox([heading, *controls, frames])
    box.add_class("nb-explore")
    display(box)


def _start(sliders: dict[str, list], start: dict[str, Any]) -> dict[str, int]:
    if not 1 <= len(sliders) <= 3:
        raise ValueError(f"explore() takes one to three sliders, got {len(sliders)}.")
    for name, values in sliders.items():
        if len(values) < 2:
            raise ValueError(f"Slider {name} has {len(values)} value(s); it needs at least two.")
    count = prod(len(values) for values in sliders.values())
    if count > FRAMES:
        sizes = " × ".join(str(len(values)) for values in sliders.values())
        raise ValueError(f"{sizes} = {count} frames, the budget is {FRAMES}: give fewer values.")
    for name in start:
        if name not in sliders:
            raise ValueError(f'start names "{name}", which is no slider; sliders: {", ".join(sliders)}.')
    index = {}
    for name, values in sliders.items():
        value = start.get(name, values[0])
        if value not in values:
            raise ValueError(f"start of {name} is {value!r}, which is not one of its values {values}.")
        index[name] = values.index(value)
    return index


def _named(sliders: dict[str, list], combination: tuple[int, ...]) -> dict[str, Any]:
    return {name: values[i] for (name, values), i in zip(sliders.items(), combination, strict=True)}


def _slider(name: str, values: list, index: int):
    import ipywidgets

    return ipywidgets.SelectionSlider(
        options=[(str(value), i) for i, value in enumerate(values)],
        index=index,
        description=name.replace("_", " "),
        continuous_update=True,
        style={"description_width": "initial"},
        layout={"width": "100%"},
    )


def _stack(markup: dict[tuple, str], controls: list, chosen: tuple[int, ...]):
    """Nest one ``Stack`` for each slider; each follows its slider's index in the browser."""
    import ipywidgets

    control = controls[len(chosen)]
    last = len(chosen) + 1 == len(controls)
    children = [
        ipywidgets.HTML(markup[(*chosen, i)]) if last else _stack(markup, controls, (*chosen, i))
        for i in range(len(control.options))
    ]
    stack = ipywidgets.Stack(children, selected_index=control.index)
    ipywidgets.jslink((control, "index"), (stack, "selected_index"))
    return stack


def _interact(draw: Callable, describe: Callable, label: str, sliders: dict[str, list], first: dict[str, int]) -> None:
    import ipywidgets

    print(label)

    def frame(**values: Any) -> None:
        show(draw(**values), alt=describe(**values))

    ipywidgets.interact(
        frame,
        **{
            name: ipywidgets.SelectionSlider(
                options=values, value=values[first[name]], description=name.replace("_", " "), continuous_update=False
            )
            for name, values in sliders.items()
        },
    )
