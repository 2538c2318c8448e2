"""The chapter *Adam, AdaGrad, Muon*: its definitions against the package and torch, its tables and ledgers."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from nbhelpers import optim as engine
from nbhelpers.notebook.pictures import adam_adagrad_muon as draw
from tests.notebooks.definitions import load_definitions

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "chapters" / "adam-adagrad-muon.ipynb"
MORE = "gathered", "gap", "off_by"
SHAPES = [(3, 5), (6, 2), (4, 4)]
pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    rules = "momentum", "adagrad", "adam", "full_adagrad", "muon", "newton_schulz", "replay"
    return load_definitions(
        CHAPTER, *rules, "first_weights", "slopes", "solve_ridge", "descend", "echo", "echo_length", *MORE
    )


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(a, b, **tolerance):
    torch.testing.assert_close(a, b, **({"rtol": 1e-9, "atol": 1e-11} | tolerance))


def steps_of(optimizer, gradients, **options):
    """The steps of an optimizer at rate 1, as the page counts them: what is subtracted from the weights."""
    W, steps = torch.zeros_like(gradients[0], requires_grad=True), []
    tool = optimizer([W], lr=1.0, **options)
    for W.grad in gradients:
        before = W.detach().clone()
        tool.step()
        steps.append(before - W.detach())
    return torch.stack(steps)


PRECONDITIONED = {"momentum": 0.0}
TWINS = [
    ("momentum", torch.optim.SGD, {"momentum": 0.9}),
    ("momentum", engine.PreconditionedMomentum, {}),
    ("adam", torch.optim.Adam, {}),
    ("adagrad", torch.optim.Adagrad, {}),
    ("adagrad", engine.PreconditionedMomentum, PRECONDITIONED | {"preconditioner": engine.AdaGrad()}),
    ("muon", engine.Muon, {"weight_decay": 0.0, "ns_dtype": None}),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "optimizer", "options"), TWINS)
def test_each_rule_is_its_twin(page, name, optimizer, options, shape):
    gradients = normal(9, *shape)
    close(page.replay(getattr(page, name), gradients), steps_of(optimizer, gradients, **options), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_full_adagrad_is_the_packages(page, shape):
    gradients = normal(9, *shape)
    options = PRECONDITIONED | {"preconditioner": engine.FullMatrix(1e-12)}
    found = page.replay(page.full_adagrad, gradients)
    wanted = steps_of(engine.PreconditionedMomentum, gradients, **options)
    late = 4  # before, H has fewer directions than rows, and its root is ill-defined in the rest
    close(found[late:], wanted[late:], rtol=1e-6, atol=1e-7)


def test_adam_is_the_packages_m3_without_its_slow_part(page):
    gradients = normal(12, 7)
    options = {"average": "ema", "slow_weight": 0.0, "vectors": "identity"}
    close(page.replay(page.adam, gradients), steps_of(engine.M3, gradients, **options), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["momentum", "adagrad", "adam", "full_adagrad", "muon"])
def test_a_batch_of_layers_is_its_layers_one_by_one(page, name):
    gradients, rule = normal(6, 3, 4, 5), getattr(page, name)
    together = page.replay(rule, gradients)
    for k in range(3):
        close(together[:, k], page.replay(rule, gradients[:, k]), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("coefficients", [engine.QUINTIC, engine.CUBIC])
def test_newton_schulz_is_the_packages(page, shape, coefficients):
    G = normal(*shape)
    for steps in (0, 1, 7):
        close(page.newton_schulz(G, steps, coefficients), engine.newton_schulz(G, steps, coefficients))


def test_one_gradient_makes_full_adagrad_the_polar_factor(page):
    G = normal(4, 6)
    U, _, V = torch.linalg.svd(G, full_matrices=False)
    close(page.replay(page.full_adagrad, G[None])[0], U @ V, rtol=1e-7, atol=1e-8)
    close(page.newton_schulz(G, 60, engine.CUBIC), U @ V, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("sizes", [(5, 3), (5, 4, 3), (6, 5, 4, 10)])
def test_slopes_are_autograds(page, sizes):
    sizes = (*sizes[:-1], 10)
    x, labels = normal(7, sizes[0], seed=3), torch.arange(7) % 10
    weights = [w.requires_grad_() for w in page.first_weights(1, sizes)]
    h = x
    for W in weights[:-1]:
        h = torch.tanh(h @ W.mT)
    expected = torch.autograd.grad(F.cross_entropy(h @ weights[-1].mT, labels), weights)
    found = page.slopes([w.detach() for w in weights], x, labels)
    for mine, theirs in zip(found, expected, strict=True):
        close(mine, theirs)
    two = [torch.stack([w.detach()] * 2) for w in weights]
    for mine, theirs in zip(page.slopes(two, torch.stack([x] * 2), torch.stack([labels] * 2)), expected, strict=True):
        close(mine, torch.stack([theirs] * 2))


@pytest.mark.parametrize(("mu1", "mu2"), [(0.9, 0.999), (0.9, 0.9), (0.5, 0.8), (0.8, 0.5)])
def test_the_family_gives_adam_for_any_two_decays(page, mu1, mu2):
    """(5) with the target (7) has Adam's step as its minimiser, found by least squares."""
    g = normal(15, 4) + 0.2
    age = torch.arange(14, -1, -1.0)
    fading, weights = mu1**age, mu2**age
    size = (weights @ g.square() / weights.sum()).sqrt()
    targets = ((mu1 / mu2) ** age)[:, None] * size * weights.sum() / fading.sum()
    found = page.solve_ridge(g, weights, targets)
    wanted = steps_of(torch.optim.Adam, g, betas=(mu1, mu2), eps=0.0)[-1]
    close(found, wanted, rtol=1e-7, atol=1e-9)


