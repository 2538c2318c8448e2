"""Delta gradient descent: the exact step against the minimiser, losses, biases, hooks, refusals."""

import copy
import gc
import weakref

import pytest
import torch
from hypothesis import strategies as st
from torch import nn

from nbhelpers.optim import DGD, Periodic
from tests.unit.optim.runs import SEEDS, near, normal, over

SIZES = st.integers(1, 5)


def layer(d_in, d_out, seed=0, bias=False):
    """A linear layer in double precision with random entries."""
    linear = nn.Linear(d_in, d_out, bias=bias).double()
    with torch.no_grad():
        linear.weight.copy_(normal(d_out, d_in, seed=seed))
        if bias:
            linear.bias.copy_(normal(d_out, seed=seed + 1))
    return linear


def one_step(linear, X, U, **options):
    """Run DGD once with inputs X (N, d_in) and surprises U (N, d_out); return the new weight."""
    dgd = DGD(linear, **options)
    (linear(X) * U).sum().backward()  # ∂/∂y of this loss is U
    dgd.step()
    dgd.remove_hooks()
    return linear.weight.detach()


@over(SIZES, SIZES, SEEDS, st.sampled_from([0.01, 0.3, 20.0]))
def test_exact_step_for_one_sample(d_in, d_out, seed, eta):
    """W (I − η′ x xᵀ) − η′ ∇_y L xᵀ with η′ = η/(1 + η‖x‖²)."""
    linear, x, u = layer(d_in, d_out, seed), normal(d_in, seed=seed + 5), normal(d_out, seed=seed + 6)
    W = linear.weight.detach().clone()
    found = one_step(linear, x[None], u[None], lr=eta)
    rate = eta / (1 + eta * x @ x)
    assert near(found, W @ (torch.eye(d_in).double() - rate * torch.outer(x, x)) - rate * torch.outer(u, x), 1e-11)
    printed = eta / (1 + eta)
    if abs(x @ x - 1) > 0.1 and (W @ x + u).norm() * x.norm() > 0.01:
        wrong = W @ (torch.eye(d_in).double() - printed * torch.outer(x, x)) - printed * torch.outer(u, x)
        assert not near(found, wrong, 1e-6)


def test_unit_inputs_make_the_printed_rate_right_and_the_order_matters():
    linear, x, u = layer(3, 3), nn.functional.normalize(normal(3, seed=5), dim=0), normal(3, seed=6)
    W, xx, ux = linear.weight.detach().clone(), torch.outer(x, x), torch.outer(u, x)
    found = one_step(linear, x[None], u[None], lr=0.5)
    rate, eye = 0.5 / 1.5, torch.eye(3).double()
    assert near(found, W @ (eye - rate * xx) - rate * ux)
    assert not near(found, (W - rate * ux) @ (eye - rate * xx), 1e-3)  # erasing the new write too
    assert not near(found, (eye - rate * xx) @ W - rate * ux, 1e-3)  # left instead of right
    assert not near(found, W @ (eye - xx) - rate * ux, 1e-3)  # CR (28): coefficient 1
    assert not near(found, W @ (eye - rate * xx) + rate * ux, 1e-3)  # sign


@over(SIZES, SIZES, SEEDS, st.sampled_from([0.1, 3.0]))
def test_appendix_c_corrected(d_in, d_out, seed, eta):
    """α = β = 1/(λ² + 1/η) with λ = ‖x‖; the printed β is negative."""
    linear, x, u = layer(d_in, d_out, seed), normal(d_in, seed=seed + 5), normal(d_out, seed=seed + 6)
    W = linear.weight.detach().clone()
    found = one_step(linear, x[None], u[None], lr=eta)
    beta = 1 / (x @ x + 1 / eta)
    assert near(found, W @ (torch.eye(d_in).double() - beta * torch.outer(x, x)) - beta * torch.outer(u, x), 1e-11)
    assert -1 / (x @ x + eta) < 0


