"""The chapter *Levels*: its definitions against the package and torch, its rule and tables, its figures and ledgers."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nbhelpers.levels import levels_of, order
from nbhelpers.memory import instances
from nbhelpers.models import Config, LanguageModel
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import levels as draw
from tests.notebooks.definitions import load_definitions

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "chapters" / "levels.ipynb"

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    names = "faster", "same_level", "passes_on", "sort_into_levels", "random_system", "predict", "moved", "live"
    ways = "write_linear_attention", "write_fast_weights", "write_maml", "write_hypernetwork", "read_transformer"
    return load_definitions(CHAPTER, *names, *ways, "two_periods", "after_steps", "momentum_step", "keys")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def slow_level(**more):
    return {"start": normal(3, 4), "rate": torch.tensor(-0.7), "scale": torch.tensor(0.4), **more}


def test_sorting_is_the_packages_on_random_systems(page):
    g = torch.Generator().manual_seed(0)
    for i in range(100):
        periods, needs = page.random_system(g, across=i % 2 == 1)
        assert [set(level) for level in page.sort_into_levels(periods, needs)] == [
            set(level) for level in order(periods, needs)
        ]
        for a, b in itertools.combinations(periods, 2):
            assert not (page.faster(a, b, periods, needs) and page.faster(b, a, periods, needs))


def test_needs_in_a_circle_are_refused(page):
    with pytest.raises(ValueError, match="circle"):
        page.sort_into_levels(dict.fromkeys("ab", 1), {"a": ("b",), "b": ("a",)})


def test_two_layers_cannot_be_sorted_by_the_definition_alone(page):
    periods, needs = dict.fromkeys(("m", "a", "b"), 1), {"a": ("m",)}
    assert page.same_level("m", "b", periods, needs) and page.same_level("b", "a", periods, needs)
    assert not page.same_level("m", "a", periods, needs)
    assert not page.passes_on(lambda x, y: page.same_level(x, y, periods, needs), list(periods))


def test_the_memories_are_the_packages(page):
    p, k, v = slow_level(), F.normalize(normal(6, 4, seed=1), dim=-1), normal(6, 3, seed=2)
    rate, scale = p["rate"].exp(), p["scale"].exp()
    linear, delta = instances.linear_attention(4, 3), instances.delta_rule(4, 3, write_strength=float(rate))
    states = linear.start({"M": torch.zeros(3, 4)}), delta.start({"M": p["start"]})
    for key, value in zip(k, v, strict=True):
        states = linear.write(states[0], key, rate * value), delta.write(states[1], key, scale * value)
    close(page.write_linear_attention(p, k, v), p["start"] + states[0].memory["M"])
    close(page.write_fast_weights(p, k, v), states[1].memory["M"])


def test_maml_steps_down_the_cross_entropy_and_attention_is_torchs(page):
    p, k = slow_level(sharp=torch.tensor(0.8)), F.normalize(normal(6, 4, seed=1), dim=-1)
    v = F.one_hot(torch.arange(6) % 3, 3).double()
    M = p["start"].clone().requires_grad_()
    for _ in range(3):
        loss = F.cross_entropy(k @ M.T, v)
        M = M - p["rate"].exp() * torch.autograd.grad(loss, M)[0]
    close(page.write_maml(p, k, v), M.detach())
    q = F.normalize(normal(2, 4, seed=3), dim=-1)
    found = F.scaled_dot_product_attention(q[None], k[None], v[None], scale=float(p["sharp"].exp()))[0]
    close(page.read_transformer(p, (k, v), q), p["scale"].exp() * found + q @ p["start"].T)


def test_the_waiting_matrix_moves_by_the_sum_of_its_period(page):
    pairs = list(zip(normal(16, 64) / 8, normal(16, 10, seed=1), strict=True))
    quick, late = page.two_periods(pairs, 0.1, 16)
    alone, nothing = page.two_periods(pairs, 0.1, 17)
    close(quick, alone)  # what waits is not seen before it is paid out
    assert not nothing.any() and late.any()
    close(late, quick)  # both moved by the same sixteen gradients


def test_live_is_the_delta_rule_at_period_one_and_blind_to_the_present_name(page):
    p = {name: part[None] for name, part in slow_level(sharp=torch.tensor(0.8)).items()}
    k, v = F.normalize(normal(1, 2, 7, 4, seed=1), dim=-1), normal(1, 2, 7, 3, seed=2)
    y = page.live(p, k, v, 1, 0.5)
    rule = {"start": p["start"][0], "rate": torch.tensor(0.5).log(), "scale": p["scale"][0]}
    for t in range(7):
        close(y[0, 1, t], page.write_fast_weights(rule, k[0, 1, :t], v[0, 1, :t]) @ k[0, 1, t])
    for period in (0, 1, 3, 10**9):
        last = v.clone()
        last[:, :, -1] += 1
        close(page.live(p, k, v, period, 0.5), page.live(p, k, last, period, 0.5))
    close(page.live(p, k, v, 10**9, 0.5), k @ p["start"][:, None].mT)


def test_inner_steps_reach_the_solution(page):
    k, v = normal(9, 4), normal(9, 3, seed=1)
    curvature, pull = k.T @ k + torch.eye(4), v.T @ k
    found = page.after_steps(normal(3, 4, seed=2), curvature, pull, 2000)
    torch.testing.assert_close(found, torch.linalg.solve(curvature, pull, left=False), rtol=1e-8, atol=1e-8)


def test_momentum_step_is_torchs(page):
    W, m, x, v = normal(3, 4), normal(3, 4, seed=1), normal(4, seed=2), torch.eye(3)[1]
    parameter = W.clone().requires_grad_()
    tool = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    tool.state[parameter]["momentum_buffer"] = -m / 0.1
    F.cross_entropy((parameter @ x)[None], v[None]).backward()
    tool.step()
    stepped, held = page.momentum_step(W, m, x, v)
    close(stepped, parameter.detach())
    close(held, stepped - W)


def test_moved_is_the_column_of_the_packages_table(page):
    torch.manual_seed(0)
    model = LanguageModel(Config("gated_deltanet", vocabulary=11, width=8, layers=1, heads=2, hidden=8))
    with torch.no_grad():  # a memory that begins at zero has no relative change
        model.blocks[0].mixer.memory.normal_()
    text = torch.randint(11, (3, 9), generator=torch.Generator().manual_seed(1))
    start = model.initial_state(3)
    with torch.no_grad():
        _, end = model(text, start)
    (row,) = [row for row in levels_of(model, text) if row.name == "0.mixer.memory"]
    found = page.moved([start["0.mixer.memory"]], [end["0.mixer.memory"]])
    torch.testing.assert_close(found.item(), row.moved, rtol=1e-5, atol=0)


def test_the_rule_reads_the_table_as_the_page_says(page):
    def broken(system, part):
        return page.predict(system, part).int().tolist()

    assert broken("SGD with momentum", "momentum") == [[0, 0, 0], [0, 0, 0]]
    assert broken("SGD with momentum", "weights") == [[1, 0, 1], [1, 0, 1]]
    assert broken("Transformer", "cache") == [[0, 0, 0], [1, 0, 0]]
    assert broken("Transformer", "MLP") == [[1, 1, 1], [0, 0, 0]]
    for system, fast in (("linear attention", "memory"), ("fast weights", "memory"), ("MAML", "head")):
        assert broken(system, fast) == [[0, 0, 0], [1, 0, 0]]
        assert broken(system, "start") == [[0, 1, 0], [0, 0, 0]]
        assert broken(system, "key map") == [[1, 1, 1], [1, 1, 1]]


def test_a_frame_of_the_slider_is_small_and_names_the_part():
    class Row:
        def __init__(self, period, owner):
            self.period, self.owner = period, owner

    tables = {name: [Row(period, "session") for period in places] for name, places in draw.SHOWN.items()}
    curves = {name: np.linspace(0, 1, 60).reshape(5, 12) for name in ("never", "600", "60", "20", "5", "1", "0")}
    for period, name in zip(curves, draw.NAMES.values(), strict=True):
        frame = picture(draw.drag(tables, period, curves), "a frame of the slider, as a test sees it")
        assert name in frame and len(frame) < 60_000
