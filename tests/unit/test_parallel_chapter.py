"""The chapter *The same in parallel*: its definitions against the engine, its counts, its record, its figures."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from nbhelpers import ops
from nbhelpers.core.records import records
from nbhelpers.notebook.exercises import registered
from nbhelpers.notebook.exercises.the_same_in_parallel import CHAPTER as SLUG
from nbhelpers.notebook.figures import picture
from nbhelpers.notebook.pictures import the_same_in_parallel as draw
from tests.benchmarks import chunks as bench
from tests.notebooks.definitions import load_definitions

CHAPTER = Path(__file__).resolve().parents[2] / "chapters" / f"{SLUG}.ipynb"
NAMES = ("decay", "chunk", "in_chunks", "in_a_loop", "tokens", "work", "short_cut", "running_logs")

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.fixture(scope="module")
def page():
    return load_definitions(CHAPTER, *NAMES)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


def engine(q, k, v, b, a, M, size, erase):
    """The package's answers and last memory, token by token where size is None."""
    many, state = [x[None, None] for x in (q, k, v, b, a)], ops.matrix_state(M[None, None])
    options = {} if size is None else {"chunk_size": size}
    tail = "_sequential" if size is None else ""
    if erase:
        y, end = getattr(ops, "gated_delta_rule" + tail)(*many, state, **options)
    else:
        written = many[3][..., None] * many[2]
        y, end = getattr(ops, "mamba2" + tail)(many[0], many[1], written, many[4], state, **options)
    return y[0, 0], end["memory"][0, 0]


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 40), size=st.integers(1, 50), keys=st.integers(1, 6), values=st.integers(1, 6),
    erase=st.booleans(), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_loop_and_chunks_are_the_package(page, length, size, keys, values, erase, seed):
    torch.set_default_dtype(torch.float64)
    given_ = page.tokens(seed, length, keys, values)
    loop, chunked = page.in_a_loop(*given_, erase), page.in_chunks(*given_, size, erase)
    for ours, theirs in ((loop, engine(*given_, None, erase)), (chunked, engine(*given_, size, erase))):
        close(ours[0], theirs[0])
        close(ours[1], theirs[1])
    close(loop[0], chunked[0])


@pytest.mark.parametrize("erase", [True, False])
def test_gradients_of_loop_and_chunks_agree(page, erase):
    given_ = [x.requires_grad_() for x in page.tokens(3, 23, 4, 3)]
    slopes = []
    for y, last in (page.in_a_loop(*given_, erase), page.in_chunks(*given_, 5, erase)):
        slopes.append(torch.autograd.grad((y**3).sum() + (last**2).sum(), given_))
    for ours, theirs in zip(*slopes, strict=True):
        close(ours, theirs)


def test_a_chunk_without_its_start_or_with_the_diagonal_is_something_else(page):
    given_ = page.tokens(1, 12)
    right = page.in_chunks(*given_, 5)[0]
    *rest, M = given_
    assert not torch.allclose(page.in_chunks(*rest, 0 * M, 5)[0], right)
    assert not torch.allclose(page.in_chunks(*given_, 5, erase=False)[0], right)


def test_the_three_ways_to_the_fading_mask_agree_where_all_work(page):
    a = 0.6 + 0.4 * torch.rand(30, generator=torch.Generator().manual_seed(0))
    slow = torch.tensor([[a[s + 1 : t + 1].prod() if s <= t else 0.0 for s in range(30)] for t in range(30)])
    for way in (page.decay, page.short_cut, page.running_logs):
        close(way(a), slow)


def test_the_exercise_about_the_floor_has_its_answer(page):
    broken = [n for n in range(1, 100) if page.short_cut(torch.full((64,), n / 100, dtype=torch.float32)).isnan().any()]
    assert max(broken) == 19


def test_the_exercise_about_twice_the_work_has_its_answer(page):
    fits = [n for n in range(1, 200) if page.work(1, n, 64)[0] <= page.work(1, n, 64)[1]]
    assert max(fits) == 54


def test_tokens_have_unit_keys_and_the_shapes_that_are_asked_for(page):
    q, k, v, b, a, M = page.tokens(0, 7, 3, 2)
    close(k.norm(dim=-1), torch.ones(7))
    assert (q.shape, v.shape, M.shape) == ((7, 3), (7, 2), (2, 3))
    assert b.min() >= 0 and b.max() <= 1 and a.min() >= 0.5 and a.max() <= 1


