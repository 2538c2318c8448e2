"""The contract that all optimizers share, through check_optimizer, and check_optimizer itself on broken ones."""

import copy

import pytest
import safetensors.torch
import torch
from torch import nn

from nbhelpers.optim import (
    DGD,
    M3,
    RMS,
    AdaGrad,
    DeepMomentum,
    DeltaMomentum,
    FullMatrix,
    HigherOrderMomentum,
    Muon,
    NonlinearMomentum,
    Periodic,
    PreconditionedMomentum,
)
from nbhelpers.testing import PropertyFailed, check_optimizer
from nbhelpers.testing.optimizers import PROPERTIES
from tests.unit.optim.runs import normal

ON_PARAMETERS = {
    "delta": lambda p: DeltaMomentum(p, lr=0.05),
    "delta, implicit": lambda p: DeltaMomentum(p, lr=0.05, form="implicit"),
    "delta, normalized, RMS": lambda p: DeltaMomentum(p, lr=0.05, normalize=True, preconditioner=RMS()),
    "deep": lambda p: DeepMomentum(p, lr=0.01),
    "deep, l2": lambda p: DeepMomentum(p, lr=0.01, objective="l2"),
    "preconditioned": lambda p: PreconditionedMomentum(p, lr=0.05),
    "preconditioned, RMS": lambda p: PreconditionedMomentum(p, lr=0.05, preconditioner=RMS()),
    "preconditioned, AdaGrad": lambda p: PreconditionedMomentum(p, lr=0.05, preconditioner=AdaGrad()),
    "preconditioned, full": lambda p: PreconditionedMomentum(p, lr=0.05, preconditioner=FullMatrix()),
    "higher order": lambda p: HigherOrderMomentum(p, lr=0.01),
    "non-linear": lambda p: NonlinearMomentum(p, lr=0.05),
    "Muon": lambda p: Muon(p, lr=0.05),
    "M3": lambda p: M3(p, lr=0.05, slow_period_steps=3, eps=1e-3),
    "M3, EMA": lambda p: M3(p, lr=0.05, slow_period_steps=2, average="ema", vectors="identity"),
    "periodic Muon": lambda p: Periodic(Muon(p, lr=0.05), 2),
    "periodic M3": lambda p: Periodic(M3(p, lr=0.05, slow_period_steps=2), 3),
    "periodic AdamW": lambda p: Periodic(torch.optim.AdamW(p, lr=0.05), 5),
    "torch SGD": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "torch AdamW": lambda p: torch.optim.AdamW(p, lr=0.05),
}
ON_MODULES = {
    "DGD": lambda m: DGD(m, lr=0.1),
    "DGD, explicit": lambda m: DGD(m, lr=0.1, form="explicit"),
    "DGD, plain bias": lambda m: DGD(m, lr=0.1, bias="plain", reduction="sum"),
    "periodic DGD": lambda m: Periodic(DGD(m, lr=0.1), 3),
}
OURS = [DeltaMomentum, DeepMomentum, PreconditionedMomentum, HigherOrderMomentum, NonlinearMomentum, Muon, M3]


@pytest.mark.parametrize("name", ON_PARAMETERS)
def test_contract_on_parameters(name):
    assert check_optimizer(ON_PARAMETERS[name]) == list(PROPERTIES)


@pytest.mark.parametrize("name", ON_MODULES)
def test_contract_on_modules(name):
    assert check_optimizer(ON_MODULES[name], takes="modules") == [name for name in PROPERTIES if name != "shapes"]


@pytest.mark.parametrize("cls", OURS)
def test_state_travels_as_safetensors(cls, tmp_path):
    """Every tensor of the state, and nothing else of it, through a file and back."""
    p = nn.Parameter(normal(3, 4))
    optimizer = cls([p], lr=0.01)
    for t in range(3):
        p.grad = normal(3, 4, seed=t)
        optimizer.step()
    saved = optimizer.state_dict()
    flat = {f"{key}.{name}": tensor for key, entry in saved["state"].items() for name, tensor in entry.items()}
    safetensors.torch.save_file(flat, tmp_path / "state.safetensors")
    loaded = safetensors.torch.load_file(tmp_path / "state.safetensors")
    state = {0: {key.removeprefix("0."): tensor for key, tensor in loaded.items()}}
    q = nn.Parameter(p.detach().clone())
    twin = cls([q], lr=0.01)
    twin.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
    for t in range(3, 6):
        p.grad = q.grad = normal(3, 4, seed=t)
        optimizer.step(), twin.step()
    assert torch.equal(p, q)


