"""The table of levels: what each part of a model minimises, how often it changes, its size, how far it just moved.

A module takes part by a method ``level_rows() -> list[LevelRow]``. A model whose call is ``model(tokens, state) ->
(out, state)`` and that has ``initial_state(batch)`` can be measured on an input: its state is a dict whose names begin
with a path that the row's module has in the model (``0.mixer.memory`` belongs to ``blocks.0.mixer``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

OUTER = "next-token loss"


@dataclass(frozen=True)
class LevelRow:
    """What a module says of one of its levels.

    ``state`` names the entries of the module's state that this level changes while it reads; ``parameters`` are the
    weights that belong to it (a memory that lives in the state alone has none).
    """

    name: str
    minimises: str
    period: str
    optimizer: str
    parameters: tuple[Tensor, ...] = ()
    state: tuple[str, ...] = ()


@dataclass(frozen=True)
class Level:
    """One line of the table. ``bytes`` are those of its parameters, or of one sequence's state where it has one."""

    name: str
    minimises: str
    period: str
    optimizer: str
    bytes: int
    moved: float | None  # ‖change‖ / ‖start‖ over the input; ‖change‖ where it started from 0; None if not measured


def levels_of(model: nn.Module, tokens: Any = None) -> list[Level]:
    """The levels of a model, in the order of its modules.

    Parameters
    ----------
    model: any module with parts that have ``level_rows``.
    tokens: an input to read, (B, L); then ``moved`` and the bytes of states are measured, averaged over the batch.

    Raises
    ------
    ValueError
        If no part of the model says what its levels are.
    """
    start, end = {}, {}
    if tokens is not None:
        with torch.no_grad():
            start = model.initial_state(len(tokens))
            _, end = model(tokens, start)
    found = []
    for path, module in model.named_modules():
        if not hasattr(module, "level_rows"):
            continue
        prefix = path.removeprefix("blocks.") + "." if path else ""
        for row in module.level_rows():
            names = [prefix + name for name in row.state if prefix + name in end]
            size = sum(p.numel() * p.element_size() for p in row.parameters)
            if names:
                size = sum(end[name][0].numel() * end[name].element_size() for name in names)
            moved = _moved(start, end, names) if names else (0.0 if tokens is not None and not row.state else None)
            found.append(Level(prefix + row.name, row.minimises, row.period, row.optimizer, size, moved))
    if not found:
        raise ValueError(
            f"No part of this {type(model).__name__} has a method level_rows, so it has no levels to list."
        )
    return found


def _moved(start: dict[str, Tensor], end: dict[str, Tensor], names: list[str]) -> float:
    """Relative change of the entries together, averaged over the batch; new entries (a cache) count whole."""

    def rows(name: str, state: dict[str, Tensor]) -> Tensor:
        return state[name].float().flatten(1)

    changes = [
        rows(n, end) - rows(n, start) if start[n].shape == end[n].shape else rows(n, end) for n in names
    ]  # fmt: skip
    change = torch.cat(changes, 1).norm(dim=1)
    size = torch.cat([rows(n, start) for n in names], 1).norm(dim=1)
    return torch.where(size > 0, change / size.clamp_min(1e-30), change).mean().item()


def table_of_levels(model: nn.Module, tokens: Any = None) -> str:
    """``levels_of`` as text, one line a level."""
    head = ("level", "minimises", "changes every", "by", "bytes", "moved")
    lines = [head]
    for level in levels_of(model, tokens):
        moved = "" if level.moved is None else f"{level.moved:.3g}"
        lines.append((level.name, level.minimises, level.period, level.optimizer, f"{level.bytes:,}", moved))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)
