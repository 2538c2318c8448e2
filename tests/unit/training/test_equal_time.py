"""A contest at equal time: what a step costs, how far every arm gets in the time of the cheapest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nbhelpers.core.records import Record, records
from nbhelpers.training import cost, equal_time
from nbhelpers.training.quadratic import QuadraticConfig

SMALL = QuadraticConfig(inputs=3, outputs=2, batch_size=4, samples=80, learning_rate=0.1)
ARMS = {"sgd": replace(SMALL, optimizer="sgd"), "muon": replace(SMALL, optimizer="muon")}


def held(to, seeds=2):
    """Records as a sweep leaves them."""
    for seed in range(seeds):
        for arm, config in ARMS.items():
            record = Record("contest", f"toy.{arm}", seed, config.to_json(), to)
            record.begin().finish(status="done", test={"mean": 1.0 + seed})


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


@pytest.mark.parametrize(("share", "steps"), [(1.0, 20), (0.5, 10), (0.49, 9), (0.001, 1)])
def test_a_share_of_the_steps(share, steps):
    assert equal_time.shortened(SMALL, share).steps == steps


def test_slow_arms_run_again_and_cheap_ones_keep_their_records(tmp_path, monkeypatch, capsys):
    held(tmp_path)
    monkeypatch.setattr(cost, "step_seconds", lambda arms, rounds: {"sgd": 1e-4, "muon": 4e-4})
    assert equal_time.main(["toy", f"to={tmp_path}", "seeds=2"]) == 0
    found = equal_time.entries("toy", tmp_path)
    assert [r.config["samples"] for r in found["time"]["muon"]] == [20, 20]
    assert [r.seed for r in found["time"]["muon"]] == [0, 1]
    assert [r.id for r in found["time"]["sgd"]] == [r.id for r in found["steps"]["sgd"]]
    assert {r.config["samples"] for r in found["steps"]["muon"]} == {80}
    assert [row["step"] for row in found["time"]["muon"][0].rows() if "loss" in row] == [1, 2, 3, 4, 5]
    assert not any((r.folder / "checkpoint").exists() for r in records(to=tmp_path))

    capsys.readouterr()
    monkeypatch.setattr(cost, "step_seconds", lambda *given: pytest.fail("measured again"))
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json*")}
    assert equal_time.main(["toy", f"to={tmp_path}", "seeds=2"]) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json*")} == written


@pytest.mark.parametrize(
    ("words", "message"), [(["chess"], 'no contest "chess"'), (["toy", "pace=3"], "no setting pace")]
)
def test_wrong_words_are_refused(tmp_path, capsys, words, message):
    assert equal_time.main([*words, *([f"to={tmp_path}"] if len(words) == 1 else [])]) == 2
    assert message in capsys.readouterr().err
