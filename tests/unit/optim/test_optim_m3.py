"""M3 against Algorithm 1 written out, its slow buffer's timing, and AdamW."""

import pytest
import torch
from hypothesis import strategies as st

from nbhelpers.optim import CUBIC, M3, newton_schulz
from tests.unit.optim.runs import SEEDS, SHAPES, gradients, matrix, near, normal, over, trajectory


def ns(M):
    """Newton-Schulz on the matrix that a tensor is read as."""
    return newton_schulz(matrix(M)).reshape(M.shape)


def algorithm_1(start, grads, eta, betas, a, f, eps):
    """Two nested loops over blocks and steps, as printed, with the f terms of the block before."""
    beta1, beta2, beta3 = betas
    Theta = start.clone()
    M1, M2, V = (torch.zeros_like(start) for _ in range(3))
    path = []
    for k in range(-(-len(grads) // f)):
        M2 = M2 + beta3 * sum(grads[(k - 1) * f : k * f], torch.zeros_like(start)) if k > 0 else M2
        O2 = ns(M2)
        for g in grads[k * f : (k + 1) * f]:
            M1 = M1 + beta1 * g
            V = V + beta2 * g * g
            Theta = Theta - eta * (ns(M1) + a * O2) / (V.sqrt() + eps)
            path.append(Theta)
    return torch.stack(path)


@over(SHAPES, SEEDS, st.integers(1, 5), st.integers(1, 12), st.sampled_from([0.0, 0.7]))
def test_m3_is_algorithm_1(shape, seed, f, steps, a):
    start, grads = normal(*shape, seed=seed), gradients(shape, steps, seed)
    betas = (0.9, 0.99, 0.8)
    path = trajectory(lambda p: M3(p, 0.1, betas, a, f, eps=1e-2), start, grads)
    assert near(path, algorithm_1(start, grads, 0.1, betas, a, f, 1e-2), 1e-9)


@pytest.mark.parametrize("f", [1, 2, 3, 5])
def test_slow_buffer_has_one_block_delay_and_f_terms(f):
    """An impulse at step i reaches O2 at the first step of the next block, once, and never the block after that."""
    steps = 4 * f
    for i in range(2 * f):
        grads = [torch.zeros(3, 2).double() for _ in range(steps)]
        grads[i] = normal(3, 2, seed=4)
        p = torch.nn.Parameter(normal(3, 2))
        optimizer = M3([p], lr=0.1, betas=(0.9, 0.9, 0.8), slow_period_steps=f, eps=1.0)
        for t, g in enumerate(grads):
            p.grad = g
            optimizer.step()
            arrived = t // f > i // f  # the block after the impulse's own
            expected = 0.8 * grads[i] if arrived else torch.zeros_like(g)
            assert near(optimizer.state[p]["slow_momentum"], expected)
            assert near(optimizer.state[p]["slow_direction"], ns(expected))


def test_other_timings_are_told_apart():
    """f + 1 terms, no delay, and refreshing at step f instead of f + 1 all end elsewhere."""
    start, grads, f = normal(3, 4), gradients((3, 4), 9), 3
    path = trajectory(lambda p: M3(p, 0.1, slow_period_steps=f), start, grads)

    def variant(terms):
        Theta, M1, M2, V = start.clone(), *(torch.zeros(3, 4).double() for _ in range(3))
        O2 = torch.zeros(3, 4).double()
        for t, g in enumerate(grads):
            if terms(t) is not None:
                M2 = M2 + 0.9 * sum(terms(t), torch.zeros(3, 4).double())
                O2 = ns(M2)
            M1, V = M1 + 0.9 * g, V + 0.999 * g * g
            Theta = Theta - 0.1 * (ns(M1) + O2) / (V.sqrt() + 1e-8)
        return Theta

    assert near(path[-1], variant(lambda t: grads[max(t - f, 0) : t] if t % f == 0 else None), 1e-9)
    assert not near(path[-1], variant(lambda t: grads[max(t - f, 0) : t + 1] if t % f == 0 else None), 1e-3)  # f + 1
    assert not near(path[-1], variant(lambda t: grads[t + 1 - f : t + 1] if t % f == f - 1 else None), 1e-3)  # early
    assert not near(path[-1], variant(lambda t: grads[t - f : t - 1] if t and t % f == 0 else None), 1e-3)  # boundary


def test_sums_make_beta1_and_beta3_inert_and_beta2_a_rate():
    """Newton-Schulz does not see the scale: a consequence of the printed sums."""
    start, grads = normal(4, 3), gradients((4, 3), 8)

    def run(betas, lr=0.1, **options):
        return trajectory(lambda p: M3(p, lr, betas, slow_period_steps=2, eps=0.0, **options), start, grads)

    assert near(run((0.9, 0.5, 0.9)), run((0.1, 0.5, 0.2)), 1e-9)
    assert near(run((0.9, 0.5, 0.9)), run((0.9, 0.25, 0.9), lr=0.1 * 0.5**0.5), 1e-9)
    assert not near(run((0.9, 0.5, 0.9), average="ema"), run((0.1, 0.5, 0.2), average="ema"), 1e-3)


def test_sums_shrink_the_step_like_one_over_root_t():
    g = normal(3, 3)
    path = trajectory(lambda p: M3(p, 0.1, slow_weight=0.0, eps=0.0), normal(3, 3, seed=1), [g] * 16)
    steps = torch.diff(path, dim=0, prepend=normal(3, 3, seed=1)[None]).abs()
    assert near(steps[0], 4 * steps[15], 1e-9)


@over(SHAPES, SEEDS, st.integers(1, 4))
def test_ema_is_its_formula(shape, seed, f):
    start, grads = normal(*shape, seed=seed), gradients(shape, 9, seed)
    b1, b2, b3 = betas = (0.8, 0.9, 0.7)
    path = trajectory(lambda p: M3(p, 0.1, betas, 0.5, f, average="ema", eps=1e-3), start, grads)
    W, M1, M2, V = start.clone(), *(torch.zeros_like(start) for _ in range(3))
    O2 = ns(M2)
    for t, g in enumerate(grads, 1):
        if t > 1 and (t - 1) % f == 0:
            M2 = b3 * M2 + (1 - b3) * sum(grads[t - 1 - f : t - 1])
            O2 = ns(M2)
        M1, V = b1 * M1 + (1 - b1) * g, b2 * V + (1 - b2) * g * g
        W = W - 0.1 * (ns(M1) + 0.5 * O2) / ((V / (1 - b2**t)).sqrt() + 1e-3)
        assert near(path[t - 1], W, 1e-8)


@over(st.integers(1, 7), SEEDS, st.sampled_from([0.0, 0.1]))
def test_ema_on_vectors_read_as_they_are_is_adamw(n, seed, decay):
    start, grads = normal(n, seed=seed), gradients((n,), 8, seed)
    options = {"average": "ema", "vectors": "identity", "slow_weight": 0.0, "weight_decay": decay}
    ours = trajectory(lambda p: M3(p, 0.05, (0.9, 0.99, 0.5), **options), start, grads)
    adamw = trajectory(lambda p: torch.optim.AdamW(p, 0.05, (0.9, 0.99), weight_decay=decay), start, grads)
    assert near(ours, adamw, 1e-11)
    slow = trajectory(
        lambda p: M3(p, 0.05, (0.9, 0.99, 0.5), **options | {"slow_weight": 1.0}, slow_period_steps=4), start, grads
    )
    assert near(slow[:4], ours[:4]) and not near(slow[4], ours[4], 1e-4)  # the slow part comes a block later


@over(st.integers(1, 7), SEEDS)
def test_sums_without_newton_schulz_are_the_ridge_optimum(n, seed):
    """With P = √Σg² and λ = 0 the minimiser of Σ‖m g_i − P‖² is Σg/√Σg², entry by entry."""
    start, grads = normal(n, seed=seed), gradients((n,), 5, seed)
    betas = (0.64, 0.64, 0.9)
    path = trajectory(lambda p: M3(p, 1.0, betas, 0.0, eps=0.0, vectors="identity"), start, grads)
    g = torch.stack(grads)
    m = ((g * g.square().sum(0).sqrt()).sum(0) / g.square().sum(0)).requires_grad_()
    (m * g - g.square().sum(0).sqrt()).square().sum().backward()
    assert near(m.grad, 0.0, 1e-9)  # it is the minimiser
    assert near(path[-2] - path[-1], 0.64 / 0.64**0.5 * m.detach(), 1e-9)  # and the step, up to β1/√β2


def test_options_of_the_iteration_and_bfloat16_clocks():
    start, grads = normal(4, 3), gradients((4, 3), 3)
    exact = trajectory(
        lambda p: M3(p, 0.1, slow_weight=0.0, eps=1e-3, ns_steps=40, ns_coefficients=CUBIC), start, grads
    )
    U, _, Vt = torch.linalg.svd(grads[0], full_matrices=False)
    assert near(exact[0] - start, -0.1 * U @ Vt / ((0.999 * grads[0] ** 2).sqrt() + 1e-3), 1e-6)
    p = torch.nn.Parameter(torch.ones(2, 2, dtype=torch.bfloat16))
    optimizer = M3([p], lr=0.1, average="ema", slow_period_steps=4)
    p.grad = torch.ones_like(p)
    optimizer.step()
    optimizer.state[p]["step"] += 256  # past what bfloat16 can count
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert optimizer.state[p]["step"] == 258


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1}, "lr is -1"),
        ({"lr": 1, "betas": (0.9, 0.9)}, "betas has 2 numbers; give three"),
        ({"lr": 1, "betas": (0.9, 0.9, 1.0)}, "beta3 is 1.0; .* below 1"),
        ({"lr": 1, "betas": (0.9, 0.0, 0.9)}, "beta2 is 0, so V stays 0"),
        ({"lr": 1, "slow_weight": -1}, "slow_weight is -1"),
        ({"lr": 1, "slow_period_steps": 0}, "slow_period_steps is 0; it must be a whole number of at least 1"),
        ({"lr": 1, "average": "mean"}, "average is 'mean'; choose one of 'sum', 'ema'"),
        ({"lr": 1, "vectors": "adam"}, "vectors is 'adam'"),
        ({"lr": 1, "eps": -1}, "eps is -1"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        M3([torch.nn.Parameter(normal(2, 2))], **options)
