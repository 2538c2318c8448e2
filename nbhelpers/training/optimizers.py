"""Optimizers of a model by name, each parameter on the clock of its level."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from nbhelpers import optim

Groups = list[dict[str, Any]]


def make_optimizers(
    name: str,
    model: nn.Module,
    learning_rate: float,
    weight_decay: float = 0.0,
    options: dict[str, Any] | None = None,
) -> list[Optimizer]:
    """The optimizers that train a model: one, or two where a rule is for matrices alone and AdamW has the rest.

    Parameters
    ----------
    name: a key of ``OPTIMIZERS``.
    model: parameters; one with ``parameter_groups`` says which have a longer ``period_steps``.
    learning_rate: of all of them. Muon's is scaled to match AdamW's size of step (``match_rms_adamw``).
    weight_decay: of matrices; vectors have none. Every rule shrinks a weight by its share of the rate, beside the step.
    options: further options of the named optimizer.

    Raises
    ------
    ValueError
        If there is no such optimizer, or it does not take these options.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f'There is no optimizer "{name}"; there are: {", ".join(OPTIMIZERS)}.')
    try:
        made = OPTIMIZERS[name](model, {"lr": learning_rate}, weight_decay, options or {})
    except TypeError as error:
        raise ValueError(f"{name} does not take these options: {options} ({error}).") from None
    return [optim.Periodic(one) if any("period_steps" in group for group in one.param_groups) else one for one in made]


def grouped(model: nn.Module, weight_decay: float, wanted: Callable[[str, nn.Parameter], bool]) -> Groups:
    """The wanted parameters by period and by weight decay."""
    periods = model.parameter_groups() if hasattr(model, "parameter_groups") else [{"params": list(model.parameters())}]
    names = {id(p): n for n, p in model.named_parameters()}
    groups = []
    for group in periods:
        period = {} if group.get("period_steps", 1) == 1 else {"period_steps": group["period_steps"]}
        for decayed in (True, False):
            members = [p for p in group["params"] if wanted(names[id(p)], p) and (p.ndim >= 2) == decayed]
            if members:
                groups.append({"params": members, "weight_decay": weight_decay * decayed, **period})
    return groups


def is_inner_matrix(name: str, p: nn.Parameter) -> bool:
    """What Newton-Schulz is meant for: matrices that map features to features, not the table of tokens."""
    return p.ndim == 2 and min(p.shape) > 1 and "embedding" not in name


class Momentum(torch.optim.SGD):
    """Torch's SGD with momentum, but with weight decay beside the momentum, as all other rules here have it.

    Torch adds the decay to the gradient. The momentum then sums it up, and a decay of nine tenths makes it ten times
    as strong as the same number means elsewhere: arms of a comparison would not be alike.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        decays = [group["weight_decay"] for group in self.param_groups]
        for group, decay in zip(self.param_groups, decays, strict=True):
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * decay)
            group["weight_decay"] = 0.0
        try:
            return super().step(closure)
        finally:
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = decay


def adamw(model: nn.Module, rate: dict, weight_decay: float, options: dict, wanted=lambda name, p: True):
    groups = grouped(model, weight_decay, wanted)
    return [torch.optim.AdamW(groups, **rate, **{"betas": (0.9, 0.95), **options})] if groups else []


def plain(rule: Callable[..., Optimizer], **defaults: Any):
    """A rule that takes every parameter."""

    def make(model, rate, weight_decay, options):
        return [rule(grouped(model, weight_decay, lambda name, p: True), **rate, **{**defaults, **options})]

    return make


def for_matrices(rule: Callable[..., Optimizer], **defaults: Any):
    """A rule for inner matrices; AdamW has the rest."""

    def make(model, rate, weight_decay, options):
        groups = grouped(model, weight_decay, is_inner_matrix)
        first = [rule(groups, **rate, **{**defaults, **options})] if groups else []
        return first + adamw(model, rate, weight_decay, {}, lambda name, p: not is_inner_matrix(name, p))

    return make


def dgd(model, rate, weight_decay, options):
    """DGD for the linear layers; plain gradient descent at the same rate for what has no input to erase along."""
    made = optim.DGD(model, **rate, weight_decay=weight_decay, **options)
    rest = {id(p) for p in made.other_parameters()}
    groups = grouped(model, weight_decay, lambda name, p: id(p) in rest)
    return [made, torch.optim.SGD(groups, **rate)] if groups else [made]


OPTIMIZERS: dict[str, Callable[..., list[Optimizer]]] = {
    "sgd": plain(torch.optim.SGD),
    "momentum": plain(Momentum, momentum=0.9),
    "adamw": adamw,
    "muon": for_matrices(optim.Muon, adjust_lr_fn="match_rms_adamw"),
    "m3": for_matrices(optim.M3, average="ema"),
    "m3_printed": for_matrices(optim.M3, average="sum"),
    "dgd": dgd,
    "delta_momentum": plain(optim.DeltaMomentum),
    "deep_momentum": plain(optim.DeepMomentum),
}


def set_learning_rate(optimizers: Iterable[Optimizer], learning_rate: float) -> None:
    """Give every group this learning rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
