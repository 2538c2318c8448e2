"""Every task keeps the contract: batches that any step can resume, shared out over processes; honest measures."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from nbhelpers.training import train
from nbhelpers.training.images import split
from nbhelpers.training.settings import TASKS, build, config_from_json, make_task
from nbhelpers.training.verify import verify

SMALL = {
    "language": {
        "width": 16,
        "layers": 1,
        "heads": 2,
        "tokenizer": "bytes",
        "texts": "drama",
        "length": 16,
        "tokens": 640,
    },
    "images": {"images": "digits", "hidden": 16, "samples": 640},
    "quadratic": {"inputs": 6, "outputs": 4, "samples": 640, "keep_model": False},
}


def config_of(task, **settings):
    return build({"task": task, **SMALL[task], "batch_size": 8, **settings})[0]


def test_every_task_is_tested():
    assert set(SMALL) <= set(TASKS)


@pytest.mark.parametrize("task", SMALL)
class TestContract:
    def test_config_comes_back_from_a_record(self, task):
        config = config_of(task)
        assert config_from_json(config.to_json()) == config
        assert config.steps * config.units == {"language": 640, "images": 640, "quadratic": 640}[task]

    def test_batches_can_begin_anywhere(self, task):
        one = make_task(config_of(task), 3)
        whole = list(islice(one.batches(0, 0, 1), 200))  # more than an epoch of the digits
        for start in (1, 77, 150):
            for found, expected in zip(one.batches(start, 0, 1), whole[start : start + 3], strict=False):
                assert all(map(torch.equal, found, expected))
        assert not torch.equal(whole[0][0], whole[1][0])
        other = next(make_task(config_of(task), 4).batches(0, 0, 1))
        assert not torch.equal(whole[0][0], other[0])

    def test_processes_share_a_batch_out(self, task):
        one = make_task(config_of(task), 0)
        whole = next(one.batches(5, 0, 1))
        parts = [next(one.batches(5, rank, 2)) for rank in (0, 1)]
        for tensor, *halves in zip(whole, *parts, strict=True):
            assert torch.equal(torch.stack(halves, 1).flatten(0, 1), tensor)

    def test_the_seed_decides_weights_and_result(self, task, tmp_path):
        settings = {"task": task, **SMALL[task], "batch_size": 8, "progress": False, "sample": 0}
        results = []
        for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
            config, options = build(settings | {"to": str(tmp_path / folder), "seed": seed})
            results.append(train(config, options).result["test"])
        assert results[0] == results[1] != results[2]

    def test_training_helps(self, task, tmp_path):
        settings = {"task": task, **SMALL[task], "batch_size": 8, "progress": False, "sample": 0, "learning_rate": 0.02}
        config, options = build(settings | {"to": str(tmp_path)})
        record = train(config, options)
        untrained = make_task(config, 0).validate(make_task(config, 0).module, torch.device("cpu"))
        assert record.result["validation"]["mean"] < 0.9 * untrained["mean"]
        assert record.result["optimizer_bytes"] > 8 * record.result["parameters"]  # two moments
        if options.keep_model:
            assert verify(record)["mean"] == pytest.approx(record.result["test"]["mean"], abs=1e-6)


def test_an_epoch_of_images_shows_none_twice():
    one = make_task(config_of("images"), 0)
    count = len(one.train[1]) // 8
    seen = torch.cat([images for images, _ in islice(one.batches(0, 0, 1), count)])
    order = torch.cat([images for images, _ in islice(one.batches(count, 0, 1), count)])
    assert len(seen) == count * 8 and not torch.equal(seen, order)
    rows = {tuple(row.tolist()) for row in one.train[0]}
    assert {tuple(row.tolist()) for row in seen} <= rows
    assert len({tuple(row.tolist()) for row in seen}) >= len(seen) - (len(one.train[1]) - len(rows))


@pytest.mark.parametrize("name", ["fashion", "digits"])
def test_the_parts_of_the_images_are_apart(name):
    parts = split(name)
    sets = [{tuple(row.tolist()) for row in images} for images, _ in parts]
    assert all(len(images) == len(labels) for images, labels in parts)
    assert not sets[0] & sets[2] and not sets[1] & sets[2]


def test_the_measure_of_the_quadratic_is_the_expected_loss_above_its_minimum():
    config = config_of("quadratic", batch_size=200_000, samples=200_000, noise=0.3)
    one = make_task(config, 0)
    with torch.no_grad():
        one.model.weight.copy_(torch.randn_like(one.model.weight))
        x, y = next(one.batches(0, 0, 1))
        sampled = one.module(x, y).item() - config.outputs * config.noise**2 / 2
        expected = one.test(torch.device("cpu"))["mean"]
        one.model.weight.copy_(one.target)
    assert sampled == pytest.approx(expected, rel=0.02)
    assert one.test(torch.device("cpu"))["mean"] == pytest.approx(0, abs=1e-9)


def test_the_quadratic_has_the_condition_that_it_names():
    one = make_task(config_of("quadratic", condition=100.0), 0)
    eigenvalues = torch.linalg.eigvalsh(one.root @ one.root.T)
    assert eigenvalues[-1] == pytest.approx(1, rel=1e-4) and eigenvalues[0] == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("optimizer", ["dgd", "muon", "m3", "delta_momentum"])
def test_a_contest_runs_every_rule_through_the_same_loop(optimizer, tmp_path):
    settings = {"task": "quadratic", **SMALL["quadratic"], "optimizer": optimizer, "learning_rate": 0.02}
    config, options = build(settings | {"to": str(tmp_path), "progress": False, "samples": 3200, "condition": 10.0})
    result = train(config, options, kind="contest").result
    assert result["test"]["mean"] < make_task(config, 0).test(torch.device("cpu"))["mean"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "chess"}, 'no task "chess"; there are: language, facts, learner, images'),
        ({"task": "images", "length": 3}, "The task images has no length; it has:"),
        ({"task": "images", "images": "cats"}, "expected one of fashion, digits"),
        ({"task": "quadratic", "condition": 0.5}, "expected 1 or more"),
        ({"task": "quadratic", "family": "hope"}, "has no family"),
    ],
)
def test_settings_of_another_task_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build(settings)
