"""Mixers against their formulas written out, and the cases in which one mixer is another."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nbhelpers import ops
from nbhelpers.layers import (
    ContinuumMemory,
    DeltaNet,
    GatedDeltaNet,
    GatedMLP,
    LevelSpec,
    LinearAttention,
    Mamba2,
    SelfModifyingTitans,
    ShortConvolution,
    Titans,
    gates,
)


def randomise(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return module


def inputs(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", [LinearAttention, Mamba2, DeltaNet, GatedDeltaNet, Titans])
def test_a_mixer_is_its_loop(kind, monkeypatch):
    mixer = randomise(kind(16, 2, 4).double())
    x = inputs(2, 14, 16)
    fast, _ = mixer(x)
    for name in ("linear_attention", "mamba2", "delta_rule", "gated_delta_rule", "titans"):
        monkeypatch.setattr(ops, name, getattr(ops, f"{name}_sequential"))
    slow, _ = mixer(x)
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)


def test_the_convolution_is_torch_s():
    convolution = ShortConvolution(5, 4).double()
    x = inputs(2, 9, 5)
    y, tail = convolution(x, convolution.initial_tail(2, x))
    expected = F.conv1d(F.pad(x.mT, (3, 0)), convolution.weight.mT[:, None], groups=5).mT
    torch.testing.assert_close(y, expected)
    assert torch.equal(tail, x[:, -3:])


def self_modifying_by_hand(layer, x, chunk):
    """Paper-facts §6.3–§6.7 for matrix memories and one head, token by token."""
    D = layer.head_width
    projected, _ = layer.convolution(layer.inputs(x), layer.convolution.initial_tail(1, x))
    address, q = F.silu(projected)[0].chunk(2, -1)
    address = F.rms_norm(address, (D,))
    live = dict(zip(layer.written, layer.written_memory[0].split(D), strict=True))
    outputs = []
    for t in range(x.shape[1]):
        if t % chunk == 0:
            start = dict(live)
        k, v = (F.normalize(start[name] @ address[t], dim=-1) for name in ("key", "value"))
        α = torch.sigmoid(
            -(layer.retention_readout[0, 0] @ (start["retention"] @ address[t]) + layer.retention_bias[0])
        )
        η = α * torch.sigmoid(layer.rate_readout[0, 0] @ (start["learning_rate"] @ address[t]) + layer.rate_bias[0])
        outputs.append(live["main"] @ F.normalize(q[t], dim=-1))
        for name, M in live.items():
            own_target = start[name] @ v
            error = start[name] @ k - own_target
            live[name] = M @ (α * torch.eye(D) - η * torch.outer(k, k)) - η * torch.outer(error, k)
    y = layer.norm(torch.stack(outputs)) * F.silu(layer.output_gate(x[0]))
    return layer.out(y)[None], torch.cat([live[name] for name in layer.written])


@pytest.mark.parametrize("chunk", [1, 4])
def test_self_modifying_titans_is_the_paper_s_rule(chunk):
    layer = randomise(SelfModifyingTitans(8, 1, chunk, memory="matrix").double())
    x = inputs(1, 11, 8)
    y, state = layer(x)
    expected, memory = self_modifying_by_hand(layer, x, chunk)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state["memory"][0, 0], memory, rtol=1e-10, atol=1e-10)


def test_with_self_modification_off_it_is_titans():
    """Static projections, targets v, no erasing factor, momentum, read after the write: Titans' rule for its k, v."""
    options = {"adaptive": (), "own_values": False, "erase": "none", "momentum": True, "read": "after"}
    layer = randomise(SelfModifyingTitans(16, 2, 4, **options).double())
    x = inputs(2, 13, 16)
    y, state = layer(x)

    projected, _ = layer.convolution(layer.inputs(x), layer.convolution.initial_tail(2, x))
    address, q = (part.unflatten(-1, (2, 8)).transpose(1, 2) for part in F.silu(projected).chunk(2, -1))
    address = F.rms_norm(address, (8,))
    made = ops.mlp_recall(layer.fixed_W1[None], layer.fixed_W2[None], address.unsqueeze(2))
    made = dict(zip(layer.fixed, made.unbind(2), strict=True))
    α = gates.retention((made["retention"] * layer.retention_readout).sum(-1) + layer.retention_bias)
    μ = gates.momentum_decay(layer.momentum_gate(x).transpose(1, 2))
    raw = (made["learning_rate"] * layer.rate_readout).sum(-1) + layer.rate_bias
    η = gates.learning_rate(raw, α, μ, 4)
    start = ops.mlp_state(*(W[:, 0].expand(2, -1, -1, -1) for W in (layer.written_W1, layer.written_W2)))
    k, v = gates.unit(made["key"]), gates.unit(made["value"])
    rule = {"chunk_size": 4, "gradient_bound": gates.GRADIENT_BOUND}
    read, end = ops.titans_mlp_sequential(gates.unit(q), k, v, η, α, μ, start, **rule)
    expected = layer.out((layer.norm(read).transpose(1, 2).flatten(2)) * F.silu(layer.output_gate(x)))
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state["W1"][:, :, 0], end["W1"], rtol=1e-10, atol=1e-10)


LOUD = {
    "hope": lambda **options: SelfModifyingTitans(16, 2, 16, **options),
    "hope-inner": lambda **options: SelfModifyingTitans(16, 2, 16, erase="inner", **options),
    "hope-values": lambda **options: SelfModifyingTitans(16, 2, 16, own_values=False, **options),
    "hope-momentum": lambda **options: SelfModifyingTitans(16, 2, 16, momentum=True, **options),
    "titans": lambda **options: Titans(16, 2, 16, memory="mlp", **options),
}


