"""Deep momentum: its inner step against autograd, its special case, its stability."""

import pytest
import torch
from hypothesis import strategies as st

from nbhelpers.optim import DeepMomentum
from tests.unit.optim.runs import SEEDS, SHAPES, gradients, matrix, near, normal, over, trajectory


def memory(u, b, A, B):
    """m(u_r) = b_r + B tanh(A u_r)/√h for every row."""
    return b + torch.tanh(u @ A.T) @ B.T / len(A) ** 0.5


@pytest.mark.parametrize("objective", ["dot", "l2", "ones"])
@over(shape=SHAPES, seed=SEEDS, normalize=st.booleans())
def test_each_step_is_a_gradient_step_on_the_objective(objective, shape, seed, normalize):
    """The state after each step equals decay − rates × autograd's gradient, and the step is read after the write."""
    mu, zeta, h = 0.8, 0.3, 3
    p = torch.nn.Parameter(normal(*shape, seed=seed))
    optimizer = DeepMomentum([p], 0.1, mu, zeta, h, objective=objective, normalize=normalize)
    b = torch.zeros_like(matrix(p.detach()))
    A, B = None, torch.zeros(b.shape[1], h).double()
    W = p.detach().clone()
    for g in gradients(shape, 4, seed):
        p.grad = g.clone()
        optimizer.step()
        state = optimizer.state[p]
        A_0 = state["initial_input_weights"]
        A = A_0.clone() if A is None else A
        u = matrix(g)
        u = u / (u**2).mean().sqrt() if normalize else u
        b, A, B = (x.detach().requires_grad_() for x in (b, A, B))
        y = memory(u, b, A, B)
        losses = {"dot": (y * u).sum(), "l2": 0.5 * (y + u).square().sum(), "ones": y.sum()}
        losses[objective].backward()
        with torch.no_grad():
            b = mu * b - b.grad
            B = mu * B - zeta / len(u) * B.grad
            A = A_0 + mu * (A - A_0) - zeta / len(u) * A.grad
            W = W + 0.1 * memory(u, b, A, B).reshape(shape)
        assert near(state["input_weights"], A, 1e-10) and near(state["output_weights"], B, 1e-10)
        assert near(matrix(state["bias"]), b, 1e-10)
        assert near(p, W, 1e-10)


@over(SHAPES, SEEDS)
def test_without_an_inner_rate_it_is_sgd_with_momentum(shape, seed):
    start, grads = normal(*shape, seed=seed), gradients(shape, 5, seed)
    ours = trajectory(lambda p: DeepMomentum(p, 0.1, inner_lr=0.0, normalize=False), start, grads)
    assert near(ours, trajectory(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), start, grads))
    deep = trajectory(lambda p: DeepMomentum(p, 0.1, normalize=False), start, grads)
    assert not near(deep, ours, 1e-9)  # the network does something


def test_normalized_steps_do_not_see_the_scale_and_mirror_the_gradient():
    start, grads = normal(4, 3), gradients((4, 3), 6)
    path = trajectory(lambda p: DeepMomentum(p, 0.1), start, grads)
    assert near(trajectory(lambda p: DeepMomentum(p, 0.1), start, [1e6 * g for g in grads]), path, 1e-9)
    mirrored = trajectory(lambda p: DeepMomentum(p, 0.1), start, [-g for g in grads])
    assert near(mirrored - start, start - path)


def test_it_descends_and_stays_bounded_and_the_printed_objective_does_not_descend():
    target = normal(5, 4, seed=3)

    def final(objective):
        p = torch.nn.Parameter(torch.zeros(5, 4).double())
        optimizer = DeepMomentum([p], lr=0.01, objective=objective)
        for _ in range(300):
            optimizer.zero_grad()
            (p - target).square().sum().backward()
            optimizer.step()
        return (p - target).square().mean().item(), optimizer.state[p]

    start = target.square().mean().item()
    for objective in ("dot", "l2"):
        loss, state = final(objective)
        assert loss < 0.1 * start
        assert all(t.abs().max() < 100 for t in state.values())
    assert final("ones")[0] > start


def test_the_start_is_random_but_repeatable():
    states = []
    for seed in (0, 0, 1):
        p = torch.nn.Parameter(normal(3, 4))
        optimizer = DeepMomentum([p], 0.1, hidden=5, seed=seed)
        p.grad = normal(3, 4, seed=1)
        torch.manual_seed(len(states))  # the global generator has no say
        optimizer.step()
        states.append(optimizer.state[p]["initial_input_weights"])
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])
    assert states[0].shape == (5, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1}, "lr is -1"),
        ({"lr": 1, "inner_lr": -1}, "inner_lr is -1"),
        ({"lr": 1, "hidden": 0}, "hidden is 0; it must be a whole number"),
        ({"lr": 1, "objective": "mse"}, "objective is 'mse'; choose one of 'dot', 'l2', 'ones'"),
        ({"lr": 1, "seed": -1}, "seed is -1"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DeepMomentum([torch.nn.Parameter(normal(2, 2))], **options)
