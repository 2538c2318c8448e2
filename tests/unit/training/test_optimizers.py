"""Which parameter gets which rule, rate, decay and clock."""

from __future__ import annotations

import pytest
import torch

from nbhelpers.models import Config, LanguageModel
from nbhelpers.optim import Muon, Periodic
from nbhelpers.training.optimizers import OPTIMIZERS, make_optimizers, set_learning_rate


def model(family="hope"):
    return LanguageModel(Config(family, vocabulary=64, width=32, layers=2, heads=2, periods=(1, 4, 16)))


@pytest.mark.parametrize("family", ["transformer", "hope"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_parameter_has_exactly_one_optimizer(name, family):
    one = model(family)
    taken = [
        id(p)
        for optimizer in make_optimizers(name, one, 0.1)
        for group in optimizer.param_groups
        for p in group["params"]
    ]
    assert sorted(taken) == sorted(id(p) for p in one.parameters())


def test_levels_keep_their_periods_and_vectors_do_not_decay():
    one = model()
    (optimizer,) = make_optimizers("adamw", one, 0.1, weight_decay=0.3)
    assert isinstance(optimizer, Periodic)
    period = {id(p): g["period_steps"] for g in optimizer.param_groups for p in g["params"]}
    decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for block in one.blocks:
        for level, expected in zip(block.cms.blocks, (1, 4, 16), strict=True):
            assert {period[id(p)] for p in level.parameters()} == {expected}
    assert all(decay[id(p)] == (0.3 if p.ndim >= 2 else 0) for p in one.parameters())
    assert not isinstance(make_optimizers("adamw", model("transformer"), 0.1)[0], Periodic)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_a_gradient_every_rule_makes_the_same_step(name):
    """A contest is fair only if equal settings mean the same: what is left without a gradient is the weight decay."""
    layers = torch.nn.ModuleList([torch.nn.Linear(3, 4, bias=False), torch.nn.LayerNorm(3)])
    before = [p.detach().clone() for p in layers.parameters()]
    optimizers = make_optimizers(name, layers, 0.1, weight_decay=0.5)
    for _ in range(4):
        layers.zero_grad()
        for layer in layers:
            (layer(torch.zeros(5, 3)) * 0).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
    for p, start in zip(layers.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), start * (1 - 0.1 * 0.5) ** 4 if p.ndim == 2 else start)


def test_muon_has_the_inner_matrices_and_adamw_the_rest():
    one = model("transformer")
    muon, adamw = make_optimizers("muon", one, 0.1)
    assert isinstance(muon, Muon) and isinstance(adamw, torch.optim.AdamW)
    assert all(p.ndim == 2 for g in muon.param_groups for p in g["params"])
    rest = {id(p) for g in adamw.param_groups for p in g["params"]}
    assert id(one.embedding.weight) in rest and id(one.norm.weight) in rest


def test_the_learning_rate_reaches_every_group():
    optimizers = make_optimizers("muon", model(), 0.1)
    set_learning_rate(optimizers, 0.025)
    inner = [o.optimizer if isinstance(o, Periodic) else o for o in optimizers]
    assert {g["lr"] for o in inner for g in o.param_groups} == {0.025}


def test_wrong_names_and_options_are_refused():
    with pytest.raises(ValueError, match=r'no optimizer "adam"; there are: .*adamw'):
        make_optimizers("adam", model(), 0.1)
    with pytest.raises(ValueError, match=r"adamw does not take these options.*betaz"):
        make_optimizers("adamw", model(), 0.1, options={"betaz": 1})
