"""The chapter *Continuum memory*: its definitions against the package and against each other, and its figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nbhelpers.data.time_scales import KINDS, make_stream
from nbhelpers.evaluation import clocks
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import continuum_memory as draw
from tests.notebooks.definitions import load_definitions

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / "continuum-memory.ipynb"

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, "mlp", "in_a_chain", "side_by_side", "uses", "left", "matches")


def blocks(count=3, width=7, hidden=4):
    g = torch.Generator().manual_seed(0)
    shapes = {"gate": (hidden, width), "up": (hidden, width), "down": (width, hidden)}
    return [{name: torch.randn(*shape, generator=g) for name, shape in shapes.items()} for _ in range(count)]


def test_the_chain_and_the_row_are_the_packages(page):
    width, start = 7, blocks()
    x = torch.tensor([[2, 5, 2]])
    word = torch.nn.functional.one_hot(x, width).double() + clocks.SHARED * width**-0.5
    many = [{name: tensor[None] for name, tensor in W.items()} for W in start]
    for variant, scores in (("sequential", page.in_a_chain), ("independent", page.side_by_side)):
        torch.testing.assert_close(scores(word, start), clocks.scores(many, x, variant), rtol=1e-10, atol=1e-12)


def test_uses_counts_each_gradient_once_or_one_in_a_period_twice(page):
    assert page.uses(12, 4).tolist() == [1] * 12
    assert page.uses(12, 4, printed=True).tolist() == [1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 1]
    assert page.uses(10, 4).tolist() == [1] * 8 + [0] * 2


def test_left_is_the_three_terms_of_3(page):
    assert page.left(64, 0.01, 1) == pytest.approx(0.99**64)
    assert page.left(64, 0.01, 64) == pytest.approx(1 - 0.64)
    assert page.left(64, 0.01, 64, mean=True) == pytest.approx(0.99)
    assert page.left(64, 0.01, 16) == pytest.approx(0.84**4)
    for period in (2, 8, 64):
        assert page.left(64, 0.01, period) < page.left(64, 0.01, 1)


def test_matches_counts_the_pairs_of_the_article(page):
    assert KINDS == ("language", "topic", "article")  # the columns
    perfect = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])  # fast: article, middle: topic, slow: language
    assert page.matches(perfect) == 3
    assert page.matches(perfect[::-1]) == 1
    assert page.matches(np.array([[3, 2, 1], [0, 0, 0], [0, 0, 0]])) == 1
    assert page.matches(np.full((3, 3), -np.inf)) == 0  # no block has a share


def test_figures_draw_with_their_alt_texts():
    stream, runs = make_stream(0), np.random.default_rng(0)
    periods = clocks.ARMS["cms"].periods
    arms = {name: runs.normal(size=(4, 5)) for name in ("three clocks", "one clock, 16", "one clock, 512")}
    rows = [{"rate": 10.0**-k, "loss": 5 + abs(k - 3)} for k in range(1, 6)]
    figures = (
        draw.idea(stream, periods),
        draw.rates({16: rows, 128: rows, 512: [*rows, {"rate": 1.0, "loss": None}]}),
        draw.contest(arms),
        draw.damage(runs.normal(size=(5, 3, 3))),
        draw.visits({name: runs.normal(size=(5, 36, 3)) for name in arms}),
        draw.passing({name: runs.normal(size=(4, 5, 3)) for name in ("cms", "nested")}, (-1, 0, 512, 1024)),
        draw.stacking({"many.first.layer.fast": runs.normal(size=6), "one.8": runs.normal(size=6)}, ["a, 1"] * 6),
    )
    for number, figure in enumerate(figures):
        assert "<svg" in picture(figure, alt=f"Figure number {number} of the chapter, drawn from random numbers.")


def test_the_slider_shows_blocks_in_the_order_of_the_chain():
    damages = np.random.default_rng(0).normal(size=(12, 3, 3))
    stream = make_stream(0)
    for periods in ((16, 128, 512), (512, 128, 16)):
        markup = picture(draw.lanes(stream, 3072, periods, damages), alt="A frame of the slider, from random numbers.")
        places = [
            markup.index(f">{where}: {period}<") for where, period in zip(("1st", "2nd", "3rd"), periods, strict=True)
        ]
        assert places == sorted(places)