@over(SIZES, SIZES, st.integers(1, 7), SEEDS, st.sampled_from(["sum", "mean"]), st.sampled_from([0.1, 5.0]))
def test_batch_step_is_the_minimiser(d_in, d_out, N, seed, reduction, eta):
    """The gradient of ½ Σ‖W x_b − ū_b‖² (or its mean) + 1/(2η)‖W − W_t‖² vanishes at the new weight, by autograd."""
    linear, X, U = layer(d_in, d_out, seed), normal(N, d_in, seed=seed + 5), normal(N, d_out, seed=seed + 6)
    W_t = linear.weight.detach().clone()
    weight_of_sample = 1 / N if reduction == "mean" else 1.0
    found = one_step(linear, X, weight_of_sample * U, lr=eta, reduction=reduction).clone().requires_grad_()
    misfit = 0.5 * (X @ found.T + U).square().sum() * weight_of_sample
    (misfit + (found - W_t).square().sum() / (2 * eta)).backward()
    assert near(found.grad, 0.0, 1e-9)


@over(SIZES, SIZES, st.integers(1, 6), SEEDS)
def test_mean_loss_at_eta_is_sum_loss_at_eta_over_n(d_in, d_out, N, seed):
    X, U = normal(N, d_in, seed=seed + 5), normal(N, d_out, seed=seed + 6)
    mean = one_step(layer(d_in, d_out, seed), X, U / N, lr=0.7)
    total = one_step(layer(d_in, d_out, seed), X, U, lr=0.7 / N, reduction="sum")
    assert near(mean, total, 1e-11)
    if N > 1:
        assert not near(mean, one_step(layer(d_in, d_out, seed), X, U, lr=0.7, reduction="sum"), 1e-6)


@over(SIZES, SIZES, st.integers(1, 6), SEEDS)
def test_explicit_step_is_one_gradient_step(d_in, d_out, N, seed):
    linear, X, U = layer(d_in, d_out, seed), normal(N, d_in, seed=seed + 5), normal(N, d_out, seed=seed + 6)
    W = linear.weight.detach().clone().requires_grad_()
    (0.5 * (X @ W.T + U).square().sum()).backward()
    expected = (W - 0.05 * W.grad).detach()
    assert near(one_step(linear, X, U, lr=0.05, form="explicit", reduction="sum"), expected)


def test_without_its_erase_term_dgd_is_sgd():
    """As η → 0 the exact step is gradient descent to first order; where W x = 0 the explicit step is exactly that."""
    X, U = normal(2, 4, seed=1), normal(2, 3, seed=2)
    linear = layer(4, 3)
    with torch.no_grad():  # W X ᵀ = 0
        Q = torch.linalg.qr(X.T).Q
        linear.weight.sub_(linear.weight @ Q @ Q.T)
    twin = copy.deepcopy(linear)
    found = one_step(linear, X, U, lr=0.1, form="explicit", reduction="sum")
    (twin(X) * U).sum().backward()
    torch.optim.SGD(twin.parameters(), lr=0.1).step()
    assert near(found, twin.weight)
    small = [one_step(layer(4, 3), X, U, lr=eta) - layer(4, 3).weight for eta in (1e-5, 1e-6)]
    sgd = U.T @ X + layer(4, 3).weight.detach() @ X.T @ X / 2
    assert near(small[1] / -1e-6, sgd, 1e-4) and near(small[0], 10 * small[1], 1e-3)


def test_fixed_point_on_a_repeated_pair_is_half_the_target():
    """With the task loss ½‖Wx − y‖² and ‖x‖ = 1, W x → y/2, not y."""
    linear, y = layer(4, 3), normal(3, seed=7)
    x = nn.functional.normalize(normal(4, seed=8), dim=0)[None]
    dgd = DGD(linear, lr=0.5)
    for _ in range(200):
        dgd.zero_grad()
        (0.5 * (linear(x) - y).square().sum()).backward()
        dgd.step()
    assert near(linear(x)[0], y / 2, 1e-9)


