"""Newton-Schulz and Muon, against their definitions and torch.optim.Muon."""

import copy

import pytest
import torch
from hypothesis import strategies as st

from nbhelpers.optim import CUBIC, QUINTIC, Muon, newton_schulz
from tests.unit.optim.runs import SEEDS, gradients, near, normal, over, trajectory

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 6))


@over(SIZES, SEEDS, st.sampled_from([CUBIC, QUINTIC, (2.0, -1.5, 0.5)]))
def test_newton_schulz_is_its_polynomial_on_singular_values(size, seed, coefficients):
    a, b, c = coefficients
    G = normal(*size, seed=seed)
    U, s, Vt = torch.linalg.svd(G, full_matrices=False)
    s = s / s.norm()
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    assert near(newton_schulz(G, 5, coefficients), U @ torch.diag(s) @ Vt, 1e-9)


@over(SIZES, SEEDS)
def test_cubic_step_is_a_quarter_gradient_step(size, seed):
    """One cubic step is X − ¼ · 2 X (XᵀX − I), and ∇‖OᵀO − I‖² = 4 O (OᵀO − I)."""
    G = normal(*size, seed=seed)
    O = (G / G.norm()).requires_grad_()
    eye = torch.eye(size[1]).double()
    (O.T @ O - eye).square().sum().backward()
    O_ = O.detach()
    assert near(O.grad, 4 * O_ @ (O_.T @ O_ - eye))
    assert near(newton_schulz(G, 1, CUBIC), O_ - 0.25 * O.grad / 2)
    # The printed (44) has a proximity term, which is zero at O = g: its first step agrees, its second does not.
    printed = O_
    for _ in range(2):
        printed = printed - 0.25 * (printed - O_ + 2 * printed @ (printed.T @ printed - eye))
    if min(size) > 1:  # one singular value is at 1 from the start
        assert not near(newton_schulz(G, 2, CUBIC), printed, 1e-4)


@over(SIZES, SEEDS, st.sampled_from([1e-3, 7.0, 1e5]))
def test_newton_schulz_does_not_see_the_scale(size, seed, c):
    """NS(cM) = NS(M). Exact here above eps, since the norm is clamped, not shifted."""
    G = normal(*size, seed=seed)
    assert near(newton_schulz(c * G), newton_schulz(G), 1e-12)


def test_newton_schulz_bands_and_limits():
    G = normal(64, 64)
    quintic = torch.linalg.svdvals(newton_schulz(G))
    assert 0.6 < quintic.median() < 1.25 and quintic.max() < 1.25
    assert torch.linalg.svdvals(newton_schulz(G, 3, CUBIC)).median() < 0.4  # three cubic steps do not orthogonalize
    assert torch.linalg.svdvals(newton_schulz(normal(8, 8), 40, CUBIC)).sub(1).abs().max() < 1e-6
    assert torch.equal(newton_schulz(torch.zeros(3, 2)), torch.zeros(3, 2))
    assert newton_schulz(G, dtype="bfloat16").dtype == torch.float64
    assert near(newton_schulz(G, dtype="float32"), newton_schulz(G), 1e-4)


@over(
    SIZES,
    SEEDS,
    st.booleans(),
    st.sampled_from([None, "original", "match_rms_adamw"]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_muon_is_torch_muon_bit_for_bit(size, seed, nesterov, adjust, decay, dtype):
    start, grads = normal(*size, seed=seed).to(dtype), [g.to(dtype) for g in gradients(size, 5, seed)]
    options = {"lr": 0.02, "weight_decay": decay, "nesterov": nesterov, "adjust_lr_fn": adjust}
    ours = trajectory(lambda p: Muon(p, **options), start, grads)
    theirs = trajectory(lambda p: torch.optim.Muon(p, **options), start, grads)
    assert torch.equal(ours, theirs)


def test_muon_has_the_defaults_of_torch_and_reads_its_checkpoints():
    p, q = (torch.nn.Parameter(normal(3, 4)) for _ in range(2))
    theirs, ours = torch.optim.Muon([p]), Muon([q])
    assert all(ours.defaults[name] == value for name, value in theirs.defaults.items())
    for t in range(4):
        p.grad = normal(3, 4, seed=t)
        theirs.step()
    q.data.copy_(p.data)
    saved = copy.deepcopy(theirs.state_dict())
    ours.load_state_dict({**saved, "param_groups": [ours.state_dict()["param_groups"][0]]})
    p.grad = q.grad = normal(3, 4, seed=9)
    theirs.step(), ours.step()
    assert torch.equal(p, q)


@over(SIZES, SEEDS, st.booleans())
def test_muon_in_double_is_its_formula(size, seed, nesterov):
    start, grads = normal(*size, seed=seed), gradients(size, 4, seed)
    path = trajectory(lambda p: Muon(p, 0.1, 0.2, nesterov=nesterov, ns_dtype=None), start, grads)
    W, m = start.clone(), torch.zeros(size).double()
    for g, found in zip(grads, path, strict=True):
        m = 0.95 * m + 0.05 * g
        u = 0.05 * g + 0.95 * m if nesterov else m
        W = (1 - 0.1 * 0.2) * W - 0.1 * max(1, size[0] / size[1]) ** 0.5 * newton_schulz(u)
        assert near(found, W)


def test_muon_on_a_vector_is_a_momentum_of_fixed_length():
    start, grads = normal(9), gradients((9,), 5)
    options = {"weight_decay": 0.0, "ns_dtype": None, "nesterov": False, "ns_steps": 40, "ns_coefficients": CUBIC}
    path = trajectory(lambda p: Muon(p, 0.1, **options), start, grads)
    m = sum(0.95 ** (4 - i) * g for i, g in enumerate(grads))
    assert near(path[4] - path[3], -0.1 * 9**0.5 * m / m.norm(), 1e-9)  # entries of root mean square lr
    tensor = trajectory(lambda p: Muon(p, 0.1), normal(3, 2, 2), gradients((3, 2, 2), 3))
    flat = trajectory(
        lambda p: Muon(p, 0.1), normal(3, 2, 2).flatten(1), [g.flatten(1) for g in gradients((3, 2, 2), 3)]
    )
    assert torch.equal(tensor.flatten(2), flat)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1}, "lr is -1"),
        ({"momentum": 1.1}, "momentum is 1.1"),
        ({"ns_steps": 2.5}, "ns_steps is 2.5; it must be a whole number"),
        ({"ns_coefficients": (1, 2)}, "ns_coefficients has 2 entries; give the three"),
        ({"adjust_lr_fn": "moon"}, "adjust_lr_fn is 'moon'; choose one of None, 'original'"),
        ({"ns_dtype": "int8"}, "ns_dtype is 'int8'"),
        ({"eps": -1}, "eps is -1"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Muon([torch.nn.Parameter(normal(2, 2))], **options)
