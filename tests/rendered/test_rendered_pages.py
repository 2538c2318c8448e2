"""Every page, in a real browser: it loads without complaint, its formulas are set, and it fits a phone."""

from __future__ import annotations

import re

import pytest

from tests.rendered import book, report
from tests.rendered.browser import DESKTOP, PHONE
from tests.rendered.known import LOADING
from tests.rendered.visits import KINDS

MACHINE_TALK = {
    "error": r"Traceback \(most recent call last\)",
    "figure object": r"<Figure size",
    "object address": r" at 0x[0-9a-fA-F]+",
}
LEFT_OVER = {
    "display maths delimiter": r"\$\$",
    "inline maths delimiter": r"\\\(|\\\)|\\\[|\\\]",
    "maths between dollars": r"\$[^\s$][^$\n]*[^\s$]\$|\$\w\$",
    "bold between stars": r"\*\*\S",
    "code between backticks": r"`",
    "TeX macro": r"\\(frac|sum|nabla|alpha|beta|eta|mu|text|mathbf|mathcal|left|right|tag|begin|end|cdot|top)\b",
    "role": r"\{[a-z][a-z:-]*\}(?=`)",
    "directive": r"```\s*\{",
    "colon fence": r"^:::",
    "unfilled place": r"\{\{|\}\}",
    **MACHINE_TALK,
}


def left_overs(texts: list[str], patterns: dict[str, str] = LEFT_OVER) -> list[str]:
    """Return each piece of mark-up or machine talk that reached the reader."""
    return [
        f"{what}: {text[:100]}"
        for text in texts
        for what, pattern in patterns.items()
        if re.search(pattern, text, flags=re.MULTILINE)
    ]


def test_loads_without_complaint(page, visit):
    complaints = [
        complaint
        for width in (DESKTOP, PHONE)
        for complaint in visit(page, width).log.complaints()
        if not any(known.covers(complaint) for known in LOADING)
    ]
    report.none(complaints)


def test_every_formula_is_set(page, visit):
    facts = visit(page).facts
    report.none(facts["mathErrors"], "formulas that MathJax refuses")
    report.none(facts["unset"], "formulas that MathJax left as text")
    assert (facts["formulas"] > 0) == book.has_maths(page)


def test_no_markup_is_left_over(page, visit):
    facts = visit(page).facts
    found = left_overs(facts["texts"]) + left_overs(facts["outputs"], MACHINE_TALK)
    report.none(found, "mark-up or machine talk that reached the reader")


@pytest.mark.parametrize(("width", "theme"), KINDS)
def test_fits_the_window(page, width, theme, visit):
    facts = visit(page, width, theme).facts
    assert facts["theme"] == theme
    report.none(facts["cut"], f"content lost at {width} px")
    assert facts["overflow"] <= 0, f"the page scrolls sideways by {facts['overflow']} px at {width} px"


def test_text_is_large_enough_on_a_phone(page, visit):
    report.none(visit(page, PHONE).facts["small"], "body text under 15 px")


def test_known_loading_findings_still_occur(visit):
    seen = [complaint for page in book.pages() for complaint in visit(page).log.complaints()]
    gone = [known.reason for known in LOADING if not any(map(known.covers, seen))]
    report.none(gone, "no longer needed: take it out of tests/rendered/known.py")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("$$x$$", "display maths delimiter"),
        (r"so \(x\)", "inline maths delimiter"),
        ("the $x_t$ here", "maths between dollars"),
        ("the $x$ here", "maths between dollars"),
        ("**Time** a", "bold between stars"),
        ("a `span`", "code between backticks"),
        (r"\nabla L", "TeX macro"),
        ("see {ref}`a`", "role"),
        ("```{note}", "directive"),
        ("::: tip", "colon fence"),
        ("Traceback (most recent call last)", "error"),
        ("<Figure size 1>", "figure object"),
        ("<A at 0x7f3a>", "object address"),
        ("{{ version }}", "unfilled place"),
    ],
)
def test_the_search_for_left_overs_finds(text, what):
    assert any(found.startswith(f"{what}:") for found in left_overs([text]))


def test_the_search_for_left_overs_lets_prose_pass():
    assert (
        left_overs(["It costs 5 $ or 6 $.", "The set {a, b} and C:\\temp", "a ratio 1::2", "met at 10 o'clock"]) == []
    )
