"""Delta, preconditioned, higher-order and non-linear momentum against their formulas and torch optimizers."""

import numpy
import pytest
import torch
from hypothesis import strategies as st

from nbhelpers.optim import (
    RMS,
    AdaGrad,
    DeltaMomentum,
    FullMatrix,
    HigherOrderMomentum,
    Muon,
    NonlinearMomentum,
    PreconditionedMomentum,
)
from tests.unit.optim.runs import SEEDS, SHAPES, gradients, matrix, near, normal, over, trajectory

RATES = st.sampled_from([0.0, 0.5, 0.9, 1.0])


# ---- delta momentum, (48)-(49) corrected


def delta_path(start, grads, eta, mu, P=None):
    """m ← m (μ I − η gᵀg) − η P g with every matrix written out."""
    W, m, path = matrix(start).clone(), torch.zeros_like(matrix(start)), []
    for g in map(matrix, grads):
        P_g = g if P is None else P @ g
        m = m @ (mu * torch.eye(g.shape[1]).double() - eta * g.T @ g) - eta * P_g
        W = W + m
        path.append(W.reshape(start.shape))
    return torch.stack(path)


@over(SHAPES, SEEDS, RATES)
def test_delta_momentum_is_its_formula(shape, seed, mu):
    start, grads = normal(*shape, seed=seed), gradients(shape, 5, seed)
    path = trajectory(lambda p: DeltaMomentum(p, lr=0.1, momentum=mu), start, grads)
    assert near(path, delta_path(start, grads, 0.1, mu))


def test_delta_momentum_differs_from_the_printed_forms():
    start, grads = normal(3, 3), gradients((3, 3), 4)
    path = trajectory(lambda p: DeltaMomentum(p, lr=0.1), start, grads)

    def printed(step):
        W, m = start.clone(), torch.zeros(3, 3).double()
        for g in grads:
            m = step(m, g)
            W = W + m
        return W

    eye = torch.eye(3).double()
    assert near(path[-1], printed(lambda m, g: m @ (0.9 * eye - 0.1 * g.T @ g) - 0.1 * g))
    assert not near(path[-1], printed(lambda m, g: m @ (0.9 * eye - g.T @ g) - 0.1 * g), 1e-3)  # (49): no η on gᵀg
    assert not near(path[-1], printed(lambda m, g: (0.9 * eye - 0.1 * g.T @ g) @ m - 0.1 * g), 1e-3)  # CR (22): left
    assert not near(path[-1], printed(lambda m, g: m @ (0.9 * eye - 0.1 * g.T @ g) + 0.1 * g), 1e-3)  # target +P
    assert not near(path[-1], printed(lambda m, g: m * (0.9 - 0.1 * g.square().sum()) - 0.1 * g), 1e-3)  # ‖g‖_F²


@over(st.integers(1, 4), st.integers(1, 4), SEEDS)
def test_delta_momentum_is_a_gradient_step_on_its_objective(o, n, seed):
    """Gradient descent on ½‖m gᵀ + P‖² gives m (I − η gᵀg) − η P g, here through autograd."""
    g, P, eta = normal(o, n, seed=seed), normal(o, o, seed=seed + 1), 0.1
    start, first = normal(o, n, seed=seed + 2), normal(o, n, seed=seed + 3)
    path = trajectory(
        lambda p: DeltaMomentum(p, lr=eta, momentum=1.0, preconditioner=lambda g, state: P @ g), start, [first, g]
    )
    m_first = (path[0] - start).requires_grad_()
    (0.5 * (m_first @ g.T + P).square().sum()).backward()
    assert near(path[1] - path[0], m_first.detach() - eta * m_first.grad)


