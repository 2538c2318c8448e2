"""How large an inner learning rate of a matrix memory may be, judged by one unit key that fills a whole chunk.

With the gradient at the chunk start and the loss ½‖M k − v‖², what the memory answers at that key is multiplied over
a chunk of c tokens by (α, η constant; derived)

    Titans                 α^c − η (1 + α + … + α^{c-1})
    self-modifying, L2     r^c − η (1 + r + … + r^{c-1}),  r = α − η
    self-modifying, dot    r^c

Stable means: not above 1 in size. Momentum is not in these numbers; it lowers the bound.

For "titans" at α = 1 and for "dot" one key is the worst case. For "l2" it is not: with P = ∏ (I − η k kᵀ) over the
chunk (α = 1) the memory is multiplied by 2 P − I, whose size can come near 3: unit keys that go half a turn in a chunk
of 64 make it grow by 2.8 a chunk at η = α = 1 (derived and tested).
"""

from __future__ import annotations

import torch
from torch import Tensor

RULES = ("titans", "l2", "dot")


def _powers_sum(r: Tensor, count: int) -> Tensor:
    """1 + r + … + r^{count-1}, also at r = 1."""
    return torch.stack([r**i for i in range(count)]).sum(0)


def chunk_factor(rule: str, learning_rate: Tensor | float, retention: Tensor | float, chunk_size: int) -> Tensor:
    """What the answer at a repeated unit key is multiplied by over one chunk; ``rule`` is titans, l2 or dot."""
    η, α = (torch.as_tensor(x, dtype=torch.float64) for x in (learning_rate, retention))
    if rule == "titans":
        return α**chunk_size - η * _powers_sum(α, chunk_size)
    if rule == "l2":
        return (α - η) ** chunk_size - η * _powers_sum(α - η, chunk_size)
    if rule == "dot":
        return (α - η) ** chunk_size
    raise ValueError(f"rule is {rule!r}; expected one of {', '.join(RULES)}.")


def largest_learning_rate(rule: str, retention: Tensor | float, chunk_size: int) -> Tensor:
    """The largest rate for which a repeated unit key cannot make the memory grow, at retention α in [0, 1], without
    momentum.

    Titans: (1 + α^c) / (1 + … + α^{c-1}), which is 2/c at α = 1. Self-modifying with "l2": α, for every chunk size
    (for a repeated key sufficient, not sharp). With "dot": 1 + α. (engine notes 6; unit keys, the ½ loss.)
    """
    α = torch.as_tensor(retention, dtype=torch.float64)
    if rule == "titans":
        return (1 + α**chunk_size) / _powers_sum(α, chunk_size)
    if rule == "l2":
        return α
    if rule == "dot":
        return 1 + α
    raise ValueError(f"rule is {rule!r}; expected one of {', '.join(RULES)}.")
