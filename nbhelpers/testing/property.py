"""What the property checks share: how a property fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class PropertyFailed(AssertionError):
    """A property does not hold; the message says which, what was expected and what usually causes it."""


def fail(name: str, found: str, advice: str) -> None:
    """Raise PropertyFailed with what was found and what usually helps."""
    raise PropertyFailed(f"{name}: {found}. {advice}")


def chosen(properties: dict[str, Callable], without: Iterable[str]) -> dict[str, Callable]:
    """The properties less those named in ``without``; an unknown name is refused."""
    unknown = set(without) - set(properties)
    if unknown:
        raise ValueError(f"without names {', '.join(sorted(unknown))}; the properties are {', '.join(properties)}.")
    return {name: check for name, check in properties.items() if name not in without}


def require_close(name: str, actual: Tensor, expected: Tensor, what: str, advice: str, tolerance: float = 1e-9) -> None:
    """Fail unless two tensors agree to ``tolerance`` (absolute and relative)."""
    if actual.shape != expected.shape:
        fail(name, f"{what}: shape {tuple(actual.shape)} instead of {tuple(expected.shape)}", advice)
    if not torch.allclose(actual, expected, rtol=tolerance, atol=tolerance):
        gap = (actual - expected).abs().max().item()
        fail(name, f"{what} differs by up to {gap:.3g}", advice)
