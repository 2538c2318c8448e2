"""M3, multi-scale momentum Muon: a fast and a slow momentum over one second moment."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nbhelpers.optim.base import (
    MemoryOptimizer,
    as_matrix,
    check_choice,
    check_range,
    check_whole,
    count_step,
    memory,
)
from nbhelpers.optim.newton_schulz import QUINTIC, check_newton_schulz, newton_schulz


class M3(MemoryOptimizer):
    """Algorithm 1 of arXiv 2512.24695 (§7.2), with f = ``slow_period_steps`` and a = ``slow_weight`` (the paper's α)::

        at the first step of every block of f:   M2 ← M2 + β3 Σ g of the block before,   O2 = NS(M2)
        at every step:   M1 ← M1 + β1 g,   V ← V + β2 g²,   O1 = NS(M1)
                         W ← W − η (O1 + a O2) / (√V + eps)

    **Timing.** The slow momentum acts with one block delay: in the first block O2 is 0, in the second it knows the
    first block. The printed sums run over f + 1 terms; here it is the f of the block. Signs are Algorithm 1's, since
    (75)'s minus would ascend along M2. The denominator is √V + eps, as (105) has it.

    **As printed** (``average="sum"``, the default) all three are sums. Newton-Schulz is scale free, so β1 and β3 do
    nothing and β2 only rescales η by 1/√β2; V only grows, so steps shrink like 1/√t; and an entry with a tiny
    gradient takes a step of about η |O| / (√β2 |g|): raise ``eps`` where gradients can vanish. ``average="ema"``
    **departs from the paper**: ``M ← β M + (1 − β) g``, with the sum of the block in place of g for M2, and V = EMA
    of g², divided by 1 − β2^t as in Adam.

    Parameters
    ----------
    params: parameters or groups; more axes than two are first × rest.
    lr: η ≥ 0, no default: after Newton-Schulz the division by √V makes the step inversely proportional to the
        gradient.
    betas: (β1, β2, β3) for M1, V and M2, each in [0, 1), default (0.9, 0.999, 0.9). "sum" refuses β2 = 0 (V would
        stay 0).
    slow_weight: a ≥ 0, default 1. slow_period_steps: f ≥ 1, default 16, counted per parameter in steps with a
        gradient.
    eps: default 1e-8. The paper gives no value for any of these.
    average: "sum" or "ema".
    vectors: what NS means for parameters of fewer than two axes, which the paper leaves open: "column" (default), the
        matrix n × 1, whose image is about the direction of M; "identity", M itself, with M1 divided by 1 − β1^t under
        "ema". Then "ema" with a = 0 is ``torch.optim.AdamW``, and with a > 0 an AdEMAMix whose slow part comes a
        block later.
    ns_coefficients, ns_steps, ns_eps, ns_dtype: of the iteration, default :data:`QUINTIC`, 5, 1e-7, the parameter's
        own type.
    weight_decay, maximize: as in :class:`~nbhelpers.optim.base.MemoryOptimizer`.

    State a parameter, each of its shape but ``step``: ``fast_momentum`` (M1), ``second_moment`` (V),
    ``slow_momentum`` (M2), ``block_sum``, ``slow_direction`` (O2).
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        betas: tuple[float, float, float] = (0.9, 0.999, 0.9),
        slow_weight: float = 1.0,
        slow_period_steps: int = 16,
        eps: float = 1e-8,
        *,
        average: str = "sum",
        vectors: str = "column",
        ns_coefficients: tuple[float, float, float] = QUINTIC,
        ns_steps: int = 5,
        ns_eps: float = 1e-7,
        ns_dtype: str | None = None,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        slow = {"slow_weight": slow_weight, "slow_period_steps": slow_period_steps}
        choices = {"average": average, "vectors": vectors}
        iteration = {
            "ns_coefficients": tuple(ns_coefficients),
            "ns_steps": ns_steps,
            "ns_eps": ns_eps,
            "ns_dtype": ns_dtype,
        }
        common = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, common | slow | choices | iteration)

    def check_group(self, group: dict[str, Any]) -> None:
        if len(group["betas"]) != 3:
            raise ValueError(
                f"betas has {len(group['betas'])} numbers; give three: fast momentum, second moment, slow momentum."
            )
        for number, beta in enumerate(group["betas"], 1):
            check_range(f"beta{number}", beta, 0, below=1)
        if group["average"] == "sum" and group["betas"][1] == 0:
            raise ValueError('beta2 is 0, so V stays 0 and every step is O / eps; give beta2 > 0, or average="ema".')
        check_range("slow_weight", group["slow_weight"], 0)
        check_whole("slow_period_steps", group["slow_period_steps"], 1)
        check_range("eps", group["eps"], 0)
        check_choice("average", group["average"], ("sum", "ema"))
        check_choice("vectors", group["vectors"], ("column", "identity"))
        check_newton_schulz(group | {"eps": group["ns_eps"]})

    def update(self, p: Tensor, g: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        beta1, beta2, beta3 = group["betas"]
        ema = group["average"] == "ema"
        M1, V = memory(state, "fast_momentum", p), memory(state, "second_moment", p)
        M2, block_sum, O2 = (memory(state, name, p) for name in ("slow_momentum", "block_sum", "slow_direction"))
        t = count_step(state)  # 1, 2, 3, ...

        if (t - 1) % group["slow_period_steps"] == 0:  # first step of a block: line 3, line 4
            add_to(M2, block_sum, beta3, ema)
            block_sum.zero_()
            O2.copy_(orthogonalize(M2, group))
        block_sum.add_(g)

        add_to(M1, g, beta1, ema)  # line 7
        add_to(V, g * g, beta2, ema)  # line 8
        unbiased_V = V / (1 - beta2**t) if ema else V
        O1 = orthogonalize(M1 / (1 - beta1**t) if ema else M1, group)  # line 9
        p.sub_(group["lr"] * (O1 + group["slow_weight"] * O2) / (unbiased_V.sqrt() + group["eps"]))  # line 10


def add_to(memory: Tensor, new: Tensor, beta: float, ema: bool) -> None:
    """``M ← M + β x`` as printed, or ``M ← β M + (1 − β) x``, in place."""
    if ema:
        memory.mul_(beta).add_(new, alpha=1 - beta)
    else:
        memory.add_(new, alpha=beta)


def orthogonalize(M: Tensor, group: dict[str, Any]) -> Tensor:
    """Return NS(M) in the shape of M, or M itself for a vector under ``vectors="identity"``."""
    if M.ndim < 2 and group["vectors"] == "identity":
        return M
    iteration = (group["ns_steps"], group["ns_coefficients"], group["ns_eps"], group["ns_dtype"])
    return newton_schulz(as_matrix(M), *iteration).reshape(M.shape)
