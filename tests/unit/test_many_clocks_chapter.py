"""The chapter *Many clocks in one optimizer*: its definitions against the package and torch, its tables and ledgers."""

import re
from pathlib import Path

import pytest
import torch

from nbhelpers.notebook.exercises.many_clocks_in_one_optimizer import ENOUGH, share_right
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import many_clocks_in_one_optimizer as draw
from nbhelpers.optim import M3, Muon, newton_schulz
from tests.notebooks.definitions import load_definitions

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "chapters" / "many-clocks-in-one-optimizer.ipynb"

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    names = "listen", "newton_schulz", "m3_step", "follow", "ademamix", "heavy_ball", "muon_step", "as_it_is"
    return load_definitions(CHAPTER, *names)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def with_tool(optimizer, start, gradients, **options):
    """Where an optimizer ends on given gradients."""
    w = start.clone().requires_grad_()
    tool = optimizer([w], **options)
    for w.grad in gradients:
        tool.step()
    return w.detach()


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_newton_schulz_is_the_packages(page, shape):
    stack = normal(2, 3, *shape)
    expected = torch.stack([torch.stack([newton_schulz(M) for M in row]) for row in stack])
    close(page.newton_schulz(stack), expected)


@pytest.mark.parametrize("average", ["sum", "ema"])
@pytest.mark.parametrize("period", [1, 3, 8])
@pytest.mark.parametrize("slow_weight", [0.0, 0.7])
def test_algorithm_1_is_the_packages(page, average, period, slow_weight):
    start, gradients, betas = normal(4, 3), normal(11, 4, 3, seed=1), (0.8, 0.99, 0.6)
    engine = with_tool(
        M3,
        start,
        gradients,
        lr=0.05,
        betas=betas,
        slow_weight=slow_weight,
        slow_period_steps=period,
        eps=1e-3,
        average=average,
    )
    how = {"betas": betas, "slow_weight": slow_weight, "period": period, "ema": average == "ema", "eps": 1e-3}
    *_, (W, held) = page.follow(lambda W, t: gradients[t], start, 11, 0.05, **how)
    close(W, engine)
    assert set(held) == {"M1", "V", "M2", "block", "O1", "O2"}


def test_a_stack_of_settings_is_each_of_them(page):
    """Rates and fast decays may be tensors: one run for many trials, as the contests of the page do it."""
    gradients = normal(9, 4, 3, seed=1)
    rates, decays = torch.tensor([0.1, 0.03]), torch.tensor([0.0, 0.9])
    how = {"slow_weight": 1.0, "period": 2, "ema": True, "eps": 1e-3}
    stacked = decays[:, None, None], 0.999, 0.5
    *_, (both, _) = page.follow(
        lambda W, t: gradients[t].expand(2, 4, 3), torch.zeros(2, 4, 3), 9, rates[:, None, None], betas=stacked, **how
    )
    for k in (0, 1):
        betas = (float(decays[k]), 0.999, 0.5)
        *_, (one, _) = page.follow(lambda W, t: gradients[t], torch.zeros(4, 3), 9, float(rates[k]), betas=betas, **how)
        close(both[k], one)


def test_without_newton_schulz_and_slow_part_it_is_adam(page):
    start, gradients = normal(4, 3), normal(9, 4, 3, seed=1)
    how = {"betas": (0.9, 0.99, 0.5), "slow_weight": 0.0, "period": 1, "ema": True, "read": page.as_it_is}
    *_, (W, _) = page.follow(lambda W, t: gradients[t], start, 9, 0.1, **how)
    close(W, with_tool(torch.optim.AdamW, start, gradients, lr=0.1, betas=(0.9, 0.99), weight_decay=0))


@pytest.mark.parametrize("late", [True, False])
def test_ademamix_of_one_average_is_adam_and_the_late_one_is_m3(page, late):
    gradients, betas = normal(9, 6), (0.9, 0.99, 0.7)
    alone = page.ademamix(gradients, 0.1, betas, 0.0, 1e-8, late)
    close(alone, with_tool(torch.optim.AdamW, torch.zeros(6), gradients, lr=0.1, betas=(0.9, 0.99), weight_decay=0))
    engine = with_tool(
        M3,
        torch.zeros(6),
        gradients,
        lr=0.1,
        betas=betas,
        slow_weight=3.0,
        slow_period_steps=1,
        average="ema",
        vectors="identity",
    )
    ours = page.ademamix(gradients, 0.1, betas, 3.0, 1e-8, late)
    assert torch.allclose(ours, engine, rtol=1e-9) == late


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_muon_is_the_packages(page, shape):
    gradients, W, held = normal(7, *shape), torch.zeros(shape), {"M1": torch.zeros(shape)}
    for t, g in enumerate(gradients):
        step, held = page.muon_step(held, g, t, 0.9)
        W = W + 0.02 * step
    options = {"lr": 0.02, "weight_decay": 0, "momentum": 0.9, "ns_dtype": None}
    close(W, with_tool(Muon, torch.zeros(shape), gradients, **options))


def test_the_heavy_ball_is_sgd(page):
    start, gradients = normal(3, 2), normal(8, 3, 2, seed=1)
    *_, (W, m) = page.heavy_ball(lambda W, t: gradients[t], start, 8, 0.1)
    close(W, with_tool(torch.optim.SGD, start, gradients, lr=0.1, momentum=0.9))
    assert m.shape == start.shape


def test_the_listeners_hear_what_they_are_told(page):
    gradients = normal(20, 2, 3)
    heard = page.listen(gradients, 0.8, 0.5, 4)
    fast = slow = torch.zeros(2, 3)
    for t, g in enumerate(gradients):
        fast = 0.8 * fast + 0.2 * g
        if t and t % 4 == 0:
            slow = 0.5 * slow + 0.5 * gradients[t - 4 : t].mean(0)
        close(heard[t, 0], fast)
        close(heard[t, 1], slow)


@pytest.mark.parametrize(("period", "keep"), [(1, 0.5), (4, 0.5), (5, 0.8)])
def test_lag_of_a_block_memory(page, period, keep):
    """(4): the mean age over the steps of a block is period / (1 - keep)."""
    steps = 60 * period
    weights = page.listen(torch.eye(steps)[..., None], 0.9, keep, period)[-period:, 1, :, 0]
    ages = torch.arange(steps - period, steps)[:, None] - torch.arange(steps)
    assert float((ages * weights).sum() / weights.sum()) == pytest.approx(period / (1 - keep), rel=1e-3)


def test_the_clock_of_the_exercise_has_two_walls():
    shares = [share_right(decay) for decay in (0.5, 0.94, 0.96, 0.98, 0.999)]
    assert shares[2] == max(shares) >= ENOUGH
    assert max(shares[0], shares[1], shares[3], shares[4]) < ENOUGH


def test_the_hum_says_how_long_ago_the_tune_changed():
    markup = picture(draw.hum(torch.rand(2, 10, 8, 8), [[1.0, 0.0], [0.5, -0.1]], 8), "Twenty small pictures and bars.")
    words = re.findall(r">([^<>]+)</text>", markup)
    assert "8 steps after the change" in words, words
    assert words.count("old tune") == words.count("new tune") == 2
