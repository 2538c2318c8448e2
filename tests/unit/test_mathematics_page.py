"""The page *The mathematics you need*: its definitions against the package, torch and NumPy; its exercises."""

import numpy as np
import pytest
import torch

from nbhelpers.memory import instances
from nbhelpers.notebook.exercises.the_mathematics_you_need import largest_growth
from nbhelpers.optim import newton_schulz
from tests.notebooks.definitions import load_definitions
from tests.notebooks.notebook import ROOT

PAGE = ROOT / "chapters" / "the-mathematics-you-need.ipynb"

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(PAGE, "agree", "numeric_gradient", "ridge", "gain", "late", "run", "filtered", "stopped")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(a, b, rtol=1e-9):
    torch.testing.assert_close(a, b, rtol=rtol, atol=1e-11)


def test_agree_is_the_frobenius_inner_product(page):
    A, B = normal(3, 4), normal(3, 4, seed=1)
    close(page.agree(A.flatten().tolist(), B.flatten().tolist()), float((A.T @ B).trace()))
    with pytest.raises(ValueError, match="zip"):
        page.agree([1, 2], [1, 2, 3])


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (4, 3)])
def test_nudges_give_the_gradient_of_autograd(page, shape):
    x, W = normal(shape[1], seed=1), normal(*shape)

    def loss(W):
        return torch.tanh(W @ x).square().sum() + torch.linalg.vector_norm(W)

    found = page.numeric_gradient(loss, W)
    (expected,) = torch.autograd.grad(loss(W.requires_grad_()), W)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(("count", "inputs", "outputs"), [(3, 7, 2), (20, 4, 1), (5, 5, 5)])
@pytest.mark.parametrize("penalty", [1e-3, 1.0, 50.0])
def test_ridge_is_the_minimum_of_its_problem(page, count, inputs, outputs, penalty):
    X, T = normal(count, inputs), normal(count, outputs, seed=1)
    W = page.ridge(X, T, penalty).requires_grad_()
    (slope,) = torch.autograd.grad(((X @ W.T - T) ** 2).sum() / 2 + penalty / 2 * (W**2).sum(), W)
    close(slope, torch.zeros_like(slope))
    close(W.detach(), page.filtered(X, T, lambda s: s**2 / (s**2 + penalty)), rtol=1e-7)


def test_directions_that_no_example_has_stay_at_zero(page):
    X, T = normal(5, 4), normal(5, 2, seed=1)
    X[:, 2] = 0.0
    W = page.filtered(X, T, torch.ones_like)
    close(W, torch.linalg.lstsq(X, T, driver="gelsd").solution.T)
    assert W[:, 2].abs().max() < 1e-12


def test_ridge_is_one_exact_write_of_the_packages_delta_rule(page):
    """A single pair, written by the proximal step of rate 1 / penalty into an empty memory."""
    x, t, penalty = normal(6), normal(3, seed=1), 0.7
    rate = (1 / penalty) / (1 + x @ x / penalty)
    memory = instances.delta_rule(6, 3, write_strength=rate)
    close(page.ridge(x[None], t[None], penalty), memory.write(memory.start(), x, t).memory["M"])


@pytest.mark.parametrize("steps", [0, 1, 30])
def test_early_stopping_is_gradient_descent_and_its_filter(page, steps):
    X, T, rate = normal(9, 4), normal(9, 2, seed=1), 0.03
    W = torch.zeros(2, 4, requires_grad=True)
    descent = torch.optim.SGD([W], lr=rate)
    for _ in range(steps):
        descent.zero_grad()
        (((X @ W.T - T) ** 2).sum() / 2).backward()
        descent.step()
    close(page.stopped(X, T, rate, steps), W.detach())
    close(page.filtered(X, T, lambda s: 1 - (1 - rate * s**2) ** steps), W.detach())


@pytest.mark.parametrize("retention", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("omega", [0.05, 1.0, 3.1])
def test_gain_is_what_the_packages_memory_does_to_a_wave(page, retention, omega):
    memory = instances.momentum_memory(1, 1, momentum_decay=retention, learning_rate=1 - retention)
    state, steps = memory.start(), 400
    for step in range(steps):
        state = memory.write(state, torch.ones(1), torch.sin(torch.tensor([omega * step])))
    expected = (page.gain(retention, omega) * np.exp(1j * omega * steps)).imag
    close(state.memory["M"].squeeze(), expected, rtol=1e-6)
    close(page.gain(retention, 0.0).real, torch.tensor(1.0))


@pytest.mark.parametrize(("trace", "det"), [(1.5, 0.6), (-1.0, 0.2), (0.3, -0.5)])
def test_run_is_the_power_of_its_matrix(page, trace, det):
    matrix = np.array([[trace, -det], [1.0, 0.0]])
    found = page.run(trace, det, steps=12)
    expected = [(np.linalg.matrix_power(matrix, t) @ np.ones(2))[0] for t in range(12)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_late_is_the_place_of_the_largest_overlap(page):
    """Two hundred steps a wave: the shift at which the fed wave agrees best with what the gain says."""
    period = 200
    H, turn = page.gain(0.9, 2 * np.pi / period), torch.exp(2j * torch.pi * torch.arange(period) / period)
    overlap = [((H * turn).real * turn.roll(shift).real).sum() for shift in range(period)]
    assert page.late(H) == pytest.approx(np.argmax(overlap) / period, abs=1 / period)


def test_nearest_right_angles_are_found_by_the_package():
    A = normal(5, 8)
    U, _, Vt = torch.linalg.svd(A, full_matrices=False)
    close(newton_schulz(A, steps=60, coefficients=(1.5, -0.5, 0.0)), U @ Vt, rtol=1e-7)


def test_largest_growth_of_known_matrices():
    assert largest_growth([[0.5, 0.0], [0.0, 0.2]]) == 1.0
    assert largest_growth([[0.0, 7.0], [0.0, 0.0]]) == pytest.approx(7.0)
    assert largest_growth([[0.95, 1.0], [0.0, 0.95]]) > 19 * 0.95**18
