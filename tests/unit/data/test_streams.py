"""Streams: training order that resumes anywhere, evaluation that predicts each token once."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nbhelpers.data.streams import IGNORED, batches, bits_per_byte, evaluation_batches
from nbhelpers.data.texts import load_documents
from nbhelpers.data.tokenizer import NAMES, load_tokenizer

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(0, 200), st.integers(0, 30))


def stream(batch_size: int, length: int, more: int) -> np.ndarray:
    """Distinct numbers, just long enough for one batch and ``more`` beyond."""
    return np.arange(length * (batch_size + 1) + more, dtype=np.int32)


@given(SIZES, st.integers(0, 3))
def test_starting_at_any_step_gives_what_a_whole_run_gives_from_there(sizes, seed):
    batch_size, length, more, start = sizes
    tokens = stream(batch_size, length, more)
    whole = list(islice(batches(tokens, batch_size, length, seed=seed), start + 5))[start:]
    resumed = list(islice(batches(tokens, batch_size, length, seed=seed, start_step=start), 5))
    for (inputs, targets), (again, targets_again) in zip(whole, resumed, strict=True):
        assert torch.equal(inputs, again) and torch.equal(targets, targets_again)


@given(SIZES)
def test_targets_are_the_next_tokens_and_an_epoch_repeats_none(sizes):
    batch_size, length, more, _ = sizes
    tokens = stream(batch_size, length, more)
    steps = ((len(tokens) - length) // length) // batch_size
    seen = []
    for inputs, targets in islice(batches(tokens, batch_size, length), steps):
        assert inputs.shape == targets.shape == (batch_size, length)
        assert inputs.dtype == targets.dtype == torch.int64
        assert torch.equal(targets, inputs + 1)  # the stream counts up
        seen += inputs.flatten().tolist()
    assert len(seen) == len(set(seen)) == steps * batch_size * length


def test_epochs_and_seeds_have_their_own_order():
    tokens = np.arange(1000)
    first, second = (list(islice(batches(tokens, 2, 10, start_step=step), 49)) for step in (0, 49))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    other = list(islice(batches(tokens, 2, 10, seed=1), 49))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(first, other, strict=True))
    starts = [row[0].item() for inputs, _ in first for row in inputs]
    assert starts != sorted(starts)


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_share_out_the_rows_of_one(processes):
    tokens = np.arange(500)
    alone = list(islice(batches(tokens, 8, 7, start_step=3), 10))
    shared = [
        list(islice(batches(tokens, 8, 7, start_step=3, rank=r, processes=processes), 10)) for r in range(processes)
    ]
    for step, (inputs, targets) in enumerate(alone):
        for rank in range(processes):
            assert torch.equal(shared[rank][step][0], inputs[rank::processes])
            assert torch.equal(shared[rank][step][1], targets[rank::processes])


@given(st.integers(2, 200), st.integers(1, 4), st.integers(1, 12), st.integers(0, 11))
def test_evaluation_predicts_every_token_but_the_first_exactly_once(count, batch_size, length, context):
    context = min(context, length - 1)
    tokens = np.arange(count) + 7
    predicted = []
    for inputs, targets in evaluation_batches(tokens, batch_size, length, context=context):
        assert inputs.shape == targets.shape and inputs.shape[1] == length and len(inputs) <= batch_size
        kept = targets != IGNORED
        assert kept.any(dim=1).all()  # no window for nothing
        assert torch.equal(targets[kept], inputs[kept] + 1)
        predicted += targets[kept].tolist()
    assert sorted(predicted) == tokens[1:].tolist()


def test_the_windows_after_the_first_see_their_context_and_do_not_count_it():
    rows = [targets[0] for _, targets in evaluation_batches(np.arange(99), 1, 10, context=6)]
    assert len(rows) == 23
    assert [(row == IGNORED).nonzero().flatten().tolist() for row in rows] == [[], *[list(range(6))] * 22]


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_covers_each_byte_of_a_text_once(name):
    tokenizer = load_tokenizer(name)
    documents = load_documents("drama", "validation")
    tokens = tokenizer.encode_documents(documents)
    targets = torch.cat([t[t != IGNORED] for _, t in evaluation_batches(tokens, 8, 256, context=32)])
    assert tokenizer.decode_bytes(targets) == documents[0].text.encode() + b"\0"
    assert tokenizer.count_bytes(targets.numpy()) == len(documents[0].text.encode()) + 1


def test_a_uniform_guess_over_bytes_costs_eight_bits_a_byte():
    tokens = load_tokenizer("bytes").encode_documents(load_documents("drama", "validation"))
    nats = 0.0
    for _, targets in evaluation_batches(tokens, 64, 512):
        logits = torch.zeros(*targets.shape, 256)
        nats += torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum").item()
    assert bits_per_byte(nats, len(tokens) - 1) == pytest.approx(8, rel=1e-5)
    assert bits_per_byte(math.log(2), 1) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: it must be 1 or more"),
        ({"length": 0}, "length=0: it must be 1 or more"),
        ({"start_step": -1}, "start_step=-1: it must be 0 or more"),
        ({"processes": 3}, "must divide evenly"),
        ({"rank": 1}, "ranks count from 0"),
        ({"length": 40}, "100 tokens make 1 windows of 40; a batch needs 4"),
        ({"length": 400}, "make 0 windows"),
    ],
)
def test_batches_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        batches(np.arange(100), **{"batch_size": 4, "length": 5, **change})


def test_evaluation_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="two or more are needed"):
        evaluation_batches(np.arange(1), 1, 5)
    with pytest.raises(ValueError, match="context must be shorter"):
        evaluation_batches(np.arange(10), 1, 5, context=5)
    with pytest.raises(ValueError, match="a batch needs a window"):
        evaluation_batches(np.arange(10), 0, 5)
    with pytest.raises(ValueError, match="at least one byte"):
        bits_per_byte(1.0, 0)