def test_a_round_of_the_benchmark_is_a_record(tmp_path):
    config = bench.CONFIG | {
        "tokens": 32, "widths": [4, 8], "lengths": [8, 32], "chunk_size": 4, "width": 4, "chunk_sizes": [4, 16],
        "attention": [8, 16], "product": 16,
    }  # fmt: skip
    threads = torch.get_num_threads()
    bench.measure(3, config, tmp_path)
    torch.set_num_threads(threads)
    (found,) = records("bench", "chunks", tmp_path)
    assert found.seed == 3 and set(found.result["seconds"]) == set(bench.measurements(config, 3))
    assert all(seconds >= 0 for seconds in found.result["seconds"].values())


def test_the_loops_of_the_benchmark_give_the_same_answers():
    q, k, v, b, _ = bench.tokens(24, 8, 5, torch.Generator().manual_seed(1))
    assert bench.CONFIG["loops"] == list(bench.LOOPS)
    close(bench.loop_of_sums(q, k, v, b), ops.delta_rule_sequential(q, k, v, b)[0])


def test_the_package_multiplies_what_the_page_counts():
    """A token in chunks of C: 3 C d + 3 d², and C d more in the solve for two right-hand sides, which torch omits."""
    q, k, v, b, a = bench.tokens(64, 64, 16, torch.Generator().manual_seed(1))
    with FlopCounterMode(display=False) as counter:
        ops.delta_rule(q, k, v, b, chunk_size=8)
    assert counter.get_total_flops() / 2 == 64 * (3 * 8 * 16 + 3 * 16**2)
    with FlopCounterMode(display=False) as gated:
        ops.gated_delta_rule(q, k, v, b, a, chunk_size=8)
    table = 64 // 8 * 9**3  # the logarithms of the fading mask, summed by a product
    assert gated.get_total_flops() / 2 == counter.get_total_flops() / 2 + table


def test_tokens_of_the_benchmark_fill_the_shape():
    q, k, v, b, a = bench.tokens(32, 8, 4, torch.Generator().manual_seed(0))
    assert q.shape == (4, 1, 8, 4) and b.shape == a.shape == (4, 1, 8)
    close(F.normalize(k, dim=-1), k)
    assert v.shape == q.shape


def test_the_shipped_record_has_what_the_page_reads():
    rounds = list(records("bench", "chunks"))
    assert [one.seed for one in rounds] == list(range(5))
    for one in rounds:
        assert one.config == bench.CONFIG
        assert set(one.result["seconds"]) == set(bench.measurements({**bench.CONFIG, "tokens": 4096}, 0))


def test_every_figure_draws():
    counts = {"blocks": 10.0, "state": 20.0, "loop": 20.0, "attention": 40.0}
    rows = torch.rand(5, 4) + 1
    figures = {
        "ways": draw.two_ways(),
        "blocks": draw.blocks(32, 8, counts),
        "one block": draw.blocks(32, 32, counts),
        "grouped": draw.grouped([1, 4, 16, 64], rows),
        "sizes": draw.by_chunk_size([1, 4, 16, 64], rows, rows[:, 0], rows[0], 20.0),
        "record": draw.recorded(dict.fromkeys((64, 128, 256), rows), [1, 2, 4, 8], rows, [4, 8, 16, 32], rows,
                                [256, 512, 1024, 2048]),
        "fading": draw.fading_products({"quick": -torch.arange(256.0) / 3, "slow": torch.zeros(256)}),
    }  # fmt: skip
    for name, figure in figures.items():
        assert "<svg" in picture(figure, alt=f"A test of the figure {name}, long enough"), name


@pytest.mark.parametrize("size", [1, 4, 32])
def test_the_blocks_hold_every_pair_once(size):
    """The areas drawn: all pairs in which the reader is not before the writer, and none twice."""
    ax = draw.blocks(32, size, {"blocks": 1.0, "state": 1.0, "loop": 1.0, "attention": 1.0}).axes[0]
    cell = 9.6 / 32
    stairs = sum(_area(patch.get_xy()) for patch in ax.patches)
    carried = sum(_area(path.vertices) for found in ax.collections for path in found.get_paths())
    assert stairs / cell**2 == pytest.approx(32 // size * size * (size + 1) / 2)
    assert carried / cell**2 == pytest.approx(sum(start * size for start in range(0, 32, size)))


def _area(corners):
    x, y = torch.as_tensor(corners).double().unbind(1)
    return float((x * y.roll(-1) - y * x.roll(-1)).sum().abs() / 2)


def test_exercises_stand_in_the_order_of_the_page():
    names = (
        "which-way", "erase-of-an-erase", "even-with-attention", "read-before", "products-alone", "twice-the-work",
        "through-the-floor",
    )  # fmt: skip
    assert list(registered(SLUG)) == [f"{SLUG}/{name}" for name in names]
