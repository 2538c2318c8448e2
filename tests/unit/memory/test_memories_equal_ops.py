"""Each instance, told one token after the other, gives the numbers of its op: outputs, memory, and outer gradients."""

import pytest
import torch
from torch.nn import functional as F

from nbhelpers import ops
from nbhelpers.memory import MatrixMemory, ResidualMLP, dot_product, instances, squared_error

B, L, DK, DV, DH = 2, 11, 3, 3, 4


def inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    gates = {
        name: high * torch.rand(B, L, dtype=torch.float64, generator=generator)
        for name, high in (("learning_rate", 0.5), ("retention", 1.0), ("momentum_decay", 0.9))
    }
    return normal(B, L, DK), F.normalize(normal(B, L, DK), dim=-1), normal(B, L, DV), gates, normal(B, DV, DK)


MATRIX = {
    "linear_attention": (instances.linear_attention(DK, DV), ops.linear_attention, (), {}),
    "delta_rule": (instances.delta_rule(DK, DV), ops.delta_rule, ("learning_rate",), {}),
    "gated_delta_rule": (instances.gated_delta_rule(DK, DV), ops.gated_delta_rule, ("learning_rate", "retention"), {}),
    "ttt": (
        instances.ttt(MatrixMemory(DK, DV), chunk_size=4),
        lambda q, k, v, η, **options: ops.titans(q, k, v, η, torch.ones_like(η), chunk_size=4, **options),
        ("learning_rate",),
        {},
    ),
    "titans": (
        instances.titans(MatrixMemory(DK, DV), chunk_size=4),
        ops.titans,
        ("learning_rate", "retention", "momentum_decay"),
        {"chunk_size": 4},
    ),
    "dgd": (
        instances.dgd(MatrixMemory(DK, DV), exact=False),
        lambda q, k, v, η, **options: ops.self_modifying(q, k, v, η, torch.ones_like(η), chunk_size=1, **options),
        ("learning_rate",),
        {},
    ),
    "self_modifying l2": (
        instances.self_modifying(MatrixMemory(DK, DV), chunk_size=4),
        ops.self_modifying,
        ("learning_rate", "retention"),
        {"chunk_size": 4},
    ),
    "self_modifying dot": (
        instances.self_modifying(MatrixMemory(DK, DV), dot_product, with_momentum=True, chunk_size=4),
        ops.self_modifying,
        ("learning_rate", "retention", "momentum_decay"),
        {"chunk_size": 4, "objective": "dot"},
    ),
}
MLP = {
    "ttt": (
        instances.ttt(ResidualMLP(DK, DH), chunk_size=4),
        lambda q, k, v, η, **options: ops.titans_mlp(q, k, v, η, torch.ones_like(η), chunk_size=4, **options),
        ("learning_rate",),
        {},
    ),
    "titans": (
        instances.titans(ResidualMLP(DK, DH), chunk_size=4),
        ops.titans_mlp,
        ("learning_rate", "retention", "momentum_decay"),
        {"chunk_size": 4},
    ),
    "self_modifying": (
        instances.self_modifying(ResidualMLP(DK, DH), with_momentum=True, chunk_size=4),
        ops.self_modifying_mlp,
        ("learning_rate", "retention", "momentum_decay"),
        {"chunk_size": 4},
    ),
}


def told(memory, parameters, q, k, v, gates, names, read):
    """The loop that a chapter writes: read before or after telling."""
    held, answers = memory.start(parameters), []
    for t in range(L):
        if read == "before":
            answers.append(memory.read(held, q[:, t]))
        held = memory.write(held, k[:, t], v[:, t], **{name: gates[name][:, t] for name in names})
        if read == "after":
            answers.append(memory.read(held, q[:, t]))
    return torch.stack(answers, 1), held


def compare(memory, op, names, options, parameters, state_of, read):
    q, k, v, gates, _ = inputs()
    gates = {name: gate.clone().requires_grad_() for name, gate in gates.items()}
    parameters = {name: x.clone().requires_grad_() for name, x in parameters.items()}
    leaves = [x.requires_grad_() for x in (q, k, v)] + [gates[name] for name in names] + list(parameters.values())

    answers, held = told(memory, parameters, q, k, v, gates, names, read)
    heads = [x[:, None] for x in (q, k, v, *(gates[name] for name in names))]
    y, state = op(*heads, state=state_of({n: x[:, None] for n, x in parameters.items()}), read=read, **options)

    torch.testing.assert_close(answers, y[:, 0], rtol=1e-12, atol=1e-12)
    pairs = {"M": "memory"} if "M" in held.memory else {"W1": "W1", "W2": "W2"}
    for mine, theirs in pairs.items():
        torch.testing.assert_close(held.memory[mine], state[theirs][:, 0], rtol=1e-12, atol=1e-12)
    of_memory, of_op = (torch.autograd.grad(x.sin().sum(), leaves, retain_graph=True) for x in (answers, y))
    for a, b in zip(of_memory, of_op, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
        assert b.abs().max() > 1e-8


@pytest.mark.parametrize("read", ["before", "after"])
@pytest.mark.parametrize("name", MATRIX)
def test_a_matrix_memory_told_token_by_token_is_its_op(name, read):
    memory, op, names, options = MATRIX[name]
    compare(memory, op, names, options, {"M": inputs()[-1]}, lambda W: ops.matrix_state(W["M"]), read)


@pytest.mark.parametrize("read", ["before", "after"])
@pytest.mark.parametrize("name", MLP)
def test_an_mlp_memory_told_token_by_token_is_its_op(name, read):
    memory, op, names, options = MLP[name]
    generator = torch.Generator().manual_seed(1)
    parameters = {n: W.expand(B, *W.shape) for n, W in memory.memory.start(generator, torch.float64).items()}
    compare(memory, op, names, options, parameters, lambda W: ops.mlp_state(W["W1"], W["W2"]), read)


def test_equal_gates_do_not_make_titans_the_gated_delta_rule():
    """§10.3, and the re-parametrisation that does: θ = α β, v' = v / α."""
    q, k, v, gates, M = inputs()
    gated, titans = instances.gated_delta_rule(DK, DV), instances.titans(MatrixMemory(DK, DV), momentum_decay=0.0)
    names = ("learning_rate", "retention")
    expected, _ = told(gated, {"M": M}, q, k, v, gates, names, "after")
    equal_gates, _ = told(titans, {"M": M}, q, k, v, gates, names, "after")
    assert (equal_gates - expected).abs().max() > 1e-2
    changed = gates | {"learning_rate": gates["learning_rate"] * gates["retention"]}
    same, _ = told(titans, {"M": M}, q, k, v / gates["retention"][..., None], changed, names, "after")
    torch.testing.assert_close(same, expected, rtol=1e-11, atol=1e-11)


def test_dgd_on_the_dot_product_is_the_delta_rule():
    q, k, v, gates, M = inputs()
    explicit = instances.dgd(MatrixMemory(DK, DV), dot_product, exact=False)
    delta = instances.delta_rule(DK, DV)
    one, other = (told(m, {"M": M}, q, k, v, gates, ("learning_rate",), "after")[0] for m in (explicit, delta))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    on_l2 = instances.dgd(MatrixMemory(DK, DV), squared_error, exact=False)
    assert (told(on_l2, {"M": M}, q, k, v, gates, ("learning_rate",), "after")[0] - other).abs().max() > 1e-2
