"""The page *A language model in one sitting*: its definitions against the package and torch; its exercises."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nbhelpers.layers import Attention, GatedMLP
from nbhelpers.layers.attention import rotate, rotation
from nbhelpers.models import Config, LanguageModel
from nbhelpers.notebook.exercises.a_language_model_in_one_sitting import best_rate, left_over
from tests.notebooks.definitions import load_definitions
from tests.notebooks.notebook import ROOT, Notebook

PAGE = ROOT / "chapters" / "a-language-model-in-one-sitting.ipynb"
NAMES = (
    "key",
    "tally",
    "blended",
    "turned",
    "attention",
    "normalise",
    "mlp",
    "stream",
    "language_model",
    "Adam",
    "flat",
)


@pytest.fixture(scope="module")
def page():
    return load_definitions(PAGE, *NAMES)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a, b, rtol=1e-9, atol=1e-11):
    torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


def weights(config, seed=0):
    torch.manual_seed(seed)
    engine = LanguageModel(config).double()
    with torch.no_grad():  # gains other than one, so that they count
        for name, p in engine.named_parameters():
            if "norm" in name:
                p.copy_(1 + 0.3 * torch.randn_like(p))
    return engine, {name: p.detach() for name, p in engine.named_parameters()}


@pytest.mark.parametrize(("width", "layers", "heads"), [(8, 1, 1), (24, 2, 3), (32, 3, 4)])
@pytest.mark.parametrize("length", [1, 7, 40])
def test_the_model_is_the_engines_transformer(page, width, layers, heads, length):
    engine, w = weights(Config("transformer", width=width, layers=layers, heads=heads))
    tokens = torch.randint(256, (2, length), generator=torch.Generator().manual_seed(1))
    close(page.language_model(w, tokens, heads), engine(tokens)[0])
    close(page.language_model(w, tokens[0], heads), engine(tokens[:1])[0][0])


def test_gradients_of_the_model_are_the_engines(page):
    engine, w = weights(Config("transformer", width=16, layers=2, heads=2))
    tokens = torch.randint(256, (3, 12), generator=torch.Generator().manual_seed(1))
    engine.loss(tokens[:, :-1], tokens[:, 1:])[0].backward()

    def loss(w):
        logits = page.language_model(w, tokens[:, :-1], 2)
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    found = torch.func.grad(loss)(w)
    for name, p in engine.named_parameters():
        close(found[name], p.grad)


def test_the_streams_parts_add_up_and_looks_are_causal(page):
    engine, w = weights(Config("transformer", width=16, layers=3, heads=2))
    tokens = torch.randint(256, (2, 9), generator=torch.Generator().manual_seed(1))
    parts, looks = page.stream(w, tokens, 2)
    assert len(parts) == 7 and len(looks) == 3
    close(page.normalise(sum(parts), w["norm.weight"]), engine.features(tokens)[0])
    for look in looks:
        close(look.sum(-1), torch.ones_like(look[..., 0]))
        assert torch.equal(look, look.tril())


def test_parts_of_the_model_are_the_packages(page):
    mixer = Attention(12, 3).double()
    x = normal(2, 10, 12)
    close(page.attention(x, mixer.qkv.weight, mixer.out.weight, 3)[0], mixer(x)[0])
    q = normal(2, 3, 10, 4)
    turn = rotation(torch.arange(10).expand(2, -1), 4, 1e4, torch.float64)
    close(page.turned(q), rotate(q, *turn))
    mlp = GatedMLP(12, 20).double()
    close(page.mlp(x, mlp.gate, mlp.up, mlp.down), mlp(x))
    norm = torch.nn.RMSNorm(12, eps=1e-6, dtype=torch.float64)
    close(page.normalise(x, norm.weight), norm(x))


def test_without_the_mask_the_future_counts(page):
    x, other = normal(6, 8), normal(6, 8)
    other[-1] += 1
    qkv, out = normal(24, 8, seed=1), normal(8, 8, seed=2)
    seen = [page.attention(h, qkv, out, 2)[0][:-1] for h in (x, other)]
    leaked = [page.attention(h, qkv, out, 2, causal=False)[0][:-1] for h in (x, other)]
    assert torch.equal(*seen)
    assert ((leaked[0] - leaked[1]).abs().amax(-1) > 1e-6).all()


@pytest.mark.parametrize("decays", [(0.9, 0.99), (0.0, 0.5), (0.5, 0.0)])
def test_adam_is_torchs_with_groups_and_missing_gradients(page, decays):
    def path(make):
        a, b, idle = normal(3, 2).requires_grad_(), normal(4, seed=1).requires_grad_(), normal(2).requires_grad_()
        tool = make([{"params": [a, idle]}, {"params": [b], "lr": 0.01}])
        places = []
        for step in range(12):
            if step == 6:
                tool.param_groups[0]["lr"] = 0.3
            tool.zero_grad()
            ((a.sum() - 1) ** 2 + (b**4).sum() * (step != 3)).backward()
            tool.step()
            places.append(torch.cat([p.detach().flatten() for p in (a, b, idle)]))
        return torch.stack(places)

    ours = path(lambda groups: page.Adam(groups, lr=0.1, decays=decays))
    close(ours, path(lambda groups: torch.optim.Adam(groups, lr=0.1, betas=decays)))


def test_adam_goes_on_where_it_was_saved(page):
    def steps(p, tool, count):
        for _ in range(count):
            tool.zero_grad()
            (p**4).sum().backward()
            tool.step()

    whole, cut = normal(5).requires_grad_(), normal(5).requires_grad_()
    steps(whole, page.Adam([whole], lr=0.1), 10)
    first = page.Adam([cut], lr=0.1)
    steps(cut, first, 4)
    second = page.Adam([cut], lr=0.5)
    second.load_state_dict(first.state_dict())
    steps(cut, second, 6)
    close(whole.detach(), cut.detach())


def counted_by_hand(train, test, order, trust):
    """(4) with loops: the probability of each token of test but the first, zeros standing before both."""
    train, test = [0] * 9 + list(train), [0] * 9 + list(test)
    found = []
    for t in range(10, len(test)):
        p = 1 / 256
        for n in range(1, order + 1):
            before, whole = test[t - n + 1 : t], test[t - n + 1 : t + 1]
            places = range(10, len(train))
            context = sum(train[i - n + 1 : i] == before for i in places)
            both = sum(train[i - n + 1 : i + 1] == whole for i in places)
            p = (both + trust * p) / (context + trust)
        found.append(p)
    return found


@pytest.mark.parametrize("order", [1, 2, 3, 7])
def test_counting_is_the_formula(page, order):
    random = np.random.default_rng(0)
    train, test = random.integers(0, 4, 60), random.integers(0, 5, 25)
    tallies = [page.tally(train, test, n) for n in range(1, order + 1)]
    np.testing.assert_allclose(page.blended(tallies, 0.7), counted_by_hand(train, test, order, 0.7), rtol=1e-12)


def test_counted_probabilities_add_up_to_one(page):
    train = np.random.default_rng(1).integers(0, 3, 200)
    total = 0.0
    for last in range(256):
        tallies = [page.tally(train, np.array([0, 1, 2, 1, last]), n) for n in range(1, 5)]
        total += page.blended(tallies, 2.5)[-1]
    assert total == pytest.approx(1)


def test_keys_of_seven_bytes_do_not_collide(page):
    tokens = np.array([255, 0, 255, 255, 0, 0, 255, 1, 2, 255])
    runs = {tuple(([0] * 7 + tokens.tolist())[i + 1 : i + 8]) for i in range(len(tokens))}
    assert len(np.unique(page.key(tokens, 7))) == len(runs)


def test_best_rates():
    assert best_rate(1) == pytest.approx(273 / 4161, rel=1e-3)
    best = best_rate(10)
    assert all(left_over(best, 10) < left_over(best * factor, 10) for factor in (0.99, 1.01))
    w = torch.ones(3, dtype=torch.float64)
    for _ in range(10):
        w = w - 0.08 * torch.tensor([1.0, 4.0, 16.0]) * w
    assert left_over(0.08, 10) == pytest.approx(float((torch.tensor([1.0, 4.0, 16.0]) * w**2).sum() / 2))


def test_the_sections_that_other_chapters_link_to_exist():
    titles = [text for _, text, _ in Notebook.read(PAGE).headings]
    for title in ("Tokens", "The residual stream", "A gradient for every example"):
        assert title in titles


def test_loss_in_nats_becomes_bits_per_byte():
    """The self-test's line: ln 4 a token of four bytes."""
    from nbhelpers.data.streams import bits_per_byte

    assert bits_per_byte(10 * math.log(4), 40) == pytest.approx(0.5)
