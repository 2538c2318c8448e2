"""Identities of paper-facts §10.3, §10.4, §12 (3, 6, 7), engine notes 6, and which op is a special case of which.

No package serves as a reference here: ``fla-core`` needs triton to import, and ``opengdn`` is not among the book's
requirements. ``published_*`` below are loops from the published formulas, in the published layout (keys × values).
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_cases import CASES, assert_same, random_inputs, run, start, tokens
from torch.nn import functional as F

from nbhelpers import ops

CASE = {case.name: case for case in CASES}


def same(a, b, tolerance=1e-12):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def differs(a, b):
    assert (a - b).abs().max() > 1e-2


def inputs_for(name, seed=0, **options):
    inputs = random_inputs(CASE[name], seed, **options)
    return tokens(inputs), start(inputs)


def repeated_pair(count, **gates):
    """One unit key and one value, told ``count`` times, and gates that do not change."""
    k = F.normalize(torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64), dim=0)
    v = torch.tensor([1.0, -2.0], dtype=torch.float64)
    keys, values = k.expand(1, 1, count, 3), v.expand(1, 1, count, 2)
    full = {name: torch.full((1, 1, count), g, dtype=torch.float64) for name, g in gates.items()}
    return {"queries": keys, "keys": keys, "values": values, **full}, v


# §12, identity 3 and §10.4.1 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "retention", "learning_rate", "share"),
    [("l2", 1.0, 0.3, 0.5), ("dot", 1.0, 0.3, 1.0), ("l2", 0.9, 0.2, 0.4), ("dot", 0.9, 0.2, 0.2 / 0.3)],
)
def test_identity_3_fixed_points_on_a_repeated_key(objective, retention, learning_rate, share):
    """DGD with L2 stops at half of the value (0.4 at α = 0.9, η = 0.2), with the dot product at η/(1 − α + η) of it."""
    inputs, v = repeated_pair(400, learning_rate=learning_rate, retention=retention)
    for form in (ops.self_modifying, ops.self_modifying_sequential):
        y, _ = form(**inputs, chunk_size=1, objective=objective)
        same(y[0, 0, -1], share * v)


def test_identity_3_the_delta_rule_reaches_the_value():
    inputs, v = repeated_pair(400, write_strength=0.3)
    same(ops.delta_rule(**inputs)[0][0, 0, -1], v)


def test_the_fixed_point_does_not_depend_on_the_chunk_size_at_retention_one():
    """Large steps get there slowly: over a chunk the distance shrinks by 2 (1 − η)^c − 1, which is −0.99 at η = 0.3."""
    inputs, v = repeated_pair(400, learning_rate=0.05, retention=1.0)
    same(ops.self_modifying(**inputs, chunk_size=16)[0][0, 0, -1], 0.5 * v)


def test_one_step_of_dgd_erases_twice():
    """§10.4.1: M_t k = (α − 2η) M_{t-1} k + η v̂ with L2, (α − η) with the dot product."""
    inputs, state = inputs_for("self_modifying-l2", L=1)
    k, v, η, α = (inputs[n][:, :, 0] for n in ("keys", "values", "learning_rate", "retention"))
    held = (state["memory"] @ k[..., None])[..., 0]
    for objective, times in (("l2", 2), ("dot", 1)):
        _, new = ops.self_modifying(**inputs, state=state, chunk_size=1, objective=objective)
        answer = (new["memory"] @ k[..., None])[..., 0]
        same(answer, (α - times * η)[..., None] * held + η[..., None] * v)
        differs(answer, (α - (3 - times) * η)[..., None] * held + η[..., None] * v)


def test_dgd_with_l2_is_the_delta_rule_with_doubled_erase():
    """§10.4.2: at C = 1, α = 1 it is a delta rule of strength 2η towards v̂/2."""
    inputs, state = inputs_for("self_modifying-l2", retention="one", chunk_size=1, rate=0.5)
    y, end = ops.self_modifying(**inputs, state=state, chunk_size=1, read="after")
    delta = {n: inputs[n] for n in ("queries", "keys")} | {"values": inputs["values"] / 2}
    y_delta, end_delta = ops.delta_rule(**delta, write_strength=2 * inputs["learning_rate"], state=state)
    same(y, y_delta)
    same(end["memory"], end_delta["memory"])


def test_dgd_with_the_dot_product_is_the_delta_rule_at_retention_one():
    """§6.6: with the + sign; (92) as printed would learn −v̂."""
    inputs, state = inputs_for("self_modifying-dot", retention="one", rate=0.4)
    y, _ = ops.self_modifying(**inputs, state=state, chunk_size=4, objective="dot", read="after")
    delta = {n: inputs[n] for n in ("queries", "keys", "values")}
    same(y, ops.delta_rule(**delta, write_strength=inputs["learning_rate"], state=state)[0])
    printed = delta | {"values": -inputs["values"]}
    differs(y, ops.delta_rule(**printed, write_strength=inputs["learning_rate"], state=state)[0])


# §12, identity 6 and §10.3 --------------------------------------------------------------------------------------------


def test_identity_6_gated_delta_is_decay_then_delta():
    inputs, state = inputs_for("gated_delta_rule", L=1)
    α, β = inputs.pop("retention"), inputs.pop("write_strength")
    _, gated = ops.gated_delta_rule(**inputs, write_strength=β, retention=α, state=state)
    decayed = ops.matrix_state(α[:, :, 0, None, None] * state["memory"])
    _, delta = ops.delta_rule(**inputs, write_strength=β, state=decayed)
    same(gated["memory"], delta["memory"])
    _, titans = ops.titans(**inputs, learning_rate=β, retention=α, state=state, chunk_size=1)
    differs(gated["memory"], titans["memory"])  # equal gates are another rule


def test_titans_without_momentum_is_gated_delta_after_reparametrisation():
    """§10.3: θ = α β and v' = v / α, one token a chunk; θ = β and v' = v is something else."""
    inputs, state = inputs_for("gated_delta_rule", L=13)
    inputs["retention"] = 0.2 + 0.8 * inputs["retention"]
    α, β = inputs["retention"], inputs["write_strength"]
    y, end = ops.gated_delta_rule(**inputs, state=state)
    titans = {n: inputs[n] for n in ("queries", "keys", "retention")} | {"values": inputs["values"] / α[..., None]}
    y_titans, end_titans = ops.titans(**titans, learning_rate=α * β, state=state, chunk_size=1)
    same(y, y_titans)
    same(end["memory"], end_titans["memory"])
    differs(y, ops.titans(**titans, learning_rate=β, state=state, chunk_size=1)[0])


# §12, identity 7 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["l2", "dot"])
@pytest.mark.parametrize("erase", ["live", "chunk_start"])
def test_identity_7_dual_form_of_one_chunk(objective, erase):
    """The formulas of §6.8 letter by letter, against the op; state, live read after the write, and NL's read."""
    C = 6
    case = CASE[f"self_modifying-{objective}"]
    inputs = random_inputs(case, 3, B=1, H=1, L=C, chunk_size=C)
    K, V, Q = (inputs[n][0, 0] for n in ("keys", "values", "queries"))
    η, α, M0 = inputs["learning_rate"][0, 0], inputs["retention"][0, 0], inputs["memory"][0, 0]
    E = K @ M0.T - V if objective == "l2" else -V
    γ = α.cumprod(0)
    γ_before = torch.cat([torch.ones(1, dtype=γ.dtype), γ[:-1]])
    if erase == "live":
        T = (η[:, None] * γ_before[:, None] / γ[None, :] * (K @ K.T)).tril(-1)
        U = -torch.linalg.inv(torch.eye(C, dtype=γ.dtype) + T) @ (η[:, None] * (γ_before[:, None] * K @ M0.T + E))
    else:
        U = -η[:, None] * (K @ M0.T + E)
    M_C = γ[-1] * M0 + U.T @ ((γ[-1] / γ)[:, None] * K)
    y = γ[:, None] * (Q @ M0.T) + ((γ[:, None] / γ[None, :] * (Q @ K.T)).tril()) @ U
    options = {"chunk_size": C, "objective": objective, "erase": erase}
    for form in (ops.self_modifying, ops.self_modifying_sequential):
        live, end = form(**tokens(inputs), state=start(inputs), read="after", **options)
        same(live[0, 0], y)
        same(end["memory"][0, 0], M_C)
        printed, _ = form(**tokens(inputs), state=start(inputs), read="chunk_start", **options)
        same(printed[0, 0], Q @ M0.T)


