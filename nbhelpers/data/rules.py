"""Four small games of being told and being asked, for memories of one layer.

Every step is asked first and told after: the answer to ``asked[t]`` may use ``told[0] … told[t − 1]`` only. So a memory
that reads before it writes is in time.

    flip     a new map of K names to two values; halfway all values swap, and nothing says so
    recall   the same without the swap
    address  an item shows two names and a value that belongs to one of them, to the left one before a cue, to the right
             one after it; a name's value is drawn anew each time it is told
    parity   a stream of bits; the answer is whether the ones so far, this bit included, are odd
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

NAMES, LENGTH, TURN = 5, 30, 15  # names, steps, and the step of the swap in tests (in training a third to two thirds)
SHORT, DOUBLE, LONG = 20, 40, 80  # steps of parity in training, and in the longer tests
PAIR = 2  # names in address


class Game(NamedTuple):
    """Sequences of a game: what is told (N, L, n) and asked (N, L, m) as one-hot rows, the right answers (N, L) of 0
    and 1, and the names asked and told (N, L), for parity the bits; −1 where nothing is told about a name."""

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


def address(count: int, generator: torch.Generator, turn: int | None = None) -> Game:
    """``count`` sequences with the cue at the step ``turn``, which tells nothing else; None draws it like ``flip``.

    A told row has the left name, the right name, the value and the cue as one-hot parts. Asked for a name, the answer
    is the value it was told last. Names and values count from a start that nobody tells.
    """
    names = torch.randint(PAIR, (count, LENGTH), generator=generator)
    others = torch.randint(PAIR, (count, LENGTH), generator=generator)
    values = torch.randint(2, (count, LENGTH), generator=generator)
    held = torch.randint(2, (count, PAIR), generator=generator)
    turns = torch.randint(LENGTH // 3, 2 * LENGTH // 3 + 1, (count, 1), generator=generator)
    if turn is not None:
        turns = torch.full((count, 1), turn)
    steps = torch.arange(LENGTH)
    cue, right = steps == turns, steps > turns
    answers = torch.empty_like(names)
    for t in range(LENGTH):
        name = names[:, t : t + 1]
        answers[:, t] = held.gather(1, name).squeeze(1)
        held = held.scatter(1, name, torch.where(cue[:, t], answers[:, t], values[:, t])[:, None])
    sides = torch.where(right, others, names), torch.where(right, names, others)
    item = torch.cat([F.one_hot(part, 2) for part in (*sides, values)], -1) * ~cue[..., None]
    told = torch.cat([item, cue[..., None]], -1).float()
    return Game(told, F.one_hot(names, PAIR).float(), answers, names.masked_fill(cue, -1))


GAMES: dict[str, Callable[[int, torch.Generator], Game]] = {
    "flip": flip,
    "recall": recall,
    "address": address,
    "parity": parity,
}


def told_since(names: Tensor, first: int, stop: int | None = None) -> Tensor:
    """Whether the name of a step was told before it, from step ``first`` on and before ``stop`` if given: (N, L)."""
    steps = torch.arange(names.shape[1])
    counts = (steps >= first) & (steps < (names.shape[1] if stop is None else stop))
    same = names[:, :, None] == names[:, None, :]  # [n, t, s]
    return (same & (counts & (steps < steps[:, None]))).any(-1)
