"""Ad-hoc stacking: each layer on its own clock, a rate of zero changes nothing, equal trials."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nbhelpers.evaluation import stacking as s
from nbhelpers.models import Config, LanguageModel


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LanguageModel(Config("transformer", vocabulary=13, width=8, layers=2, heads=2, hidden=8))


def test_each_layer_gets_its_period_and_rate(model):
    s.stack(model, (2, 8), 0.4, 0.5)
    first, last = (block.cms.levels[0] for block in model.blocks)
    assert (first.period_tokens, last.period_tokens) == (2, 8)
    assert (first.learning_rate, last.learning_rate) == pytest.approx((0.4, 0.2))
    with pytest.raises(ValueError, match="3 periods for 2 layers"):
        s.stack(model, (2, 4, 8), 0.1)


def test_a_rate_of_zero_is_the_model_and_another_is_not(model):
    tokens = torch.randint(13, (3, 17), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = model(tokens[:, :-1])[0]
    plain = F.cross_entropy(logits.mT, tokens[:, 1:], reduction="none").mean(1)
    torch.testing.assert_close(s.read(model, tokens, (2, 8), 0.0), plain, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(s.read(model, tokens, (2, 8), 0.3), plain, rtol=1e-3)


def test_all_arms_get_as_many_trials_and_periods_for_four_layers():
    assert {len(s.trials(periods)) for periods in s.ARMS.values()} == {s.TRIALS}
    assert {len(periods) for periods in s.ARMS.values()} == {4}


def test_texts_are_held_out_and_of_one_length():
    (tuned, a), (told, b) = s.texts("validation", s.TUNED_ON), s.texts("test", s.REPORTED)
    assert a.shape == b.shape == (6, s.LENGTH + 1)
    assert not set(tuned) & set(told) and len(set(tuned + told)) == 12


@pytest.mark.parametrize("name", s.ARMS)
def test_shipped_records_are_those_of_the_arms(name):
    record = s.Record("bench", f"stacking.{name}", 0, s.settings(s.ARMS[name]))
    assert record.result is not None and record.result["status"] == "done"
    assert len(record.rows()) == s.TRIALS and len(record.result["learning"]) == 6
