"""Sliders: nested stacks linked to sliders, budget, start values, and the way without ``Stack``."""

import ipywidgets
import pytest

from nbhelpers.notebook import explore as module
from nbhelpers.notebook.explore import explore
from nbhelpers.notebook.figures import figure

ALT = "A straight line whose slope is {rate} and whose offset is {decay}."


def draw(rate, decay=0):
    fig, ax = figure(height=1.5)
    ax.plot([0, 1], [decay, decay + rate])
    return fig


@pytest.fixture
def shown(monkeypatch):
    boxes = []
    monkeypatch.setattr("IPython.display.display", boxes.append)
    return boxes


def stacks(widget):
    """All Stack widgets under a widget, outermost first."""
    found = [widget] if isinstance(widget, ipywidgets.Stack) else []
    for child in getattr(widget, "children", ()):
        found += stacks(child)
    return found


def links():
    return [w for w in ipywidgets.widgets.widget._instances.values() if type(w).__name__ == "Link"]


def test_two_sliders_give_a_frame_for_each_pair_linked_in_the_browser(shown):
    explore(draw, alt=ALT, label="Try both", rate=[1, 2, 3], decay=[0, 5], start={"rate": 2, "decay": 5})
    (box,) = shown
    outer, *inner = stacks(box)
    assert [len(outer.children), *(len(s.children) for s in inner)] == [3, 2, 2, 2]
    assert (outer.selected_index, inner[0].selected_index) == (1, 1)
    assert 'aria-label="A straight line whose slope is 3 and whose offset is 5."' in inner[2].children[1].value
    sliders = [child for child in box.children if isinstance(child, ipywidgets.SelectionSlider)]
    linked = {(link.source[0].model_id, link.source[1], link.target[0].model_id, link.target[1]) for link in links()}
    assert (sliders[0].model_id, "index", outer.model_id, "selected_index") in linked
    assert {(sliders[1].model_id, "index", s.model_id, "selected_index") for s in inner} <= linked
    assert "Try both" in box.children[0].value


def test_too_many_frames_are_refused_before_any_is_drawn(shown):
    def never(**values):
        raise AssertionError("drawn")

    with pytest.raises(ValueError, match="7 × 6 = 42 frames, the budget is 40"):
        explore(never, alt=ALT, label="Too many", rate=list(range(7)), decay=list(range(6)))


def test_too_many_bytes_are_refused(shown, monkeypatch):
    monkeypatch.setattr(module, "BYTES", 10_000)
    with pytest.raises(ValueError, match="MB, the budget is 0.01 MB"):
        explore(draw, alt=ALT, label="Too heavy", rate=[1, 2], decay=[0, 1])
    assert not shown


@pytest.mark.parametrize(
    ("sliders", "message"),
    [
        ({}, "one to three sliders"),
        ({"rate": [1]}, "at least two"),
        ({"rate": [1, 2], "start": {"decay": 1}}, "no slider"),
        ({"rate": [1, 2], "start": {"rate": 3}}, "not one of its values"),
    ],
)
def test_wrong_sliders_are_named(shown, sliders, message):
    with pytest.raises(ValueError, match=message):
        explore(draw, alt="One line whose slope is {rate}.", label="Wrong", **sliders)


def test_without_stack_the_frames_are_drawn_on_demand(monkeypatch, capsys):
    monkeypatch.delattr(ipywidgets, "Stack")
    calls, asked = [], {}
    monkeypatch.setattr(module, "show", lambda fig, alt: calls.append(alt))

    def interact(function, **controls):
        asked.update(controls)
        function(**{name: control.value for name, control in controls.items()})

    monkeypatch.setattr(ipywidgets, "interact", interact)
    explore(draw, alt=ALT, label="Live", rate=[1, 2], decay=[0, 5], start={"decay": 5})
    assert calls == ["A straight line whose slope is 1 and whose offset is 5."]
    assert list(asked) == ["rate", "decay"]
    assert "Live" in capsys.readouterr().out
