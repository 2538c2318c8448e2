"""Every mixer holds every property of ``check_mixer``; a mixer that breaks one is told which."""

from __future__ import annotations

import pytest
import torch

from nbhelpers import ops
from nbhelpers.layers import (
    Attention,
    DeltaNet,
    GatedDeltaNet,
    LinearAttention,
    Mamba2,
    MemoryAsContext,
    MemoryAsGate,
    MemoryAsLayer,
    SelfModifyingTitans,
    Titans,
)
from nbhelpers.testing import PropertyFailed, check_mixer, check_rule

SIZE = (16, 2, 4)  # width, heads, chunk

MIXERS = {
    "attention": lambda: Attention(*SIZE),
    "attention-window": lambda: Attention(*SIZE, window=5),
    "attention-persistent": lambda: Attention(*SIZE, persistent=3),
    "mac": lambda: MemoryAsContext(*SIZE, persistent=2),
    "mag": lambda: MemoryAsGate(*SIZE, window=5, persistent=2, memory="matrix"),
    "mal": lambda: MemoryAsLayer(*SIZE, window=5, persistent=2),
    "linear": lambda: LinearAttention(*SIZE),
    "mamba2": lambda: Mamba2(*SIZE),
    "delta": lambda: DeltaNet(*SIZE),
    "gated-delta": lambda: GatedDeltaNet(*SIZE),
    "titans-matrix": lambda: Titans(*SIZE),
    "titans-matrix-plain": lambda: Titans(*SIZE, momentum=False),
    "titans-mlp": lambda: Titans(*SIZE, memory="mlp"),
    "hope-mlp": lambda: SelfModifyingTitans(*SIZE),
    "hope-mlp-momentum": lambda: SelfModifyingTitans(*SIZE, momentum=True),
    "hope-mlp-query": lambda: SelfModifyingTitans(*SIZE, adaptive=("key", "value", "query")),
    "hope-mlp-none": lambda: SelfModifyingTitans(*SIZE, erase="none", read="after"),
    "hope-mlp-off": lambda: SelfModifyingTitans(*SIZE, adaptive=(), own_values=False),
    "hope-matrix": lambda: SelfModifyingTitans(*SIZE, memory="matrix"),
    "hope-matrix-dot": lambda: SelfModifyingTitans(*SIZE, memory="matrix", objective="dot"),
    "hope-matrix-momentum": lambda: SelfModifyingTitans(*SIZE, memory="matrix", momentum=True, read="chunk_start"),
}


@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_holds_the_contract(name):
    assert len(check_mixer(MIXERS[name])) == 12


class Shared(GatedDeltaNet):
    def mix(self, x, state, record=None):
        y, state = super().mix(x, state, record)
        return y + y.mean(0, keepdim=True), state


class Acausal(GatedDeltaNet):
    def mix(self, x, state, record=None):
        y, state = super().mix(x, state, record)
        return y + y.mean(1, keepdim=True), state


class LosesItsTail(GatedDeltaNet):
    def mix(self, x, state, record=None):
        y, state = super().mix(x, state, record)
        return y, state | {"tail": torch.zeros_like(state["tail"])}


class Unlearned(GatedDeltaNet):
    def initial_memory(self, batch):
        return {name: tensor.detach() for name, tensor in super().initial_memory(batch).items()}


class TrainsOtherwise(GatedDeltaNet):
    def mix(self, x, state, record=None):
        return super().mix(x.clamp(-1, 1) if self.training else x, state, record)


class Grows(GatedDeltaNet):
    def mix(self, x, state, record=None):
        y, new = super().mix(x, state, record)
        return y, new | {"all": torch.cat([state["all"], x], 1)}

    def initial_state(self, batch, position=0):
        return super().initial_state(batch, position) | {"all": self.out.weight.new_zeros(batch, 0, self.width)}


class Explodes(Titans):
    def rule(self, q, k, v, raw, state, record):
        raw = raw | {"learning_rate": raw["learning_rate"] * 0}
        return ops.titans(
            q, k, v, raw["learning_rate"] + 1.5, raw["retention"] * 0 + 1, None, state, chunk_size=self.chunk_size
        )


class ForgetsTheMask(GatedDeltaNet):
    def _masked(self, x, state, reset, padding, truncate):
        return self.mix(x, state)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (Shared, "rows"),
        (Acausal, "pieces"),
        (LosesItsTail, "pieces"),
        (Unlearned, "gradients"),
        (TrainsOtherwise, "modes"),
        (Grows, "constant_state"),
        (lambda *size: Explodes(*size, momentum=False), "finite"),
        (ForgetsTheMask, "reset"),
    ],
)
def test_a_broken_mixer_is_told_what_is_wrong(broken, named):
    without = {"finite": ("gradients",), "constant_state": ("reset", "padding")}.get(named, ())
    with pytest.raises(PropertyFailed, match=f"^{named}: "):
        check_mixer(lambda: broken(*SIZE), without=without)


def test_an_acausal_mixer_is_told_so():
    with pytest.raises(PropertyFailed, match="^causal: "):
        check_mixer(lambda: Acausal(*SIZE), without=("pieces",))


def test_padding_alone_is_looked_at():
    with pytest.raises(PropertyFailed, match="^padding: "):
        check_mixer(lambda: ForgetsTheMask(*SIZE), without=("reset",))


RULES = ("linear_attention", "mamba2", "delta_rule", "gated_delta_rule", "titans", "self_modifying")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_holds_its_properties(name):
    held = check_rule(getattr(ops, name), getattr(ops, f"{name}_sequential"))
    assert held == ["definition", "gradients", "pieces", "causal", "rows"]


def acausal(queries, keys, values, state=None, *, chunk_size):
    memory = state["memory"] + values.mT @ keys
    return queries @ memory.mT, {**state, "memory": memory}


@pytest.mark.parametrize(
    ("op", "loop", "named"),
    [
        (ops.titans, ops.self_modifying_sequential, "definition"),
        (acausal, None, "causal"),
    ],
)
def test_a_wrong_rule_is_told_what_is_wrong(op, loop, named):
    without = () if loop else ("pieces",)
    with pytest.raises(PropertyFailed, match=f"^{named}: "):
        check_rule(op, loop, without=without)


def test_bad_calls_say_what_was_expected():
    mixer = GatedDeltaNet(*SIZE)
    with pytest.raises(ValueError, match=r"x is \(1, 2, 3\); expected \(B, L, 16\)"):
        mixer(torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match="reset is .* expected"):
        mixer(torch.zeros(1, 2, 16), reset=torch.zeros(1, 2))
    with pytest.raises(ValueError, match="heads must divide"):
        GatedDeltaNet(16, 3)
    with pytest.raises(ValueError, match="memory is 'matirx'"):
        Titans(16, 2, memory="matirx")
    with pytest.raises(ValueError, match="adaptive names kye"):
        SelfModifyingTitans(16, 2, adaptive=("kye",))
    with pytest.raises(ValueError, match="without names nonsense"):
        check_mixer(lambda: mixer, without=("nonsense",))