@over(SIZES, SIZES, st.integers(1, 5), SEEDS, st.sampled_from(["exact", "explicit"]))
def test_augmented_bias_is_a_column_with_input_one(d_in, d_out, N, seed, form):
    X, U = normal(N, d_in, seed=seed + 5), normal(N, d_out, seed=seed + 6)
    with_bias, joint = layer(d_in, d_out, seed, bias=True), layer(d_in + 1, d_out)
    with torch.no_grad():
        joint.weight.copy_(torch.cat([with_bias.weight, with_bias.bias[:, None]], 1))
    one_step(with_bias, X, U, lr=0.1, form=form)
    one_step(joint, torch.cat([X, torch.ones(N, 1).double()], 1), U, lr=0.1, form=form)
    assert near(torch.cat([with_bias.weight, with_bias.bias[:, None]], 1), joint.weight, 1e-11)


def test_plain_and_frozen_biases():
    X, U = normal(3, 4, seed=1), normal(3, 2, seed=2)
    plain, none, frozen = layer(4, 2, bias=True), layer(4, 2), layer(4, 2, bias=True)
    frozen.bias.requires_grad_(False)
    b = plain.bias.detach().clone()
    expected = one_step(none, X, U, lr=0.1, reduction="sum")
    assert near(one_step(plain, X, U, lr=0.1, reduction="sum", bias="plain"), expected)
    assert near(plain.bias, b - 0.1 * U.sum(0))
    assert near(one_step(frozen, X, U, lr=0.1, reduction="sum"), expected) and torch.equal(frozen.bias, b)


@over(st.integers(1, 3), st.integers(1, 4), SEEDS)
def test_a_sequence_is_its_tokens(B, L, seed):
    X, U = normal(B, L, 4, seed=seed), normal(B, L, 3, seed=seed + 1)
    sequence = one_step(layer(4, 3), X, U, lr=0.2)
    assert near(sequence, one_step(layer(4, 3), X.reshape(-1, 4), U.reshape(-1, 3), lr=0.2))
    assert near(one_step(layer(4, 3), X[0, 0], U[0, 0], lr=0.2), one_step(layer(4, 3), X[0, :1], U[0, :1], lr=0.2))


def test_only_inputs_that_are_propagated_back_count():
    X, U = normal(3, 4, seed=1), normal(3, 2, seed=2)
    expected = one_step(layer(4, 2), X, U, lr=0.2)
    linear = layer(4, 2)
    dgd = DGD(linear, lr=0.2)
    with torch.no_grad():
        linear(normal(5, 4, seed=3))  # evaluation
    linear(normal(5, 4, seed=4))  # forward that nobody propagates back
    linear(normal(5, 4, seed=5)).sum().backward()  # a batch thrown away
    dgd.zero_grad()
    (linear(input=X) * U).sum().backward()  # by keyword
    dgd.step()
    assert near(linear.weight, expected)
    linear(X).relu_().sum().backward()  # an in-place operation on the output
    assert dgd._seen[linear.weight][1] == 3


def test_micro_batches_and_repeated_calls_add_up():
    X, U = normal(6, 4, seed=1), normal(6, 2, seed=2)
    expected = one_step(layer(4, 2), X, U / 6, lr=0.2)
    for parts in ([X[:2], X[2:]], list(X[:, None])):
        linear = layer(4, 2)
        dgd = DGD(linear, lr=0.2)
        for x, u in zip(parts, U.split([len(x) for x in parts]), strict=True):
            (linear(x) * u / 6).sum().backward()
        dgd.step()
        assert near(linear.weight, expected)
    recurrent = layer(4, 2)
    dgd = DGD(recurrent, lr=0.2)
    (torch.cat([recurrent(X[:2]), recurrent(X[2:])]) * U / 6).sum().backward()
    dgd.step()
    assert near(recurrent.weight, expected)


