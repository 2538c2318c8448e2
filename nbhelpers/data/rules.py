"""Three small games of being told and being asked, for memories of one layer: ``flip``, ``recall``, ``parity``.

Every step is asked first and told after: the answer to ``asked[t]`` may use ``told[0] … told[t − 1]`` only. So a memory
that reads before it writes is in time.

    flip     a new map of K names to two values; halfway all values swap, and nothing says so
    recall   the same without the swap
    parity   a stream of bits; the answer is whether the ones so far, this bit included, are odd
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

NAMES, LENGTH, TURN = 5, 30, 15  # names, steps, and the step of the swap in tests (in training a third to two thirds)
SHORT, LONG = 20, 80  # steps of parity in training, and in the longer test


class Game(NamedTuple):
    """Sequences of a game: what is told (N, L, n) and asked (N, L, m) as one-hot rows, the right answers (N, L) of 0
    and 1, and the names asked (N, L), for parity the bits."""

    told: Tensor
    asked: Tensor
    answers: Tensor
    names: Tensor


def flip(count: int, generator: torch.Generator, turn: int | None = None) -> Game:
    """``count`` sequences whose values all swap at the step ``turn``; None draws a step from the middle third."""
    values = torch.randint(2, (count, NAMES), generator=generator)
    names = torch.randint(NAMES, (count, LENGTH), generator=generator)
    turns = torch.randint(LENGTH // 3, 2 * LENGTH // 3 + 1, (count, 1), generator=generator)
    if turn is not None:
        turns = torch.full((count, 1), turn)
    answers = (values.gather(1, names) + (torch.arange(LENGTH) >= turns)) % 2
    asked = F.one_hot(names, NAMES).float()
    return Game(torch.cat([asked, F.one_hot(answers, 2).float()], -1), asked, answers, names)


def recall(count: int, generator: torch.Generator) -> Game:
    """``count`` sequences of ``flip`` that never swap."""
    return flip(count, generator, LENGTH)


def parity(count: int, generator: torch.Generator, length: int = SHORT) -> Game:
    """``count`` streams of bits."""
    bits = torch.randint(2, (count, length), generator=generator)
    rows = F.one_hot(bits, 2).float()
    return Game(rows, rows, bits.cumsum(1) % 2, bits)


GAMES: dict[str, Callable[[int, torch.Generator], Game]] = {"flip": flip, "recall": recall, "parity": parity}


def told_since(names: Tensor, first: int, stop: int | None = None) -> Tensor:
    """Whether the name of a step was told before it, from step ``first`` on and before ``stop`` if given: (N, L)."""
    steps = torch.arange(names.shape[1])
    counts = (steps >= first) & (steps < (names.shape[1] if stop is None else stop))
    same = names[:, :, None] == names[:, None, :]  # [n, t, s]
    return (same & (counts & (steps < steps[:, None]))).any(-1)
