"""What a memory is asked to make small when it is told a value: functions (answer, value) → loss, (…, d) → (…)."""

from __future__ import annotations

from torch import Tensor


def dot_product(answer: Tensor, value: Tensor) -> Tensor:
    """−⟨answer, value⟩: agree with the value, whatever is held already. Gradient with respect to the answer: −value."""
    return -(answer * value).sum(-1)


def squared_error(answer: Tensor, value: Tensor) -> Tensor:
    """½ ‖answer − value‖²: hold the value. Gradient with respect to the answer: answer − value (no factor 2)."""
    return 0.5 * (answer - value).square().sum(-1)