def largest_memory(mixer, seed):
    """The largest entry that a memory ever has while 320 tokens are read; NaN counts as infinity. The memory starts
    four times as large as in a new layer, and rates are near their upper end."""
    with torch.no_grad():
        for name, p in mixer.named_parameters():
            if name.endswith(("W1", "W2")):
                p *= 4
            elif name == "rate_bias":
                p.fill_(3.0)
        state, largest = None, []
        for piece in inputs(1, 320, 16, seed=seed).split(mixer.chunk_size, 1):
            _, state = mixer(piece, state)
            largest += [state[name].abs().max().nan_to_num(nan=float("inf")) for name in ("W1", "W2")]
    return max(largest)


@pytest.mark.parametrize("name", LOUD)
def test_an_mlp_memory_stays_small_whatever_its_weights_became(name):
    """As after a few steps of training at a high rate; without the bound on gradients some memory leaves all bounds."""

    def largest(**options):
        found = []
        for seed in range(3):
            torch.manual_seed(seed)
            found.append(largest_memory(LOUD[name](**options).double(), seed))
        return max(found)

    assert largest() < 100
    assert largest(gradient_bound=float("inf")) > 1e6


def test_titans_without_momentum_is_the_gated_delta_rule_after_a_change_of_gates():
    """Paper-facts §10.3: θ = α β and v' = v / α, token by token; with equal gates the two differ."""
    q, k, v = (inputs(1, 2, 9, 4, seed=s) for s in (1, 2, 3))
    k = gates.unit(k)
    α, β = (0.5 + 0.4 * torch.sigmoid(inputs(1, 2, 9, seed=s)) for s in (4, 5))
    gated, _ = ops.gated_delta_rule(q, k, v, β, α, chunk_size=3)
    titans, _ = ops.titans(q, k, v / α[..., None], α * β, α, chunk_size=1)
    torch.testing.assert_close(titans, gated, rtol=1e-10, atol=1e-10)
    equal_gates, _ = ops.titans(q, k, v, β, α, chunk_size=1)
    assert (equal_gates - gated).abs().max() > 0.01


def test_a_cms_with_one_level_is_a_transformer_s_mlp():
    cms = randomise(ContinuumMemory(8, (LevelSpec(12, float("inf")),)).double())
    x = inputs(2, 5, 8)
    y, state = cms(x)
    torch.testing.assert_close(y, x + cms.blocks[0](cms.norms[0](x)))
    assert state == {} and cms.parameter_groups()[0]["period_steps"] == float("inf")


def test_the_wirings_of_a_cms():
    levels = (LevelSpec(6), LevelSpec(6, 4))
    chain, sum_ = (randomise(ContinuumMemory(8, levels, v).double()) for v in ("sequential", "independent"))
    x = inputs(2, 5, 8)
    first = x + chain.blocks[0](chain.norms[0](x))
    torch.testing.assert_close(chain(x)[0], first + chain.blocks[1](chain.norms[1](first)))
    parts = [w * block(norm(x)) for w, norm, block in zip(sum_.mix, sum_.norms, sum_.blocks, strict=True)]
    torch.testing.assert_close(sum_(x)[0], x + parts[0] + parts[1])
    groups = sum_.parameter_groups()
    assert sorted(id(p) for g in groups for p in g["params"]) == sorted(map(id, sum_.parameters()))


def test_a_block_with_a_change_is_the_block_with_changed_weights():
    block = GatedMLP(4, 6).double()
    delta = {name: inputs(2, *getattr(block, name).shape, seed=i) for i, name in enumerate(("gate", "up", "down"))}
    x = inputs(2, 5, 4)
    y = block(x, delta)
    with torch.no_grad():
        for name in delta:
            getattr(block, name).add_(delta[name][1])
    torch.testing.assert_close(y[1], block(x)[1])


def test_stacked_levels_start_from_the_given_blocks():
    donor = randomise(ContinuumMemory(8, (LevelSpec(6), LevelSpec(6))).double())
    levels = (LevelSpec(6, period_tokens=4, learning_rate=0.1), LevelSpec(6))
    stacked = ContinuumMemory.stack(list(donor.blocks), list(donor.norms), levels).double()
    x = inputs(2, 5, 8)
    torch.testing.assert_close(stacked(x, stacked.initial_state(2))[0], donor(x)[0], rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="2 MLPs, 2 norms and 1 levels"):
        ContinuumMemory.stack(list(donor.blocks), list(donor.norms), levels[:1])


@pytest.mark.parametrize(
    ("levels", "variant", "message"),
    [
        ((LevelSpec(4, 8), LevelSpec(4, 2)), "sequential", "from fast to slow"),
        ((LevelSpec(4),), "chain", "variant is 'chain'"),
        ((), "sequential", "at least one level"),
    ],
)
def test_a_cms_that_cannot_be_is_refused(levels, variant, message):
    with pytest.raises(ValueError, match=message):
        ContinuumMemory(8, levels, variant)


def test_a_level_has_one_clock():
    with pytest.raises(ValueError, match="one clock"):
        LevelSpec(4, period_steps=2, period_tokens=8)
    with pytest.raises(ValueError, match="period_tokens is 0"):
        LevelSpec(4, period_tokens=0)
