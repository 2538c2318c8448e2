"""A watch on the run: numbers that are not finite or a loss that climbs stop it, with the layer that went wrong."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

PATIENCE = 20  # steps in a row
MARGIN = 1.0  # nats above the first loss


class Diverged(RuntimeError):
    """The run went wrong; the last checkpoint is from before. ``step`` says when."""

    def __init__(self, message: str, step: int):
        super().__init__(message)
        self.step = step


class Watch:
    """Stops a run whose loss or gradient is not finite, or whose loss stays high.

    A loss is high when it is more than ``MARGIN`` nats above the first one; ``PATIENCE`` such steps in a row are
    divergence. A spike that comes back is not.
    """

    def __init__(self, first_loss: float | None = None, high: int = 0):
        self.first_loss, self.high = first_loss, high

    def state(self) -> dict:
        """What a checkpoint keeps: ``Watch(**state)`` goes on."""
        return {"first_loss": self.first_loss, "high": self.high}

    def look(self, step: int, loss: float, gradient_norm: float) -> None:
        """Look at a step before its update is made.

        Raises
        ------
        Diverged
            If something is wrong; the weights are still those before the step.
        """
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss}", step)
        if not math.isfinite(gradient_norm):
            raise Diverged(f"the loss is {loss:.4g}, but the norm of its gradient is {gradient_norm}", step)
        if self.first_loss is None:
            self.first_loss = loss
        self.high = self.high + 1 if loss > self.first_loss + MARGIN else 0
        if self.high >= PATIENCE:
            raise Diverged(
                f"the loss is {loss:.4g}; it has been more than {MARGIN:g} nat above the first, "
                f"{self.first_loss:.4g}, for {PATIENCE} steps",
                step,
            )


def find_fault(task: nn.Module, batch: tuple[Tensor, ...]) -> str:
    """Which layer's numbers went wrong, in words: one more forward and backward pass, watched layer by layer."""
    sizes: list[tuple[str, float]] = []
    handles = []
    for name, module in task.named_modules():
        if name:
            handles.append(module.register_forward_hook(_measure(name, sizes)))
    try:
        task.zero_grad()
        task(*batch).backward()
    finally:
        for handle in handles:
            handle.remove()
    weights = [(n, _size(p)) for n, p in task.named_parameters()]
    gradients = [(n, _size(p.grad)) for n, p in task.named_parameters() if p.grad is not None]
    task.zero_grad()
    lines = []
    for what, found in (("weight", weights), ("output", sizes), ("gradient", gradients)):
        broken = [name for name, size in found if not math.isfinite(size)]
        if broken:
            lines.append(f"first {what} that is not finite: {broken[0]} ({len(broken)} of {len(found)})")
        elif found:
            name, size = max(found, key=lambda pair: pair[1])
            lines.append(f"largest {what}: {name}, root mean square {size:.3g}")
    return "; ".join(lines)


def _measure(name: str, sizes: list[tuple[str, float]]):
    def hook(module, inputs, output):
        tensor = output[0] if isinstance(output, tuple) else output
        if isinstance(tensor, Tensor):
            sizes.append((name, _size(tensor)))

    return hook


@torch.no_grad()
def _size(tensor: Tensor) -> float:
    """Root mean square."""
    tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return float(tensor.float().square().mean().sqrt())
