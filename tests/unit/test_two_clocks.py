"""The chapter *Two clocks*: the article's numbers, the chapter's definitions, and the figures' arithmetic."""

import re
from pathlib import Path

import numpy as np
import pytest

from nbhelpers.notebook.exercises import exercise
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import two_clocks as draw
from tests.notebooks.definitions import load_definitions

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / "two-clocks.ipynb"
FLAT, NESTED = (0.05, 0.05, 1.0), (0.05, 0.8, 0.5)


@pytest.fixture(scope="module")
def page():
    names = "worlds", "learn", "surprise", "miss", "interference", "learn_with_period", "response"
    return load_definitions(CHAPTER, *names)


def article(x, y, slow_rate, fast_rate, decay):
    """The article's loops, as it prints them, with one name for each weight: (slow, fast, sum of errors)."""
    w_slow = w_fast = total = 0.0
    for i in range(len(x)):
        error = w_slow * x[i] + w_fast - y[i]
        total += abs(error)
        w_fast -= fast_rate * error
        w_fast *= decay
        w_slow -= slow_rate * error * x[i]
    return w_slow, w_fast, total


@pytest.mark.parametrize(
    ("dials", "slope", "cumulative"),
    [(FLAT, "1.7994", 655.3868258564223), (NESTED, "2.0883", 549.5944286758519)],
    ids=["flat", "nested"],
)
def test_the_articles_printed_numbers(page, dials, slope, cumulative):
    x, y = (column[:, 0] for column in page.worlds([42]))
    run = page.learn(x, y, *dials)
    assert f"{run[0, -1]:.4f}" == slope
    assert page.surprise(x, y, run).sum() == pytest.approx(cumulative, rel=1e-12)
    slow, fast, total = article(x, y, *dials)
    np.testing.assert_allclose(run[:, -1], [slow, fast], rtol=0, atol=0)
    assert page.surprise(x, y, run).sum() == pytest.approx(total, rel=1e-12)


def test_the_world_is_drawn_in_the_articles_order(page):
    np.random.seed(42)  # noqa: NPY002 - the article's own generator
    x, noise = np.random.randn(300), np.random.randn(300) * 0.2  # noqa: NPY002
    expected = 2.0 * x + 5.0 * np.sin(np.linspace(0, 60, 300) / 4) + noise
    np.testing.assert_array_equal(page.worlds([42])[1][:, 0], expected)


def test_many_seeds_and_many_settings_at_once_equal_one_at_a_time(page):
    x, y = page.worlds(range(5))
    dials = np.array([FLAT, NESTED, (0.1, 0.6, 0.9)])
    all_at_once = page.learn(x[:, None], y[:, None], *dials.T[:, :, None])
    assert all_at_once.shape == (2, 301, 3, 5)
    for i, setting in enumerate(dials):
        for seed in range(5):
            alone = page.learn(x[:, seed], y[:, seed], *setting)
            np.testing.assert_allclose(all_at_once[:, :, i, seed], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("period", [1, 2, 7, 300, 301])
def test_a_period_adds_gradients_up_and_applies_them_once(page, period):
    x, y = page.worlds([3])
    run = page.learn_with_period(x, y, 0.02, 0.4, 0.9, period)
    error = page.surprise(x, y, run) * np.sign(run[0, :-1] * x + run[1, :-1] - y)
    gradient = (error * x)[:, 0]
    slow = run[0, :, 0]
    for tick in range(period, 301, period):
        moved = slow[tick] - slow[tick - period]
        assert moved == pytest.approx(-0.02 * gradient[tick - period : tick].sum(), abs=1e-12)
    assert np.count_nonzero(np.diff(slow)) == 300 // period


@pytest.mark.parametrize(("rate", "retention"), [(0.05, 1.0), (0.8, 0.5), (0.8, 1.0), (1.3, 0.7)])
def test_the_response_is_what_the_recurrence_settles_at(page, rate, retention):
    omega, t = 0.3, np.arange(3000)
    wave = np.exp(1j * omega * t)
    fast = 0.0
    for value in wave[:-1]:
        fast = retention * (fast - rate * (fast - value))
    assert fast / wave[-1] == pytest.approx(page.response(rate, retention, omega), abs=1e-12)


def test_a_slope_is_judged_at_the_end_or_over_time(page):
    slope = np.array([9.0, 9.0, 2.5, 1.6, 2.1])[:, None] + [0, 1]  # (samples + 1, seeds)
    run = np.stack([slope, 0 * slope])
    np.testing.assert_allclose(page.miss(run), [0.1, 1.1])
    np.testing.assert_allclose(page.miss(run, since=2), [0.4, 1.1])


def test_interference_is_a_ratio_of_spreads_over_the_seeds(page):
    calm = np.random.default_rng(0).normal(2, 0.1, (50, 3, 200))  # samples, settings, seeds
    loud = 2 + np.array([1, 1.5, 4])[:, None] * (calm - 2)
    np.testing.assert_allclose(page.interference(loud, calm), [1, 1.5, 4])
    assert page.interference(loud[-1, 2], calm[-1, 2]) == pytest.approx(4)


def test_the_gauge_says_what_it_is_given():
    markup = picture(draw.dial(0.444 * np.exp(-0.06j), 0.05, late=1.1), "A dial at 44 % beside a wave and its copy.")
    words = re.findall(r">([^<>]+)</text>", markup)
    assert "carries 44%" in words
    assert any(word.startswith("1 sample late, misses 56%") for word in words), words


def test_each_dot_of_a_swarm_is_in_the_picture():
    run = np.random.default_rng(0).normal(2, 0.3, (2, 301, 200))
    markup = picture(draw.seeds(run, run, marked=42), "Final slopes of two learners, two hundred dots in each row.")
    swarms = [d for d in re.findall(r'<path d="([^"]+)"', markup) if d.count("M") == 200]
    assert len(swarms) == 2


def test_the_schedule_cannot_be_met_by_any_fixed_rate():
    judged = [exercise("two-clocks/schedule")._judge(lambda t, rate=rate: rate) for rate in np.geomspace(0.01, 0.3, 12)]
    assert {result.state for result in judged} == {"wrong"}
