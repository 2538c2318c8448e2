"""The chapter *Momentum remembers gradients*: its definitions against the package and torch, its tables and ledgers."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from nbhelpers.memory import instances
from nbhelpers.notebook.exercises.momentum_remembers_gradients import valley_distance
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import momentum_remembers_gradients as draw
from nbhelpers.optim import DeltaMomentum, PreconditionedMomentum
from tests.notebooks.definitions import load_definitions

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "chapters" / "momentum-remembers-gradients.ipynb"

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    names = "descend", "remember", "minimise_quadratic", "recognise", "companion", "delta_momentum"
    return load_definitions(CHAPTER, *names, "rough", "rough_slope")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def with_torch(optimizer, slope, w, rates, **options):
    w = w.clone().requires_grad_()
    tool = optimizer([w], lr=rates[0], **options)
    for rate in rates:
        tool.param_groups[0]["lr"] = rate
        w.grad = slope(w.detach())
        tool.step()
    return w.detach()


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
def test_the_loop_is_sgd_and_the_packages_momentum(page, decay):
    root = normal(3, 3)

    def slope(w):
        return root @ root.T @ w + torch.sin(w)

    w, steady, falling = normal(3, 2, seed=1), [0.05] * 12, [0.05 / (t + 1) for t in range(12)]
    path, told, held = page.descend(slope, w, steady, decay)
    assert (len(path), len(told), len(held)) == (13, 12, 12)
    close(path[-1], with_torch(torch.optim.SGD, slope, w, steady, momentum=decay))
    close(path[1:] - path[:-1], held)
    close(told, torch.stack([slope(at) for at in path[:-1]]))
    scheduled = page.descend(slope, w, falling, decay)[0][-1]
    close(scheduled, with_torch(PreconditionedMomentum, slope, w, falling, momentum=decay))
    if decay:  # torch multiplies old gradients by today's rate
        theirs = with_torch(torch.optim.SGD, slope, w, falling, momentum=decay)
        assert not torch.allclose(scheduled, theirs, rtol=1e-3)


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0])
def test_the_memory_of_pairs_is_the_packages(page, decay):
    inputs, surprises = normal(9, 4), normal(9, 3, seed=1)
    held = page.remember(inputs, surprises, 0.2, decay)
    engine = instances.momentum_memory(4, 3, momentum_decay=decay, learning_rate=0.2)
    state = engine.start()
    for step, (x, u) in enumerate(zip(inputs, surprises, strict=True)):
        state = engine.write(state, x, -u)
        close(held[step], state.memory["M"])


def test_delta_momentum_is_the_packages(page):
    gradients = normal(7, 3, 4)
    w = torch.zeros(3, 4, requires_grad=True)
    tool = DeltaMomentum([w], lr=0.05, momentum=0.8)
    for g in gradients:
        before = w.detach().clone()
        w.grad = g
        tool.step()
    close(page.delta_momentum(gradients, 0.05, 0.8), w.detach() - before)


@pytest.mark.parametrize(("rate", "decay"), [(0.1, 0.0), (0.5, 0.5), (1.3, 0.9)])
def test_the_matrix_is_the_loop(page, rate, decay):
    curvature = 2.5
    path, _, held = page.descend(lambda w: curvature * w, torch.tensor(1.5), [rate] * 8, decay)
    state = torch.tensor([0.0, 1.5])
    for step in range(8):
        state = page.companion(rate * curvature, decay) @ state
        close(state, torch.stack([held[step], path[step + 1]]))


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999])
def test_stable_up_to_twice_one_plus_decay_and_never_faster_than_its_root(page, decay):
    def size(h):
        return float(torch.linalg.eigvals(page.companion(torch.tensor(h), torch.tensor(decay))).abs().max())

    edge = 2 * (1 + decay)
    assert size(1e-3) < 1 and size(edge - 1e-3) < 1 < size(edge + 1e-3)
    assert all(size(h) >= decay**0.5 - 1e-8 for h in np.linspace(0.001, edge, 50))


def test_newton_step_finds_the_minimum_of_a_quadratic(page):
    root, goal = normal(5, 5), normal(5, seed=1)
    found = page.minimise_quadratic(lambda m: ((m - goal) @ root).square().sum(), normal(5, seed=2))
    torch.testing.assert_close(found, goal, rtol=1e-7, atol=1e-7)


def test_recognition_of_gradients_at_right_angles(page):
    """With all gradients and lures at right angles every told one is recognised while it is there at all."""
    axes = torch.eye(600)
    told, lures = axes[:300], axes[300:]
    held, m = [], torch.zeros(600)
    for g in told:
        m = 0.5 * m - 0.1 * g
        held.append(m)
    rates, mine, other = page.recognise(told, lures, torch.stack(held), [0, 3])
    close(rates, torch.ones(2))
    close(mine, torch.tensor([0.75**0.5, 0.75**0.5 / 8]))
    close(other, torch.zeros(2))
    swapped, *_ = page.recognise(lures, told, torch.stack(held), [0, 3])
    close(swapped, torch.zeros(2))


def test_slope_of_the_rough_hills(page):
    f, a, p = normal(3, 4, 6)
    w = normal(5, 4, seed=1).requires_grad_()
    (slope,) = torch.autograd.grad(page.rough(w, f, a, p).sum(), w)
    close(page.rough_slope(w.detach(), f, a, p), slope)


def test_the_valley_of_the_exercise_is_the_loop(page):
    curvature = torch.tensor([1.0, 100.0])
    path, *_ = page.descend(lambda w: curvature * w, torch.ones(2), [0.02] * 60, 0.6)
    assert valley_distance(0.02, 0.6) == pytest.approx(float(path[-1].norm()), rel=1e-9)


def test_the_ball_says_what_the_slope_and_the_step_are():
    path, told = torch.linspace(-3, 0, 6), torch.tensor([-1.0, -1.0, -1.0, 0.5, -1e-9])
    markup = picture(draw.ball(4, 0.9, 0.03, path, told, lambda w: 0 * np.asarray(w)), "A ball on a level line.")
    words = re.findall(r">([^<>]+)</text>", markup)
    assert "slope here +0.00" in words and "step +0.60" in words, words
