"""The chapter *HOPE*: its hundred lines against the package, its figures, its records."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nbhelpers import layers, models, ops
from nbhelpers.core.records import records
from nbhelpers.notebook.exercises import hope as exercises
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import hope as draw
from nbhelpers.training.ablation import VARIANTS
from nbhelpers.training.settings import build
from tests.notebooks.definitions import load_definitions

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / "hope.ipynb"
NAMES = ("memory", "write", "read", "continuum", "hope", "repeated", "part_of", "numbers")

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, *NAMES)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def model(seed=0, **changes):
    torch.manual_seed(seed)
    settings = {"vocabulary": 40, "width": 12, "layers": 2, "heads": 2, "chunk_size": 5, "periods": (1, 4), "hidden": 9}
    return models.LanguageModel(models.Config("hope", **settings | changes)).double()


@pytest.mark.parametrize("length", [1, 5, 17])
@pytest.mark.parametrize(("chunk", "heads", "periods"), [(5, 2, (1, 4)), (1, 3, (1,)), (64, 1, (1, 4, 16))])
def test_the_page_is_the_package(page, length, chunk, heads, periods):
    whole = model(length, chunk_size=chunk, heads=heads, periods=periods)
    tokens = torch.randint(40, (length,))
    p = dict(whole.named_parameters())
    close(page.hope(tokens, p, 2, heads, chunk, len(periods)), whole(tokens[None])[0][0])


def test_given_targets_are_the_packages_option(page):
    whole, tokens = model(mixer={"own_values": False}), torch.randint(40, (13,))
    p = dict(whole.named_parameters())
    close(page.hope(tokens, p, 2, 2, 5, 2, own_target=False), whole(tokens[None])[0][0])
    assert not torch.allclose(page.hope(tokens, p, 2, 2, 5, 2), whole(tokens[None])[0][0])


@pytest.mark.parametrize("scale", [0.3, 6.0])
def test_a_write_is_the_sequential_op_also_where_the_bound_is_at_work(page, scale):
    torch.manual_seed(1)
    H, m, d, h, L = 2, 3, 4, 6, 9
    W = scale * torch.randn(H, m, d, h), scale * torch.randn(H, m, h, d)
    k, v = torch.nn.functional.normalize(torch.randn(2, H, L, d), dim=-1)
    keep = torch.rand(H, L)
    rate = keep * torch.rand(H, L)
    state = ops.mlp_state(W[0][None], W[1][None])
    given = (None, k[None], v[None], rate[None], keep[None], None, state)
    _, end = ops.self_modifying_mlp_sequential(*given, chunk_size=4, own_values=True, gradient_bound=4.0)
    touched = False
    for t in range(L):
        if t % 4 == 0:
            start = W
        gates = (gate[:, t, None, None, None] for gate in (rate, keep))
        before = W
        W, parts = page.write(W, start, k[:, None, t], v[:, None, t], *gates)
        for M, old, part in zip(W, before, parts, strict=True):
            close(M - old, part.sum(0))
            asked = torch.linalg.matrix_norm(part[2])
            touched |= bool((asked > 3.999 * rate[:, t, None]).any())
    close(W[0], end["W1"][0])
    close(W[1], end["W2"][0])
    assert touched == (scale > 1)


def test_the_chain_is_the_packages(page):
    torch.manual_seed(2)
    cms = layers.ContinuumMemory(6, (layers.LevelSpec(5), layers.LevelSpec(4, 4))).double()
    x = torch.randn(7, 6)
    close(page.continuum(x, dict(cms.named_parameters()), 2), cms(x[None])[0][0])


def test_numbers_counts_what_floats(page):
    whole = model()
    state = whole.initial_state(1)
    assert page.numbers(state) == 2 * (2 * 5 * 2 * 2 * 6 * 6 + 3 * 2 * 12)


def test_the_answer_of_the_last_exercise_is_the_pages(page):
    ends = {tenths / 10: page.repeated(1e9, tenths / 10)[-1] for tenths in range(10, 21)}
    assert min(scale for scale, end in ends.items() if end > 1e4) == exercises._START
    near = [end for end in ends.values() if 2e3 < end < 5e4]
    assert not near, "an answer this near to the threshold would hang on rounding"


def test_the_ablation_is_complete_and_its_runs_differ_in_one_part():
    found = {}
    for record in records("contest"):
        if record.name.startswith("hope."):
            found.setdefault(record.name[5:], []).append(record)
    assert set(found) == set(VARIANTS)
    whole = found["whole"][0].config
    for name, runs in found.items():
        assert sorted(run.seed for run in runs) == [0, 1, 2]
        assert all(run.result["status"] == "done" for run in runs), name
        config, _ = build({"family": "hope", "tokenizer": "bytes", **VARIANTS[name]})
        wanted = config.to_json()["model"]
        for run in runs:
            assert {**run.config, "model": None} == {**whole, "model": None}
            for key in ("mixer", "periods", "variant"):
                assert run.config["model"][key] == wanted[key], (name, key)


def test_every_figure_draws():
    rng = np.random.default_rng(0)
    costs = {name: (rng.normal(), abs(rng.normal())) for name in VARIANTS if name != "whole"}
    figures = {
        "block": draw.block(),
        "sizes": draw.sizes({1: 10, 2048: 10}, {1: 1, 2048: 90}, 323),
        "steps": draw.steps(rng.random((24, 4, 5)), ["word"] * 24, ("main", "key", "value", "rate", "retention")),
        "rivals": draw.rivals({name: rng.random(3) for name in draw.LOOKS}),
        "live": draw.live({"HOPE": rng.random((3, 40)), "Transformer": rng.random((3, 40))}, 4.5),
        "choices": draw.choices(costs),
    }
    for name, figure in figures.items():
        markup = picture(figure, alt=f"A test of the figure {name}, long enough")
        assert "<svg" in markup, name
        assert len(markup) < 250_000, name
