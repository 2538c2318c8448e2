"""The pieces of an associative memory, one by one, against formulas and against torch."""

import doctest

import pytest
import torch

from nbhelpers.memory import (
    AssociativeMemory,
    Clock,
    MatrixMemory,
    ResidualMLP,
    associative,
    decay_first,
    dot_product,
    erase,
    gradient,
    instances,
    momentum,
    proximal,
    retention,
    rule,
    squared_error,
)
from nbhelpers.memory.activation import ACTIVATIONS, VALUES
from nbhelpers.ops import conventions


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(a, b, tolerance=1e-12):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("module", [associative, conventions], ids=lambda module: module.__name__)
def test_the_examples_in_the_docstrings_run(module):
    names = {"MatrixMemory": MatrixMemory, "squared_error": squared_error, "rule": rule, "gradient": gradient}
    result = doctest.testmod(module, extraglobs={"torch": torch, **names} if module is associative else None)
    assert result.attempted > 0 and result.failed == 0


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_comes_with_its_derivative(name):
    h = torch.linspace(-6, 6, 101, dtype=torch.float64, requires_grad=True)
    value, derivative = ACTIVATIONS[name](h)
    torch.testing.assert_close(value, VALUES[name](h))
    close(torch.autograd.grad(value.sum(), h)[0], derivative)
    torchs = getattr(torch.nn.functional, name, lambda h: h)(h)
    close(value, torchs)


def test_the_objectives_have_the_gradients_they_state():
    answer, value = normal(4, 3).requires_grad_(), normal(4, 3, seed=1)
    assert squared_error(answer, value).shape == dot_product(answer, value).shape == (4,)
    close(torch.autograd.grad(squared_error(answer, value).sum(), answer)[0], answer.detach() - value)
    close(torch.autograd.grad(dot_product(answer, value).sum(), answer)[0], -value)


def test_inputs_of_a_memory_are_what_its_matrices_multiply():
    memory, z = ResidualMLP(3, 5), normal(2, 3)
    W = {
        name: x.expand(2, *x.shape) for name, x in memory.start(torch.Generator().manual_seed(0), torch.float64).items()
    }
    inputs = memory.inputs(W, z)
    close(z + (W["W1"] @ inputs["W1"][..., None])[..., 0], memory.read(W, z))
    close(inputs["W2"], z)
    assert memory.start()["W1"].shape == (3, 5) and ResidualMLP(3).start()["W2"].shape == (3, 3)


# DGD (paper-facts §4.7, §12 identities 1–3) ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("objective", [squared_error, dot_product])
def test_identity_1_exact_dgd_is_the_argmin_for_inputs_of_any_length(length, objective):
    """argmin_W ½‖W x − ū‖² + 1/(2η)‖W − W_t‖², ū = −∇_y L: its normal equations, solved."""
    W, x, y, η = normal(4, 3), normal(3, seed=1), normal(4, seed=2), 0.7
    x = length * x / x.norm()
    learner = instances.dgd(MatrixMemory(3, 4), objective, learning_rate=η)
    held = learner.start({"M": W})
    target = -learner.surprise(held, x, y)
    argmin = (W / η + torch.outer(target, x)) @ torch.linalg.inv(torch.eye(3, dtype=W.dtype) / η + torch.outer(x, x))
    new = learner.write(held, x, y).memory["M"]
    close(new, argmin)

    wrong = η / (1 + η)  # the paper's η', right for ‖x‖ = 1
    printed = W - wrong * torch.outer(W @ x, x) + wrong * torch.outer(target, x)
    assert torch.allclose(new, printed, atol=1e-9) == (length == 1.0)


def test_identity_2_the_corrected_form_of_appendix_c():
    """α = β = 1/(λ² + 1/η): W (I − β x xᵀ) − β ∇_y L xᵀ; the printed β is negative."""
    W, x, y, η = normal(4, 3), normal(3, seed=1), normal(4, seed=2), 0.7
    learner = instances.dgd(MatrixMemory(3, 4), squared_error, learning_rate=η)
    β = 1 / (x @ x + 1 / η)
    expected = W - β * torch.outer(W @ x, x) - β * torch.outer(W @ x - y, x)
    close(learner.write(learner.start({"M": W}), x, y).memory["M"], expected)


def test_exact_dgd_is_stable_at_any_rate_and_explicit_is_not():
    x, y = 3 * normal(3), normal(4, seed=1)
    grown = {}
    for exact in (True, False):
        learner = instances.dgd(MatrixMemory(3, 4), dot_product, learning_rate=1.0, exact=exact)
        held = learner.start({"M": normal(4, 3, seed=2)})
        for _ in range(50):
            held = learner.write(held, x, y)
        grown[exact] = learner.read(held, x).norm()
    assert grown[True] <= 1.01 * (x @ x) * y.norm() and grown[False] > 1e6


