"""Deep momentum: an MLP, trained while it optimizes, as the memory of the gradients. Our design."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nbhelpers.optim.base import MemoryOptimizer, as_matrix, check_choice, check_range, check_whole, memory


class DeepMomentum(MemoryOptimizer):
    """``m ← μ m − ∇L(m; u)``, ``W ← W + η m(u)``, where m(·) is a small network with its parameters as state.

    Source: (50) of arXiv 2512.24695 gives this rule and no architecture, objective or rates. **All that follows is
    our design.**

    Key u = g / rms(g), shape (o, n), one key a row: the activation then works at any scale of the gradient. The
    memory maps each row u_r of n numbers to n numbers::

        m(u_r) = b_r + B tanh(A u_r) / √h      b: (o, n), a bias for each row;   A: (h, n), B: (n, h), shared by all

    Internal objective ``L = Σ_r ℓ(m(u_r); u_r)``, one gradient step a call, at rate 1 for b and ζ/o for A and B, with
    everything decaying towards its initial value at rate μ (b and B towards 0; A towards its random start, since a
    memory with A = 0 is dead):

    - "dot" (default): ``⟨m(u_r), u_r⟩``. b is then ordinary momentum, exactly, and B A a correction shared by rows.
    - "l2": ``½ ‖m(u_r) + u_r‖²``, the memory learns to answer a gradient with its negative.
    - "ones": ``⟨m(u_r), 1⟩``, the paper's example. Its gradient for b is 1 whatever u is, so it does not descend;
      kept to show that.

    The step is read after the write (m with index i + 1 in (50)). tanh is bounded and odd: the state stays bounded
    for μ < 1 under "dot", and −g gives the mirrored step. With ζ = 0 and ``normalize=False`` this is
    ``torch.optim.SGD`` with momentum.

    Parameters
    ----------
    params: parameters or groups; a vector is a column (n rows of one number), more axes are first × rest.
    lr: η ≥ 0, no default.
    momentum: μ in [0, 1], default 0.9.
    inner_lr: ζ ≥ 0, default 0.1.
    hidden: h ≥ 1, default 16.
    objective: "dot", "l2" or "ones".
    normalize: divide g by max(rms(g), eps), default True. eps: default 1e-12.
    seed: of A, entries N(0, 1/n) from a generator of its own, default 0; the same for every parameter, so equal
        shapes start alike.
    weight_decay, maximize: as in :class:`~nbhelpers.optim.base.MemoryOptimizer`.

    State a parameter: ``bias`` (shape of the parameter), ``output_weights`` B, ``input_weights`` A,
    ``initial_input_weights``: 3 h n numbers more than momentum.
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.9,
        inner_lr: float = 0.1,
        hidden: int = 16,
        *,
        objective: str = "dot",
        normalize: bool = True,
        eps: float = 1e-12,
        seed: int = 0,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        inner = {
            "inner_lr": inner_lr,
            "hidden": hidden,
            "objective": objective,
            "normalize": normalize,
            "eps": eps,
            "seed": seed,
        }
        super().__init__(params, dict(lr=lr, momentum=momentum, **inner, weight_decay=weight_decay, maximize=maximize))

    def check_group(self, group: dict[str, Any]) -> None:
        check_range("momentum", group["momentum"], 0, 1)
        check_range("inner_lr", group["inner_lr"], 0)
        check_range("eps", group["eps"], 0)
        check_whole("hidden", group["hidden"], 1)
        check_whole("seed", group["seed"], 0)
        check_choice("objective", group["objective"], ("dot", "l2", "ones"))

    def update(self, p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        mu, zeta = group["momentum"], group["inner_lr"]
        u = as_matrix(g)
        if group["normalize"]:
            u = u / u.square().mean().sqrt().clamp(min=group["eps"])
        if "bias" not in state:
            self.start(p, u, state, group)
        b, A, B = as_matrix(state["bias"]), state["input_weights"], state["output_weights"]
        o, root_h = len(u), math.sqrt(len(A))

        hidden = torch.tanh(u @ A.mT)  # (o, h)
        answer = b + hidden @ B.mT / root_h  # m_i(u), (o, n)
        error = {"dot": u, "l2": answer + u, "ones": torch.ones_like(u)}[group["objective"]]  # ∂L/∂m(u), (o, n)
        grad_B = error.mT @ hidden / root_h  # (n, h)
        grad_A = ((error @ B / root_h) * (1 - hidden**2)).mT @ u  # (h, n)

        A_0 = state["initial_input_weights"]
        b.mul_(mu).sub_(error)
        B.mul_(mu).sub_(grad_B, alpha=zeta / o)
        A.sub_(A_0).mul_(mu).add_(A_0).sub_(grad_A, alpha=zeta / o)

        step = b + torch.tanh(u @ A.mT) @ B.mT / root_h  # m_{i+1}(u)
        p.add_(step.reshape(p.shape), alpha=group["lr"])

    def start(self, p: Tensor, u: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        """Fill a parameter's state: b = 0, B = 0, A random from the group's seed."""
        n, h = u.shape[1], group["hidden"]
        generator = torch.Generator().manual_seed(group["seed"])
        A = (torch.randn(h, n, generator=generator, dtype=torch.float64) / math.sqrt(n)).to(p)
        memory(state, "bias", p)
        state.update(output_weights=p.new_zeros(n, h), input_weights=A, initial_input_weights=A.clone())