@over(SHAPES, SEEDS, st.sampled_from([0.1, 10.0]))
def test_implicit_delta_momentum_is_the_minimiser(shape, seed, eta):
    start, grads = normal(*shape, seed=seed), gradients(shape, 3, seed)
    path = trajectory(lambda p: DeltaMomentum(p, lr=eta, momentum=0.9, form="implicit"), start, grads)
    steps = torch.diff(path, dim=0)
    m_old, m_new, g = matrix(steps[0]), matrix(steps[1]), matrix(grads[2])
    # Stationary: (m gᵀ + I) g + (m − μ m_old)/η = 0.
    assert near((m_new @ g.T + torch.eye(len(g)).double()) @ g + (m_new - 0.9 * m_old) / eta, 0.0, 1e-9)


def test_implicit_delta_momentum_is_stable_where_the_explicit_form_is_not():
    start, grads = normal(3, 4), [10 * g for g in gradients((3, 4), 60)]
    explicit = trajectory(lambda p: DeltaMomentum(p, lr=1.0), start, grads)
    implicit = trajectory(lambda p: DeltaMomentum(p, lr=1.0, form="implicit"), start, grads)
    assert explicit[-1].abs().max() > 1e20
    assert torch.diff(implicit, dim=0).abs().max() < 10


@over(SHAPES, SEEDS)
def test_normalized_delta_momentum_sees_unit_gradients(shape, seed):
    start, grads = normal(*shape, seed=seed), gradients(shape, 3, seed)
    unit = [g / g.norm() for g in grads]
    normalized = trajectory(lambda p: DeltaMomentum(p, lr=0.1, normalize=True), start, [1e4 * g for g in grads])
    assert near(normalized, delta_path(start, unit, 0.1, 0.9))


def test_delta_momentum_is_sgd_on_orthogonal_gradients():
    """Where m gᵀ = 0 there is nothing to erase; once a direction comes back, there is."""
    start, grads = normal(3, 4), []
    for t in range(4):
        g = torch.zeros(3, 4).double()
        g[:, t] = normal(3, seed=t)
        grads.append(g)
    grads.append(grads[0])
    delta = trajectory(lambda p: DeltaMomentum(p, lr=0.1), start, grads)
    sgd = trajectory(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), start, grads)
    assert near(delta[:4], sgd[:4]) and not near(delta[4], sgd[4], 1e-3)


# ---- preconditioned momentum, (46)-(47)


@over(st.integers(1, 5), st.integers(1, 5), SEEDS, RATES)
def test_preconditioned_momentum_is_its_formula(o, n, seed, mu):
    start, grads, P = normal(o, n, seed=seed), gradients((o, n), 4, seed), normal(o, o, seed=seed + 9)
    path = trajectory(
        lambda p: PreconditionedMomentum(p, lr=0.1, momentum=mu, preconditioner=lambda g, state: P @ g), start, grads
    )
    W, m = start.clone(), torch.zeros_like(start)
    for g, found in zip(grads, path, strict=True):
        m = mu * m - 0.1 * P @ g
        W = W + m
        assert near(found, W)


@over(SHAPES, SEEDS, st.sampled_from([0.0, 0.9]))
def test_preconditioned_momentum_is_sgd_rmsprop_and_adagrad(shape, seed, mu):
    start, grads = normal(*shape, seed=seed), gradients(shape, 6, seed)

    def ours(P, mu):
        return trajectory(lambda p: PreconditionedMomentum(p, 0.01, mu, preconditioner=P), start, grads)

    assert near(ours(None, mu), trajectory(lambda p: torch.optim.SGD(p, lr=0.01, momentum=mu), start, grads))
    rmsprop = trajectory(lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, momentum=mu), start, grads)
    assert near(ours(RMS(0.9), mu), rmsprop, 1e-11)
    adagrad = trajectory(lambda p: torch.optim.Adagrad(p, lr=0.01), start, grads)
    assert near(ours(AdaGrad(), 0.0), adagrad, 1e-11)