def test_padding_can_be_left_out():
    X, U = normal(4, 3, seed=1), normal(4, 2, seed=2)
    expected = one_step(layer(3, 2), X, U / 4, lr=0.5)
    padded_X, padded_U = torch.cat([X, normal(3, 3, seed=3)]), torch.cat([U / 4, torch.zeros(3, 2).double()])
    assert near(one_step(layer(3, 2), padded_X, padded_U, lr=0.5, mask_zero_surprise=True), expected)
    assert not near(one_step(layer(3, 2), padded_X, padded_U, lr=0.5), expected, 1e-3)  # in the formula they erase


def test_maximize_and_weight_decay():
    X, U = normal(4, 3, seed=1), normal(4, 2, seed=2)
    up, down = layer(3, 2, bias=True), layer(3, 2, bias=True)
    assert near(one_step(up, X, -U, lr=0.5, maximize=True), one_step(down, X, U, lr=0.5)) and near(up.bias, down.bias)
    decayed, shrunk = layer(3, 2), layer(3, 2)
    shrunk.weight.data.mul_(1 - 0.5 * 0.1)
    assert near(one_step(decayed, X, U, lr=0.5, weight_decay=0.1), one_step(shrunk, X, U, lr=0.5))


def test_a_network_updates_layer_by_layer_and_the_rest_goes_elsewhere():
    net = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 2)).double()
    tokens = torch.tensor([[0, 1, 2], [3, 4, 4]])
    dgd = DGD([{"modules": net[1], "lr": 0.3}, {"modules": [net[4]]}], lr=0.1)
    assert [group["lr"] for group in dgd.param_groups] == [0.3, 0.1]
    assert dgd.other_parameters(net) == [net[0].weight, net[2].weight, net[2].bias]
    assert DGD(net, lr=0.1).other_parameters() == [net[0].weight, net[2].weight, net[2].bias]
    second = torch.optim.AdamW(dgd.other_parameters(net), lr=1e-3)
    hidden = net[3](net[2](net[1](net[0](tokens)))).detach().reshape(-1, 5)
    before = copy.deepcopy(net)
    net(tokens).square().mean().backward()
    gradient = net[4].weight.grad.clone()
    dgd.step(), second.step()
    ones = torch.cat([hidden, torch.ones(6, 1).double()], 1)
    full = torch.cat([before[4].weight, before[4].bias[:, None]], 1) - 0.1 * torch.cat(
        [gradient, net[4].bias.grad[:, None]], 1
    )
    expected = full @ torch.linalg.inv(torch.eye(6).double() + 0.1 * ones.T @ ones / 6)
    assert near(torch.cat([net[4].weight, net[4].bias[:, None]], 1), expected, 1e-11)
    assert all(not torch.equal(a, b) for a, b in zip(before.parameters(), net.parameters(), strict=True))


def test_attention_is_left_to_the_second_optimizer():
    model = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).double()
    dgd = DGD(model, lr=0.1)
    assert {id(p) for p in dgd.param_groups[0]["params"]} == {
        id(p) for linear in (model.linear1, model.linear2) for p in linear.parameters()
    }
    assert any(p is model.self_attn.out_proj.weight for p in dgd.other_parameters())
    model(normal(2, 3, 4)).square().sum().backward()
    dgd.step()


@over(st.integers(1, 4), SEEDS, st.sampled_from(["sum", "mean"]))
def test_under_periodic_one_step_on_the_sums_of_the_period(C, seed, reduction):
    batches = [(normal(3, 4, seed=seed + t), normal(3, 2, seed=seed + 9 + t)) for t in range(C)]
    linear = layer(4, 2, seed)
    periodic = Periodic(DGD(linear, lr=0.2, reduction=reduction), C)
    W = linear.weight.detach().clone()
    for X, U in batches:
        linear(normal(3, 4, seed=1)).sum().backward()  # thrown away: neither gradient nor inputs may stay
        periodic.zero_grad()
        (linear(X) * U).sum().backward()
        periodic.step()
    n = 3 if reduction == "mean" else 1
    G = sum(U.T @ X for X, U in batches)
    XX = sum(X.T @ X / n for X, _ in batches)
    assert near(linear.weight, (W - 0.2 * G) @ torch.linalg.inv(torch.eye(4).double() + 0.2 * XX), 1e-10)
    assert not periodic.optimizer.state_dict()["state"]


