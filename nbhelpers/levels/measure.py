"""How often each level of a model really changes while it reads: a measurement to hold against the printed period."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def measured_periods(
    model: nn.Module, batch: int, stops: Sequence[int], read: Callable[[dict[str, Tensor], int, int], tuple[Any, dict]]
) -> tuple[dict[str, Tensor], list[Any]]:
    """Read in pieces and note at which stops the state of each level has changed since the stop before.

    Parameters
    ----------
    model: a model that ``levels_of`` can measure: parts with ``level_rows``, and ``initial_state(batch)``.
    batch: B, number of sequences.
    stops: places in the text, rising; the reading begins at 0. A period shorter than the gaps between stops cannot be
        seen.
    read: ``read(state, start, stop) -> (out, state)`` reads the tokens from start to stop.

    Returns
    -------
    periods: level → (B,) smallest number of tokens between two changes, infinity for a level that never changed.
    outs: what ``read`` returned first, piece by piece.

    Raises
    ------
    ValueError
        If the stops do not rise from above 0.
    """
    if any(b <= a for a, b in zip([0, *stops], stops, strict=False)):
        raise ValueError(f"The stops are {list(stops)}; expected rising places in the text, from 1.")
    state, start, outs = model.initial_state(batch), 0, []
    entries = _entries(model, state)
    last = {level: torch.zeros(batch) for level in entries}
    periods = {level: torch.full((batch,), torch.inf) for level in entries}
    for stop in stops:
        out, new = read(state, start, stop)
        for level, names in entries.items():
            changed = torch.zeros(batch, dtype=torch.bool)
            for name in names:
                changed |= _changed(state[name], new[name])
            periods[level] = torch.where(changed, torch.minimum(periods[level], stop - last[level]), periods[level])
            last[level] = torch.where(changed, torch.tensor(float(stop)), last[level])
        outs.append(out)
        state, start = new, stop
    return periods, outs


def _entries(model: nn.Module, state: dict[str, Tensor]) -> dict[str, list[str]]:
    """Level → the names of its tensors in the state, by the rule of ``table``."""
    found = {}
    for path, module in model.named_modules():
        prefix = path.removeprefix("blocks.") + "." if path else ""
        for row in module.level_rows() if hasattr(module, "level_rows") else ():
            found[prefix + row.name] = [prefix + name for name in row.state if prefix + name in state]
    return found


def _changed(before: Tensor, after: Tensor) -> Tensor:
    """Which rows differ, (B,); another shape (a cache that grew) differs everywhere."""
    if before.shape != after.shape:
        return torch.ones(len(after), dtype=torch.bool)
    return (before != after).flatten(1).any(1).cpu()
