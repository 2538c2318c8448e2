"""What every op keeps besides being right: precision, length, causality, separate rows, clear refusals."""

import copy

import pytest
import torch
from ops_cases import CASES, MATRIX, ONE_EACH, random_inputs, run, start, tokens

from nbhelpers import ops

# Largest error against the float64 loop on the same (rounded) inputs, as a share of the largest output.
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 5e-3, torch.float16: 6e-4}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_low_precision_inputs_lose_no_more_than_the_rounding_of_the_output(case, dtype):
    inputs = random_inputs(case, 1, L=75, Dk=8, Dv=8, Dh=8, chunk_size=16, retention="high", rate=0.5)
    rounded = {name: x.to(dtype) for name, x in inputs.items()}
    y, state = run(case.chunked, rounded, (10, 50), chunk_size=16)
    exact, exact_state = run(case.sequential, {name: x.double() for name, x in rounded.items()}, chunk_size=16)
    assert y.dtype == dtype
    assert (y.double() - exact).abs().max() <= TOLERANCE[dtype] * exact.abs().max()
    for name in state.keys() - {"position"}:
        assert state[name].dtype == torch.float32  # the state does not lose digits from call to call
        assert (state[name].double() - exact_state[name]).abs().max() <= 1e-5 * exact_state[name].abs().max()