@pytest.mark.parametrize("cls", OURS)
def test_sparse_and_complex_are_refused_and_nothing_moves(cls):
    table = nn.Embedding(5, 3, sparse=True)
    start = table.weight.detach().clone()
    optimizer = cls(table.parameters(), lr=0.1)
    table(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse=False"):
        optimizer.step()
    assert torch.equal(table.weight, start)
    p = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    p.grad = torch.ones_like(p)
    with pytest.raises(RuntimeError, match="real and imaginary parts"):
        cls([p], lr=0.1).step()


@pytest.mark.parametrize("cls", OURS)
def test_weight_decay_is_decoupled(cls):
    p = nn.Parameter(normal(3, 2))
    start = p.detach().clone()
    optimizer = cls([p], lr=0.1, weight_decay=0.5)
    p.grad = torch.zeros_like(p)
    optimizer.step()
    assert torch.allclose(p, 0.95 * start, rtol=1e-12)


@pytest.mark.parametrize("cls", OURS)
def test_a_bad_group_changes_nothing_and_a_deep_copy_goes_on_alone(cls):
    p, q = nn.Parameter(normal(3, 2)), nn.Parameter(normal(2))
    optimizer = cls([p], lr=0.1)
    with pytest.raises(ValueError, match="lr is -1"):
        optimizer.add_param_group({"params": [q], "lr": -1})
    assert len(optimizer.param_groups) == 1
    p.grad = normal(3, 2, seed=1)
    optimizer.step()
    twin_p, twin = copy.deepcopy((p, optimizer))
    twin_p.grad = p.grad = normal(3, 2, seed=2)
    optimizer.step(), twin.step()
    assert torch.equal(p, twin_p)


# ---- check_optimizer finds what is broken


class Good(torch.optim.Optimizer):
    """Plain momentum, written the shortest way; each subclass breaks one thing."""

    def __init__(self, params, lr=0.1, maximize=False):
        super().__init__(params, {"lr": lr, "maximize": maximize})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, -p.grad if group["maximize"] else p.grad, group)
        return loss

    def update(self, p, g, group):
        m = self.state[p].setdefault("m", torch.zeros_like(p))
        m.mul_(0.9).add_(g)
        p.sub_(group["lr"] * m)


class ChangesGradient(Good):
    def update(self, p, g, group):
        super().update(p, g.mul_(0.5), group)


class SkipsVectors(Good):
    def update(self, p, g, group):
        if p.ndim > 1:
            super().update(p, g, group)


class LosesClosure(Good):
    def step(self, closure=None):
        super().step(closure)


class ClosureWithoutGradient(Good):
    @torch.no_grad()
    def step(self, closure=None):
        loss = closure() if closure is not None else None
        super().step()
        return loss


class MemoryOutside(Good):
    def update(self, p, g, group):
        self.memory = getattr(self, "memory", {})
        m = self.memory.setdefault(p, torch.zeros_like(p))
        m.mul_(0.9).add_(g)
        p.sub_(group["lr"] * m)


class PythonNumber(Good):
    def update(self, p, g, group):
        self.state[p]["step"] = self.state[p].get("step", 0) + 1
        super().update(p, g, group)


class SharedStorage(Good):
    def update(self, p, g, group):
        super().update(p, g, group)
        self.state[p]["again"] = self.state[p]["m"]


class IgnoresMaximize(Good):
    def update(self, p, g, group):
        super().update(p, p.grad, group)


class IgnoresGroups(Good):
    def update(self, p, g, group):
        super().update(p, g, self.param_groups[0])


class DividesByZero(Good):
    def update(self, p, g, group):
        super().update(p, g / g.norm(), group)


class MovesWithoutGradient(Good):
    def step(self, closure=None):
        loss = super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None and p in self.state:
                        p.sub_(group["lr"] * self.state[p]["m"])
        return loss


@pytest.mark.parametrize(
    ("cls", "name", "message"),
    [
        (ChangesGradient, "moves", "changed a .grad"),
        (SkipsVectors, "moves", "0.bias is where it started"),
        (LosesClosure, "closure", "step returned None"),
        (ClosureWithoutGradient, "closure", "gradients off"),
        (MemoryOutside, "resume", r"outside self.state\[p\]"),
        (PythonNumber, "state_dict", "is int, not a dense tensor"),
        (SharedStorage, "state_dict", "shares memory"),
        (IgnoresMaximize, "maximize", "maximizing −L"),
        (IgnoresGroups, "groups", "two groups against two"),
        (DividesByZero, "zero_gradient", "NaN or infinite"),
        (MovesWithoutGradient, "no_gradient", "although its .grad is None"),
    ],
)
def test_check_optimizer_names_what_is_broken(cls, name, message):
    assert check_optimizer(Good) == list(PROPERTIES)
    with pytest.raises(PropertyFailed, match=f"^{name}: .*{message}"):
        check_optimizer(cls)


def test_check_optimizer_on_shapes_and_missing_options():
    with pytest.raises(ValueError, match="2D"):
        check_optimizer(torch.optim.Muon, without=("maximize",))
    with pytest.raises(PropertyFailed, match="^maximize: the optimizer has no option maximize"):
        check_optimizer(NoMaximize)
    assert "maximize" not in check_optimizer(NoMaximize, without=("maximize",))
    with pytest.raises(PropertyFailed, match="^shapes: .*depends on the memory layout"):
        check_optimizer(LayoutBound)
    with pytest.raises(ValueError, match="without names speed; the properties are moves"):
        check_optimizer(Good, without=("speed",))
    with pytest.raises(ValueError, match='"parameters" or "modules"'):
        check_optimizer(Good, takes="tensors")


class NoMaximize(torch.optim.SGD):
    """An optimizer without the option, in its signature or its groups."""

    def __init__(self, params):
        super().__init__(params, lr=0.1)
        del self.defaults["maximize"]


class LayoutBound(Good):
    def update(self, p, g, group):
        flat = p.reshape(-1)  # a copy when the memory is not in the usual order
        flat.sub_(group["lr"] * g.reshape(-1))
        if p.is_contiguous():
            return
        p.sub_(0.5 * group["lr"] * g)
