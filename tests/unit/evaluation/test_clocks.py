"""Continuum memories that learn a stream: equal to the package's layer, blind to what comes, and honest records."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nbhelpers.data.time_scales import make_stream
from nbhelpers.evaluation import clocks as c
from nbhelpers.layers.cms import VARIANTS, ContinuumMemory, LevelSpec

WORDS, LENGTH = 11, 48
PERIODS, RATES = (4, 8, 24), (0.2, 0.1, 0.05)


def small(seed=0, models=2):
    g = torch.Generator().manual_seed(seed)
    text = torch.randint(WORDS, (models, LENGTH + 1), generator=g)
    start = c.start_weights(range(models), WORDS, hidden=5)
    for block in start:
        block["down"] = torch.randn(block["down"].shape, generator=g) / 4
    return text, [{name: tensor.double() for name, tensor in block.items()} for block in start]


def run(arm, text, start, rates=RATES):
    rates = torch.tensor(rates, dtype=torch.float64).expand(len(text), -1)
    return torch.cat([loss for _, loss, _ in c.read(arm, text, start, rates)], 1)


def by_the_layer(variant, text, start):
    """The same with ``ContinuumMemory.learn``; its state holds one change a sequence."""
    levels = tuple(LevelSpec(5, 1, p, r) for p, r in zip(PERIODS, RATES, strict=True))
    cms = ContinuumMemory(WORDS, levels, variant).double()
    for norm, block, weights in zip(cms.norms, cms.blocks, start, strict=True):
        norm.weight.data.fill_(WORDS**-0.5)
        block.load_state_dict({name: tensor[0] for name, tensor in weights.items()})
    state, found = cms.initial_state(1), []
    for a in range(0, LENGTH, PERIODS[0]):
        downs = {f"{i}.down": state[f"{i}.down"].requires_grad_() for i in range(3)}
        x = F.one_hot(text[:, a : a + 4], WORDS).double() + c.SHARED * WORDS**-0.5
        loss = F.cross_entropy(cms(x, state)[0].mT, text[:, a + 1 : a + 5], reduction="none")
        slopes = dict(zip(downs, torch.autograd.grad(loss.sum(), downs.values()), strict=True))
        state = {name: tensor.detach() for name, tensor in state.items()}
        still = {name: 0 * tensor for name, tensor in state.items() if "sum" not in name}
        state = cms.learn(state, still | slopes, a + 4)
        found.append(loss.detach())
    return torch.cat(found, 1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_reading_is_the_layers_learning(variant):
    text, start = small(models=1)
    found = run(c.Arm(PERIODS, variant), text, start)
    torch.testing.assert_close(found, by_the_layer(variant, text, start), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("periods", [PERIODS, PERIODS[::-1], (8, 8, 8), (math.inf, 4, 8)])
def test_models_side_by_side_do_not_meet_and_nobody_sees_the_future(variant, periods):
    text, start = small()
    arm = c.Arm(periods, variant)
    both = run(arm, text, start)
    alone = run(arm, text[1:], [{name: tensor[1:] for name, tensor in block.items()} for block in start])
    torch.testing.assert_close(both[1:], alone, rtol=1e-10, atol=1e-12)
    later = text.clone()
    later[:, -1] = (later[:, -1] + 1) % WORDS
    torch.testing.assert_close(run(arm, later, start)[:, :-1], both[:, :-1], rtol=0, atol=0)


def test_frozen_blocks_and_zero_rates_change_nothing_and_starts_are_left_alone():
    text, start = small()
    kept = [{name: tensor.clone() for name, tensor in block.items()} for block in start]
    plain = c.losses(start, text[:, :-1], text[:, 1:])
    torch.testing.assert_close(run(c.Arm((math.inf,) * 3), text, start), plain)
    torch.testing.assert_close(run(c.Arm(PERIODS), text, start, (0.0,) * 3), plain)
    assert not torch.allclose(run(c.Arm(PERIODS), text, start), plain)
    for block, before in zip(start, kept, strict=True):
        assert all(torch.equal(block[name], before[name]) for name in block)


def test_exponent_one_makes_means_of_sums():
    arm = c.Arm((16, 128, 512))
    assert arm.rates(0.4, 1.0).tolist() == pytest.approx([0.4, 0.05, 0.0125])
    assert arm.rates(0.4, 0.0).tolist() == pytest.approx([0.4] * 3)
    assert c.Arm((512, math.inf, 16)).rates(0.4, 1.0).tolist() == pytest.approx([0.0125, 0.0, 0.4])
    with pytest.raises(ValueError, match="sequential, nested, independent"):
        c.Arm(PERIODS, "deep")


def test_every_arm_that_learns_gets_as_many_trials():
    counts = {name: len(arm.trials()) for name, arm in c.ARMS.items()}
    assert counts.pop("frozen") == 1
    assert set(counts.values()) == {c.TRIALS}
    tables = [tuple(sorted(arm.periods)) for name, arm in c.ARMS.items() if name.startswith("order") or name == "cms"]
    assert len(tables) == 6 and len(set(tables)) == 1


def test_without_sets_one_block_back():
    _, start = small()
    now = [{name: tensor + 1 for name, tensor in block.items()} for block in start]
    back = c.without(now, start, 1)
    assert back[1] is start[1] and back[0] is now[0] and back[2] is now[2]


def test_a_record_holds_trials_and_measurements_and_is_not_made_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(c, "TRIALS", 3)
    monkeypatch.setattr(c, "REPORTED", (0, 1))
    short = make_stream
    monkeypatch.setattr(c, "make_stream", lambda seed, **how: short(seed, visits=("en",), block=512, **how))
    monkeypatch.setattr(c.measure, "__defaults__", ((0, 1),))
    record = c.run_arm("cms", tmp_path)
    assert len(c.tuned(record)) == 3 and c.run_arm("cms", tmp_path).rows() == record.rows()
    chosen = c.best(c.tuned(record))
    assert (record.result["rate"], record.result["exponent"]) == (chosen["rate"], chosen["exponent"])
    found = c.measured(record)
    assert found["loss"].shape == (2, 24, 3) and found["probe"].shape == (2, 6, 4, 9)
    assert found["count"].sum() == 2 * 1536 and (found["peek_count"] <= 2 * 16 * 24).all()
    arm, words = c.ARMS["cms"], c.stacked([c.make_stream(seed) for seed in (0, 1)])
    start = c.start_weights((0, 1), 300)
    rates = arm.rates(chosen["rate"], chosen["exponent"]).expand(2, -1)
    total = sum(loss.sum() for _, loss, _ in c.read(arm, words, start, rates))
    assert found["loss"].sum() == pytest.approx(float(total), rel=1e-4)
    before, after = found["probe"][:, 0::2], found["probe"][:, 1::2]
    assert np.abs(after - before).max() > 1e-3  # a slow tick lies between


@pytest.mark.parametrize("name", c.ARMS)
def test_shipped_records_are_those_of_the_arms(name):
    record = c.Record("bench", f"clocks.{name}", 0, c.settings(c.ARMS[name]))
    assert record.result is not None and record.result["status"] == "done"
    assert len(c.tuned(record)) == len(c.ARMS[name].trials())
    assert set(c.measured(record)) == {"loss", "count", "peek", "peek_count", "probe"}
