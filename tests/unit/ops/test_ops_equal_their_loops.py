"""Each chunk-parallel op equals its sequential definition: outputs, final state, all gradients, float64, 1e-10."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_cases import CASES, MATRIX, assert_same, random_inputs, run_with_gradients

from nbhelpers import ops

READS = st.sampled_from(ops.READS)


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data())
def test_chunk_form_equals_the_loop(case, data):
    chunk = data.draw(st.integers(2, 5 if case.mlp else 9), "chunk_size")
    options = {"chunk_size": chunk, "read": data.draw(READS, "read")}
    inputs = random_inputs(
        case,
        data.draw(st.integers(0, 10**6), "seed"),
        B=data.draw(st.integers(1, 3), "B"),
        H=data.draw(st.integers(1, 3), "H"),
        L=3 * chunk + data.draw(st.integers(1, chunk - 1), "rest"),
        Dk=data.draw(st.integers(1, 5), "Dk"),
        Dv=data.draw(st.integers(1, 5), "Dv"),
        Dh=data.draw(st.integers(1, 6), "Dh"),
        chunk_size=chunk,
        retention=data.draw(st.sampled_from(["random", "high", "one", "tiny", "mixed"]), "retention"),
        rate=data.draw(st.sampled_from([0.1, 0.5, 1.0]), "share of the largest rate"),
    )
    assert_same(
        run_with_gradients(case.chunked, inputs, **options), run_with_gradients(case.sequential, inputs, **options)
    )


@pytest.mark.parametrize("read", ops.READS)
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(("length", "chunk"), [(1, 1), (1, 4), (5, 1)])
def test_one_token_and_chunks_of_one(case, read, length, chunk):
    inputs = random_inputs(case, 1, L=length, chunk_size=chunk)
    options = {"chunk_size": chunk, "read": read}
    assert_same(
        run_with_gradients(case.chunked, inputs, **options), run_with_gradients(case.sequential, inputs, **options)
    )


@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_a_long_chunk_at_the_stability_bound(case):
    """64 tokens a chunk, four chunks, the largest rates: the triangular systems are at their worst."""
    inputs = random_inputs(case, 2, B=1, H=1, L=230, Dk=4, Dv=3, chunk_size=64, retention="high", rate=1.0)
    options = {"chunk_size": 64}
    assert_same(
        run_with_gradients(case.chunked, inputs, **options), run_with_gradients(case.sequential, inputs, **options)
    )


@pytest.mark.parametrize("case", [case for case in CASES if "retention" in case.gates], ids=str)
def test_a_gate_of_exactly_zero_and_its_gradient(case):
    """Retention 0 forgets everything; the gradient there is that of the formula, not 0 and not NaN."""
    inputs = random_inputs(case, 3, retention="random", rate=0.5)
    inputs["retention"][:, :, 5] = 0
    if "momentum_decay" in inputs:
        inputs["momentum_decay"][:, :, 6] = 0
    options = {"chunk_size": 4}
    expected = run_with_gradients(case.sequential, inputs, **options)
    assert expected["gradient of retention"][:, :, 5].abs().min() > 1e-6
    assert_same(run_with_gradients(case.chunked, inputs, **options), expected)


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(data=st.data())
def test_whole_equals_random_pieces(case, data):
    """With the state carried: outputs, final state and gradients, cut anywhere, mid-chunk and token by token."""
    chunk, length = data.draw(st.integers(1, 6), "chunk_size"), data.draw(st.integers(2, 14), "L")
    cuts = sorted(data.draw(st.sets(st.integers(1, length - 1), min_size=1), "cuts"))
    inputs = random_inputs(case, data.draw(st.integers(0, 10**6), "seed"), L=length, chunk_size=chunk)
    options = {"chunk_size": chunk, "read": data.draw(READS, "read")}
    whole = run_with_gradients(case.chunked, inputs, **options)
    assert_same(run_with_gradients(case.chunked, inputs, cuts, **options), whole)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_loop_too_may_be_cut(case):
    inputs, options = random_inputs(case, 4), {"chunk_size": 4}
    whole = run_with_gradients(case.sequential, inputs, **options)
    assert_same(run_with_gradients(case.sequential, inputs, (1, 6, 7), **options), whole)


@pytest.mark.parametrize("case", [case for case in MATRIX if not case.own_values], ids=str)
def test_without_a_state_the_memory_starts_at_zero(case):
    inputs = random_inputs(case, 5)
    given_zero = run_with_gradients(case.chunked, inputs | {"memory": 0 * inputs["memory"]}, chunk_size=4)
    y, state = case.chunked(**{k: x for k, x in inputs.items() if k != "memory"}, chunk_size=4)
    assert_same({"y": y, "M": state["memory"]}, {"y": given_zero["y"], "M": given_zero["final memory"]})
