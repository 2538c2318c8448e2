"""A contest at equal time: what a step costs, how far every arm gets in the time of the cheapest."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from nbhelpers.core.records import Record, records
from nbhelpers.training import cost, equal_time, sweep
from nbhelpers.training.quadratic import QuadraticConfig
from nbhelpers.training.settings import build

SMALL = QuadraticConfig(inputs=3, outputs=2, batch_size=4, samples=80, learning_rate=0.1)
ARMS = {"sgd": replace(SMALL, optimizer="sgd"), "muon": replace(SMALL, optimizer="muon")}


def test_every_arm_is_timed_in_every_round(monkeypatch):
    order, costs = [], {"a": iter([3.0, 1.0, 2.0]), "b": iter([6.0, 6.0, 50.0])}

    class Pretend:
        def __init__(self, config):
            self.arm, self.cost, self.steps = config, 0.0, 0

        def step(self):
            if self.steps % (cost.BLOCK + 1) == 0:
                order.append(self.arm)
                self.cost = next(costs[self.arm])
                self.steps += 1
                return 1e9  # the first of a block does not count
            self.steps += 1
            return self.cost

    monkeypatch.setattr(cost, "Racer", Pretend)
    assert cost.step_seconds({"a": "a", "b": "b"}, rounds=3) == {"a": 2.0, "b": 6.0}
    assert [set(pair) for pair in zip(order[::2], order[1::2], strict=True)] == [{"a", "b"}] * 3


def test_costs_are_measured_once(tmp_path, monkeypatch):
    first = cost.record_cost("toy.step", ARMS, 2, tmp_path)
    assert set(first.result["step_seconds"]) == {"sgd", "muon"} and min(first.result["step_seconds"].values()) > 0
    monkeypatch.setattr(cost, "step_seconds", lambda *given: pytest.fail("measured again"))
    again = cost.record_cost("toy.step", dict(reversed(ARMS.items())), 2, tmp_path)
    assert again.id == first.id and again.result == first.result


def test_a_racer_trains():
    racer = cost.Racer(replace(ARMS["sgd"], noise=0.0))
    before = racer.task.test(None)["mean"]
    for _ in range(20):
        assert racer.step() > 0
    assert racer.task.test(None)["mean"] < before


WORDS = [
    "quadratic",
    "over=optimizer",
    "name=toy",
    "arms=sgd,muon",
    "rates=1e-3,1e-2,1e-1,1,10",
    "seeds=2",
    "workers=1",
]
WORDS += ["inputs=3", "outputs=2", "batch_size=4", "samples=80", "noise=0"]


@pytest.fixture
def here(monkeypatch):
    """Runs in this process: quick, and under the eyes of monkeypatch."""

    def run(jobs, workers):
        for kind, settings in jobs:
            record = sweep.planned(kind, settings)
            if not record.result:
                sweep.run_one(kind, settings)
            yield record

    monkeypatch.setattr(sweep, "run_all", run)


def test_each_arm_gets_the_steps_that_fit_and_tries_every_rate_again(tmp_path, monkeypatch, here, capsys):
    monkeypatch.setattr(cost, "step_seconds", lambda arms, rounds: {"sgd": 1e-4, "muon": 4e-4})
    words = [*WORDS, f"to={tmp_path}"]
    assert equal_time.main([*words, "rounds=3"]) == 0
    assert sweep.main(words) == 0
    found = equal_time.entries("toy", tmp_path)
    samples = {
        half: {arm: {r.config["samples"] for r in rs} for arm, rs in arms.items()} for half, arms in found.items()
    }
    assert samples == {"steps": {"muon": {80}, "sgd": {80}}, "time": {"muon": {20}, "sgd": {80}}}
    assert [r.seed for r in found["time"]["muon"]] == [0, 1]
    trials = [r for r in records("sweep", to=tmp_path) if r.name.startswith("toy.time.")]
    tried = {arm: sorted(r.config["learning_rate"] for r in trials if r.name.endswith(arm)) for arm in ("sgd", "muon")}
    assert tried["sgd"] == tried["muon"]
    assert {r.config["samples"] for r in trials if r.name == "toy.time.muon"} == {20}

    monkeypatch.setattr(cost, "step_seconds", lambda *given: pytest.fail("measured again"))
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json*")}
    assert equal_time.main([*words, "rounds=3"]) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json*")} == written


def test_trials_are_read_by_half_and_arm_and_must_be_equal(tmp_path, here):
    words = [*WORDS, f"to={tmp_path}"]
    assert sweep.main(words) == 0
    found = equal_time.trials("toy", tmp_path)
    assert found["time"] == {} and set(found["steps"]) == {"sgd", "muon"}
    rates = list(found["steps"]["sgd"])
    assert rates == sorted(rates) == list(found["steps"]["muon"])
    record = next(iter(records("sweep", to=tmp_path)))
    assert found["steps"][record.name.removeprefix("toy.")][record.config["learning_rate"]] == sweep.score(record)

    stale = Record("sweep", record.name, 0, record.config | {"noise": 0.5}, tmp_path).begin()
    assert equal_time.trials("toy", tmp_path) == found, "a trial that is not over does not count"
    stale.finish(status="diverged")
    with pytest.raises(ValueError, match="second trial"):
        equal_time.trials("toy", tmp_path)
    shutil.rmtree(stale.folder)
    shutil.rmtree(record.folder)
    with pytest.raises(ValueError, match="different rates: "):
        equal_time.trials("toy", tmp_path)


def test_a_second_run_with_the_same_seed_is_refused(tmp_path, here):
    assert sweep.main([*WORDS, f"to={tmp_path}"]) == 0
    record = next(iter(records("contest", to=tmp_path)))
    Record("contest", record.name, record.seed, record.config | {"noise": 0.5}, tmp_path).begin().finish(status="done")
    with pytest.raises(ValueError, match="second run"):
        equal_time.entries("toy", tmp_path)


@pytest.mark.parametrize(
    ("share", "trial", "steps"), [(1.0, None, 20), (0.49, None, 9), (0.001, None, 1), (0.5, 40, 5)]
)
def test_a_share_of_the_steps(share, trial, steps):
    one = replace(sweep.configure_sweep(WORDS[0], WORDS[1:]), shares={"muon": share}, trial=trial)
    settings = one.trial_of("muon", 0.1) if trial else one.final("muon", 0.1, 0)
    assert build(settings)[0].steps == steps
    assert build(one.final("sgd", 0.1, 0))[0].steps == 20


def test_wrong_shares_are_refused():
    with pytest.raises(ValueError, match="shares holds"):
        replace(sweep.configure_sweep(WORDS[0], WORDS[1:]), shares={"muon": 0.0})


def test_wrong_words_are_refused(capsys, tmp_path):
    assert equal_time.main(["quadratic", "over=optimizer", "rates=1,2,3"]) == 2
    assert "name=" in capsys.readouterr().err
    with pytest.raises(ValueError, match='no contest "chess"'):
        equal_time.entries("chess", tmp_path)