@over(SHAPES, SEEDS)
def test_full_matrix_preconditioner_is_the_inverse_root(shape, seed):
    """(106)-(111): the root by singular values, another way than the code's."""
    start, grads = normal(*shape, seed=seed), gradients(shape, 3, seed)
    path = trajectory(lambda p: PreconditionedMomentum(p, 1.0, 0.0, preconditioner=FullMatrix(eps=0.01)), start, grads)
    W = start
    H = 0.01 * torch.eye(len(matrix(start))).double()
    for g, found in zip(grads, path, strict=True):
        H = H + matrix(g) @ matrix(g).T
        U, s, _ = numpy.linalg.svd(H.numpy())
        root = torch.from_numpy(U @ numpy.diag(s**-0.5) @ U.T)
        assert near(matrix(found - W), -root @ matrix(g), 1e-9)
        W = found


def test_mass_of_the_exponential_average():
    """What the last n steps carry at μ = 0.9, read off the buffer; §4.3 of the paper prints 6 and 43 steps."""
    grads = [torch.ones(()).double()] * 44
    path = trajectory(lambda p: PreconditionedMomentum(p, 1.0, 0.9), torch.zeros(()).double(), grads)
    buffer = -torch.diff(path, prepend=torch.zeros(1).double())
    mass = buffer * (1 - 0.9)
    assert [round(mass[n - 1].item(), 5) for n in (6, 7, 43, 44)] == [0.46856, 0.52170, 0.98922, 0.99030]
    assert mass[5] < 0.5 < mass[6] and mass[42] < 0.99 < mass[43]


# ---- higher-order momentum, (51)


@over(SHAPES, SEEDS, RATES)
def test_higher_order_momentum_is_its_formula(shape, seed, mu):
    start, grads = normal(*shape, seed=seed), gradients(shape, 4, seed)
    features, readout = ("identity", "sign", "root", torch.tanh), (1.0, 0.2, 0.3, -0.4)
    path = trajectory(lambda p: HigherOrderMomentum(p, 0.1, mu, features=features, readout=readout), start, grads)
    phi = [lambda g: g, torch.sign, lambda g: torch.sign(g) * g.abs() ** 0.5, torch.tanh]
    W, m = start.clone(), [torch.zeros_like(start)] * 4
    for g, found in zip(grads, path, strict=True):
        m = [mu * m_k - 0.1 * phi_k(g) for m_k, phi_k in zip(m, phi, strict=True)]
        W = W + m[0] + 0.2 * m[1] + 0.3 * m[2] - 0.4 * m[3]
        assert near(found, W)


@over(st.integers(1, 4), st.integers(1, 4), SEEDS)
def test_the_preconditioner_sees_all_features_as_rows(o, n, seed):
    start, grads, P = normal(o, n, seed=seed), gradients((o, n), 4, seed), normal(2 * o, 2 * o, seed=seed + 9)
    path = trajectory(lambda p: HigherOrderMomentum(p, 0.1, preconditioner=lambda g, state: P @ g), start, grads)
    W, m = start.clone(), torch.zeros(2 * o, n).double()
    for g, found in zip(grads, path, strict=True):
        m = 0.9 * m - 0.1 * P @ torch.cat([g, g**3])
        W = W + m[:o] + 0.1 * m[o:]
        assert near(found, W)


@over(SHAPES, SEEDS)
def test_higher_order_momentum_with_the_identity_is_sgd_and_takes_a_preconditioner(shape, seed):
    start, grads = normal(*shape, seed=seed), gradients(shape, 5, seed)
    ours = trajectory(lambda p: HigherOrderMomentum(p, 0.1, features=["identity"]), start, grads)
    assert near(ours, trajectory(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), start, grads))
    rms = trajectory(lambda p: HigherOrderMomentum(p, 0.1, features=["identity"], preconditioner=RMS()), start, grads)
    assert near(rms, trajectory(lambda p: PreconditionedMomentum(p, 0.1, preconditioner=RMS()), start, grads))
    cubic = trajectory(lambda p: HigherOrderMomentum(p, 0.1), start, grads)
    first = trajectory(lambda p: PreconditionedMomentum(p, 0.1), start, grads)
    cubes = trajectory(lambda p: PreconditionedMomentum(p, 0.1), start, [g**3 for g in grads])
    assert near(cubic - start, (first - start) + 0.1 * (cubes - start), 1e-11)  # default features and read-out


