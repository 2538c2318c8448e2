"""Many students at once are what each would be alone."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from nbhelpers.evaluation.one_step import bits_each, learn_each, logits_each, says_each
from nbhelpers.models import Config, LanguageModel, recalled


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    one = LanguageModel(Config("transformer", vocabulary=11, width=16, layers=2, heads=2)).double()
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.mul_(2)
    return one


def alone(model, text, learning_rate, steps):
    student = copy.deepcopy(model)
    optimizer = torch.optim.SGD(student.parameters(), lr=learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        student.loss(text[None, :-1], text[None, 1:])[0].backward()
        optimizer.step()
    return student


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_each_student_learns_as_if_it_were_alone(model, steps):
    texts = torch.randint(11, (4, 9), generator=torch.Generator().manual_seed(1))
    rows = torch.randint(11, (4, 5, 20), generator=torch.Generator().manual_seed(2))
    students = learn_each(model, texts, 0.3, steps)
    for i, text in enumerate(texts):
        one = alone(model, text, 0.3, steps)
        for name, parameter in one.named_parameters():
            torch.testing.assert_close(students[name][i], parameter.detach())
        torch.testing.assert_close(logits_each(model, students, rows)[i], one(rows[i])[0].detach())
        assert torch.equal(says_each(model, students, rows, 1, window=6)[i], recalled(one, rows[i], 1, window=6))
        loss = one.loss(rows[0, :, :-1], rows[0, :, 1:])[0].item()
        assert bits_each(model, students, rows[0])[i].item() == pytest.approx(loss / math.log(2))


def test_learning_goes_on_from_where_it_was(model):
    texts = torch.randint(11, (3, 9), generator=torch.Generator().manual_seed(3))
    twice = learn_each(model, texts, 0.2, 1, learn_each(model, texts, 0.2))
    expected = learn_each(model, texts, 0.2, 2)
    assert all(torch.equal(twice[name], expected[name]) for name in expected)


def test_the_model_itself_stays_as_it_is(model):
    before = copy.deepcopy(model.state_dict())
    students = learn_each(model, torch.randint(11, (2, 9)), 0.5)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert any(not torch.equal(students[name][0], p) for name, p in model.named_parameters())


def test_wrong_shapes_are_refused(model):
    with pytest.raises(ValueError, match="two tokens or more"):
        learn_each(model, torch.zeros(3, 1, dtype=torch.int64), 0.1)
    students = learn_each(model, torch.zeros(2, 5, dtype=torch.int64), 0.1, 0)
    with pytest.raises(ValueError, match="2 students for 3 texts"):
        learn_each(model, torch.zeros(3, 5, dtype=torch.int64), 0.1, start=students)
