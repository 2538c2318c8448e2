"""Checkpoints: everything comes back; what is damaged or foreign is refused and changes nothing."""

from __future__ import annotations

import json
import math

import pytest
import torch

from nbhelpers.models import Config, LanguageModel
from nbhelpers.training.checkpoint import STATE, CheckpointError, latest_checkpoint, load_checkpoint, save_checkpoint
from nbhelpers.training.optimizers import OPTIMIZERS, make_optimizers


def model_of(seed: int, periods=(1, 3, math.inf)) -> LanguageModel:
    torch.manual_seed(seed)
    return LanguageModel(Config("hope", vocabulary=32, width=16, layers=1, heads=2, chunk_size=4, periods=periods))


def steps(model, optimizers, count, first=0):
    """Train a little; return the losses."""
    losses = []
    for step in range(first, first + count):
        tokens = torch.randint(32, (2, 9), generator=torch.Generator().manual_seed(step))
        model.zero_grad()
        loss, _ = model.loss(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_model_and_optimizer_come_back_in_the_middle_of_a_period(tmp_path, name):
    model = model_of(0)
    optimizers = make_optimizers(name, model, 1e-2, 0.1)
    steps(model, optimizers, 4)  # the middle of the slow period
    torch.manual_seed(7)
    save_checkpoint(tmp_path, model, optimizers, 4, "run", {"note": 1})
    drawn = torch.rand(3)
    expected = steps(model, optimizers, 5, first=4)

    other = model_of(1)
    fresh = make_optimizers(name, other, 5e-1, 0.0)
    step, extra = load_checkpoint(latest_checkpoint(tmp_path), other, fresh, "run")
    assert (step, extra) == (4, {"note": 1})
    assert torch.equal(torch.rand(3), drawn)  # the random generator too
    assert steps(other, fresh, 5, first=4) == expected
    assert all(map(torch.equal, other.state_dict().values(), model.state_dict().values()))


def test_only_the_newest_is_kept_and_half_written_ones_do_not_count(tmp_path):
    model = model_of(0)
    for step in (1, 2):
        save_checkpoint(tmp_path, model, [], step, "run", {})
    (tmp_path / "step-00000003.part").mkdir()
    assert latest_checkpoint(tmp_path).name == "step-00000002"
    save_checkpoint(tmp_path, model, [], 3, "run", {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


@pytest.fixture
def saved(tmp_path):
    model = model_of(0)
    optimizers = make_optimizers("adamw", model, 1e-2)
    steps(model, optimizers, 1)
    return save_checkpoint(tmp_path, model, optimizers, 1, "run", {})


def refused(path, message, run="run"):
    model = model_of(1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path, model, make_optimizers("adamw", model, 1e-2), run)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_one_changed_byte_is_refused(saved):
    (shard,) = saved.glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    refused(saved, r"is damaged.*delete .* to begin the run anew")


def test_a_truncated_or_missing_shard_is_refused(saved):
    (shard,) = saved.glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:100])
    refused(saved, "is damaged")
    shard.unlink()
    refused(saved, "is missing")


def test_a_foreign_checkpoint_is_refused(saved):
    refused(saved, "belongs to the run run, not to other", run="other")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1}'])
def test_a_broken_state_file_is_refused(saved, content):
    (saved / STATE).write_text(content)
    refused(saved, "is not the state of a checkpoint")


def test_another_format_is_refused(saved):
    head = json.loads((saved / STATE).read_text())
    (saved / STATE).write_text(json.dumps(head | {"format": 99}))
    refused(saved, "has format 99, and this version reads 1")


def test_nothing_is_pickled(saved):
    assert {path.suffix for path in saved.iterdir()} == {".safetensors", ".json"}
