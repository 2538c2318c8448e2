"""The chapter *Associative memory*: its definitions against the engine, its theory against draws, its tables."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nbhelpers import ops
from nbhelpers.memory import MatrixMemory, instances
from nbhelpers.notebook.exercises import registered
from nbhelpers.notebook.exercises.associative_memory import settle
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import associative_memory as draw
from tests.notebooks.definitions import load_definitions

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "chapters" / "associative-memory.ipynb"
NAMES = (
    *("hebbian", "delta_rule", "ridge", "attend", "faded", "retrieve", "energy", "smooth", "found", "error", "ink"),
    *("random_pairs", "delta_theory", "delta_error", "found_guess", "train_network"),
)


pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, *NAMES)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[(1, 3, 2), (9, 4, 6), (40, 5, 5)], ids=str)
def pairs(request):
    n, keys, values = request.param
    return normal(2, n, keys, seed=n), normal(2, n, values, seed=n + 1)  # two streams


def last(op, k, v, *gates, **options):
    return op(None, k[:, None], v[:, None], *gates, **options)[1]["memory"][:, 0]


def gate(k, number):
    return torch.full((len(k), 1, k.shape[1]), number)


def test_the_rules_are_the_engines(page, pairs):
    k, v = pairs
    k = F.normalize(k, dim=-1)
    close(page.hebbian(k, v), last(ops.linear_attention, k, v))
    close(page.delta_rule(k, v), last(ops.delta_rule, k, v, gate(k, 1.0)))
    close(page.delta_rule(k, v, 0.3), last(ops.delta_rule_sequential, k, v, gate(k, 0.3)))
    close(page.faded(k, v, 0.8), last(ops.mamba2, k, v, gate(k, 0.8)))
    assert not torch.allclose(page.hebbian(k, v).mT, page.hebbian(k, v)[..., : k.shape[-1]].mT * 2)


def test_the_rules_are_the_memories_made_of_pieces(page, pairs):
    k, v = (part[0] for part in pairs)
    k = F.normalize(k, dim=-1)
    made = {
        "hebbian": (instances.linear_attention(k.shape[1], v.shape[1]), page.hebbian(k, v)),
        "delta": (instances.delta_rule(k.shape[1], v.shape[1], 0.7), page.delta_rule(k, v, 0.7)),
        "frozen": (instances.ttt(MatrixMemory(k.shape[1], v.shape[1]), 1.0, len(k)), page.hebbian(k, v)),
    }
    for name, (told, expected) in made.items():
        held = told.start()
        for key, value in zip(k, v, strict=True):
            held = told.write(held, key, value)
        torch.testing.assert_close(held.memory["M"], expected, rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.parametrize("weight", [1e-3, 0.5, 30.0])
def test_ridge_is_the_minimum(page, pairs, weight):
    k, v = (part[0] for part in pairs)
    M = page.ridge(k, v, weight).requires_grad_()
    loss = ((k @ M.mT - v) ** 2).sum() / 2 + weight * (M**2).sum() / 2
    close(torch.autograd.grad(loss, M)[0], torch.zeros_like(M), 1e-9)


def test_attention_is_torchs_and_the_smoother_at_equal_lengths(page, pairs):
    k, v = (part[0] for part in pairs)
    q = normal(4, k.shape[1], seed=9)
    close(page.attend(q, k, v, 1.7), F.scaled_dot_product_attention(q, k, v, scale=1.7))
    close(page.smooth(q, k, v, 1.7, False), page.attend(q, k, v, 1.7))
    even = F.normalize(k, dim=-1)
    close(page.smooth(q, even, v, 1.7, True), page.attend(q, even, v, 1.7))
    if len(k) > 1:
        assert not torch.allclose(page.smooth(q, k, v, 1.7, True), page.attend(q, k, v, 1.7))


def test_retrieval_goes_down_the_energy(page):
    patterns = F.normalize(normal(12, 6), dim=-1)
    states = page.retrieve(normal(5, 6, seed=3), patterns, 3.0, rounds=20)
    leaf = states[0].clone().requires_grad_()
    (slope,) = torch.autograd.grad(page.energy(leaf, patterns, 3.0).sum(), leaf)
    close(states[1], states[0] - slope)
    assert (page.energy(states, patterns, 3.0).diff(dim=0) <= 1e-12).all()


def test_measures_of_recall(page):
    values = torch.eye(3)
    close(page.found(torch.tensor([[0.9, 0, 0], [0.6, 0.4, 0], [0, 0, 5.0]]), values), 2 / 3)
    close(page.error(values * 1.5, values), 0.25)


@pytest.mark.parametrize(("n", "d"), [(10, 4), (40, 16)])
def test_the_theory_of_the_delta_rule_is_the_mean_over_many_streams(page, n, d):
    k, v = page.random_pairs(n, range(8000), d)
    answers = k @ page.delta_rule(k, v).mT
    signal, length = page.delta_theory(n, d)
    np.testing.assert_allclose((answers * v).sum(-1).mean(0), signal, rtol=0, atol=0.03)
    np.testing.assert_allclose(answers.square().sum(-1).mean(0), length, rtol=0.05)
    assert page.error(answers, v).mean() == pytest.approx(page.delta_error(n, d), rel=0.03)


def test_the_theory_of_what_is_found_goes_from_all_to_little(page):
    shares = [page.found_guess(n) for n in (2, 64, 256, 2048)]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.999 > 0.05 > shares[-1]


def test_ink_of_unit_keys_stays_below_the_width(page):
    k, v = (part[0] for part in page.random_pairs(300, [0], 8))
    assert max(page.ink(k, v, torch.ones(300))) < 3 * 8
    assert page.ink(3 * k, v, torch.ones(300))[-1] > 1e20


def test_a_network_trained_on_few_pairs_holds_them(page):
    k, v = page.random_pairs(4, [0, 1], 6)
    answers = page.train_network(k, v, hidden=6, steps=400)
    assert page.error(answers, v).max() < 1e-3


@pytest.mark.parametrize(("count", "kept"), [(20, True), (45, False)])
def test_the_explore_exercise_brackets_the_capacity(count, kept):
    patterns = torch.where(torch.rand(count, 200, generator=torch.Generator().manual_seed(5)) < 0.5, 1.0, -1.0)
    settled = torch.stack([settle(pattern, patterns, 20) for pattern in patterns])
    assert ((settled == patterns).double().mean() >= 0.97) == kept


def test_an_answer_is_never_drawn_darker_than_ink():
    assert draw._shown(np.full(32, 7.0)).max() == 1 and draw._shown(np.full(32, -1.0)).max() == 0
    half = draw._shown(np.full(32, 0.5))
    assert half.max() == 0.5, "a faint answer stays faint"


def test_the_slider_draws_what_it_is_told():
    queries, answers = np.zeros((7, 64)), np.zeros((7, 32))
    words = re.findall(
        r">([^<>]+)</text>", picture(draw.halves(queries, answers, 0.5, 12), "Seven halved digits below.")
    )
    assert "12 pairs told, 50% of the halves found" in words and "never" in words


def test_likeness_is_the_signal_over_the_root_of_the_squared_length_in_each_bin():
    answers = {"a": ([4.0, 2.0, 1.0], [16.0, 9.0, 1.0]), "b": ([0.0, 1.0, 3.0], [4.0, 4.0, 9.0])}
    np.testing.assert_allclose(draw.likeness(answers, [(0, 2), (2, 3)]), [[3 / 12.5**0.5, 1], [0.25, 1]])


def test_a_mistake_is_named_only_if_it_fits_every_case():
    settling = registered(CHAPTER.stem)[f"{CHAPTER.stem}/settle"]
    others = [
        lambda state, patterns, rounds: -settle(state, patterns, rounds),
        lambda state, patterns, rounds: settle(state, patterns[:1], rounds),
        lambda state, patterns, rounds: patterns[0],
        lambda state, patterns, rounds: state,
    ]
    for wrong in others:
        result = settling.check(wrong)
        assert result.state == "wrong" and "diagonal" not in result.message, result.message