@pytest.mark.parametrize(
    ("learner", "share"),
    [
        (instances.dgd(MatrixMemory(3, 2), squared_error, 0.3), 0.5),
        (instances.dgd(MatrixMemory(3, 2), dot_product, 0.3), 1.0),
        (instances.delta_rule(3, 2, 0.3), 1.0),
        (instances.self_modifying(MatrixMemory(3, 2), squared_error, 0.2, 0.9), 0.4),
    ],
)
def test_identity_3_fixed_points_on_a_repeated_unit_key(learner, share):
    k = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    v = torch.tensor([1.0, -2.0], dtype=torch.float64)
    held = learner.start(dtype=torch.float64)
    for _ in range(300):
        held = learner.write(held, k, v)
    close(learner.read(held, k), share * v)


# Momentum -------------------------------------------------------------------------------------------------------------


def test_momentum_memory_is_the_buffer_of_sgd():
    """torch's buffer b ← μ b + g is −m / η, and its step −η b is m."""
    weight = torch.nn.Parameter(normal(4, 3))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.8)
    memory = instances.momentum_memory(3, 4, momentum_decay=0.8, learning_rate=0.1)
    held = memory.start(dtype=torch.float64)
    for step in range(5):
        x, target = normal(3, seed=10 + step), normal(4, seed=20 + step)
        before, δ = weight.detach().clone(), weight.detach() @ x - target
        optimizer.zero_grad()
        squared_error(weight @ x, target).backward()
        optimizer.step()
        held = memory.write(held, x, -δ)
        close(held.memory["M"], weight.detach() - before)
        close(held.memory["M"], -0.1 * optimizer.state[weight]["momentum_buffer"])


def test_momentum_piece_gathers_the_gradient_and_not_the_erase():
    k, v, M = normal(3), normal(4, seed=1), normal(4, 3, seed=2)
    learner = AssociativeMemory(
        MatrixMemory(3, 4), squared_error, rule(gradient(0.1), momentum(0.5), erase(0.2), retention(0.9))
    )
    S, held = torch.zeros_like(M), learner.start({"M": M})
    for _ in range(3):
        S = 0.5 * S - 0.1 * torch.outer(M @ k - v, k)
        M = 0.9 * M - 0.2 * torch.outer(M @ k, k) + S
        held = learner.write(held, k, v)
    close(held.memory["M"], M)
    close(held.momentum["M"], S)


# Retention and order --------------------------------------------------------------------------------------------------


def test_retention_is_an_l2_penalty():
    """α ≠ 1 is gradient descent with (1 − α)/(2η) ‖M‖² added to the objective (§3.1)."""
    k, v, M, η, α = normal(3), normal(4, seed=1), normal(4, 3, seed=2).requires_grad_(), 0.1, 0.9
    loss = dot_product(M @ k, v) + (1 - α) / (2 * η) * M.square().sum()
    expected = M - η * torch.autograd.grad(loss, M)[0]
    learner = AssociativeMemory(MatrixMemory(3, 4), dot_product, rule(gradient(η), retention(α)))
    close(learner.write(learner.start({"M": M}), k, v).memory["M"], expected)


def test_identity_6_decay_first_is_another_rule():
    k, v, M = normal(3), normal(4, seed=1), normal(4, 3, seed=2)
    first = AssociativeMemory(MatrixMemory(3, 4), squared_error, rule(decay_first(0.5), gradient(0.3)))
    together = AssociativeMemory(MatrixMemory(3, 4), squared_error, rule(gradient(0.3), retention(0.5)))
    decayed = 0.5 * M
    close(first.write(first.start({"M": M}), k, v).memory["M"], decayed - 0.3 * torch.outer(decayed @ k - v, k))
    close(together.write(together.start({"M": M}), k, v).memory["M"], decayed - 0.3 * torch.outer(M @ k - v, k))


def test_erase_only_on_one_matrix_is_reading_a():
    k, v = normal(3), normal(3, seed=1)
    W = ResidualMLP(3, 5).start(torch.Generator().manual_seed(0), torch.float64)
    parts = {"none": (), "inner": (erase(0.2, only=("W2",)),), "both": (erase(0.2, unit=("W1",)),)}
    new = {}
    for name, pieces in parts.items():
        learner = AssociativeMemory(ResidualMLP(3, 5), squared_error, rule(gradient(0.1), *pieces))
        new[name] = learner.write(learner.start(W), k, v).memory
    close(new["inner"]["W1"], new["none"]["W1"])
    close(new["inner"]["W2"], new["none"]["W2"] - 0.2 * torch.outer(W["W2"] @ k, k))
    close(new["both"]["W2"], new["inner"]["W2"])
    a = ResidualMLP(3, 5).inputs(W, k)["W1"]
    a = a / a.norm()
    close(new["both"]["W1"], new["none"]["W1"] - 0.2 * torch.outer(W["W1"] @ a, a))


