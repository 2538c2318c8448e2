"""The command in processes of its own: killed and resumed, interrupted, and shared by two."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nbhelpers.core.records import records

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = ["tiny", "family=hope", "periods=1,4,7", "tokens=12_800", "checkpoint_every=7", "log_every=1", "progress=no"]


def command(to, *settings, processes=1):
    """The training command, under torchrun for more than one process."""
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    )
    return [sys.executable, *launcher, "-m", "nbhelpers.training", *SETTINGS, f"to={to}", *settings]


def start(*arguments, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(*arguments, **options), env=environment, cwd=ROOT, start_new_session=True, **quiet)


def finish(*arguments, **options):
    """Run the command to its end; return its record."""
    process = start(*arguments, **options)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    (record,) = records(to=arguments[0])
    return record


def wait_for(process, pattern, folder):
    """Wait until a file of this pattern is there; the process must still run."""
    limit = time.monotonic() + 200
    while not list(Path(folder).glob(pattern)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit, f"{pattern} does not come"
        time.sleep(0.01)


def kill(process):
    """kill -9 for the process and all that it started: torchrun puts its workers into groups of their own."""
    parent = psutil.Process(process.pid)
    for one in (*parent.children(recursive=True), parent):
        one.kill()
    process.communicate(timeout=60)


def rows_of(record):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in record.rows()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The record of a run that nothing disturbed."""
    return finish(tmp_path_factory.mktemp("whole"))


@pytest.mark.slow
def test_killed_twice_at_any_moment_and_resumed_the_losses_are_the_same(whole, tmp_path):
    moments = random.Random(0)
    for number in (7, 14):
        process = start(tmp_path)
        wait_for(process, f"*/checkpoint/step-{number:08d}", tmp_path)
        time.sleep(moments.uniform(0, 0.4))  # somewhere in a step, a report or the next checkpoint
        assert process.poll() is None, "it ended before it could be killed"
        kill(process)
    resumed = finish(tmp_path)
    assert rows_of(resumed) == rows_of(whole)
    assert resumed.result["test"] == whole.result["test"]
    assert (resumed.folder / "model" / "model.safetensors").read_bytes() == (
        whole.folder / "model" / "model.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(whole, tmp_path):
    process = start(tmp_path)
    wait_for(process, "*/checkpoint/step-00000007", tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Interrupted: stopped after step" in errors and "Traceback" not in errors
    assert rows_of(finish(tmp_path)) == rows_of(whole)


def same_losses(record, whole):
    """Equal up to rounding, which the order of sums over processes changes and training slowly amplifies."""
    for row, expected in zip(record.rows(), whole.rows(), strict=True):
        assert row["step"] == expected["step"]
        if "loss" in row:
            assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5 if row["step"] <= 5 else 1e-3)
    assert record.result["test"]["mean"] == pytest.approx(whole.result["test"]["mean"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_give_the_losses_of_one(whole, tmp_path, parallel):
    record = finish(tmp_path, f"parallel={parallel}", processes=2)
    assert record.result["processes"] == 2
    same_losses(record, whole)


@pytest.mark.slow
def test_a_sharded_checkpoint_of_two_processes_goes_on_in_one(whole, tmp_path):
    process = start(tmp_path, "parallel=fsdp", processes=2)
    wait_for(process, "*/checkpoint/step-00000014", tmp_path)
    kill(process)
    checkpoints = list(tmp_path.glob("*/checkpoint/step-*[0-9]"))  # two, if it was killed between rename and removal
    assert checkpoints and all(len(list(one.glob("*.safetensors"))) == 2 for one in checkpoints)
    record = finish(tmp_path)
    assert record.result["processes"] == 1
    same_losses(record, whole)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["family=gpt"], "expected one of transformer, mamba2"),
        (["parallel=ddp"], "torchrun --nproc-per-node 2"),
        (["texts=_build/data/nowhere"], "python -m nbhelpers.data.build nowhere"),
        (["texts=poems"], 'no domain "poems"'),
    ],
)
def test_wrong_settings_end_with_one_line(tmp_path, settings, message):
    process = start(tmp_path, *settings)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert message in errors and "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
