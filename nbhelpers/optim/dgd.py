"""Delta gradient descent: a step that also erases what the layer answers to its present input."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nbhelpers.optim.base import MemoryOptimizer, check_choice, run_closure, signed_gradient


class DGD(MemoryOptimizer):
    """``W ← (W − η ∇_W L)(I + η X Xᵀ)⁻¹``, a gradient step that also erases the layer's answer to its inputs.

    It is the exact minimiser of ``½ Σ_b ‖W x_b − ū_b‖² + 1/(2η) ‖W − W_t‖²`` with ū_b = −∇_y L; each sample b is a
    column of X.

    Source: (54)-(57) and App. C of arXiv 2512.24695, corrected. For one input x it is ``W (I − η′ x xᵀ) − η′ ∇_y L
    xᵀ`` with η′ = η / (1 + η ‖x‖²); the printed η / (1 + η) holds for ‖x‖ = 1 alone. ``form="explicit"`` is one
    gradient step on the same objective, the same formula with η′ = η: ``W (I − η X Xᵀ) − η ∇_W L``, stable while η
    times the largest eigenvalue of X Xᵀ is below 2.

    **Samples and losses.** Columns of X are the rows of the layer's input since the last step; a sequence (B, L, D)
    is B·L samples. The gradient is ``∇_W L = Σ_b u_b x_bᵀ`` whatever the loss is. With ``reduction="sum"`` the loss
    is the sum over samples, u_b is each sample's own surprise and the formula stands as above. With
    ``reduction="mean"`` (the default, as in torch's losses) the loss is the mean over the N samples, autograd's u_b
    is 1/N of the sample's own, and ``X Xᵀ / N`` stands in place of ``X Xᵀ``: both terms of the objective are means.
    So "mean" at η equals "sum" at η/N. With several backward passes before one step, scale each loss so that they add
    up to the mean over all samples. Under :class:`~nbhelpers.optim.Periodic` each step is a mean of its own and the
    period is their sum.

    **Biases.** ``bias="augmented"`` (default): y = [W b][x; 1], so the bias is a column like any other and is erased
    too, which keeps the minimiser exact. ``bias="plain"``: b ← b − η ∇_b L, and X has no row of ones. A frozen bias
    stays as it is. The paper has no biases.

    **Which layers.** Every ``nn.Linear`` inside ``modules`` that has a trainable weight. Hooks take the inputs from
    the forward passes that are really propagated back (an evaluation under ``no_grad`` counts for nothing). Other
    parameters go to a second optimizer: :meth:`other_parameters` lists them. ``nn.MultiheadAttention`` uses its
    weights without calling a layer, so they count as other. Call ``zero_grad`` of this optimizer, not of the model:
    it forgets the inputs of discarded gradients too.

    Parameters
    ----------
    modules: a module, a list of modules, or groups such as ``[{"modules": body, "lr": 0.1}, {"modules": head}]``.
    lr: η ≥ 0, no default.
    form: "exact" (default) or "explicit".
    reduction: "mean" (default) or "sum", how the loss sums over samples.
    bias: "augmented" (default) or "plain".
    mask_zero_surprise: leave out samples whose surprise is exactly 0, such as padding (default False: in the formula
        they erase too). They count neither in X nor in N.
    weight_decay, maximize: as in :class:`~nbhelpers.optim.base.MemoryOptimizer`; under ``maximize`` ū = +∇_y L.

    State a weight, between a period's steps alone: ``gram``, the sum of X Xᵀ, (d_in, d_in), or one more with an
    augmented bias. Cost of an exact step: one solve of that size.

    Raises
    ------
    TypeError
        If ``modules`` are not modules (parameters, say).
    ValueError
        If no ``nn.Linear`` with a trainable weight is inside, or a weight is shared in a way that the formula does
        not cover.
    RuntimeError
        In :meth:`step`: if a weight has a gradient but its layer's input was not seen, or under several processes,
        where each would see its own inputs and their weights would drift apart.
    """

    def __init__(
        self,
        modules: nn.Module | Iterable[nn.Module] | Iterable[dict[str, Any]],
        lr: float,
        *,
        form: str = "exact",
        reduction: str = "mean",
        bias: str = "augmented",
        mask_zero_surprise: bool = False,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        self._bias_of: dict[Tensor, Tensor | None] = {}
        self._seen: dict[Tensor, tuple[Tensor, int]] = {}  # weight -> (X Xᵀ, samples) since the last step
        self._modules: list[nn.Module] = []
        self._handles: list[Any] = []
        own = {"form": form, "reduction": reduction, "bias": bias, "mask_zero_surprise": mask_zero_surprise}
        modules = [modules] if isinstance(modules, (nn.Module, dict)) else list(modules)
        groups = modules if modules and isinstance(modules[0], dict) else [{"modules": modules}]
        super().__init__(groups, dict(lr=lr, **own, weight_decay=weight_decay, maximize=maximize))

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            "DGD is tied to its model by hooks and cannot be copied or pickled; build a new one on the copied model "
            "and load state_dict()."
        )

    def check_group(self, group: dict[str, Any]) -> None:
        check_choice("form", group["form"], ("exact", "explicit"))
        check_choice("reduction", group["reduction"], ("mean", "sum"))
        check_choice("bias", group["bias"], ("augmented", "plain"))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add ``{"modules": module or list of modules, …options}``: hook its linear layers and own their parameters."""
        if "modules" not in param_group:
            raise TypeError('A group of DGD names its layers: give {"modules": …}, not {"params": …}.')
        modules = param_group["modules"]
        modules = [modules] if isinstance(modules, nn.Module) else list(modules)
        layers = linear_layers(modules)
        bias_of: dict[Tensor, Tensor | None] = {}
        for layer in layers:
            trainable_bias = layer.bias if layer.bias is not None and layer.bias.requires_grad else None
            if bias_of.setdefault(layer.weight, trainable_bias) is not trainable_bias:
                raise ValueError("Two linear layers share a weight but not its bias; give them one bias, or none.")
        params = list(dict.fromkeys(p for pair in bias_of.items() for p in pair if p is not None))
        super().add_param_group({**{k: v for k, v in param_group.items() if k != "modules"}, "params": params})
        self._modules += modules
        self._bias_of |= bias_of
        for layer in layers:
            self._handles.append(layer.register_forward_hook(input_hook(self), with_kwargs=True))

    def other_parameters(self, model: nn.Module | None = None) -> list[nn.Parameter]:
        """Return the trainable parameters of ``model`` (default: the given modules) that DGD does not update."""
        own = {p for group in self.param_groups for p in group["params"]}
        everywhere = [model] if model is not None else self._modules
        found = dict.fromkeys(p for module in everywhere for p in module.parameters() if p.requires_grad)
        return [p for p in found if p not in own]

    def remove_hooks(self) -> None:
        """Detach from the model: no input is seen from now on."""
        for handle in self._handles:
            handle.remove()

    def record(self, weight: Tensor, x: Tensor, surprise: Tensor) -> None:
        """Add the inputs x (…, d_in) of one backward pass with surprises (…, d_out); called by the hooks."""
        if weight not in self._bias_of:
            return  # a copy of the model carries the hook, not the weight
        group = self.group_of(weight)
        X = x.detach().reshape(-1, x.shape[-1]).to(weight.dtype)  # samples are rows here
        if group["mask_zero_surprise"]:
            X = X[surprise.reshape(len(X), -1).ne(0).any(dim=1)]
        if self._bias_of[weight] is not None and group["bias"] == "augmented":
            X = torch.cat([X, X.new_ones(len(X), 1)], dim=1)
        gram, samples = self._seen.get(weight, (0, 0))
        self._seen[weight] = (gram + X.mT @ X, samples + len(X))

    def group_of(self, weight: Tensor) -> dict[str, Any]:
        """Return the parameter group of a weight."""
        return next(group for group in self.param_groups if any(p is weight for p in group["params"]))

    def collect(self) -> None:
        """Move the inputs seen since the last step into the state, as one term of the period's sum."""
        for weight, (gram, samples) in self._seen.items():
            mean = self.group_of(weight)["reduction"] == "mean"
            term = gram / max(samples, 1) if mean else gram
            self.state[weight]["gram"] = self.state[weight].get("gram", 0) + term
        self._seen.clear()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients and forget the inputs that they came from."""
        self._seen.clear()
        super().zero_grad(set_to_none)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update every linear layer that has a gradient; return what ``closure`` returned, if one was given."""
        loss = run_closure(closure)
        if (
            torch.distributed.is_available()
            and torch.distributed.is_initialized()
            and torch.distributed.get_world_size() > 1
        ):
            raise RuntimeError(
                "DGD sees the inputs of its own process alone; train with one process, or use another optimizer."
            )
        self.collect()
        for group in self.param_groups:
            for W in group["params"]:
                if W in self._bias_of and W.grad is not None:
                    self.update_layer(W, self._bias_of[W], group)
        return loss

    def update_layer(self, W: Tensor, b: Tensor | None, group: dict[str, Any]) -> None:
        """Update one weight (d_out, d_in) and its bias (d_out,) in place."""
        eta, decay = group["lr"], 1 - group["lr"] * group["weight_decay"]
        G = signed_gradient(W, group)
        G_b = None if b is None else signed_gradient(b, group) if b.grad is not None else torch.zeros_like(b)
        XX = self.state.pop(W, {}).get("gram")
        if XX is None:
            if G.any() or (b is not None and G_b.any()):
                raise RuntimeError(
                    f"A weight of shape {tuple(W.shape)} has a gradient, but the input of its layer was not seen. Call "
                    "the layer itself (not functional.linear on its weight) after building DGD, and step before the "
                    "next zero_grad."
                )
            return  # no sample, no change
        for p in (W, b):
            if p is not None:
                p.mul_(decay)
        if b is not None and group["bias"] == "augmented":
            new = delta_step(torch.cat([W, b[:, None]], 1), torch.cat([G, G_b[:, None]], 1), XX, eta, group["form"])
            W.copy_(new[:, :-1])
            b.copy_(new[:, -1])
        else:
            W.copy_(delta_step(W, G, XX, eta, group["form"]))
            if b is not None:
                b.sub_(G_b, alpha=eta)


def delta_step(W: Tensor, G: Tensor, XX: Tensor, eta: float, form: str) -> Tensor:
    """Return the new weight from W and its gradient G, both (o, n), and XX = X Xᵀ (n, n)."""
    if form == "explicit":
        return W - eta * W @ XX - eta * G
    exact = torch.float64 if W.dtype == torch.float64 else torch.float32  # no solve in half precision
    right = torch.eye(len(XX)).to(XX.device, exact) + eta * XX.to(exact)
    return torch.cholesky_solve((W - eta * G).to(exact).mT, torch.linalg.cholesky(right)).mT.to(W.dtype)


def linear_layers(modules: list[nn.Module]) -> list[nn.Linear]:
    """Return the distinct trainable ``nn.Linear`` layers inside ``modules`` whose calls can be hooked.

    Raises TypeError or ValueError as :class:`DGD` says.
    """
    for module in modules:
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"DGD was given a {type(module).__name__}; it takes modules, not parameters, because its step needs "
                "the inputs of their nn.Linear layers. Write DGD(model, lr=…)."
            )
    inside = list(dict.fromkeys(m for module in modules for m in module.modules()))
    # The out_proj of nn.MultiheadAttention is never called as a layer, so no hook could see its input.
    uncalled = {id(m.out_proj) for m in inside if isinstance(m, nn.MultiheadAttention)}
    layers = [m for m in inside if isinstance(m, nn.Linear) and id(m) not in uncalled]
    if any(isinstance(layer.weight, nn.parameter.UninitializedParameter) for layer in layers):
        raise ValueError("A lazy linear layer has no weight yet; run the model once before you build DGD.")
    layers = [layer for layer in layers if layer.weight.requires_grad]
    if not layers:
        raise ValueError(
            "There is no nn.Linear with a trainable weight in the modules given to DGD; give modules that have one, "
            "and their other parameters to a second optimizer."
        )
    weights = {layer.weight for layer in layers}
    for module in inside:
        if not isinstance(module, nn.Linear) and any(p in weights for p in module.parameters(recurse=False)):
            raise ValueError(
                f"A linear layer shares its weight with a {type(module).__name__}, whose inputs DGD does not see; "
                "untie them, or leave that layer to the second optimizer."
            )
    return layers


def input_hook(optimizer: DGD) -> Callable[..., None]:
    """Return a forward hook that reports a layer's input once its output's gradient is known."""
    reference = weakref.ref(optimizer)  # the model must not keep the optimizer alive

    def hook(layer: nn.Linear, args: tuple, kwargs: dict, output: Tensor) -> None:
        x = args[0] if args else kwargs["input"]

        def report(surprise: Tensor) -> None:
            if (dgd := reference()) is not None:
                dgd.record(layer.weight, x, surprise)

        if output.requires_grad:
            output.register_hook(report)

    return hook
