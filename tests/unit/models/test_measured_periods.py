"""Measured periods of the levels against the ones that were set, on small models."""

import math

import pytest
import torch

from nbhelpers.levels import measured_periods
from nbhelpers.models import Config, LanguageModel, adapt, set_token_periods


def model_of(family):
    torch.manual_seed(0)
    return LanguageModel(Config(family, vocabulary=17, width=16, layers=2, heads=2, hidden=24))


TEXT = torch.randint(17, (2, 25), generator=torch.Generator().manual_seed(1))


def test_hope_changes_when_it_says_so():
    model = model_of("hope")
    set_token_periods(model, (2, 6, None), 0.1)

    def read(state, start, stop):
        return adapt(model, TEXT[:, start + bool(start) : stop + 1], state)

    periods, losses = measured_periods(model, 2, range(1, 25), read)
    for layer in (0, 1):
        found = {name: periods[f"{layer}.{name}"].tolist() for name in ("mixer.memory", "mixer.projections")}
        assert found == {"mixer.memory": [1, 1], "mixer.projections": [math.inf] * 2}
        blocks = [periods[f"{layer}.cms.block {i}"].tolist() for i in range(3)]
        assert blocks == [[2, 2], [6, 6], [math.inf, math.inf]]
    assert torch.cat(losses, 1).shape == (2, 24)


def test_a_cache_grows_with_every_token_and_what_lies_between_two_stops_is_not_seen():
    model = model_of("transformer")

    def read(state, start, stop):
        return model(TEXT[:, start:stop], state)

    with torch.no_grad():
        fine, coarse = (measured_periods(model, 2, stops, read)[0] for stops in ([1, 2, 3], [3, 9]))
    assert fine["0.mixer.memory"].tolist() == [1, 1]
    assert coarse["0.mixer.memory"].tolist() == [3, 3]
    assert fine["1.cms.block 0"].tolist() == [math.inf] * 2


@pytest.mark.parametrize("stops", [[0, 1], [2, 2], [3, 1]])
def test_stops_have_to_rise(stops):
    with pytest.raises(ValueError, match="rising places"):
        measured_periods(model_of("transformer"), 2, stops, lambda state, start, stop: (None, state))
