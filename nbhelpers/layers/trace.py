"""What a mixer does token by token: surprise, gates, and how far each memory moves."""

from __future__ import annotations

import torch
from torch import Tensor

from nbhelpers.layers.mixer import Mixer, State


@torch.no_grad()
def trace(mixer: Mixer, x: Tensor, state: State | None = None) -> tuple[Tensor, State, dict[str, Tensor]]:
    """Read x one token at a time, which gives the same numbers as reading it whole, and note what happens.

    Parameters
    ----------
    mixer: any mixer of ``nbhelpers.layers`` with a ``mix`` of its own.
    x: (B, L, D).
    state: what came before; None begins.

    Returns
    -------
    y, state: as from the call ``mixer(x, state)``.
    found: tensors by name. Gates (``learning_rate``, ``retention``, ``momentum_decay``, ``write_strength``, ``step``)
        and ``surprise`` = ‖M k − v‖ before the write are (B, H, L); ``change.NAME`` = ‖M_t − M_{t-1}‖ of each memory
        NAME of the state is (B, L). A mixer has those that its rule has.
    """
    state = mixer.initial_state(len(x)) if state is None else state
    outputs, notes = [], []
    for t in range(x.shape[1]):
        record: dict[str, Tensor] = {}
        y, new = mixer.mix(x[:, t : t + 1], state, record)
        for name in mixer.memory_names:
            if name in new and new[name].shape == state[name].shape:
                record[f"change.{name}"] = (new[name] - state[name]).flatten(1).norm(dim=1)[:, None]
        state = new
        outputs.append(y)
        notes.append(record)
    found = {name: torch.cat([note[name] for note in notes], -1) for name in notes[-1]}
    return torch.cat(outputs, 1), state, found
