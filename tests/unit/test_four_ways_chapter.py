"""The chapter *Four ways to wire it in*: its wirings against the engine, its lanes, its figures."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from nbhelpers import layers
from nbhelpers.notebook.exercises import registered
from nbhelpers.notebook.exercises.four_ways_to_wire_it_in import CHAPTER as SLUG
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import four_ways_to_wire_it_in as draw
from tests.notebooks.definitions import load_definitions

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / f"{SLUG}.ipynb"
NAMES = ("attend", "window_attention", "lmm", "mal", "mag", "mac", "lanes", "Silent")

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, *NAMES)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("length", "window", "persistent"), [(1, 4, 1), (11, 4, 3), (11, 1, 2), (6, 20, 5)])
def test_window_attention_is_the_engine_s(page, length, window, persistent):
    torch.manual_seed(length)
    layer, x = layers.Attention(12, 3, window=window, persistent=persistent), torch.randn(length, 12)
    close(page.window_attention(layer, x, window), layer(x[None])[0][0])


@pytest.mark.parametrize("memory", ["matrix", "mlp"])
@pytest.mark.parametrize("length", [1, 5, 14])
def test_the_wirings_are_the_engine_s(page, memory, length):
    torch.manual_seed(length)
    x, options = torch.randn(length, 16), {"window": 5, "persistent": 2, "memory": memory}
    for wired, layer in (
        (page.mag, layers.MemoryAsGate(16, 2, 4, **options)),
        (page.mal, layers.MemoryAsLayer(16, 2, 4, **options)),
    ):

        def short(x, layer=layer):
            return page.window_attention(layer.attention, x, 5)

        def long(x, layer=layer):
            return layer.memory(x[None])[0][0]

        close(wired(x, short, long), layer(x[None])[0][0])
        close(page.lmm(x, long), layer.memory(x[None])[0][0])


@pytest.mark.parametrize("memory", ["matrix", "mlp"])
@pytest.mark.parametrize("length", [1, 7, 16])
def test_mac_is_the_engine_s_and_its_switches_leak(page, memory, length):
    torch.manual_seed(length)
    layer, x = layers.MemoryAsContext(16, 2, 4, persistent=2, memory=memory), torch.randn(length, 16)

    def ask(x, state):
        return layer.memory.recall(x[None], state)[0]

    def tell(x, state):
        answers, state = layer.memory(x[None], state)
        return answers[0], state

    def run(x, **switches):
        return page.mac(layer, x, 4, ask, tell, layer.memory.initial_state(1), **switches)

    close(run(x), layer(x[None])[0][0])
    if length < 16:
        return
    changed = x.clone()
    changed[14] += 1
    for switches, leaks in (({}, False), ({"ahead": True}, True), ({"late": True}, True)):
        gap = (run(changed, **switches) - run(x, **switches)).abs().amax(1)
        assert (gap[12:14].max() > 1e-6) == leaks, switches
        assert gap[:12].max() == 0


def test_lanes_hold_what_the_figure_says(page):
    for query in range(24):
        rows = page.lanes(query)
        assert list(rows) == ["LMM", "MAL", "MAG", "MAC"]
        counts = {wiring: [int(carried.sum()) for _, carried in row.values()] for wiring, row in rows.items()}
        window, place = min(query + 1, 8), query % 8
        assert counts["LMM"] == [query + 1]
        assert counts["MAG"] == counts["MAL"] == [window, query + 1]
        assert counts["MAC"] == [place + 1, query - place, query + 1]


def test_a_silent_memory_keeps_its_state_and_says_nothing(page):
    memory, x = layers.Titans(16, 2, 4), torch.randn(1, 9, 16)
    silent = page.Silent(memory)
    answers, state = silent(x)
    assert not answers.any() and not silent.recall(x, state).any()
    assert all(torch.equal(state[name], tensor) for name, tensor in memory(x)[1].items())


def test_attention_weights_do_not_depend_on_a_common_shift_of_places(page):
    torch.manual_seed(0)
    part, x = layers.MemoryAsContext(12, 3, 4, persistent=1), torch.randn(5, 12)
    places, sees = torch.arange(5), torch.ones(5, 5, dtype=torch.bool).tril()
    with torch.no_grad():
        part.persistent.zero_()
        here, there = (page.attend(part, x, x, places + shift, places + shift, sees) for shift in (0, 7))
        other = page.attend(part, x, x, places + 7, places, sees)
    close(here, there)
    assert not torch.allclose(here, other)


def test_every_figure_draws():
    marks = {name: torch.rand(3) for name in ("window alone", "memory alone", "MAC", "MAG", "MAL")}
    step = torch.ones(8, 8).tril()
    lane = {"one": ("attention", torch.arange(24) < 5), "two": ("memory", torch.arange(24) < 9)}
    figures = {
        "wirings": draw.wirings(),
        "masks": draw.masks({"a": torch.cat([F.pad(step, (3, 0), value=1), step], 1), "b": step}, 3, 8),
        "reach": draw.reach({"LMM": lane, "MAC": lane}, 4, 8),
        "held": draw.held([4, 8, 16], {name: [1, 2, 3] for name in draw.LOOKS}),
        "contest": draw.contest({"near": marks, "far": marks}),
        "border": draw.border({"MAC": [0.5] * 16, "MAG": [0.1] * 16, "MAL": [0.2] * 16}, 16),
        "curves": draw.curves({"MAC": ([1e5, 2e5], [0.9, 0.5]), "MAG": ([1e5, 2e5], [0.5, 0.1])}, guess=0.75),
    }
    for name, figure in figures.items():
        assert "<svg" in picture(figure, alt=f"A test of the figure {name}, long enough"), name


def test_exercises_stand_in_the_order_of_the_page():
    names = ("never-as-it-was", "three-ago", "share", "across", "segment-mask", "empty-slot", "larger-cache")
    assert list(registered(SLUG)) == [f"{SLUG}/{name}" for name in names]
