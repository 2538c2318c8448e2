"""The chapter *Self-modifying Titans*: its definitions against the engine, its exercises, its figures."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from nbhelpers import layers, ops
from nbhelpers.notebook.exercises import registered
from nbhelpers.notebook.exercises.self_modifying_titans import CHAPTER as SLUG
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import self_modifying_titans as draw
from nbhelpers.training import small_memories as small
from tests.notebooks.definitions import load_definitions

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / f"{SLUG}.ipynb"
NAMES = ("self_modify", "opened", "at_once", "in_chunks", "pairs_of", "left_of_targets")

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, *NAMES)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("chunk", "length"), [(1, 9), (3, 10), (8, 30)])
def test_the_opened_layer_is_the_layer(page, chunk, length):
    torch.manual_seed(length)
    layer, x = layers.SelfModifyingTitans(8, 2, chunk_size=chunk, memory="matrix"), torch.randn(1, length, 8)
    y, memory = page.opened(layer, x, chunk)
    expected, state = layer(x)
    close(y, expected)
    close(memory, state["memory"][0])


@pytest.mark.parametrize("adaptive", [("key",), ("learning_rate", "retention"), ()])
def test_the_loop_with_few_adaptive_memories_is_the_layer_that_fixes_the_others(page, adaptive):
    torch.manual_seed(1)
    layer = layers.SelfModifyingTitans(8, 1, chunk_size=4, memory="matrix", adaptive=adaptive)
    x = torch.randn(1, 11, 8)
    written = dict(zip(layer.written, layer.written_memory[0].unflatten(0, (-1, 8)), strict=True))
    fixed = dict(zip(layer.fixed, layer.fixed_memory[0].unflatten(0, (-1, 8)), strict=True))
    made = F.silu(layer.convolution(layer.inputs(x), layer.convolution.initial_tail(1, x))[0])[0]
    address, q = F.rms_norm(made[:, :8], (8,)), F.normalize(made[:, 8:], dim=-1)
    readouts = layer.rate_readout[0, 0], layer.retention_readout[0, 0]
    biases = layer.rate_bias[0, 0], layer.retention_bias[0, 0]
    y, _ = page.self_modify(written | fixed, address, q, readouts, biases, 4, adaptive)
    close(layer.out(layer.norm(y) * F.silu(layer.output_gate(x[0]))), layer(x)[0][0])


@pytest.mark.parametrize("chunk", [1, 4, 7])
@pytest.mark.parametrize("objective", ["l2", "dot"])
def test_a_chunk_at_once_is_the_loop(page, chunk, objective):
    g = torch.Generator().manual_seed(chunk)
    q, k, v = F.normalize(torch.randn(3, 3 * chunk + 1, 5, generator=g), dim=-1)
    rate, keep = torch.rand(2, len(q), generator=g)
    start = torch.randn(5, 5, generator=g)
    many = [x[None, None] for x in (q, k, v, rate, keep)]
    options = {"chunk_size": chunk, "objective": objective, "state": ops.matrix_state(start[None, None])}
    y, state = ops.self_modifying_sequential(*many, **options)
    found = page.in_chunks(start, chunk, objective == "l2", q, k, v, rate, keep)
    close(found, torch.cat([y[0, 0], state["memory"][0, 0]]))


@pytest.mark.parametrize("keep", [1, 0.98])
def test_targets_are_followed_as_the_op_moves_them(page, keep):
    k, v = page.pairs_of("four random pairs", 2)
    start = torch.randn(16, 16, generator=torch.Generator().manual_seed(102)) / 4
    gate, fade = torch.full((1, 1, 400), 0.3), torch.full((1, 1, 400), float(keep))
    state = ops.matrix_state(start[None, None])
    _, end = ops.self_modifying(
        None, k[None, None], v[None, None], gate, fade, state=state, chunk_size=1, own_values=True
    )  # fmt: skip
    left = page.left_of_targets("four random pairs", 2, False, keep=keep)
    close(left[-1], (end["memory"][0, 0] @ v.T).square().sum() / (start @ v.T).square().sum())
    assert len(left) == 51


@pytest.mark.parametrize("kind", ["four pairs at right angles", "four random pairs", "always new pairs"])
def test_pairs_are_of_the_kind_that_they_say(page, kind):
    k, v = page.pairs_of(kind, 0, tokens=40)
    close(k.norm(dim=1), torch.ones(40))
    assert len(torch.unique(k, dim=0)) == (40 if kind == "always new pairs" else 4)
    if "right" in kind:
        close(k[:4] @ v[:4].T, torch.zeros(4, 4))


def test_every_figure_draws():
    curve, test = [[None, *[0.5] * 29]] * 3, {"a": [0.5, 0.6, 0.7], "b": [0.1, 0.2, 0.3]}
    figures = {
        "who": draw.who_makes_what(),
        "told": draw.told_often({"delta rule": [0, 1], "dot product": [0, 1], "squared error": [0, 0.5]}),
        "targets": draw.targets({key: {"constants": [[1] * 51], "gradient passes": [[0] * 51]} for key in "xyz"}, 8),
        "around": draw.around("keys", curve, curve, 15),
        "board": draw.board(dict.fromkeys(small.ARMS, test), {"a": ("fast", "o"), "b": ("slow", "s")}, "right"),
        "turning": draw.turning([0, 180], {16: [1, 2], 64: [1, 3]}, [1, 1]),
    }
    for name, figure in figures.items():
        assert "<svg" in picture(figure, alt=f"A test of the figure {name}, long enough"), name
    assert list(draw.ARMS) == list(small.ARMS)


def test_exercises_stand_in_the_order_of_the_page():
    names = ("fixed", "outside", "no-half", "largest-rate", "meet", "one-token", "one-matrix", "worst-turn")
    assert list(registered(SLUG)) == [f"{SLUG}/{name}" for name in names]
