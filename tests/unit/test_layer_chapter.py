"""The chapter *A layer is a solver*: its definitions against torch, its tables against the ledgers."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from nbhelpers.data.digits import load_digits
from tests.notebooks.definitions import load_definitions

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "chapters" / "a-layer-is-a-solver.ipynb"

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(
        CHAPTER, "initial_weights", "train", "recall", "all_surprises", "minimise_quadratic", "two_samples"
    )


@pytest.fixture(scope="module")
def some_digits():
    digits = load_digits(dtype=torch.float64)
    return digits.train_images[:60], digits.train_labels[:60]


def network(weights, x):
    return weights[1] @ torch.tanh(weights[0] @ x)


def test_the_loop_is_sgd(page, some_digits):
    X, Y = some_digits
    *trained, cards = page.train(3, X, Y, epochs=2)
    weights = [w.requires_grad_() for w in page.initial_weights(3)]
    optimizer = torch.optim.SGD(weights, lr=0.05)
    for i in cards.who:
        optimizer.zero_grad()
        F.cross_entropy(network(weights, X[i]), Y[i]).backward()
        optimizer.step()
    for ours, theirs in zip(trained, weights, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-12)
    assert sorted(cards.who[:60].tolist()) == sorted(cards.who[60:].tolist()) == list(range(60))


def test_weights_are_start_plus_cards(page, some_digits):
    W1, W2, cards = page.train(0, *some_digits, epochs=2)
    S1, S2 = page.initial_weights(0)
    torch.testing.assert_close(S1 - 0.05 * cards.delta.T @ cards.x, W1, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(S2 - 0.05 * cards.u.T @ cards.h, W2, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(S2 + 0.05 * cards.u.T @ cards.h, W2)
    assert not torch.allclose(S2 - 0.05 * cards.u[1:].T @ cards.h[1:], W2)  # one card less


def test_recall_is_the_layer(page, some_digits):
    X, Y = some_digits
    W1, _, cards = page.train(1, X, Y, epochs=1)
    S1, _ = page.initial_weights(1)
    torch.testing.assert_close(page.recall(X, S1, cards.x, cards.delta), X @ W1.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [[3, 4], [5, 4, 3], [6, 5, 4, 3, 2]])
def test_chain_of_surprises_is_autograd(page, sizes):
    generator = torch.Generator().manual_seed(len(sizes))
    weights = [torch.randn(o, i, generator=generator) for i, o in pairwise(sizes)]
    x, label = torch.randn(sizes[0], generator=generator), torch.tensor(1)
    inputs, deltas = page.all_surprises(weights, x, label)
    leaves = [w.clone().requires_grad_() for w in weights]
    y = leaves[0] @ x
    for w in leaves[1:]:
        y = w @ torch.tanh(y)
    for h, delta, slope in zip(inputs, deltas, torch.autograd.grad(F.cross_entropy(y, label), leaves), strict=True):
        torch.testing.assert_close(torch.outer(delta, h), slope, rtol=1e-10, atol=1e-12)


def test_newton_step_finds_the_minimum_of_a_quadratic(page):
    generator = torch.Generator().manual_seed(0)
    root, goal = torch.randn(6, 6, generator=generator), torch.randn(2, 3, generator=generator)

    def objective(w):
        off = (w - goal).flatten() @ root
        return off @ off + 3.0

    found = page.minimise_quadratic(objective, torch.randn(2, 3, generator=generator))
    torch.testing.assert_close(found, goal, rtol=1e-8, atol=1e-8)


def test_step_is_argmin_for_other_rates(page):
    for seed, rate in enumerate((0.01, 0.3, 4.0)):
        W, start, _, x, u, step = page.two_samples(seed, rate)
        solved = page.minimise_quadratic(
            lambda w, W=W, x=x, u=u, rate=rate: (w @ x) @ u + ((w - W) ** 2).sum() / (2 * rate), start
        )
        torch.testing.assert_close(solved, step, rtol=1e-9, atol=1e-10)
