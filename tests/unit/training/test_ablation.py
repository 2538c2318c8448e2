"""The variants of HOPE: each is a model of its own, differs from the whole in its own part alone, and trains."""

from __future__ import annotations

import pytest
import torch

from nbhelpers.training import ablation
from nbhelpers.training.settings import build

BASE = {"width": 16, "layers": 1, "heads": 2, "tokenizer": "bytes", "texts": "drama", "length": 16, "batch_size": 2}
BASE |= {"tokens": 64, "held_out": 64, "chunk_size": 8, "learning_rate": 1e-3}


def configs():
    return {settings["name"]: build(settings) for _, settings in ablation.jobs(BASE, tuple(ablation.VARIANTS), 1)}


def test_each_variant_differs_from_the_whole_and_from_every_other():
    found = [config.to_json() for config, _ in configs().values()]
    assert len(found) == len(ablation.VARIANTS) > 1
    assert all(a != b for i, a in enumerate(found) for b in found[:i])
    whole = found[0]
    for other in found[1:]:
        changed = {key for key in whole if other[key] != whole[key]}
        assert changed == {"model"}
        inside = {key for key in whole["model"] if other["model"][key] != whole["model"][key]}
        assert len(inside) == 1, inside


@pytest.mark.parametrize("name", ablation.VARIANTS)
def test_each_variant_computes_something_else_than_the_whole(name):
    from nbhelpers.models import LanguageModel

    tokens = torch.arange(40).reshape(1, 40) * 7 % 256
    built = configs()
    models = []
    for which in ("whole", name):
        torch.manual_seed(0)
        models.append(LanguageModel(built[f"hope.{which}"][0].model))
    logits = [model(tokens)[0] for model in models]
    assert torch.isfinite(logits[1]).all()
    assert torch.equal(*logits) == (name == "whole")


def test_the_seeds_come_in_turn_and_the_records_bear_the_names(tmp_path):
    base = BASE | {"to": str(tmp_path)}
    found = ablation.run_ablation(base, ("whole", "no_cms"), seeds=2)
    assert sorted((r.name, r.seed) for r in found) == [
        ("hope.no_cms", 0), ("hope.no_cms", 1), ("hope.whole", 0), ("hope.whole", 1)
    ]  # fmt: skip
    assert all(r.kind == "contest" and r.result["status"] == "done" for r in found)
    assert not any((r.folder / "model").exists() for r in found)


def test_what_is_not_there_is_named(capsys):
    with pytest.raises(ValueError, match="no variant no_such; there are: whole"):
        ablation.jobs(BASE, ("no_such",), 1)
    with pytest.raises(ValueError, match="learning_rate"):
        ablation.jobs({key: value for key, value in BASE.items() if key != "learning_rate"}, ("whole",), 1)
    assert ablation.main(["no_such_preset"]) == 2
    assert "There is no preset" in capsys.readouterr().err
