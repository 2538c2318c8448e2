"""Colours: style sheet and figures agree, text can be read, and colour-blind readers can tell levels apart."""

import itertools
import re

import matplotlib.style
import numpy as np
import pytest
from colorspacious import cspace_convert, deltaE

from nbhelpers.core.levels import LEVELS
from nbhelpers.notebook.figures import COLOUR, DARK, WIDTH
from nbhelpers.notebook.setup import DATA

ROOT = DATA.parent
CSS = (ROOT / "_static" / "book.css").read_text()
THEMES = {"light": COLOUR, "dark": DARK}
WORDS = ("ink", "muted", "data", "good", "bad", *LEVELS)  # colours that text is set in

# Distance in CAM02-UCS, where 1 is about the smallest difference seen side by side. petroff10, the cycle that
# matplotlib ships for readers with any colour vision, keeps 14.5 by the same measure; a test below computes that.
DISTANCE = 16
VISION = (None, "protanomaly", "deuteranomaly", "tritanomaly")


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def luminance(colour: str) -> float:
    c = rgb(colour)
    return float(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def seen(colour: str, vision: str | None) -> np.ndarray:
    if vision is None:
        return rgb(colour)
    space = {"name": "sRGB1+CVD", "cvd_type": vision, "severity": 100}
    return np.clip(cspace_convert(rgb(colour), space, "sRGB1"), 0, 1)


def variables(theme: str) -> dict[str, str]:
    block = re.search(rf'html\[data-theme="{theme}"\] \{{(.*?)\}}', CSS, re.S).group(1)
    return dict(re.findall(r"--nb-(\w+): (#[0-9A-Fa-f]{6});", block))


def test_contrast_knows_black_and_white():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_style_sheet_and_figures_name_the_same_colours(theme):
    found = variables(theme)
    assert {name: found.get(name) for name in THEMES[theme]} == THEMES[theme]


def test_both_themes_have_the_same_names():
    assert set(COLOUR) == set(DARK) and set(variables("light")) == set(variables("dark"))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", ["paper", "panel"])
@pytest.mark.parametrize("name", WORDS)
def test_text_is_readable_on_its_ground(theme, ground, name):
    assert contrast(THEMES[theme][name], THEMES[theme][ground]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("one", "other"), list(itertools.combinations((*LEVELS, "data"), 2)))
@pytest.mark.parametrize("vision", VISION)
def test_levels_can_be_told_apart(theme, one, other, vision):
    colours = THEMES[theme]
    distance = deltaE(seen(colours[one], vision), seen(colours[other], vision), input_space="sRGB1")
    assert distance >= DISTANCE, f"{one} and {other} look alike with {vision or 'full colour vision'}: {distance:.1f}"


def test_the_threshold_is_no_lower_than_what_petroff10_keeps():
    colours = matplotlib.style.library["petroff10"]["axes.prop_cycle"].by_key()["color"]
    kept = min(
        deltaE(seen(one, vision), seen(other, vision), input_space="sRGB1")
        for one, other in itertools.combinations(colours, 2)
        for vision in VISION
    )
    assert 14 < kept <= DISTANCE


def test_fast_is_warm_and_slow_is_cool():
    for colours in THEMES.values():
        red, _, blue = rgb(colours["fast"])
        assert red > blue
        red, _, blue = rgb(colours["slow"])
        assert blue > red


@pytest.mark.parametrize("file", ["logo.svg", "favicon.svg"])
def test_logo_is_visible_on_both_grounds(file):
    text = (ROOT / "_static" / file).read_text()
    colours = set(re.findall(r"#[0-9A-Fa-f]{6}", text))
    assert len(colours) == 3
    for colour in colours:
        for ground in (COLOUR["paper"], DARK["paper"]):
            assert contrast(colour, ground) >= 3, f"{colour} on {ground}"


def test_the_welcome_picture_uses_the_themes_colours_and_says_what_it_shows():
    text = (ROOT / "chapters" / "figures" / "welcome.svg").read_text()
    pairs = re.findall(r"var\(--nb-(\w+), ?(#[0-9A-Fa-f]{6})\)", text)
    assert {name for name, _ in pairs} >= {"fast", "middle", "slow", "frozen", "data"}
    assert all(COLOUR[name] == colour for name, colour in pairs), "the fallbacks are not the light theme's colours"
    assert len(re.findall(r"#[0-9A-Fa-f]{6}", text)) == len(pairs), "a colour outside the theme"
    assert re.search(r"<title id=.*?>\w.*?</title>", text)
    assert len(re.search(r"<desc id=.*?>(.*?)</desc>", text, re.S).group(1)) > 100


def test_the_style_sheet_knows_the_width_of_a_figure():
    widths = set(re.findall(r'\.nb-picture\[width="(\d+)"\]', CSS))
    assert widths == {str(round(96 * WIDTH))}, "on phones and in print the rule for full-width figures does not apply"


def test_reduced_motion_switches_transitions_off_rather_than_on():
    # A duration above zero for all elements makes the browser animate every property that any of them changes: a page
    # of drawings then takes minutes to load.
    block = re.search(r"@media \(prefers-reduced-motion: reduce\) \{(.*?)\n\}", CSS, re.S).group(1)
    assert "transition: none !important" in block
    assert "duration" not in re.sub(r"/\*.*?\*/", "", block, flags=re.S)