def test_the_family_gives_adagrad_and_the_papers_problem_does_not_give_adam(page):
    g = normal(15, 4) + 0.2
    root, none = g.square().sum(0).sqrt(), torch.zeros(14, 4)
    adagrads = steps_of(torch.optim.Adagrad, g, eps=0.0)[-1]
    close(page.solve_ridge(g, torch.ones(15), torch.cat([none, root[None]])), adagrads)
    papers = page.solve_ridge(g, torch.ones(15), root.expand(15, -1))
    close(papers, g.sum(0) / root)
    adams = steps_of(torch.optim.Adam, g, eps=0.0)[-1]
    assert F.cosine_similarity(papers, adams, dim=0) < 0.99


def test_one_fading_weight_gives_adam_with_equal_decays_but_for_a_factor(page):
    """The smallest change of the paper's problem that forgets; the Adam in use is another."""
    g = normal(15, 4) + 0.2
    weights = 0.9 ** torch.arange(14, -1, -1.0)
    found = page.solve_ridge(g, weights, (weights @ g.square()).sqrt().expand(15, -1))
    equal, used = (steps_of(torch.optim.Adam, g, betas=(0.9, b), eps=0.0)[-1] for b in (0.9, 0.999))
    assert page.off_by(found, equal) < 1e-9
    assert page.off_by(found, used) > 0.01


@pytest.mark.parametrize("averaged", [False, True])
def test_with_beta_one_the_printed_memory_sums_and_the_average_keeps_the_newest(page, averaged):
    G = normal(6, 3, 4)
    close(page.gathered(G, 1.0, averaged), G[-1] if averaged else G.sum(0))
    assert not torch.allclose(page.gathered(G, 0.9, averaged), page.gathered(G, 1.0, averaged))


def test_the_printed_iteration_rests_elsewhere(page):
    G = normal(4, 6)
    G = G / G.norm()
    s, pulled = torch.linalg.svdvals(G), torch.linalg.svdvals(page.descend(G, 1))
    close(2 * pulled**3 - pulled, s, rtol=1e-7, atol=1e-9)
    assert pulled.max() < 0.95
    close(torch.linalg.svdvals(page.descend(G, 0)), torch.ones(4), rtol=1e-7, atol=1e-9)


def test_echo_of_momentum_is_its_fading_sum(page):
    """With one gradient again and again, n steps later the loud one adds 999 * 0.9**n to a sum of about ten."""
    g = normal(1, 2, 3, 4)
    off = page.echo(page.momentum, g, steps=120, before=40)
    n = torch.arange(120)
    whole = (1 - 0.9 ** (41 + n)) / 0.1
    close(off, (999 * 0.9**n / whole)[:, None].expand(-1, 2))
    expected = int((999 * 0.9**n / whole > 0.1).sum())
    assert page.echo_length(off) == [expected, expected]


def test_labels_are_moved_apart_and_no_further():
    moved = draw._apart({"a": 1.0, "b": 1.1, "c": 9.0}, 2.0)
    assert moved["b"] - moved["a"] == pytest.approx(2.0) and moved["c"] == 9.0
    assert moved["a"] + moved["b"] == pytest.approx(2.1)


def test_the_comparison_beside_a_comb_is_readable():
    assert draw._compared(414.04, 0.3) == "length × 414, cosine 0.30"
    assert draw._compared(0.3987, -0.25) == "length × 0.4, cosine \N{MINUS SIGN}0.25"
