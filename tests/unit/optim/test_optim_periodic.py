"""Every group on its own clock: sums over the period, resume, sharing with the wrapped optimizer."""

import copy
import math

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from nbhelpers.optim import DeltaMomentum, Muon, Periodic
from tests.unit.optim.runs import SEEDS, SHAPES, gradients, near, normal, over, trajectory

INNER = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1),
    "delta": lambda p: DeltaMomentum(p, lr=0.05),
    "muon": lambda p: Muon(p, lr=0.05),
}


@pytest.mark.parametrize("name", INNER)
@over(SHAPES, SEEDS)
def test_period_one_is_the_inner_optimizer(name, shape, seed):
    start, grads = normal(*shape, seed=seed), gradients(shape, 5, seed)
    wrapped = trajectory(lambda p: Periodic(INNER[name](p)), start, grads)
    assert torch.equal(wrapped, trajectory(INNER[name], start, grads))


@pytest.mark.parametrize("name", INNER)
@over(SHAPES, SEEDS, st.integers(1, 4), st.integers(0, 3))
def test_period_c_is_one_step_on_the_summed_gradient(name, shape, seed, C, rest):
    start, grads = normal(*shape, seed=seed), gradients(shape, 2 * C + rest, seed)
    path = trajectory(lambda p: Periodic(INNER[name](p), C), start, grads)
    sums = [sum(grads[i : i + C]) for i in range(0, len(grads) - C + 1, C)]
    expected = trajectory(INNER[name], start, sums)
    for t, found in enumerate(path, 1):  # steps 1 … C see the start, the C-th call moves
        blocks = t // C
        assert near(found, expected[blocks - 1] if blocks else start)
    if C > 1 and name == "sgd" and sums[0].abs().min() > 1e-6:
        averaged = trajectory(INNER[name], start, [g / C for g in sums])
        assert not near(averaged, expected, 1e-9)  # averaging is another rule


def test_the_cms_rule_of_three_groups():
    """(71) with plain gradient descent: θ after the chunk = θ − η Σ over exactly C terms."""
    p = [nn.Parameter(normal(2, seed=i)) for i in range(4)]
    start = [q.detach().clone() for q in p]
    periods = [1, 2, 3, math.inf]
    groups = [{"params": [q], "period_steps": C} for q, C in zip(p, periods, strict=True)]
    optimizer = Periodic(torch.optim.SGD(groups, lr=0.1))
    grads = normal(7, 4, 2, seed=9)
    for t in range(7):
        for q, g in zip(p, grads[t], strict=True):
            q.grad = g.clone()
        optimizer.step()
    for i, terms in enumerate([7, 6, 6, 0]):
        assert near(p[i], start[i] - 0.1 * grads[:terms, i].sum(0))
    assert p[3] not in optimizer.state  # a frozen group collects nothing


def test_gradients_stay_with_the_caller_and_a_missing_one_counts_as_zero():
    p, q = nn.Parameter(normal(2)), nn.Parameter(normal(3))
    start = q.detach().clone()
    optimizer = Periodic(torch.optim.SGD([p, q], lr=0.1), 2)
    p.grad, g = normal(2, seed=1), normal(3, seed=2)
    q.grad = g
    optimizer.step()
    q.grad = None
    optimizer.step()
    assert q.grad is None and near(q, start - 0.1 * g)
    assert torch.equal(p.grad, normal(2, seed=1))
    optimizer.zero_grad()
    assert p.grad is None


def test_sums_are_copies_when_gradients_are_zeroed_in_place():
    p = nn.Parameter(normal(2))
    start, g = p.detach().clone(), normal(2, seed=1)
    optimizer = Periodic(torch.optim.SGD([p], lr=0.1), 3)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=False)
        (p * g).sum().backward()
        optimizer.step()
        assert near(p.grad, g)
    assert near(p, start - 0.3 * g)


@pytest.mark.parametrize("stop", range(1, 8))
def test_resume_in_mid_period_through_a_file(stop, tmp_path):
    def build():
        net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).double()
        for i, p in enumerate(net.parameters()):
            p.data = normal(*p.shape, seed=i)
        groups = [
            {"params": net[0].parameters(), "period_steps": 2},
            {"params": net[1].parameters(), "period_steps": 5},
        ]
        return net, Periodic(torch.optim.AdamW(groups, lr=0.1))

    def train(net, optimizer, steps):
        for t in steps:
            optimizer.zero_grad()
            net(normal(4, 3, seed=t)).square().mean().backward()
            optimizer.step()

    whole, optimizer = build()
    train(whole, optimizer, range(8))
    first, optimizer = build()
    train(first, optimizer, range(stop))
    torch.save({"model": first.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    second, optimizer = build()
    second.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    train(second, optimizer, range(stop, 8))
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_schedulers_copies_and_new_groups_reach_the_wrapped_optimizer():
    p, q = nn.Parameter(normal(2)), nn.Parameter(normal(2, seed=1))
    optimizer = Periodic(torch.optim.SGD([p], lr=0.1), 2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    p.grad = normal(2, seed=2)
    optimizer.step(), scheduler.step()
    assert optimizer.optimizer.param_groups[0]["lr"] == 0.05
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    scheduler.step()
    assert optimizer.optimizer.param_groups[0]["lr"] == 0.025  # still shared after loading
    optimizer.add_param_group({"params": [q], "lr": 1.0, "period_steps": 1})
    start = q.detach().clone()
    q.grad = normal(2, seed=3)
    optimizer.step()
    assert near(q, start - normal(2, seed=3))
    assert [group["period_steps"] for group in optimizer.optimizer.param_groups] == [2, 1]
    twin = copy.deepcopy(optimizer)
    assert twin.optimizer is not optimizer.optimizer
    assert twin.param_groups[0] is twin.optimizer.param_groups[0]


def test_refusals():
    p = nn.Parameter(normal(2))
    sgd = torch.optim.SGD([p], lr=0.1)
    for wrong in (0, -1, 1.5, True, "two", math.nan, None):
        with pytest.raises(ValueError, match="period_steps is .*whole number of at least 1, or math.inf"):
            Periodic(torch.optim.SGD([p], lr=0.1), wrong)
    with pytest.raises(ValueError, match="period_steps is 0"):
        Periodic(torch.optim.SGD([{"params": [p], "period_steps": 0}], lr=0.1))
    with pytest.raises(TypeError, match="wraps one plain torch optimizer and was given type"):
        Periodic(torch.optim.SGD)
    with pytest.raises(TypeError, match="was given Periodic"):
        Periodic(Periodic(sgd))
    with pytest.raises(ValueError, match="was not saved by Periodic"):
        Periodic(sgd).load_state_dict(torch.optim.SGD([p], lr=0.1).state_dict())
