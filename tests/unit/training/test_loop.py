"""The loop on a task that takes no time: schedule, resume, interruptions, divergence, micro-batches."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from nbhelpers.training.checkpoint import CheckpointError, latest_checkpoint
from nbhelpers.training.loop import Compute, Interrupted, learning_rate_at
from nbhelpers.training.settings import build
from nbhelpers.training.watch import PATIENCE, Diverged
from tests.unit.training.toy import WORLD, Toy, run


def rows_of(record):
    """What must be the same in an interrupted run: all but the clock."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in record.rows()]


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    config, _ = build(
        {"length": 1, "batch_size": 1, "tokens": 100, "warmup": 0.1, "final_rate": 0.2, "learning_rate": 2.0}
    )
    rates = [learning_rate_at(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.2) and rates[9] == pytest.approx(2.0) == rates[10]
    assert rates[99] == pytest.approx(0.4)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[10 + 45] == pytest.approx(1.2, abs=0.02)  # half-way down in the middle


def test_no_warm_up_begins_at_the_top():
    config, _ = build({"length": 1, "batch_size": 1, "tokens": 10, "warmup": 0, "learning_rate": 2.0})
    assert learning_rate_at(0, config) == 2.0


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "m3", "momentum", "deep_momentum"])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, optimizer):
    whole = run(tmp_path / "whole", Toy(), optimizer=optimizer)

    task = Toy()
    batches = task.batches

    def interrupted(start, rank, processes):
        for number, batch in enumerate(batches(start, rank, processes)):
            if number == 17:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    task.batches = interrupted
    with pytest.raises(Interrupted, match="after step 18 of 40"):
        run(tmp_path / "cut", task, optimizer=optimizer)
    cut = run(tmp_path / "cut", Toy(seed=99), optimizer=optimizer)  # other weights: all comes from the checkpoint
    assert rows_of(cut) == rows_of(whole)
    assert rows_of(cut)[-1]["step"] == 40


def test_what_was_logged_after_the_last_checkpoint_is_logged_again(tmp_path):
    whole = run(tmp_path / "whole", Toy())
    task = Toy()
    module, calls = task.module.forward, iter(range(10**6))

    def dies(*batch):
        if next(calls) == 27:
            raise MemoryError("the machine is gone")
        return module(*batch)

    task.module.forward = dies
    with pytest.raises(MemoryError):
        run(tmp_path / "cut", task)
    assert latest_checkpoint(next(tmp_path.glob("cut/*")) / "checkpoint").name == "step-00000020"
    assert rows_of(run(tmp_path / "cut", Toy(seed=99))) == rows_of(whole)


def test_signals_are_as_before_after_the_loop(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run(tmp_path, Toy())
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_number_that_is_not_finite_stops_before_it_reaches_the_weights(tmp_path):
    task = Toy(poisoned=23)
    with pytest.raises(Diverged, match=r"the loss is nan\..*first output that is not finite: layer") as fault:
        run(tmp_path, task)
    assert fault.value.step == 24
    assert all(torch.isfinite(p).all() for p in task.model.parameters())
    folder = next(tmp_path.iterdir())
    assert latest_checkpoint(folder / "checkpoint").name == "step-00000020"


def test_a_loss_that_climbs_stops_the_run_and_names_the_largest_layer(tmp_path):
    with pytest.raises(Diverged, match=rf"for {PATIENCE} steps.*largest weight: layer") as fault:
        run(tmp_path, Toy(grows=1.5), learning_rate=0.0)
    assert PATIENCE < fault.value.step < 40


def test_a_spike_that_comes_back_does_not(tmp_path):
    task = Toy()
    plain = task.batches

    def spiky(*where):
        for number, (x, y) in enumerate(plain(*where)):
            yield x, y + (100.0 if 10 <= number < 10 + PATIENCE - 1 else 0.0)

    task.batches = spiky
    assert run(tmp_path, task, learning_rate=0.0).rows()[-1]["step"] == 40


def test_a_run_on_another_config_does_not_take_the_checkpoint(tmp_path):
    record = run(tmp_path, Toy())
    other = run(tmp_path / "other", Toy(), clip=2.0)
    (record.folder / "checkpoint").rename(tmp_path / "kept")
    (tmp_path / "kept").rename(other.folder / "stolen")
    (other.folder / "checkpoint").rename(other.folder / "own")
    (other.folder / "stolen").rename(other.folder / "checkpoint")
    with pytest.raises(CheckpointError, match="belongs to the run"):
        run(tmp_path / "other", Toy(), clip=2.0)


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_micro_batches_give_the_gradient_of_the_whole(rows):
    task = Toy()
    config, options = build({"batch_size": 8, "length": 2, "micro_batch": rows, "tokens": 100})
    batch = next(task.batches(0, 0, 1))
    loss = Compute(task.module, WORLD, config, options).gradients(batch)
    found = [p.grad.clone() for p in task.model.parameters()]
    task.module.zero_grad()
    whole = task.module(*batch)
    whole.backward()
    torch.testing.assert_close(loss, whole.detach())
    torch.testing.assert_close(found, [p.grad for p in task.model.parameters()])


def test_out_of_memory_halves_the_micro_batch():
    task = Toy()
    config, options = build({"batch_size": 8, "length": 2, "tokens": 100})
    plain, seen = task.module.forward, []

    def small_memory(x, y):
        seen.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError("too much")
        return plain(x, y)

    task.module.forward = small_memory
    compute = Compute(task.module, WORLD, config, options)
    compute.gradients(next(task.batches(0, 0, 1)))
    assert seen == [8, 4, 2, 2, 2, 2] and compute.rows == 2
