"""Every op of the floor as a case that the tests can run: its gates, options, random inputs and rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch.nn import functional as F

from nbhelpers import ops

# The rates go up to the bound of the chunk size in use. An MLP memory has no such bound; its share is kept small.
RATE, BETA, KEEP, MOMENTUM = "learning_rate", "write_strength", "retention", "momentum_decay"


@dataclass(frozen=True)
class Case:
    name: str
    op: str
    gates: tuple[str, ...]
    options: dict = field(default_factory=dict)
    mlp: bool = False
    bound: str = "titans"

    def __str__(self):
        return self.name

    @property
    def own_values(self):
        return self.options.get("own_values", False)

    def sequential(self, *args, **kwargs):
        return getattr(ops, self.op + "_sequential")(*args, **kwargs, **self.options)

    def chunked(self, *args, **kwargs):
        return getattr(ops, self.op)(*args, **kwargs, **self.options)


def _cases():
    yield Case("linear_attention", "linear_attention", ())
    yield Case("mamba2", "mamba2", (KEEP,))
    yield Case("delta_rule", "delta_rule", (BETA,))
    yield Case("gated_delta_rule", "gated_delta_rule", (BETA, KEEP))
    for with_momentum in ((), (MOMENTUM,)):
        gates, tail = (RATE, KEEP, *with_momentum), "+momentum" if with_momentum else ""
        yield Case(f"titans{tail}", "titans", gates)
        yield Case(f"titans_mlp{tail}", "titans_mlp", gates, mlp=True)
        for objective in ("l2", "dot"):
            options = {"objective": objective}
            yield Case(f"self_modifying-{objective}{tail}", "self_modifying", gates, options, bound=objective)
            yield Case(
                f"self_modifying_mlp-{objective}{tail}", "self_modifying_mlp", gates, options, mlp=True, bound=objective
            )
        yield Case(f"self_modifying-anchored{tail}", "self_modifying", gates, {"erase": "chunk_start"})
        for objective in ("l2", "dot"):
            options = {"objective": objective, "own_values": True}
            yield Case(f"self_modifying-own-{objective}{tail}", "self_modifying", gates, options, bound=objective)
            yield Case(
                f"self_modifying_mlp-own-{objective}{tail}", "self_modifying_mlp", gates, options, mlp=True,
                bound=objective,
            )  # fmt: skip
        yield Case(
            f"self_modifying-own-anchored{tail}", "self_modifying", gates, {"erase": "chunk_start", "own_values": True}
        )
        yield Case(f"self_modifying_mlp-inner{tail}", "self_modifying_mlp", gates, {"erase": "inner"}, mlp=True)
        bounded = {"gradient_bound": 0.2}
        yield Case(f"titans_mlp-bounded{tail}", "titans_mlp", gates, bounded, mlp=True)
        yield Case(
            f"self_modifying_mlp-bounded{tail}", "self_modifying_mlp", gates, bounded | {"own_values": True}, mlp=True
        )
    yield Case("self_modifying_mlp-silu", "self_modifying_mlp", (RATE, KEEP), {"activation": "silu"}, mlp=True)
    yield Case("titans_mlp-tanh", "titans_mlp", (RATE, KEEP), {"activation": "tanh"}, mlp=True)


CASES = list(_cases())
MATRIX = [case for case in CASES if not case.mlp]
MLP = [case for case in CASES if case.mlp]
ONE_EACH = [case for case in CASES if "-" not in case.name or case.name == "self_modifying-l2+momentum"] + [
    case for case in CASES if case.name == "self_modifying_mlp-l2+momentum"
]


def random_gates(case, B, H, L, chunk_size, generator, *, retention="random", rate=1.0):
    """Gates of a case. ``retention``: random, one, zero, tiny, or mixed; ``rate`` is the share of the bound."""

    def uniform(low=0.0, high=1.0):
        return low + (high - low) * torch.rand(B, H, L, dtype=torch.float64, generator=generator)

    α = {
        "random": uniform(),
        "high": uniform(0.98, 1.0),
        "one": torch.ones(B, H, L, dtype=torch.float64),
        "zero": torch.zeros(B, H, L, dtype=torch.float64),
        "tiny": 10 ** uniform(-14, -6),
        "mixed": torch.where(uniform() < 0.3, 10 ** uniform(-14, -6), torch.where(uniform() < 0.5, 1.0, uniform())),
    }[retention]
    η = rate * uniform(0.5, 1.0) * ops.largest_learning_rate(case.bound, α, chunk_size)
    gates = {KEEP: α, BETA: 2 * rate * uniform(0.5, 1.0), MOMENTUM: 0.9 * uniform(), RATE: 0.3 * η if case.mlp else η}
    return {name: gates[name] for name in case.gates}


def random_inputs(case, seed, *, B=2, H=2, L=11, Dk=3, Dv=4, Dh=5, chunk_size=4, retention="random", rate=1.0):
    """queries, keys, values, gates and initial memory as one dict of float64 tensors, unit keys.

    Values that a memory is asked for its own targets are units, too, else its answers would feed on themselves.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    Dv = Dk if case.mlp else Dv
    inputs = {
        "queries": normal(B, H, L, Dk),
        "keys": F.normalize(normal(B, H, L, Dk), dim=-1),
        "values": F.normalize(normal(B, H, L, Dk), dim=-1) if case.own_values else normal(B, H, L, Dv),
        **random_gates(case, B, H, L, chunk_size, generator, retention=retention, rate=rate),
    }
    if case.mlp:
        return inputs | {"W1": 0.5 * normal(B, H, Dk, Dh), "W2": 0.5 * normal(B, H, Dh, Dk)}
    return inputs | {"memory": normal(B, H, Dv, Dk)}


def start(inputs):
    """The state that the initial memory among ``inputs`` stands for."""
    if "W1" in inputs:
        return ops.mlp_state(inputs["W1"], inputs["W2"])
    return ops.matrix_state(inputs["memory"])


def tokens(inputs, begin=None, end=None):
    """What goes in for tokens begin … end, as keyword arguments."""
    return {name: x[:, :, begin:end] for name, x in inputs.items() if name not in ("memory", "W1", "W2")}


def run(form, inputs, cuts=(), state="given", **options):
    """Outputs and final state, the sequence cut at ``cuts``."""
    state = start(inputs) if state == "given" else state
    edges = [0, *cuts, inputs["keys"].shape[2]]
    outputs = []
    for begin, end in pairwise(edges):
        y, state = form(**tokens(inputs, begin, end), state=state, **options)
        outputs.append(y)
    return torch.cat(outputs, dim=2), state


def run_with_gradients(form, inputs, cuts=(), **options):
    """A dict of outputs, final state, and the gradient of a fixed function of both with respect to every input."""
    leaves = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    y, state = run(form, leaves, cuts, **options)
    found = {"y": y} | {f"final {name}": x for name, x in state.items()}
    loss = sum((x * torch.arange(1, x.numel() + 1).reshape(x.shape).cos()).sum() for x in found.values())
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return found | {f"gradient of {name}": g for name, g in zip(leaves, gradients, strict=True)}


def assert_same(actual, expected, rtol=1e-10, atol=1e-10):
    """Every entry equal; the message names the first that is not."""
    assert actual.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(
            actual[name], expected[name], rtol=rtol, atol=atol, msg=lambda text, name=name: f"{name}: {text}"
        )
