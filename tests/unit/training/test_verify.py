"""Shipped weights are what their records say."""

from __future__ import annotations

import json

import pytest
import torch

from nbhelpers.core.records import RESULT, RecordError
from nbhelpers.models import load, save
from nbhelpers.training.settings import build
from nbhelpers.training.train import train
from nbhelpers.training.verify import main, verifiable, verify

HELD_OUT = 20_000


def test_every_shipped_model_gives_its_recorded_evaluation():
    for record in verifiable():
        domains = len(record.result["test"]) - 1
        assert record.config["held_out"] * domains >= HELD_OUT, record.id
        verify(record)


@pytest.fixture
def record(tmp_path):
    words = {"width": 16, "layers": 1, "heads": 2, "tokenizer": "bytes", "texts": "drama", "length": 16}
    words |= {"batch_size": 2, "tokens": 320, "held_out": 400, "sample": 8, "progress": False, "to": str(tmp_path)}
    return train(*build(words))


def test_a_trained_model_is_verified_and_changed_ones_are_not(record, capsys):
    assert main(str(record.folder.parent)) == 0
    assert "verified" in capsys.readouterr().out
    assert record.result["sample"] and record.result["parameters"] == load(record.folder / "model").parameter_count()

    model = load(record.folder / "model")
    with torch.no_grad():
        model.embedding.weight.mul_(3)
    save(model, record.folder / "model")
    with pytest.raises(RecordError, match="differ"):
        verify(record)


def test_a_result_that_was_made_better_is_found_out(record):
    path = record.folder / RESULT
    result = json.loads(path.read_text())
    result["test"]["drama"] -= 0.01
    path.write_text(json.dumps(result))
    with pytest.raises(RecordError, match=r"recorded and found measures differ.*drama"):
        verify(record)


def test_a_run_that_is_over_is_not_run_again(record):
    before = (record.folder / RESULT).stat().st_mtime_ns
    words = {"width": 16, "layers": 1, "heads": 2, "tokenizer": "bytes", "texts": "drama", "length": 16}
    words |= {"batch_size": 2, "tokens": 320, "held_out": 400, "to": str(record.folder.parent)}
    assert train(*build(words)).result == record.result
    assert (record.folder / RESULT).stat().st_mtime_ns == before


def test_weights_of_another_model_are_refused(record):
    model = load(record.folder / "model")
    other = type(model)(type(model.config)("mamba2", vocabulary=256, width=16, layers=1, heads=2))
    save(other, record.folder / "model")
    with pytest.raises(RecordError, match="not the model of the record's config"):
        verify(record)