@pytest.mark.parametrize("case", ONE_EACH, ids=str)
def test_autocast_does_not_reach_the_inner_state(case):
    inputs = {name: x.float() for name, x in random_inputs(case, 2, L=40, chunk_size=8).items()}
    plain, _ = run(case.chunked, inputs, chunk_size=8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = run(case.chunked, inputs, chunk_size=8)
    assert torch.equal(y, plain)


# One MLP case will do here: it runs through the code of the others.
@pytest.mark.parametrize("case", [case for case in ONE_EACH if case.op != "titans_mlp"], ids=str)
def test_a_hundred_thousand_tokens_in_float32(case):
    """No overflow, no drift: the last outputs are those of float64. Four bursts of 25,000 with the state carried."""
    rate = 0.05 if "momentum_decay" in case.gates else 0.5  # momentum multiplies a steady push by 1 / (1 − μ)
    inputs = random_inputs(case, 3, B=1, H=1, L=25_000, Dk=2, Dv=2, Dh=2, chunk_size=50, retention="high", rate=rate)
    kinds = {dtype: {name: x.to(dtype) for name, x in inputs.items()} for dtype in (torch.float32, torch.float64)}
    y, states = {}, {dtype: start(x) for dtype, x in kinds.items()}
    with torch.no_grad():
        for _ in range(4):
            for dtype, x in kinds.items():
                y[dtype], states[dtype] = case.chunked(**tokens(x), state=states[dtype], chunk_size=50)
    single, double = (x[:, :, -1000:] for x in y.values())
    assert states[torch.float32]["position"].tolist() == [100_000]
    # Linear attention only adds up: its memory grows like the root of the length, and its rounding with it.
    assert double.abs().max() < (1e4 if case.op == "linear_attention" else 100)
    assert (single - double).abs().max() <= 1e-4 * double.abs().max()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rows_of_the_batch_and_heads_do_not_see_each_other(case):
    inputs = {name: x.requires_grad_() for name, x in random_inputs(case, 4).items()}
    y, state = run(case.chunked, inputs, (6,), chunk_size=4)
    mine = y[1, 0].sum() + sum(x[1, 0].sum() for name, x in state.items() if name != "position")
    for name, gradient in zip(inputs, torch.autograd.grad(mine, list(inputs.values())), strict=True):
        assert gradient[1, 0].abs().max() > 0, name
        gradient[1, 0] = 0
        assert gradient.abs().max() == 0, f"row 1, head 0 depends on {name} of another row or head"


@pytest.mark.parametrize("read", ops.READS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_causal(case, read):
    """y_t depends on q_t and the past; "after" also on token t's own write, "chunk_start" on no token of its chunk."""
    inputs = {name: x.requires_grad_() for name, x in random_inputs(case, 5, L=11).items()}
    y, _ = run(case.chunked, inputs, (6,), chunk_size=4, read=read)
    t = 9  # the second token of the chunk 8 … 11
    gradients = dict(zip(inputs, torch.autograd.grad(y[:, :, t].sum(), list(inputs.values())), strict=True))
    last = {"after": 9, "before": 8, "chunk_start": 7}[read]
    assert gradients["queries"][:, :, t].abs().min() > 0
    for name in gradients.keys() - {"queries", "memory", "W1", "W2"}:
        assert gradients[name][:, :, last + 1 :].abs().max() == 0, f"{name} after token {last} reaches y_{t}"
        assert gradients[name][:, :, last].abs().max() > 0, f"{name} of token {last} does not reach y_{t}"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_state_that_goes_in_is_left_as_it_is(case):
    inputs = random_inputs(case, 6)
    _, state = run(case.chunked, inputs, chunk_size=4)
    kept = copy.deepcopy(state)
    case.chunked(**tokens(inputs), state=state, chunk_size=4)
    for name in state:
        assert torch.equal(state[name], kept[name]), name
    assert all(x.shape[0] == 2 for x in state.values())  # batch first, the position too


@pytest.mark.parametrize("case", ONE_EACH, ids=str)
def test_without_queries_only_the_state_is_made(case):
    inputs = random_inputs(case, 7)
    _, expected = run(case.chunked, inputs, chunk_size=4)
    for form in (case.chunked, case.sequential):
        y, state = form(**(tokens(inputs) | {"queries": None}), state=start(inputs), chunk_size=4)
        assert y is None
        for name in expected:
            torch.testing.assert_close(state[name], expected[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("read", ops.READS)
@pytest.mark.parametrize("case", [case for case in CASES if case.op == "self_modifying_mlp"], ids=str)
def test_several_mlp_memories_in_one_call_are_as_many_calls(case, read):
    """Memories that share keys and gates: an axis after the heads."""
    one, other = random_inputs(case, 8), random_inputs(case, 9)
    own = ("queries", "W1", "W2") if case.own_values else ("queries", "values", "W1", "W2")
    both = one | {name: torch.stack([one[name], other[name]], dim=2) for name in own}
    for form in (case.chunked, case.sequential):
        y, state = form(**tokens(both), state=start(both), chunk_size=4, read=read)
        for i, inputs in enumerate((one, other)):
            alone, state_alone = run(case.chunked, one | {name: inputs[name] for name in own}, chunk_size=4, read=read)
            torch.testing.assert_close(y[:, :, i], alone, rtol=1e-12, atol=1e-12)
            for name in state_alone.keys() - {"position"}:
                torch.testing.assert_close(state[name][:, :, i], state_alone[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", [case for case in MATRIX if case.op == "self_modifying"], ids=str)
def test_several_matrix_memories_are_one_tall_one(case):
    one, other = random_inputs(case, 10), random_inputs(case, 11)
    own = {"memory": -2} if case.own_values else {"values": -1, "memory": -2}
    y, _ = run(
        case.chunked, one | {name: torch.cat([one[name], other[name]], dim) for name, dim in own.items()}, chunk_size=4
    )
    alone = [run(case.chunked, one | {name: x[name] for name in own}, chunk_size=4)[0] for x in (one, other)]
    torch.testing.assert_close(y, torch.cat(alone, -1), rtol=1e-12, atol=1e-12)


def _gated(**change):
    inputs = tokens(random_inputs(MATRIX[3], 0)) | {"chunk_size": 4} | change
    return ops.gated_delta_rule(**inputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": torch.zeros(2, 2, 10, 3)}, r"same B, H, L. Move the heads"),
        ({"keys": torch.zeros(2, 11, 3)}, r"expected \(B, H, L, Dk\)"),
        ({"queries": torch.zeros(2, 2, 11, 4)}, r"queries are .* expected the shape of the keys"),
        ({"retention": torch.ones(2, 2, 11, 1)}, r"retention is \(2, 2, 11, 1\); expected one number per token"),
        ({"chunk_size": 0}, r"chunk_size is 0; expected a whole number"),
        ({"read": "now"}, r"read is 'now'; expected one of after, before, chunk_start"),
        ({"state": {"memory": torch.zeros(3, 2, 4, 3)}}, r"state\['memory'\] is .*these inputs need \(2, 2, 4, 3\)"),
        ({"state": {"position": torch.zeros(2)}}, r"no 'memory'"),
        (
            {"state": {"memory": torch.zeros(2, 2, 4, 3), "position": torch.tensor([3, 3])}},
            r"mid-chunk \(position 3, chunk_size 4\) but carries no 'anchor'",
        ),
        (
            {"state": {"memory": torch.zeros(2, 2, 4, 3), "position": torch.tensor([3, 4])}},
            r"different positions \(\[3, 4\]\)",
        ),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_and_said(change, message):
    with pytest.raises(ValueError, match=message):
        _gated(**change)


def test_an_empty_sequence_is_refused():
    with pytest.raises(ValueError, match="at least one token"):
        ops.linear_attention(*[torch.zeros(1, 1, 0, 2)] * 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": None}, "state=mlp_state"),
        ({"objective": "mse"}, "objective is 'mse'"),
        ({"erase": "all"}, "erase is 'all'; expected one of both, inner, none"),
        ({"activation": "relu6"}, "activation is 'relu6'; expected one of gelu"),
        ({"values": torch.zeros(2, 2, 11, 4), "queries": None}, "equal widths"),
        ({"queries": torch.zeros(2, 2, 10, 3)}, r"queries are .*expected the shape of the keys"),
        (
            {"state": ops.mlp_state(torch.zeros(2, 2, 3, 5), torch.zeros(2, 2, 6, 3))},
            r"state\['W1'\] is \(2, 2, 3, 5\)",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", [ops.self_modifying_mlp, ops.self_modifying_mlp_sequential])
def test_an_mlp_memory_says_what_it_needs(form, change, message):
    inputs = random_inputs(CASES[-1], 0)
    with pytest.raises(ValueError, match=message):
        form(**({**tokens(inputs), "state": start(inputs), "chunk_size": 4} | change))


@pytest.mark.parametrize("change", [{"state": None}, {"values": torch.zeros(2, 2, 11, 4)}], ids=str)
@pytest.mark.parametrize("form", [ops.self_modifying, ops.self_modifying_sequential])
def test_own_values_need_a_memory_that_can_be_asked(form, change):
    inputs = random_inputs(next(case for case in MATRIX if case.own_values), 0)
    with pytest.raises(ValueError, match="needs a state to start from, .* and values as wide as the keys"):
        form(**({**tokens(inputs), "state": start(inputs), "chunk_size": 4, "own_values": True} | change))


def test_unknown_options_of_the_matrix_rule_are_refused():
    inputs = tokens(random_inputs(MATRIX[-1], 0))
    inputs.pop("momentum_decay", None)
    for options, message in (({"objective": "mse"}, "objective is 'mse'"), ({"erase": "never"}, "erase is 'never'")):
        with pytest.raises(ValueError, match=message):
            ops.self_modifying(**inputs, chunk_size=4, **options)
