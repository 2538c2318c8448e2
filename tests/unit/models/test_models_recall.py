"""Recall: a row counts if greedy writing gives its answer, read through a window or whole."""

from __future__ import annotations

import pytest
import torch

from nbhelpers.models import Config, LanguageModel, generate, recalled


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    one = LanguageModel(Config("transformer", vocabulary=7, width=16, layers=2, heads=2))
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.mul_(3)  # far from uniform
    return one


def test_it_is_what_greedy_writing_gives(model):
    prompts = torch.randint(7, (40, 9), generator=torch.Generator().manual_seed(1))
    written = generate(model, prompts, 2, temperature=0)
    assert recalled(model, written, 2).all()
    wrong = written.clone()
    wrong[::2, -1] = (wrong[::2, -1] + 1) % 7
    wrong[1::4, -2] = (wrong[1::4, -2] + 1) % 7
    assert recalled(model, wrong, 1)[::2].sum() == 0
    assert not recalled(model, wrong, 2)[0::2].any() and not recalled(model, wrong, 2)[1::4].any()


def test_a_window_hides_what_is_before_it(model):
    rows = torch.randint(7, (64, 30), generator=torch.Generator().manual_seed(2))
    other = rows.clone()
    other[:, :19] = torch.randint(7, (64, 19), generator=torch.Generator().manual_seed(3))
    assert torch.equal(recalled(model, rows, 1, window=10), recalled(model, other, 1, window=10))
    assert torch.equal(recalled(model, rows, 1, window=10), recalled(model, rows[:, -11:], 1))
    assert not torch.equal(recalled(model, rows, 1), recalled(model, other, 1))
    assert torch.equal(recalled(model, rows, 1, window=100), recalled(model, rows, 1))


@pytest.mark.parametrize(("answer", "window"), [(0, None), (5, None), (2, 1)])
def test_a_window_must_hold_the_answer(model, answer, window):
    with pytest.raises(ValueError, match="a window that holds the answer"):
        recalled(model, torch.zeros(2, 5, dtype=torch.int64), answer, window)


def test_a_state_is_read_first(model):
    rows = torch.randint(7, (64, 12), generator=torch.Generator().manual_seed(4))
    before, after = rows[:, :5], rows[:, 5:]
    _, state = model(before)
    assert torch.equal(recalled(model, after, 1, state=state), recalled(model, rows, 1))
    assert not torch.equal(recalled(model, after, 1), recalled(model, rows, 1))
