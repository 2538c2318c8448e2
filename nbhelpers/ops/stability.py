"""How large an inner learning rate may be: the worst case is one unit key that fills a whole chunk.

With the gradient at the chunk start and the loss ½‖M k − v‖², what the memory answers at that key is multiplied over
a chunk of c tokens by (α, η constant; derived)

    Titans                 α^c − η (1 + α + … + α^{c-1})
    self-modifying, L2     r^c − η (1 + r + … + r^{c-1}),  r = α − η
    self-modifying, dot    r^c

Stable means: not above 1 in size. Momentum is not in these numbers; it lowers the bound.
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
    """The largest rate for which no unit keys can make the memory grow, at retention α in [0, 1], without momentum.

    Titans: (1 + α^c) / (1 + … + α^{c-1}), which is 2/c at α = 1. Self-modifying with "l2": α, for every chunk size
    (sufficient, not sharp). With "dot": 1 + α. (engine notes 6; unit keys, the ½ loss.)
    """
    α = torch.as_tensor(retention, dtype=torch.float64)
    if rule == "titans":
        return (1 + α**chunk_size) / _powers_sum(α, chunk_size)
    if rule == "l2":
        return α
    if rule == "dot":
        return 1 + α
    raise ValueError(f"rule is {rule!r}; expected one of {', '.join(RULES)}.")
