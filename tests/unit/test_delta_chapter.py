"""The chapter *Delta gradient descent*: definitions against the package, tables against the ledgers."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from nbhelpers.data.digits import load_digits
from nbhelpers.memory import instances
from nbhelpers.memory.memories import MatrixMemory
from nbhelpers.memory.objectives import dot_product, squared_error
from nbhelpers.notebook.exercises.delta_gradient_descent import ENOUGH
from nbhelpers.optim import DGD
from nbhelpers.optim.dgd import delta_step as engine_step
from tests.notebooks.definitions import load_definitions
from tests.notebooks.notebook import Notebook

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "chapters" / "delta-gradient-descent.ipynb"
NAMES = (
    "gradient_step",
    "delta_step",
    "printed_step",
    "tell",
    "solve_2",
    "random_layer",
    "delta_batch",
    "certainty",
    "first_weights",
)

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, *NAMES)


def near(left, right, tolerance=1e-10):
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance)


def drawn(seed, *shapes):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("rate", [0.01, 0.7, 50.0])
@pytest.mark.parametrize("seed", range(4))
def test_one_sample_is_the_engines_step(page, seed, rate):
    W, x, u = drawn(seed, (3, 5), (5,), (3,))
    near(page.delta_step(W, x, u, rate), engine_step(W, torch.outer(u, x), torch.outer(x, x), rate, "exact"))
    near(page.delta_step(W, x, u, rate), page.solve_2(W, x, -u, rate), 1e-8)
    assert not torch.allclose(page.printed_step(W, x, u, rate), page.delta_step(W, x, u, rate), rtol=1e-9)


@pytest.mark.parametrize("samples", [1, 4, 9])
def test_a_batch_is_the_engines_optimizer(page, samples):
    W, X, U = drawn(samples, (3, 5), (samples, 5), (samples, 3))
    layer = torch.nn.Linear(5, 3, bias=False)
    layer.load_state_dict({"weight": W})
    optimizer = DGD(layer, lr=0.3, reduction="sum")
    (layer(X) * U).sum().backward()
    optimizer.step()
    near(layer.weight.detach(), page.delta_batch(W, X, U, 0.3))


@pytest.mark.parametrize("given", [False, True])
def test_telling_is_the_engines_memory(page, given):
    key, value = drawn(3, (6,), (2,))
    memory = instances.dgd(MatrixMemory(6, 2), dot_product if given else squared_error, learning_rate=0.4)
    held = memory.start()
    answers = page.tell(page.delta_step, key, value, 0.4, times=5, given=given)
    assert answers.shape == (6, 2)
    for answer in answers:
        near(memory.read(held, key), answer)
        held = memory.write(held, key, value)


def test_the_gradient_step_is_sgd(page):
    (W,) = drawn(5, (4, 6))
    x, u = drawn(6, (6,), (4,))
    leaf = W.clone().requires_grad_()
    optimizer = torch.optim.SGD([leaf], lr=0.2)
    ((leaf @ x) @ u).backward()
    optimizer.step()
    near(leaf.detach(), page.gradient_step(W, x, u, 0.2))


def test_unit_layers_have_unit_inputs_and_the_surprise_of_cross_entropy(page):
    for seed in range(5):
        W, x, u = page.random_layer(seed, unit=True)
        near(x.norm(), torch.tensor(1.0))
        near(u, torch.softmax(W @ x, 0) - F.one_hot(torch.tensor(1), len(u)))
        assert 0.5 <= page.random_layer(seed, unit=False)[1].norm() <= 3


@pytest.mark.parametrize("classes", [2, 10, 300])
def test_certainty_is_where_the_rule_rests(page, classes):
    y = torch.zeros(classes)
    for _ in range(3000):
        u = torch.softmax(y, 0)
        u[0] -= 1
        y = y - 0.2 * (y + u)
    assert page.certainty(classes) == pytest.approx(float(torch.softmax(y, 0)[0]), rel=1e-6)


def test_certainty_agrees_with_the_exercise(page):
    assert page.certainty(10, ENOUGH) == pytest.approx(0.9, rel=1e-9)


@pytest.fixture(scope="module")
def streams():
    """The stream's definition leans on the digits that the set-up of the page loads, so it runs beside them here."""
    (cell,) = [c for c in Notebook.read(CHAPTER).code if c.id == "streams"]
    digits = load_digits(dtype=torch.float64)
    namespace = {"torch": torch, "Y": digits.train_labels}
    exec(cell.source, namespace)  # noqa: S102 - our own chapter
    return namespace["draw_stream"], digits.train_labels


@pytest.mark.parametrize("stay", [0, 0.5, 0.95])
def test_a_stream_stays_as_often_as_it_says(streams, stay):
    draw_stream, labels = streams
    kept = []
    for seed in range(10):
        who = draw_stream(seed, stay)
        assert len(who) == 1000
        assert who.max() < 1000
        kept.append((labels[who[1:]] == labels[who[:-1]]).double().mean())
    assert float(torch.stack(kept).mean()) == pytest.approx(stay + (1 - stay) / 10, abs=0.02)
    assert torch.equal(draw_stream(1, stay), draw_stream(1, stay))
    assert not torch.equal(draw_stream(1, stay), draw_stream(2, stay))


def test_a_stream_of_independent_digits_draws_all_classes_alike(streams):
    draw_stream, labels = streams
    counts = torch.bincount(torch.cat([labels[draw_stream(seed, 0)] for seed in range(10)]), minlength=10)
    assert counts.min() > 850
    assert counts.max() < 1150