def test_half_precision_weights_and_other_devices_of_computation():
    linear = nn.Linear(4, 3).to(torch.bfloat16)
    dgd = DGD(linear, lr=0.1)
    linear(torch.ones(2, 4, dtype=torch.bfloat16)).sum().backward()
    dgd.step()
    assert linear.weight.dtype == torch.bfloat16 and torch.isfinite(linear.weight).all()
    linear = nn.Linear(4, 3)
    dgd = DGD(linear, lr=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        linear(torch.ones(2, 4)).sum().backward()
    dgd.step()
    assert torch.isfinite(linear.weight).all()


def test_hooks_keep_nothing_alive_and_ignore_copies():
    linear = layer(3, 2)
    dgd = DGD(linear, lr=0.1)
    copied = copy.deepcopy(linear)
    copied(normal(2, 3)).sum().backward()
    assert not dgd._seen
    with pytest.raises(TypeError, match="cannot be copied or pickled; build a new one"):
        copy.deepcopy(dgd)
    gone = weakref.ref(dgd)
    del dgd
    gc.collect()
    assert gone() is None
    linear(normal(2, 3)).sum().backward()  # the hook of a dead optimizer is silent


def test_zero_gradients_without_a_pass_change_nothing():
    linear = layer(3, 2, bias=True)
    dgd, W = DGD(linear, lr=0.1), linear.weight.detach().clone()
    for p in linear.parameters():
        p.grad = torch.zeros_like(p)
    dgd.step()
    assert torch.equal(linear.weight, W)


def test_refusals():
    linear = layer(3, 2, bias=True)
    with pytest.raises(TypeError, match="it takes modules, not parameters"):
        DGD(linear.parameters(), lr=0.1)
    with pytest.raises(TypeError, match='give {"modules": …}'):
        DGD([{"params": list(linear.parameters())}], lr=0.1)
    for empty in (nn.LayerNorm(3), linear.requires_grad_(False)):
        with pytest.raises(ValueError, match=r"no nn\.Linear with a trainable weight .* second optimizer"):
            DGD(empty, lr=0.1)
    linear.requires_grad_(True)
    with pytest.raises(ValueError, match="run the model once"):
        DGD(nn.LazyLinear(3), lr=0.1)
    with pytest.raises(ValueError, match="form is 'implicit'; choose one of 'exact', 'explicit'"):
        DGD(linear, lr=0.1, form="implicit")
    with pytest.raises(ValueError, match="reduction is 'none'"):
        DGD(linear, lr=0.1, reduction="none")
    with pytest.raises(ValueError, match="bias is True"):
        DGD(linear, lr=0.1, bias=True)
    with pytest.raises(ValueError, match="lr is -0.1"):
        DGD(linear, lr=-0.1)
    tied = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5))
    tied[1].weight = tied[0].weight
    with pytest.raises(ValueError, match="shares its weight with a Embedding"):
        DGD(tied, lr=0.1)
    pair = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    pair[1].weight = pair[0].weight
    with pytest.raises(ValueError, match="share a weight but not its bias"):
        DGD(pair, lr=0.1)
    dgd = DGD(linear, lr=0.1)
    nn.functional.linear(normal(2, 3), linear.weight).sum().backward()
    with pytest.raises(RuntimeError, match="its layer was not seen. Call the layer itself"):
        dgd.step()


def test_several_processes_are_refused(monkeypatch):
    linear = layer(3, 2)
    dgd = DGD(linear, lr=0.1)
    linear(normal(2, 3)).sum().backward()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(RuntimeError, match="inputs of its own process alone"):
        dgd.step()
