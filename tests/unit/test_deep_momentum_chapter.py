"""The chapter *Deep momentum, and the fair contest*: definitions, records of the contests, tables and ledgers."""

import re
from pathlib import Path

import pytest
import torch

from nbhelpers.core.records import RUNS, records
from nbhelpers.notebook.exercises.deep_momentum_and_the_fair_contest import arrivals
from nbhelpers.optim import DeepMomentum, DeltaMomentum
from nbhelpers.training.equal_time import entries, trials
from nbhelpers.training.sweep import configure_sweep, lowest, planned
from tests.notebooks.definitions import load_definitions
from tests.notebooks.notebook import Notebook

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "chapters" / "deep-momentum-and-the-fair-contest.ipynb"
NAMES = ("noise", "delta_step", "valley", "slope", "answer", "newborn", "deep_step", "scaled", "outcome")
CONTESTS = ("quadratic", "digits", "fashion", "bytes")
ARMS = {"sgd", "momentum", "adamw", "muon", "dgd", "delta_momentum", "deep_momentum"}


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, *NAMES)


def gradients(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def near(left, right, tolerance=1e-10):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 4), (4, 1)])
def test_the_delta_step_is_the_engines(page, shape):
    W = torch.zeros(*shape, dtype=torch.float64, requires_grad=True)
    tool, m, moved = DeltaMomentum([W], lr=0.07, momentum=0.8), torch.zeros(*shape).double(), 0
    for W.grad in gradients(1, 5, *shape):
        tool.step()
        m = page.delta_step(m, W.grad, 0.07, 0.8)
        moved = moved + m
    near(W.detach(), moved)


@pytest.mark.parametrize("inner_rate", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("shape", [(3, 5), (7, 2), (1, 6)])
def test_the_deep_step_is_the_engines(page, shape, inner_rate):
    W = torch.zeros(*shape, dtype=torch.float64, requires_grad=True)
    tool = DeepMomentum([W], lr=0.05, momentum=0.9, inner_lr=inner_rate)
    memory = page.newborn(torch.zeros(*shape).double())
    start, moved = memory[1], 0
    for W.grad in gradients(2, 12, *shape):
        tool.step()
        u = page.scaled(W.grad)
        memory = page.deep_step(memory, start, u, inner_rate=inner_rate)
        moved = moved + 0.05 * page.answer(memory, u)
    near(W.detach(), moved)


def test_the_slope_is_that_of_the_valley(page):
    points = gradients(3, 30, 2).requires_grad_()
    (found,) = torch.autograd.grad(page.valley(points, 2.0, 0.7, 3.0).sum(), points)
    near(page.slope(points.detach(), 2.0, 0.7, 3.0), found)


def test_the_exercise_rolls_down_the_same_valley(page):
    """The checker's loop is a second implementation; one rate of it is walked here with the page's slope."""
    p, m = torch.tensor([-3.5, 2.0]).double(), torch.zeros(2).double()
    far = 0
    rate = 1e-1 ** (4 - 3 * 19 / 24)  # the twentieth of 25 rates, at which momentum arrives here
    for step in range(2001):
        far = step if float(p.norm()) > 0.05 else far
        m = 0.9 * m - rate * page.slope(p, 1.0, 0.5, 1.0)
        p = p + m
    assert arrivals(1.0, 0.5, 1.0)["momentum"] <= far + 1 < 2000


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ([1.0, 1.1, 1.2], [2.0, 2.1, 2.25], 1),
        ([2.0, 2.1, 2.25], [1.0, 1.1, 1.2], -1),
        ([1.0, 3.0, 2.0], [2.0, 1.0, 3.1], 0),
        ([0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 6.1], 0),  # 1.98 standard errors
        ([0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 2.0, 3.0], 1),  # 4.0
    ],
)
def test_an_outcome_is_paired_and_needs_more_than_chance_gives_once_in_twenty(page, ours, theirs, found):
    assert page.outcome(ours, theirs) == found


@pytest.mark.parametrize("contest", CONTESTS)
def test_a_contest_is_whole_and_its_budgets_are_equal(contest):
    found, tried = entries(contest), trials(contest)  # these refuse duplicates, and arms that tried different rates
    for half, arms in found.items():
        assert set(arms) == set(tried[half]) == ARMS
        for arm, runs in arms.items():
            assert [run.seed for run in runs] == [0, 1, 2, 3, 4]
            rates, scores = list(tried[half][arm]), list(tried[half][arm].values())
            chosen = {run.config["learning_rate"] for run in runs}
            assert chosen == {lowest(rates, scores)}
            assert rates[0] < min(chosen) <= max(chosen) < rates[-1], "the best lies inside the range"


@pytest.mark.parametrize("contest", CONTESTS)
def test_with_the_network_off_the_same_rates_are_tried(contest):
    (plain,), (by_seven, *_) = trials(f"{contest}.plain")["steps"].values(), trials(contest)["steps"].values()
    assert list(plain) == list(by_seven)
    runs = entries(f"{contest}.plain")["steps"]["deep_momentum"]
    assert [run.seed for run in runs] == [0, 1, 2, 3, 4]
    assert {run.config["learning_rate"] for run in runs} == {lowest(list(plain), list(plain.values()))}
    (own,) = {run.config["options"]["inner_lr"] for run in runs}
    assert own == 0


def test_no_contest_decays_its_weights():
    for record in records("contest"):
        if record.name.split(".")[0] in CONTESTS:
            assert record.config["weight_decay"] == 0, record.folder


@pytest.mark.parametrize("contest", CONTESTS)
def test_at_equal_time_every_arm_fits_into_the_time_of_the_cheapest(contest):
    found = entries(contest)
    (cost,) = (r.result["step_seconds"] for r in records("bench", f"{contest}.step"))
    whole = next(iter(found["steps"].values()))[0].result["steps"]
    budget = whole * min(cost.values())
    for arm, runs in found["time"].items():
        for run in runs:
            assert run.result["steps"] * cost[arm] <= budget * (1 + 1e-9)
            assert (run.result["steps"] + 1) * cost[arm] > budget * (1 - 1e-9)


def test_the_commands_on_the_page_are_those_of_the_records():
    (cell,) = [c for c in Notebook.read(CHAPTER).markdown if c.id == "contest-text"]
    block = re.search(r"```\n(.*?)```", cell.source, re.S)[1].replace("\\\n", " ")
    words = dict(re.findall(r'^(\w+)="?(.*?)"?$', block, re.M))
    commands = re.findall(r"^python -m nbhelpers.training.sweep (.*)$", block, re.M)
    assert len(commands) == 2 * len(CONTESTS)
    for command in commands:
        for name in ("SAME", "OFF", "BYTES", "ARMS", "RATES"):
            command = command.replace(f"${name}", words[name])
        preset, *settings = command.split()
        sweep = configure_sweep(preset, settings)
        plain = sweep.base["name"].endswith(".plain")
        assert set(sweep.arms) == ({"deep_momentum"} if plain else ARMS)
        if plain:  # nothing widens it: it lists all rates that the seven tried
            assert list(sweep.rates) == list(trials(sweep.base["name"])["steps"]["deep_momentum"])
        for arm in sweep.arms:
            for rate in sweep.rates:
                assert planned("sweep", sweep.trial_of(arm, rate)).result, f"{command}: no record of {arm} at {rate}"


def test_the_records_of_the_contests_are_small():
    folders = [r.folder for r in records() if r.name.split(".")[0] in CONTESTS]
    size = sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
    assert size < 3e6
    assert not list(RUNS.glob("*/checkpoint"))
