"""The chapter *Fast weights*: its definitions against the engine, its tasks, its theory, its tables."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from nbhelpers import layers, ops
from nbhelpers.notebook.exercises import registered
from nbhelpers.notebook.exercises.fast_weights import CHAPTER as SLUG
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import fast_weights as draw
from tests.notebooks.definitions import load_definitions

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / f"{SLUG}.ipynb"
NAMES = ("remember", "opened", "naming", "some_image", "stories", "start", "read_in_a_loop", "unit", "three_keys")
RULES = ("linear attention", "fading", "delta rule", "gated delta rule")

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, *NAMES)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


def tokens(length=37, keys=5, values=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    q, k = F.normalize(torch.randn(2, length, keys, generator=g), dim=-1)
    b, a = torch.rand(2, length, generator=g)
    return q, k, torch.randn(length, values, generator=g), b, a


@pytest.mark.parametrize("length", [1, 16, 37])
def test_the_loop_is_the_four_sequential_ops(page, length):
    q, k, v, b, a = tokens(length)
    one, many = torch.ones(length), lambda *given: [x[None, None] for x in given]
    written = b[:, None] * v
    twins = {
        (False, False): ops.linear_attention_sequential(*many(q, k, written)),
        (True, False): ops.mamba2_sequential(*many(q, k, written, a)),
        (False, True): ops.delta_rule_sequential(*many(q, k, v, b)),
        (True, True): ops.gated_delta_rule_sequential(*many(q, k, v, b, a)),
    }
    for (forget, erase), (y, state) in twins.items():
        M = page.remember(k, v, b, a if forget else one, erase)
        close((M @ q[..., None])[..., 0], y[0, 0])
        close(M[-1], state["memory"][0, 0])
    close(page.read_in_a_loop(q, k, v, b, a), twins[True, True][0][0, 0])


@pytest.mark.parametrize("length", [2, 21])
def test_the_opened_layer_is_the_layer(page, length):
    torch.manual_seed(3)
    layer, x = layers.GatedDeltaNet(16, 2), torch.randn(1, length, 16)
    close(page.opened(layer, x), layer(x)[0])
    assert not torch.allclose(page.opened(layer, x, erase=False), layer(x)[0])


def test_keys_of_the_slider_have_the_inner_product_it_names(page):
    keys = page.three_keys(0.5)
    close(keys @ keys.T, torch.tensor([[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1.0]]))


def test_the_naming_task_tells_each_key_as_often_and_asks_for_the_last(page):
    keys, told, values, last = page.naming(range(3), 6, 4)
    close(keys.norm(dim=-1), torch.ones(3, 6))
    for seed in range(3):
        same = torch.isclose(told[seed][:, None], keys[seed]).all(-1)  # (tells, names)
        assert (same.sum(0) == 4).all()
        for name in range(6):
            newest = max(t for t in range(24) if same[t, name])
            assert values[seed, newest].argmax() == last[seed, name]
    square = page.naming(range(2), 6, 1, square=True)[0]
    close(square @ square.mT, torch.eye(6).expand(2, 6, 6))


@pytest.mark.parametrize("breaks", [False, True])
def test_stories_have_the_answers_that_reading_them_gives(page, breaks):
    """Images are one-hot here, so that a kind can be read off its picture."""
    labels = torch.arange(10).repeat(3)
    source = F.one_hot(labels, 64).double(), labels
    x, values, questions, right = page.stories(50, torch.Generator().manual_seed(0), source, breaks)
    assert bool((x[..., 64].sum(1) == breaks).all()), "one break, or none"
    assert (right == 6).any() == breaks, "without a break every name holds something"
    for story in range(50):
        held = {}
        for token, value in zip(x[story], values[story], strict=True):
            if token[64]:
                held = {}
                assert value.sum() == 0 and token[:64].sum() == 0
            else:
                held[int(token.argmax())] = int(value.argmax())
        expected = [held.get(int(question.argmax()), 6) for question in questions[story]]
        assert expected == right[story].tolist()


def test_some_image_draws_every_image_of_a_kind(page):
    labels = torch.tensor([2, 0, 2, 1, 2, 0])
    images = torch.arange(6.0)[:, None]
    drawn = page.some_image(torch.full((400,), 2), torch.Generator().manual_seed(0), images, labels)
    assert set(drawn.flatten().tolist()) == {0.0, 2.0, 4.0}


def test_layers_start_as_their_seeds_say_and_apart(page):
    p, other = page.start([3, 4]), page.start([4])
    close(p["key"][1], other["key"][0])
    assert not torch.allclose(p["key"][0], p["key"][1])
    assert all(x.requires_grad and len(x) == 2 for x in p.values())


def test_every_figure_draws():
    shares = {name: torch.rand(4, 5) for name in draw.LOOKS}
    figures = {
        "levels": draw.two_levels(),
        "maps": draw.four_maps(dict.fromkeys(RULES, torch.eye(3)), ["A→1"] * 6, 2),
        "trade": draw.trade({"fading": [[0, 1], [50, 60]], "delta rule": [[0, 100]]}),
        "told": draw.told_again([1, 2, 4, 8], shares),
        "crowded": draw.crowded([8, 16, 32, 64], shares, 32),
        "costs": draw.costs([64, 128], {"loop": [1, 2]}, {"memory": [256, 256]}),
        "story": draw.story(torch.rand(12, 64), [0] * 12, torch.rand(4, 64), [0, 1, 5, 6]),
        "contest": draw.contest({"one": {"fading": torch.rand(5)}, "two": {"something": torch.rand(5)}}),
        "filing": draw.filing(torch.rand(10, 64), [torch.eye(10), torch.eye(10)]),
    }
    for name, figure in figures.items():
        assert "<svg" in picture(figure, alt=f"A test of the figure {name}, long enough"), name


def test_ties_are_named_in_the_maps():
    answers = dict.fromkeys(RULES, torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 0.0]]))
    texts = [text.get_text() for text in draw.four_maps(answers, ["A→1"], 1).axes[0].texts]
    assert texts.count("A? 1 or 3") == 4
    assert texts.count("B? 3") == 4


def test_exercises_stand_in_the_order_of_the_page():
    names = ("moved", "new-page", "first-value", "neighbour", "flip", "fading-at-once", "late-first", "room")
    assert list(registered(SLUG)) == [f"{SLUG}/{name}" for name in names]
