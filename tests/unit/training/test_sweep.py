"""Equal budgets for every arm, a range that widens for all, a queue that goes on, and what is read off it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from nbhelpers.core.records import Record, records
from nbhelpers.models import load
from nbhelpers.training import sweep as s
from nbhelpers.training.summary import summarise, table

BASE = {"width": 16, "layers": 1, "heads": 2, "tokenizer": "bytes", "texts": "drama", "length": 16, "batch_size": 2}
BASE |= {"tokens": 640, "held_out": 64, "chunk_size": 8, "sample": 0, "validate_every": 100}


@pytest.fixture
def pretend(monkeypatch):
    """Runs whose score is a formula of arm and rate; returns the list of all that ran."""
    ran = []

    def set_up(best):
        def one(jobs, workers):
            for kind, settings in jobs:
                record = s.planned(kind, settings)
                if not record.result:
                    ran.append((kind, record.name, record.config["learning_rate"], record.seed))
                    miss = abs(math.log2(record.config["learning_rate"] / best[record.name]))
                    record.begin().finish(status="done", validation={"mean": 2 + miss})
                yield record

        monkeypatch.setattr(s, "run_all", one)
        return ran

    return set_up


def sweep(to, **options):
    return s.Sweep({**BASE, "to": str(to)}, arms=("transformer", "mamba2"), rates=(1e-3, 2e-3, 4e-3), **options)


def test_the_best_rate_inside_the_range_is_taken(tmp_path, pretend):
    ran = pretend({"transformer": 2e-3, "mamba2": 2.5e-3})
    assert s.best_rates(sweep(tmp_path)) == {"transformer": 2e-3, "mamba2": 2e-3}
    assert len(ran) == 6


def test_the_range_widens_for_all_arms_when_one_lies_on_the_edge(tmp_path, pretend):
    ran = pretend({"transformer": 2e-3, "mamba2": 8e-3})
    assert s.best_rates(sweep(tmp_path)) == {"transformer": 2e-3, "mamba2": 8e-3}
    tried = {arm: sorted(rate for _, name, rate, _ in ran if name == arm) for arm in ("transformer", "mamba2")}
    assert tried["transformer"] == tried["mamba2"] == [1e-3, 2e-3, 4e-3, 8e-3, 16e-3]


@pytest.mark.parametrize(
    ("scores", "rate"),
    [
        ([3.0, 2.0, 1.0, 0.995], 3),  # level at the upper edge
        ([3.0, 2.0, 1.0, 0.98], 4),
        ([1.0, 1.005, 2.0, 3.0], 2),  # and at the lower one
        ([1.0, 1.02, 2.0, 3.0], 1),
        ([3.0, 1.0, 1.001, 2.0], 2),  # inside the range the best is the best
        ([math.inf, math.inf, 2.0, math.inf], 3),
        ([math.inf, math.inf, math.inf, 1.0], 4),
    ],
)
def test_a_plateau_on_the_edge_does_not_widen_the_range(scores, rate):
    assert s.lowest([1, 2, 3, 4], scores) == rate


def test_a_range_that_never_ends_is_an_error(tmp_path, pretend):
    pretend({"transformer": 1e9, "mamba2": 2e-3})
    with pytest.raises(RuntimeError, match="still on its edge"):
        s.best_rates(sweep(tmp_path))


def test_an_arm_that_always_diverges_is_an_error(tmp_path, monkeypatch):
    def diverge(jobs, workers):
        for job in jobs:
            record = s.planned(*job)
            record.begin().finish(status="diverged", step=1, fault="")
            yield record

    monkeypatch.setattr(s, "run_all", diverge)
    with pytest.raises(RuntimeError, match=r"Every trial of transformer, mamba2 diverged"):
        s.best_rates(sweep(tmp_path))


def test_trials_differ_in_arm_and_rate_alone(tmp_path):
    one = sweep(tmp_path)
    a, b = (s.planned("sweep", one.trial_of(arm, 1e-3)) for arm in one.arms)
    assert a.seed == b.seed
    different = {key for key in a.config if a.config[key] != b.config[key]}
    assert different == {"model"}
    assert {k for k in a.config["model"] if a.config["model"][k] != b.config["model"][k]} == {"family"}


@pytest.mark.slow
def test_a_small_sweep_for_real_and_again_for_nothing(tmp_path):
    one = replace(sweep(tmp_path, trial=320, seeds=2, workers=2), rates=(1e-3, 5e-2, 2.5))
    found = s.run_sweep(one)
    assert {arm: [r.seed for r in sorted(rs, key=lambda r: r.seed)] for arm, rs in found.items()} == {
        "transformer": [0, 1],
        "mamba2": [0, 1],
    }
    trials = list(records("sweep", to=tmp_path))
    assert len({(r.name, r.config["learning_rate"]) for r in trials}) == len(trials)
    assert sum(r.name == "mamba2" for r in trials) * 2 == len(trials)  # the same number for each
    assert not any((r.folder / "model").exists() for r in trials)
    kept = [r for r in records("train", to=tmp_path) if (r.folder / "model").exists()]
    assert {(r.name, r.seed) for r in kept} == {("transformer", 0), ("mamba2", 0)}
    assert load(kept[0].folder / "model").parameter_count() == kept[0].result["parameters"]

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json*")}
    s.run_sweep(one)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json*")} == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["arms=gpt"], "There is no family gpt"),
        (["over=optimizer", "arms=adam"], "There is no optimizer adam"),
        (["over=colour", "arms=red"], "over is 'colour'"),
        (["rates=1e-3,2e-3"], "three or more"),
        (["rates=2e-3,1e-3,4e-3"], "rising"),
        (["seeds=0"], "expected 1 or more"),
        (["wibble=1"], "no setting"),
    ],
)
def test_wrong_sweeps_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        s.configure_sweep("tiny", settings)


def test_a_sweep_of_optimizers_writes_contests():
    one = s.configure_sweep("tiny", ["over=optimizer", "arms=adamw,muon", "rates=1e-3,2e-3,4e-3", "width=64"])
    assert one.kind == "contest" and one.arms == ("adamw", "muon") and one.base["width"] == 64
    assert s.planned("contest", one.final("muon", 2e-3, 1)).config["optimizer"] == "muon"


def finished(to, name, seed, mean, status="done"):
    result = {"status": status, "parameters": 9, "tokens": 8, "tokens_per_second": 7.0}
    measure = {"drama": mean, "mean": mean}
    Record("train", name, seed, {"learning_rate": 1e-3}, to).begin().finish(
        **result, validation=measure, test={"drama": mean + 1, "mean": mean + 1}
    )


def test_the_summary_is_mean_and_spread_over_seeds_best_first(tmp_path):
    for seed, mean in enumerate((2.0, 2.2, 2.4)):
        finished(tmp_path, "hope", seed, mean)
    finished(tmp_path, "titans", 0, 2.1)
    finished(tmp_path, "titans", 1, 9.9, status="diverged")
    titans, hope = summarise(tmp_path)
    assert (hope["name"], hope["seeds"], titans["seeds"], titans["diverged"]) == ("hope", 3, 1, 1)
    assert hope["validation"]["mean"] == pytest.approx(2.2) and hope["validation_spread"] == pytest.approx(0.2)
    assert titans["test_spread"] is None
    text = table(tmp_path)
    assert "3.2000 ± 0.2000" in text and text.index("titans") < text.index("hope")
    assert "no finished record" in table(tmp_path, "bench")


def test_tasks_that_measure_different_things_stand_apart(tmp_path):
    finished(tmp_path, "hope", 0, 2.0)
    measure = {"64": 0.25, "mean": 0.25}
    Record("train", "told", 0, {"task": "facts", "learning_rate": 1e-3}, tmp_path).begin().finish(
        status="done", parameters=9, tokens=8, tokens_per_second=7.0, validation=measure, test=measure
    )
    facts, language = table(tmp_path).split("\n\n")
    assert facts.startswith("test, share of facts not said") and "told" in facts and "hope" not in facts
    assert language.startswith("test, bits per byte") and "3.0000" in language