# Engine notes 6: stability --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["titans", "l2", "dot"])
@pytest.mark.parametrize("chunk", [1, 2, 16])
@pytest.mark.parametrize(("η", "α"), [(0.05, 1.0), (0.4, 0.95), (0.9, 0.9)])
def test_a_repeated_key_shrinks_by_the_stated_factor(rule, chunk, η, α):
    inputs, _ = repeated_pair(chunk, learning_rate=η, retention=α)
    inputs["values"] = 0 * inputs["values"]
    state = ops.matrix_state(torch.randn(1, 1, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    options = {} if rule == "titans" else {"objective": rule}
    _, end = getattr(ops, "titans" if rule == "titans" else "self_modifying")(
        **inputs, state=state, chunk_size=chunk, **options
    )
    k = inputs["keys"][0, 0, 0]
    same(end["memory"][0, 0] @ k, ops.chunk_factor(rule, η, α, chunk) * (state["memory"][0, 0] @ k))


def test_the_factor_of_the_loss_without_a_half_would_diverge():
    """κ = 1 is stable for 0 ≤ η ≤ α ≤ 1; κ = 2 is not at c = 16, η = 0.2 (engine notes 6)."""
    α = torch.linspace(0.01, 1, 60)
    for chunk in (1, 2, 7, 16, 64):
        for share in torch.linspace(0, 1, 21):
            assert ops.chunk_factor("l2", share * α, α, chunk).abs().max() <= 1 + 1e-12
    r, c, η = 0.8, 16, 0.2
    assert abs(r**c - 2 * η * (1 - r**c) / (1 - r)) > 1


def test_keys_that_turn_through_a_chunk_are_worse_for_l2_than_one_key():
    """2 P − I is not a contraction although P is; for "dot", whose factor is P, it is one."""
    chunk, chunks = 64, 8
    angle = torch.arange(chunks * chunk, dtype=torch.float64) * torch.pi / chunk
    keys = torch.stack([angle.cos(), angle.sin()], -1)[None, None]
    ones = torch.ones(1, 1, chunks * chunk, dtype=torch.float64)
    start = ops.matrix_state(torch.eye(2, dtype=torch.float64)[None, None])
    size = {}
    for objective in ("l2", "dot"):
        options = {"chunk_size": chunk, "objective": objective}
        _, end = ops.self_modifying(None, keys, 0 * keys, ones, ones, None, start, **options)
        size[objective] = end["memory"].norm()
    assert 2.5**chunks < size["l2"] < 3**chunks and size["dot"] < 1


@pytest.mark.parametrize("rule", ["titans", "dot"])
@pytest.mark.parametrize("chunk", [1, 4, 32])
def test_the_largest_rate_is_where_the_factor_reaches_minus_one(rule, chunk):
    for α in (0.3, 0.9, 1.0):
        η = ops.largest_learning_rate(rule, α, chunk)
        assert ops.chunk_factor(rule, η, α, chunk).abs() <= 1 + 1e-12
        assert ops.chunk_factor(rule, 1.05 * η, α, chunk).abs() > 1
    same(ops.largest_learning_rate("titans", 1.0, chunk), torch.tensor(2 / chunk, dtype=torch.float64))


@pytest.mark.parametrize("call", [ops.chunk_factor, ops.largest_learning_rate])
def test_stability_knows_three_rules(call):
    with pytest.raises(ValueError, match="rule is 'adam'; expected one of titans, l2, dot"):
        call("adam", *[0.5] * (2 if call is ops.chunk_factor else 1), 4)


# An MLP memory has no such bound: each of its matrices makes the gradient of the other grow. --------------------------


def mlp_through_chunks(inputs, chunk, **options):
    """The sizes of both matrices at the start and after each chunk: a list of pairs."""
    state, sizes = start(inputs), [(inputs["W1"].norm(), inputs["W2"].norm())]
    for begin in range(0, inputs["keys"].shape[2], chunk):
        piece = tokens(inputs, begin, begin + chunk)
        _, state = ops.self_modifying_mlp(**piece | {"queries": None}, state=state, chunk_size=chunk, **options)
        sizes.append((state["W1"].norm(), state["W2"].norm()))
    return sizes, state


def one_token_for_ever(length, size, η=0.5):
    """Unit key and value that repeat, retention 1, matrices ``size`` times as large as those a layer starts with."""
    inputs = random_inputs(CASE["self_modifying_mlp-l2"], 0, B=1, H=1, L=length, Dk=8, Dh=8)
    for name in ("keys", "values"):
        inputs[name] = F.normalize(inputs[name][:, :, :1], dim=-1).expand(1, 1, length, 8)
    gates = {"learning_rate": torch.full((1, 1, length), η), "retention": torch.ones(1, 1, length)}
    inputs |= {name: gate.double() for name, gate in gates.items()}
    return inputs | {"W1": 0.35 * size * inputs["W1"], "W2": 1.4 * size * inputs["W2"]}


@pytest.mark.parametrize("own_values", [False, True])
def test_two_matrices_drive_each_other_unless_their_gradients_are_bounded(own_values):
    """η = α / 2 is far inside the bound of a matrix, which this same token leaves where it is."""
    inputs = one_token_for_ever(40 * 16, size=3)
    sizes, _ = mlp_through_chunks(inputs, 16, own_values=own_values)
    assert not sizes[-1][0] < 1e6
    sizes, end = mlp_through_chunks(inputs, 16, own_values=own_values, gradient_bound=4.0)
    k = inputs["keys"][0, 0, 0]
    before = (inputs["W2"][0, 0] @ k).norm()
    assert (end["W2"][0, 0] @ k).norm() <= max(before, 4.0) + 1e-9


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_with_bounded_gradients_no_input_makes_an_mlp_memory_grow_faster_than_linearly(data):
    """‖W_t‖ ≤ ‖W_{t-1}‖ + η c for any unit keys, values, matrices, gates 0 ≤ η ≤ α ≤ 1, losses and erases."""
    chunk, bound = data.draw(st.sampled_from([1, 3, 16]), "chunk"), data.draw(st.sampled_from([0.5, 4.0]), "c")
    seed = data.draw(st.integers(0, 10**6), "seed")
    inputs = random_inputs(CASE["self_modifying_mlp-own-l2"], seed, B=1, H=1, L=6 * chunk, Dk=4, Dh=6)
    if data.draw(st.booleans(), "one key"):
        inputs["keys"] = inputs["keys"][:, :, :1].expand_as(inputs["keys"])
    if data.draw(st.booleans(), "retention 1"):
        inputs["retention"] = torch.ones_like(inputs["retention"])
    inputs["learning_rate"] = data.draw(st.floats(0, 1), "η / α") * inputs["retention"]
    for name in ("W1", "W2"):
        inputs[name] = data.draw(st.sampled_from([0.3, 1.0, 10.0, 1000.0]), f"size of {name}") * inputs[name]
    options = {
        "own_values": data.draw(st.booleans(), "own values"),
        "objective": data.draw(st.sampled_from(["l2", "dot"]), "objective"),
        "erase": data.draw(st.sampled_from(["both", "inner", "none"]), "erase"),
    }
    sizes, _ = mlp_through_chunks(inputs, chunk, gradient_bound=bound, **options)
    steps = inputs["learning_rate"].unflatten(2, (-1, chunk)).sum(-1)[0, 0]
    for before, after, η in zip(sizes, sizes[1:], steps, strict=False):
        for W_before, W_after in zip(before, after, strict=True):
            assert W_after <= (W_before + bound * η) * (1 + 1e-9)


def test_the_bound_is_on_the_whole_gradient_for_keys_of_any_length():
    case = CASE["self_modifying_mlp-bounded"]
    inputs = random_inputs(case, 0)
    inputs["keys"] = 3 * inputs["keys"]
    y, _ = run(case.chunked, inputs, chunk_size=4)
    same(y, run(case.sequential, inputs, chunk_size=4)[0])
    differs(y, run(CASE["self_modifying_mlp-own-l2"].chunked, inputs, chunk_size=4)[0])


def test_a_gradient_bound_must_be_positive():
    inputs, state = inputs_for("self_modifying_mlp-l2")
    with pytest.raises(ValueError, match="gradient_bound is 0; expected a positive number"):
        ops.self_modifying_mlp(**inputs, state=state, chunk_size=4, gradient_bound=0)


# Special cases --------------------------------------------------------------------------------------------------------


def test_retention_one_is_the_rule_without_retention():
    inputs, state = inputs_for("gated_delta_rule", retention="one")
    plain = {n: inputs[n] for n in ("queries", "keys", "values")}
    same(
        ops.gated_delta_rule(**inputs, state=state)[0],
        ops.delta_rule(**plain, write_strength=inputs["write_strength"], state=state)[0],
    )
    same(
        ops.mamba2(**plain, retention=inputs["retention"], state=state)[0],
        ops.linear_attention(**plain, state=state)[0],
    )


def test_on_orthonormal_keys_the_delta_rule_of_strength_one_is_linear_attention():
    """Nothing is stored at a key before its only write, so nothing is erased."""
    keys = torch.eye(5, dtype=torch.float64)[None, None]
    queries, values = (torch.randn(1, 1, 5, d, dtype=torch.float64) for d in (5, 3))
    ones = torch.ones(1, 1, 5, dtype=torch.float64)
    same(ops.delta_rule(queries, keys, values, ones)[0], ops.linear_attention(queries, keys, values)[0])


def test_linear_attention_is_the_masked_product():
    inputs, _ = inputs_for("linear_attention", L=23)
    q, k, v = inputs.values()
    for read, diagonal in (("after", 0), ("before", -1)):
        same(ops.linear_attention(q, k, v, chunk_size=5, read=read)[0], (q @ k.mT).tril(diagonal) @ v)


@pytest.mark.parametrize("name", ["titans", "self_modifying-l2", "titans_mlp", "self_modifying_mlp-l2"])
def test_momentum_decay_zero_is_no_momentum(name):
    inputs = random_inputs(CASE[name], 2)
    plain, end = run(CASE[name].chunked, inputs, chunk_size=4)
    zero = {"momentum_decay": torch.zeros_like(inputs["retention"])}
    with_zero, end_zero = run(CASE[name].chunked, inputs | zero, chunk_size=4)
    same(plain, with_zero)
    assert_same({n: end_zero[n] for n in end}, end, 1e-12, 1e-12)


def test_anchored_erase_with_the_dot_product_is_titans():
    """§6.8: with the factor's term at the chunk start too, DGD on the dot product is Titans' L2 step."""
    inputs, state = inputs_for("titans")
    y, _ = ops.self_modifying(**inputs, state=state, chunk_size=4, objective="dot", erase="chunk_start", read="after")
    same(y, ops.titans(**inputs, state=state, chunk_size=4)[0])


def test_titans_with_an_mlp_is_the_self_modifying_rule_without_its_factor():
    inputs, state = inputs_for("titans_mlp+momentum")
    y, _ = ops.titans_mlp(**inputs, state=state, chunk_size=4)
    same(y, ops.self_modifying_mlp(**inputs, state=state, chunk_size=4, erase="none", read="after")[0])
    differs(y, ops.self_modifying_mlp(**inputs, state=state, chunk_size=4, erase="both", read="after")[0])


def test_an_mlp_memory_without_hidden_change_is_a_matrix_memory():
    """σ = identity and a W₂ that no gradient reaches (one token, W₁ = 0) leaves one Titans step on W₁ with key W₂ k."""
    inputs = random_inputs(CASE["titans_mlp"], 4, L=1, chunk_size=1)
    inputs["W1"] = 0 * inputs["W1"]
    _, end = ops.titans_mlp(**tokens(inputs), state=start(inputs), chunk_size=1, activation="identity")
    hidden = inputs["keys"] @ inputs["W2"].mT
    residual = inputs["values"] - inputs["keys"]  # z + … already answers k
    gates = {n: inputs[n] for n in ("learning_rate", "retention")}
    _, matrix = ops.titans(hidden, hidden, residual, **gates, chunk_size=1)
    same(end["W1"], matrix["memory"])
    same(end["W2"], inputs["retention"][:, :, 0, None, None] * inputs["W2"])


# Published formulas in the published layout ---------------------------------------------------------------------------


def published_gated_delta(q, k, v, β, log_α, S):
    """FLA, ``naive_recurrent_gated_delta_rule``: S (Dk × Dv), S ← e^g S, then S += k ⊗ β (v − Sᵀ k)."""
    out = []
    for t in range(q.shape[2]):
        S = S * log_α[:, :, t].exp()[..., None, None]
        pseudo = (v[:, :, t] - (S * k[:, :, t, :, None]).sum(-2)) * β[:, :, t, None]
        S = S + k[:, :, t, :, None] * pseudo[..., None, :]
        out.append(torch.einsum("bhk,bhkv->bhv", q[:, :, t], S))
    return torch.stack(out, 2), S


def published_titans(q, k, v, θ, forget, η, S, M):
    """Titans (13)–(14) in the paper's letters: η momentum, θ rate, ``forget`` = 1 − retention; loss ½‖·‖²."""
    out = []
    for t in range(q.shape[2]):
        gradient = torch.einsum("bhk,bhv->bhkv", k[:, :, t], torch.einsum("bhkv,bhk->bhv", M, k[:, :, t]) - v[:, :, t])
        S = η[:, :, t, None, None] * S - θ[:, :, t, None, None] * gradient
        M = (1 - forget[:, :, t, None, None]) * M + S
        out.append(torch.einsum("bhk,bhkv->bhv", q[:, :, t], M))
    return torch.stack(out, 2), M


def test_against_the_published_gated_delta_rule():
    inputs, state = inputs_for("gated_delta_rule", L=29, Dk=4, Dv=4)
    y, end = ops.gated_delta_rule(**inputs, state=state, chunk_size=8)
    q, k, v, β, α = (inputs[n] for n in ("queries", "keys", "values", "write_strength", "retention"))
    expected, S = published_gated_delta(q, k, v, β, α.log(), state["memory"].mT)
    same(y, expected)
    same(end["memory"].mT, S)
    differs(y, published_gated_delta(q, k, v, β, α.log(), state["memory"])[0])  # the other layout is not silent here


def test_against_the_published_titans():
    inputs, state = inputs_for("titans+momentum", L=29, chunk_size=1, rate=0.2)
    y, end = ops.titans(**inputs, state=state, chunk_size=1)
    q, k, v, η, α, μ = inputs.values()
    M = state["memory"].mT
    expected, M = published_titans(q, k, v, η, 1 - α, μ, torch.zeros_like(M), M)
    same(y, expected)
    same(end["memory"].mT, M)


def test_against_the_published_delta_rule():
    inputs, state = inputs_for("delta_rule", L=29)
    y, _ = ops.delta_rule(**inputs, state=state, chunk_size=8)
    q, k, v, β = inputs.values()
    same(y, published_gated_delta(q, k, v, β, torch.zeros_like(β), state["memory"].mT)[0])
