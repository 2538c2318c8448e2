"""The drawing of the final model: every chapter has its part, the rest is muted, and text stays readable."""

import re

import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.text import Text

from nbhelpers.notebook.drawing import ALL, LIT, PARTS, WIDTH, model_map, model_map_alt
from nbhelpers.notebook.figures import ALT, COLOUR, picture
from nbhelpers.notebook.setup import DATA


def names(figure) -> dict[str, Text]:
    known = {part.name for part in PARTS.values()}
    return {text.get_text(): text for text in figure.axes[0].texts if text.get_text() in known}


def test_every_chapter_of_the_plan_has_a_part_and_no_other_name_has_one():
    plan = yaml.safe_load((DATA / "chapters.yml").read_text())["chapters"]
    assert list(LIT) == [chapter["slug"] for chapter in plan]
    for slug, lit in LIT.items():
        assert lit and set(lit) <= set(PARTS), slug


@pytest.mark.parametrize("slug", LIT)
def test_the_lit_parts_carry_their_colour_and_weight_and_the_others_are_muted(slug):
    shown = names(model_map(slug))
    assert len(shown) == len(PARTS)
    for key, part in PARTS.items():
        text = shown[part.name]
        if key in LIT[slug]:
            assert (text.get_color(), text.get_fontweight()) == (COLOUR[part.level], "bold")
        else:
            assert (text.get_color(), text.get_fontweight()) == (COLOUR["muted"], "normal")


def test_periods_grow_from_top_to_bottom_and_the_frozen_row_has_no_tick():
    periods = [part.period for part in PARTS.values()]
    assert periods[:5] == sorted(periods[:5]) and periods[5] is None
    y = [text.get_position()[1] for text in names(model_map()).values()]
    assert y == sorted(y)


def test_on_a_phone_no_text_is_smaller_than_eleven_pixels_and_none_leaves_the_drawing():
    figure = model_map("two-clocks")
    pixels_a_point = 340 / WIDTH
    for text in figure.axes[0].texts:
        assert not text.get_text() or text.get_fontsize() * pixels_a_point >= 11, text.get_text()
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else figure._get_renderer()
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts if text.get_text()]
    for box in boxes:
        assert box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
    for i, a in enumerate(boxes):
        assert not any(a.overlaps(b) for b in boxes[i + 1 :])


def test_alt_text_names_the_lit_parts_and_fits_the_limits():
    assert "Lit in this chapter: fast level and slow level." in model_map_alt("two-clocks")
    assert "All parts are lit." in model_map_alt(None)
    for slug in LIT:
        assert ALT[0] <= len(model_map_alt(slug)) <= ALT[1]
    assert model_map_alt("two-clocks") in picture(model_map("two-clocks"), model_map_alt("two-clocks"))


def test_a_cell_that_ends_in_the_drawing_shows_it_once_with_alt_text_and_no_png(capsys):
    shell = InteractiveShell.instance()
    try:
        with shell.display_trap:
            data, _ = shell.display_formatter.format(model_map("two-clocks"))
    finally:
        InteractiveShell.clear_instance()
    assert data == {}, "the drawing shows itself; a second form would appear beside it"
    assert model_map("two-clocks").alt == model_map_alt("two-clocks")


def test_all_colours_follow_the_theme():
    markup = picture(model_map(), model_map_alt())
    loose = re.findall(r"(?<!, )#[0-9a-fA-F]{6}\b", markup)
    assert not loose, f"colours outside COLOUR do not follow the dark theme: {set(loose)}"


def test_an_unknown_chapter_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match='no part for "two-clock"; chapters: .*two-clocks'):
        model_map("two-clock")


def test_without_a_chapter_all_is_lit():
    assert set(ALL) == set(PARTS)
    assert all(text.get_fontweight() == "bold" for text in names(model_map()).values())
