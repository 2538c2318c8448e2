"""The chapter *The amnesiac*: its definitions against the package, its records against the shipped weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nbhelpers.core.records import records
from nbhelpers.data.facts import Filler, make_probe
from nbhelpers.evaluation import amnesia
from nbhelpers.models import Config, LanguageModel, learn_once, load, recalled
from nbhelpers.notebook.exercises.the_amnesiac import LAST
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.ledger import claims
from nbhelpers.notebook.pictures import the_amnesiac as draw
from tests.notebooks.definitions import load_definitions

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / "the-amnesiac.ipynb"
TRAINED = [one for one in records("train") if one.name.startswith("amnesiac.")]
BENCHES = {(one.name, one.seed): one for one in records("bench")}
KINDS = ("transformer", "sliding", "gated_deltanet", "learner")
MEGABYTES = 3.0


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, "says", "one_step", "changes_while_reading", "numbers_in", "spread")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LanguageModel(Config("transformer", width=16, layers=2, heads=2)).double()


@pytest.mark.parametrize("window", [None, 7, 20])
def test_plain_recall_is_the_packages(page, model, window):
    rows = torch.randint(256, (6, 20), generator=torch.Generator().manual_seed(1))
    for _ in range(2):  # make some rows right: let them end as the model would write
        rows[:3, -2:] = model(rows[:3, :-1] if window is None else rows[:3, :-1][:, -window:])[0][:, -2:].argmax(-1)
    found = page.says(model, rows, window)
    assert found.tolist() == recalled(model, rows, 2, window).tolist()
    assert found.any() and not found.all()


@pytest.mark.parametrize("rate", [0.01, 0.3])
def test_the_plain_step_is_the_packages(page, model, rate):
    told = torch.randint(256, (3, 9), generator=torch.Generator().manual_seed(2))
    text = torch.randint(256, (1, 15), generator=torch.Generator().manual_seed(3))
    together = learn_once(model, told, rate)
    for i, sentence in enumerate(told):
        student = page.one_step(model, sentence, rate)
        own = {name: change[i : i + 1] for name, change in together.items()}
        torch.testing.assert_close(student(text)[0], model(text, own)[0], rtol=1e-9, atol=1e-9)
    assert not torch.allclose(student(text)[0], model(text)[0], rtol=1e-4)


@pytest.mark.parametrize("family", ["transformer", "gated_deltanet"])
def test_reading_moves_the_memory_and_no_weight(page, family):
    model = LanguageModel(Config(family, width=16, layers=1, heads=2))
    tokens = torch.randint(256, (40,), generator=torch.Generator().manual_seed(4))
    changed, moved, state = page.changes_while_reading(model, tokens, singles=10)
    assert (changed, moved) == (0, 1)
    assert page.numbers_in(state) > 0


def test_a_weight_that_changed_is_counted(page):
    class Learns(LanguageModel):
        def forward(self, tokens, state=None):
            self.embedding.weight.data[0] += 1
            return super().forward(tokens, state)

    model = Learns(Config("transformer", width=16, layers=1, heads=2))
    assert page.changes_while_reading(model, torch.arange(5), singles=2)[0] == 16


def test_spread_is_mean_lowest_highest(page):
    assert page.spread([3, 1, 2]) == (2, 1, 3)


def test_the_tag_leaves_the_window_where_the_exercise_says():
    filler = Filler("fiction", "test")
    for distance, whole in ((LAST, True), (LAST + 1, False)):
        for seed in range(20):
            probe = make_probe(filler, distance, "test", np.random.default_rng(seed), least=256)
            start = len(probe.tokens) - 1 - distance
            if probe.text[start:].startswith("Remember "):
                read = probe.tokens[:-1][-amnesia.WINDOW :].tobytes().decode()
                assert (probe.fact.tag in read[:-5]) == whole


def test_all_trained_models_were_measured_and_the_ledger_counts_their_seeds():
    for kind in KINDS:
        seeds = {one.seed for one in TRAINED if one.name == f"amnesiac.{kind}"}
        assert seeds and seeds == {seed for name, seed in BENCHES if name == f"recall.amnesiac.{kind}"}
    for kind in ("transformer", "learner"):
        seeds = {one.seed for one in TRAINED if one.name == f"amnesiac.{kind}"}
        assert seeds == {seed for name, seed in BENCHES if name == f"step.amnesiac.{kind}"}
        assert len(seeds) == claims()["the-amnesiac/one-small-step"]["seeds"]


def test_the_shipped_weights_are_small():
    sizes = [path.stat().st_size for one in TRAINED for path in (one.folder / "model").glob("*")]
    assert 0 < sum(sizes) <= MEGABYTES * 1e6


@pytest.mark.parametrize("record", TRAINED, ids=lambda record: record.id)
def test_the_measurements_are_those_of_the_weights(record):
    if not (record.folder / "model").is_dir():
        assert record.name == "amnesiac.sliding"  # measured, not shipped
        return
    bench = BENCHES[f"recall.{record.name}", record.seed]
    assert bench.config["model"] == record.config
    exam = amnesia.exam_for(record, "test", amnesia.COUNT, (256, 288))
    found = amnesia.recall(load(record.folder / "model").float(), exam, bench.config["window"])
    for distance, share in found.items():
        assert share == pytest.approx(bench.result["recall"][str(distance)], abs=1.5 / amnesia.COUNT)


def test_the_moment_shows_the_chosen_reader():
    recall = {"frozen": np.zeros((2, 3)), "one step": np.full((2, 3), 0.5)}
    prices = {"a price": {"frozen": 0.0, "one step": 0.25}}
    frames = {
        reader: picture(draw.moment(256, reader, (64, 256, 1024), recall, prices, 256), f"a frame of the {reader}")
        for reader in recall
    }
    assert ">0%<" in frames["frozen"] and ">0.0%<" in frames["frozen"]
    assert ">50%<" in frames["one step"] and ">25.0%<" in frames["one step"]
