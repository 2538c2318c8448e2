"""What a trace tells, and in which type a state is kept."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nbhelpers.layers import (
    Attention,
    DeltaNet,
    GatedDeltaNet,
    LinearAttention,
    Mamba2,
    SelfModifyingTitans,
    Titans,
    trace,
)

SIZE = (16, 2, 4)
RECURRENT = {
    "linear": (LinearAttention, {}, set()),
    "mamba2": (Mamba2, {}, {"step", "retention"}),
    "delta": (DeltaNet, {}, {"write_strength", "surprise"}),
    "gated-delta": (GatedDeltaNet, {}, {"write_strength", "retention", "surprise"}),
    "titans": (Titans, {}, {"learning_rate", "retention", "momentum_decay", "surprise"}),
    "titans-mlp": (Titans, {"memory": "mlp", "momentum": False}, {"learning_rate", "retention", "surprise"}),
    "hope": (SelfModifyingTitans, {}, {"learning_rate", "retention", "surprise"}),
    "hope-matrix": (SelfModifyingTitans, {"memory": "matrix"}, {"learning_rate", "retention", "surprise"}),
}


def inputs(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("name", RECURRENT)
def test_a_trace_reads_what_the_mixer_reads(name):
    torch.manual_seed(0)
    kind, options, gates = RECURRENT[name]
    mixer, x = kind(*SIZE, **options).double(), inputs(2, 11, 16)
    y, state, found = trace(mixer, x)
    expected, end = mixer(x)
    torch.testing.assert_close(y, expected)
    for entry in end:
        torch.testing.assert_close(state[entry], end[entry], msg=entry)
    changes = {entry for entry in found if entry.startswith("change.")}
    assert set(found) - changes == gates
    assert all(found[gate].shape == (2, 2, 11) for gate in gates)
    assert changes and all(found[entry].shape == (2, 11) and (found[entry] > 0).all() for entry in changes)


def test_the_surprise_and_the_change_of_a_delta_rule_are_its_own():
    """‖M_t − M_{t-1}‖ = β ‖M k − v‖ for keys of length 1."""
    torch.manual_seed(0)
    _, _, found = trace(DeltaNet(16, 1, 4).double(), inputs(2, 9, 16))
    torch.testing.assert_close(found["change.memory"], (found["write_strength"] * found["surprise"])[:, 0])


@pytest.mark.parametrize("memory", ["matrix", "mlp"])
def test_the_surprise_of_hope_is_measured_at_the_chunk_start(memory):
    """Told the same token again and again, the surprise changes at chunk boundaries only."""
    torch.manual_seed(0)
    mixer = SelfModifyingTitans(*SIZE, window=1, memory=memory).double()
    _, _, found = trace(mixer, inputs(1, 1, 16).expand(1, 12, 16))
    chunks = found["surprise"].unflatten(-1, (3, 4))
    torch.testing.assert_close(chunks, chunks[..., :1].expand_as(chunks))
    assert (chunks[..., 0].diff(dim=-1).abs() > 1e-6).all()


def test_attention_has_nothing_to_trace():
    y, _, found = trace(Attention(*SIZE).double(), inputs(1, 5, 16))
    assert y.shape == (1, 5, 16) and found == {}


@pytest.mark.parametrize("name", RECURRENT)
def test_under_autocast_the_inner_state_is_float32(name):
    torch.manual_seed(0)
    kind, options, _ = RECURRENT[name]
    mixer, x = kind(*SIZE, **options), inputs(2, 11, 16).float()
    expected, _ = mixer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = mixer(x)
        y, state = mixer(x, state)
    for entry in mixer.memory_names:
        assert entry not in state or state[entry].dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = mixer(x)
    assert F.mse_loss(y.float(), expected) < 0.02 * expected.var()
