"""The task of two demands: rows that mean what they say, models of equal size, runs that learn and are verified."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from nbhelpers.training import two_demands as task
from nbhelpers.training.settings import build, config_from_json, make_task
from nbhelpers.training.train import train
from nbhelpers.training.two_demands import NO_ANSWER, TwoDemands, TwoDemandsConfig, draw_rows
from nbhelpers.training.verify import verify

SMALL = {"task": "two_demands", "batch_size": 4, "width": 16, "parameters": 4000, "tokens": 2560, "held_out": 1280}


def config_of(**settings):
    return build(SMALL | settings)[0]


@pytest.mark.parametrize("settings", [{}, {"length": 80, "window": 10, "facts": 3}])
def test_answers_are_what_reading_the_row_gives(settings):
    config = TwoDemandsConfig(**settings)
    rows = draw_rows(config, 40, "train", [3, 1])
    kinds = set()
    for what, names, letters, answers in zip(*(part.tolist() for part in rows), strict=True):
        told = {}
        for t, (kind, name, letter, answer) in enumerate(zip(what, names, letters, answers, strict=True)):
            if kind == task.TOLD:
                assert t < config.length // 4 and name not in told and letter > 0
                told[name] = t
            elif kind == task.ASKED:
                assert answer == letters[told[name]]
                assert t - told[name] >= config.length // 4, "no window of a quarter holds it"
            elif kind >= task.PLACE:
                back = task.BACK[kind - task.PLACE]
                assert answer == letters[t - back] != task.NOTHING and what[t - back] == task.TEXT
            asks = kind not in (task.TEXT, task.TOLD)
            assert asks == (letter == task.NOTHING) == (answer != NO_ANSWER)
            assert not asks or t >= config.length // 2
            assert (name == task.NOBODY) == (kind not in (task.TOLD, task.ASKED))
            kinds.add(kind)
        assert len(told) == config.facts
    assert kinds == set(range(task.KINDS))


def test_the_demands_are_apart_and_are_all_that_is_asked():
    rows = draw_rows(TwoDemandsConfig(), 50, "test", [0])
    found = task.demands(rows)
    assert not (found["near"] & found["far"]).any()
    assert torch.equal(found["near"] | found["far"], rows.answers != NO_ANSWER)
    assert all(0.15 < which[:, 32:].float().mean() < 0.35 for which in found.values())


def test_the_text_is_that_of_the_part_and_is_letters_alone():
    for part, word in (("validation", "macbeth"), ("test", "hamlet")):
        text = "".join(task.LETTERS[i] for i in task.letters_of("drama", part))
        assert word in text and "  " not in text
        rows = draw_rows(TwoDemandsConfig(), 3, part, [0])
        for what, letters in zip(rows.what.tolist(), rows.letters.tolist(), strict=True):
            kept = "".join(task.LETTERS[c] for k, c in list(zip(what, letters, strict=True))[16:32] if k == task.TEXT)
            assert kept in text
    assert "hamlet prince of denmark" not in "".join(task.LETTERS[i] for i in task.letters_of("drama", "train"))


@pytest.mark.parametrize("memory", ["matrix", "mlp"])
def test_every_wiring_has_the_same_size_and_queries_that_start_as_keys(memory):
    sizes = []
    for wiring in task.WIRINGS:
        model = TwoDemands(TwoDemandsConfig(wiring=wiring, memory=memory), 0).model
        sizes.append(sum(p.numel() for p in model.parameters()))
        made = [module for module in model.mixer.modules() if hasattr(module, "qkv")]
        assert made
        for module in made:
            queries, keys, values = module.qkv.weight.chunk(3)
            assert torch.equal(queries, keys) and not torch.equal(keys, values)
    assert max(sizes) < 1.02 * min(sizes)


def test_batches_begin_anywhere_and_are_shared_out():
    one = make_task(config_of(), 3)
    whole = list(islice(one.batches(0), 5))
    assert all(map(torch.equal, next(one.batches(3)), whole[3]))
    assert not torch.equal(whole[0][2], whole[1][2])
    assert not torch.equal(next(make_task(config_of(), 4).batches(0))[2], whole[0][2])
    for tensor, *halves in zip(whole[2], *(next(one.batches(2, rank, 2)) for rank in (0, 1)), strict=True):
        assert torch.equal(torch.stack(halves, 1).flatten(0, 1), tensor)


@pytest.mark.parametrize("wiring", task.WIRINGS)
def test_a_run_learns_and_is_verified(wiring, tmp_path):
    settings = SMALL | {"wiring": wiring, "tokens": 7680, "learning_rate": 0.02, "to": str(tmp_path), "progress": False}
    config, options = build(settings)
    assert config_from_json(config.to_json()) == config
    record = train(config, options)
    untrained = TwoDemands(config, 0).validate(None, torch.device("cpu"))
    assert record.result["validation"]["mean"] < untrained["mean"] - 0.1
    assert verify(record) == pytest.approx(record.result["test"], abs=1e-6)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="wiring is 'max'; expected one of attention, lmm, mac, mag, mal"):
        config_of(wiring="max")
    with pytest.raises(ValueError, match="leaves .* of 2000 parameters for the MLP"):
        TwoDemands(config_of(wiring="mac", parameters=2000), 0)
    with pytest.raises(ValueError, match="length is 16; expected"):
        config_of(length=16)
