"""The chapter *A memory trained while it reads*: its definitions against the engine, its tasks, its figures."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from nbhelpers import ops
from nbhelpers.notebook.exercises import registered
from nbhelpers.notebook.exercises.a_memory_trained_while_it_reads import CHAPTER as SLUG
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import a_memory_trained_while_it_reads as draw
from tests.notebooks.definitions import load_definitions

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / f"{SLUG}.ipynb"
WAYS = tuple(draw.SCALES)

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, "read_matrix", "slopes", "read_deep", "tokens", "unit", "rank", "turn")


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


def heads(given):
    return [x.detach()[None, None] for x in given]


@pytest.mark.parametrize("length", [1, 37])
def test_the_matrix_loop_is_the_sequential_op(page, length):
    given = page.tokens(3, length, 5)
    answers, M = page.read_matrix(*given)
    y, state = ops.titans_sequential(*heads(given), chunk_size=1)
    close(answers, y[0, 0])
    close(M, state["memory"][0, 0])


@pytest.mark.parametrize("chunk_size", [1, 4, 16])
def test_the_deep_loop_is_the_sequential_op_and_the_chunk_form(page, chunk_size):
    g = torch.Generator().manual_seed(5)
    given = page.tokens(4, 37, 6)
    W1, W2 = torch.randn(6, 9, generator=g) / 3, torch.randn(9, 6, generator=g) / 3
    answers, one, two = page.read_deep(*given, W1, W2, chunk_size)
    for op in (ops.titans_mlp_sequential, ops.titans_mlp):
        y, state = op(*heads(given), ops.mlp_state(W1[None, None], W2[None, None]), chunk_size=chunk_size)
        close(answers, y[0, 0])
        close(one, state["W1"][0, 0])
        close(two, state["W2"][0, 0])


def test_slopes_are_those_of_automatic_differentiation(page):
    g = torch.Generator().manual_seed(6)
    W1 = torch.randn(4, 7, generator=g).requires_grad_()
    W2 = torch.randn(7, 4, generator=g).requires_grad_()
    k, v = torch.randn(2, 4, generator=g)
    loss = 0.5 * (k + W1 @ F.gelu(W2 @ k) - v).square().sum()
    for ours, theirs in zip(page.slopes(W1, W2, k, v), torch.autograd.grad(loss, (W1, W2)), strict=True):
        close(ours, theirs)


def test_rank_counts_the_stretches_of_the_second_reading_alone(page):
    """Twelve tokens, the second reading from 6; the planted stretch is tokens 8 and 9."""
    surprise = torch.tensor([[9.0, 9, 9, 9, 9, 1, 2, 5, 5, 0, 7]])  # of tokens 1 to 11
    (found,) = page.rank(surprise, 8, 2, 6)
    assert found == 1, "the only other stretch, tokens 10 and 11, is 3.5"
    surprise[0, -2:] = 8
    assert page.rank(surprise, 8, 2, 6)[0] == 0


def test_turns_are_rotations_of_their_seeds(page):
    close(page.turn(3) @ page.turn(3).T, torch.eye(128))
    assert not torch.allclose(page.turn(3), page.turn(4))


def test_every_figure_draws():
    columns = [[("The", 0.2, False), ("ship", 0.9, False), ("?", 0.4, False), ("Then", 1.2, True)]] * 2
    table = torch.tensor([[30.0, 2], [10, 1]]).numpy()
    scores = {name: [dict.fromkeys(("first", "later", "grammar", "bits"), table)] * 2 for name in ("one", "two")}
    figures = {
        "loop": draw.loop(),
        "swell": draw.swell(torch.arange(121), {m: 7 * torch.rand(121) for m in (0.0, 0.5, 0.9)}),
        **{way: draw.page(way, columns) for way in WAYS},
        "ranks": draw.ranks({(way, kind): torch.rand(12) for way in WAYS for kind in ("false", "true")}),
        "names": draw.names(scores),
        "parts": draw.parts({"matrix": [0.1, 0.2], "with momentum": [0.1, 0.1], "deep": [0, 0.1], "exact": [0.2, 0.1]}),
        "broken": draw.broken({name: torch.rand(48) for name in ("exact", "start", "small")}),
    }
    for name, figure in figures.items():
        assert "<svg" in picture(figure, alt=f"A test of the figure {name}, long enough"), name


def test_planted_words_are_bold_and_marks_follow_their_word():
    long = [("word", 1.0, False)] * 12 + [(".", 1.0, False), ("planted", 1.0, True)]
    texts = {t.get_text(): t for t in draw.page(WAYS[0], [long, long]).axes[0].texts}
    assert texts["planted"].get_fontweight() == "bold"
    assert texts["word"].get_fontweight() == "normal"
    laid = draw._lay(long)
    rows = {one[0]: row for one, _, row in laid}
    assert rows["."] == [row for one, _, row in laid if one[0] == "word"][-1], "a mark stays on its word's line"
    assert max(row for *_, row in laid) >= 1, "long text takes more lines"


def test_exercises_stand_in_the_order_of_the_page():
    names = ("surprise", "true-stranger", "total-weight", "largest-rate", "relu-slopes", "in-chunks", "best-rate")
    assert list(registered(SLUG)) == [f"{SLUG}/{name}" for name in names]
