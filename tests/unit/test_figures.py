"""Figures: alt text required, themed colours, unique ids, PNG when dense."""

import re
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nbhelpers.notebook.figures import ALT, COLOUR, DARK, figure, label_line, picture, show

WORDS = "Time on the horizontal axis; a line that rises from zero to one."


def line(colour="fast"):
    fig, ax = figure()
    ax.plot([0, 1], color=COLOUR[colour])
    label_line(ax, 1, 1, "fast weight", colour)
    return fig


def test_a_picture_is_valid_svg_with_its_alt_text():
    root = ElementTree.fromstring(picture(line(), 'He said "up" & <left>, twenty letters.'))
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'He said "up" & <left>, twenty letters.'


def test_named_colours_follow_the_theme_and_have_a_value_of_their_own():
    markup = picture(line("slow"), WORDS)
    assert f"var(--nb-slow, {COLOUR['slow']})" in markup
    assert not re.search(rf"(?<!, ){COLOUR['ink']}", markup, flags=re.I), "a colour escaped the theme"


def test_both_themes_name_the_same_colours():
    assert set(COLOUR) == set(DARK)


def test_ids_of_two_pictures_differ_and_references_resolve():
    first, second = picture(line(), WORDS), picture(line(), WORDS + " Again.")
    ids = [set(re.findall(r'\bid="([^"]+)"', markup)) for markup in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    for markup, known in zip((first, second), ids, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", markup)) <= known
        assert set(re.findall(r'href="#([^"]+)"', markup)) <= known


def test_a_number_that_is_read_keeps_its_digits():
    fig, ax = figure()
    ax.text(0, 0, "rate 0.004")
    assert "rate 0.004<" in picture(fig, WORDS)


def test_the_same_figure_gives_the_same_text():
    assert picture(line(), WORDS) == picture(line(), WORDS)


def test_a_dense_figure_becomes_a_png_with_alt_text():
    fig, ax = figure()
    ax.scatter(*np.random.default_rng(0).normal(size=(2, 20_000)))
    markup = picture(fig, WORDS)
    assert markup.startswith("<img") and f'alt="{WORDS}"' in markup and "data:image/png;base64," in markup


@pytest.mark.parametrize("alt", ["", "a plot", "x" * (ALT[1] + 1)])
def test_an_alt_text_that_says_nothing_is_refused(alt):
    with pytest.raises(ValueError, match="alt text has"):
        picture(line(), alt)


def test_show_displays_html_and_closes_the_figure(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    before = plt.get_fignums()
    show(line(), alt=WORDS, caption="Up & away")
    assert plt.get_fignums() == before
    assert "<figcaption>Up &amp; away</figcaption>" in shown[0].data