# Clock ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [MatrixMemory(3, 3), ResidualMLP(3, 4)], ids=lambda m: type(m).__name__)
def test_a_summed_clock_answers_with_the_old_memory_and_then_takes_one_step(memory):
    """§5.3: period terms, not period + 1; all gradients at the same parameters; nothing dropped in between."""
    W = (
        ResidualMLP(3, 4).start(torch.Generator().manual_seed(0), torch.float64)
        if "W1" in memory.start()
        else {"M": normal(3, 3)}
    )
    learner = AssociativeMemory(memory, squared_error, rule(gradient(0.1)), Clock(4, "summed"))
    keys, values = normal(10, 3, seed=3), normal(10, 3, seed=4)
    held = learner.start(W)
    expected = W
    for t in range(10):
        held = learner.write(held, keys[t], values[t])
        if t % 4 == 3:
            chunk = slice(t - 3, t + 1)

            def loss(W, chunk=chunk):
                return sum(squared_error(memory.read(W, k), v) for k, v in zip(keys[chunk], values[chunk], strict=True))

            expected = {name: expected[name] - 0.1 * g for name, g in torch.func.grad(loss)(expected).items()}
        for name in W:
            close(held.memory[name], expected[name])
    assert held.position == 10 and held.gathered is not None  # two tokens wait for the next tick


def test_a_live_clock_of_a_chunk_ends_where_a_summed_one_does_without_retention():
    """Between ticks they differ, at ticks they agree: gradients at the chunk start simply add up."""
    keys, values = normal(8, 3, seed=3), normal(8, 3, seed=4)
    live, summed = (
        AssociativeMemory(MatrixMemory(3, 3), squared_error, rule(gradient(0.1)), Clock(4, mode))
        for mode in ("live", "summed")
    )
    a, b = (learner.start(dtype=torch.float64) for learner in (live, summed))
    for t in range(8):
        a, b = live.write(a, keys[t], values[t]), summed.write(b, keys[t], values[t])
        assert torch.allclose(a.memory["M"], b.memory["M"], atol=1e-12) == (t % 4 == 3)


def test_surprise_is_the_gradient_at_the_answer():
    learner, M, k, v = instances.delta_rule(3, 4, 0.5), normal(4, 3), normal(3, seed=1), normal(4, seed=2)
    close(learner.surprise(learner.start({"M": M}), k, v), M @ k - v)


def test_writing_changes_nothing_in_place_and_keeps_the_graph():
    M = normal(4, 3).requires_grad_()
    learner = instances.titans(MatrixMemory(3, 4), 0.1, 0.9, 0.5)
    held = learner.start({"M": M})
    later = learner.write(learner.write(held, normal(3), normal(4)), normal(3, seed=1), normal(4, seed=1))
    assert torch.equal(held.memory["M"], M) and held.position == 0 and later.position == 2
    assert torch.autograd.grad(later.memory["M"].sum(), M)[0].abs().max() > 0


def tell(learner, dtype=torch.float64):
    return learner.write(learner.start(dtype=dtype), normal(3), normal(3, seed=1))


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Clock(0), "The period is 0; expected a whole number"),
        (lambda: Clock(2, "now"), "The mode is 'now'; expected one of live, summed"),
        (rule, "expected gradient"),
        (lambda: rule(retention(0.9), gradient(0.1)), r"\['retention', 'gradient'\]; expected gradient"),
        (lambda: tell(instances.delta_rule(3, 3)), "made without learning_rate; give it with each token"),
        (lambda: tell(instances.dgd(MatrixMemory(3, 3))), "made without learning_rate"),
        (lambda: tell(instances.delta_rule(4, 3, 0.1)), r"and value \(3,\); this memory takes keys \(…, 4\)"),
        (lambda: tell(instances.delta_rule(3, 2, 0.1)), r"values \(…, 2\)"),
        (lambda: tell(instances.delta_rule(3, 3, 0.1), torch.float32), "the memory torch.float32; expected one type"),
        (lambda: ResidualMLP(3, activation="relu6").read(ResidualMLP(3).start(), normal(3)), "activation is 'relu6'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("piece", [erase(0.1), gradient(proximal(0.1)), decay_first(0.9)], ids=str)
def test_a_summed_clock_refuses_what_needs_single_tokens(piece):
    pieces = (piece,) if type(piece) is gradient else (piece, gradient(0.1))
    pieces = (gradient(0.1), piece) if type(piece) is erase else pieces
    with pytest.raises(ValueError, match="need single tokens"):
        AssociativeMemory(MatrixMemory(3, 3), squared_error, rule(*pieces), Clock(4, "summed"))