# ---- non-linear momentum, (52)


@over(SHAPES, SEEDS, RATES)
def test_nonlinear_momentum_is_its_formula(shape, seed, mu):
    start, grads = normal(*shape, seed=seed), gradients(shape, 4, seed)
    path = trajectory(lambda p: NonlinearMomentum(p, 0.5, mu, nonlinearity="tanh", inner_lr=0.1), start, grads)
    W, m = start.clone(), torch.zeros_like(start)
    for g, found in zip(grads, path, strict=True):
        m = mu * m - 0.1 * g
        W = W + 0.5 * torch.tanh(m)
        assert near(found, W)


@over(SHAPES, SEEDS)
def test_nonlinear_momentum_is_sgd_sign_descent_and_muon(shape, seed):
    start, grads = normal(*shape, seed=seed), gradients(shape, 4, seed)

    def ours(**options):
        return trajectory(lambda p: NonlinearMomentum(p, 0.1, **options), start, grads)

    assert near(ours(nonlinearity="identity"), trajectory(lambda p: torch.optim.SGD(p, 0.1, 0.9), start, grads))
    signs = start - 0.1 * torch.cumsum(torch.stack([g.sign() for g in grads]), 0)
    assert near(ours(nonlinearity="sign", momentum=0.0), signs)
    muon = {"momentum": 0.9, "nesterov": False, "weight_decay": 0.0, "adjust_lr_fn": "none", "ns_dtype": None}
    # A sum here, an average there: Newton-Schulz does not see the scale.
    assert near(ours(), trajectory(lambda p: Muon(p, 0.1, **muon), start, grads), 1e-9)
    assert near(ours(inner_lr=3.0), ours(), 1e-9)  # which is why the outer rate is there


def test_the_printed_step_of_muon_ignores_its_learning_rate():
    """(42) puts η inside m alone: with lr = 1, inner rates 0.1 and 0.001 end at the same place."""
    start, grads = normal(3, 4), gradients((3, 4), 3)
    paths = [trajectory(lambda p, z=z: NonlinearMomentum(p, 1.0, inner_lr=z), start, grads) for z in (0.1, 0.001)]
    assert near(paths[0], paths[1], 1e-6) and (paths[0][-1] - start).norm() > 1


# ---- refusals


@pytest.mark.parametrize("cls", [DeltaMomentum, PreconditionedMomentum, HigherOrderMomentum, NonlinearMomentum])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "lr is -1.0; it must be a finite number of at least 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"lr": 0.1, "momentum": 1.5}, "momentum is 1.5; .* at most 1"),
        ({"lr": 0.1, "weight_decay": -0.1}, "weight_decay is -0.1"),
    ],
)
def test_wrong_numbers_are_refused(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls([torch.nn.Parameter(normal(2, 2))], **options)


def test_wrong_choices_are_refused():
    params = [torch.nn.Parameter(normal(2, 2))]
    with pytest.raises(ValueError, match="form is 'implict'; choose one of 'explicit', 'implicit'"):
        DeltaMomentum(params, lr=0.1, form="implict")
    with pytest.raises(TypeError, match=r"give None, RMS\(\)"):
        PreconditionedMomentum(params, lr=0.1, preconditioner=RMS)
    with pytest.raises(ValueError, match="feature 'square' is unknown; choose from identity"):
        HigherOrderMomentum(params, lr=0.1, features=["square"])
    with pytest.raises(ValueError, match="readout has 3 numbers for 2 features"):
        HigherOrderMomentum(params, lr=0.1, readout=[1, 2, 3])
    with pytest.raises(ValueError, match="at least one feature"):
        HigherOrderMomentum(params, lr=0.1, features=[], readout=[])
    with pytest.raises(ValueError, match="non-linearity 'relu' is unknown"):
        NonlinearMomentum(params, lr=0.1, nonlinearity="relu")
    with pytest.raises(ValueError, match="beta is 1"):
        RMS(beta=1)
