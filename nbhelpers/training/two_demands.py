"""Two demands on one reader: a letter from a few tokens ago, and a fact from long ago. Wirings of memories meet here.

    t h e _ [Kim is q] k i n g … _ c o m e s _ [5 tokens ago?] [Kim?]

A row is a line of real text, one letter a token. Facts are told in its first tokens, a name and a letter each. Later
tokens ask: which letter stood so many tokens ago (near), and which letter a name was told to be (far). A token carries
two entries, what it is and a letter, so that one layer can do either.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nbhelpers import layers
from nbhelpers.data.texts import load_text
from nbhelpers.training.config import StepConfig, check_choices, check_least
from nbhelpers.training.weights import load_weights, save_weights

WIRINGS = ("attention", "lmm", "mac", "mag", "mal")
LETTERS = " " + string.ascii_lowercase
NOTHING = len(LETTERS)  # the letter of a token that asks
NAMES = 8
BACK = range(4, 9)  # how many tokens ago a near question asks for: beyond a convolution of four tokens
TEXT, TOLD, ASKED, PLACE = range(4)  # what a token is; a near question is PLACE + tokens back - BACK[0]
KINDS = PLACE + len(BACK)
NOBODY = NAMES  # the name of a token that names nobody
NO_ANSWER = -100  # as in torch's cross-entropy


@dataclass(frozen=True)
class TwoDemandsConfig(StepConfig):
    """A model of one layer and its rows.

    Parameters
    ----------
    wiring: "attention" (a window alone), "lmm" (the memory alone), "mac", "mag" or "mal".
    memory: kind of memory, as for ``Titans``.
    width, heads: of the mixer.
    window: tokens that attention sees, and of a chunk of the memory and a segment of MAC.
    persistent: persistent tokens of every wiring with attention.
    parameters: of mixer and MLP together; the MLP takes what the mixer leaves.
    texts: a domain of ``nbhelpers.data.texts``.
    length: tokens of a row: facts are told in the first quarter, questions asked in the second half.
    facts: told in a row.
    tokens: to train on; the number of steps is what they fill, rounded down.
    held_out: tokens that validation and the final evaluation read.

    The others are those of ``StepConfig``.
    """

    task: ClassVar[str] = "two_demands"
    budget: ClassVar[str] = "tokens"

    batch_size: int = 32
    weight_decay: float = 0.0
    wiring: str = "mag"
    memory: str = "matrix"
    width: int = 32
    heads: int = 2
    window: int = 16
    persistent: int = 4
    parameters: int = 14_000
    texts: str = "drama"
    length: int = 64
    facts: int = 4
    tokens: int = 512_000
    held_out: int = 65_536

    def __post_init__(self):
        super().__post_init__()
        check_choices(self, wiring=WIRINGS)
        check_least(self, window=1, facts=1, length=4 * max(self.facts, BACK[-1]), tokens=self.units)
        check_least(self, held_out=self.length)

    @property
    def name(self) -> str:
        return self.wiring

    @property
    def units(self) -> int:
        return self.batch_size * self.length

    @property
    def steps(self) -> int:
        return self.tokens // self.units


class Rows(NamedTuple):
    """Rows of two demands: (B, L) each; ``answers`` holds a letter where a token asks, else ``NO_ANSWER``."""

    what: Tensor
    names: Tensor
    letters: Tensor
    answers: Tensor


class Reader(nn.Module):
    """One mixer and one MLP with residuals: what, letters (B, L) → scores of letters (B, L, 27) and the state."""

    def __init__(self, config: TwoDemandsConfig):
        super().__init__()
        self.what = nn.Embedding(KINDS, config.width)
        self.name = nn.Embedding(NAMES + 1, config.width)
        self.letter = nn.Embedding(len(LETTERS) + 1, config.width)
        self.norms = nn.ModuleList(nn.RMSNorm(config.width, eps=1e-6) for _ in range(3))
        self.mixer = make_mixer(config)
        left = config.parameters - sum(p.numel() for p in self.mixer.parameters())
        if left < 3 * config.width:
            raise ValueError(
                f"A mixer of {config.wiring} leaves {left} of {config.parameters} parameters for the MLP; allow more."
            )
        self.mlp = layers.GatedMLP(config.width, round(left / (3 * config.width)))
        self.out = nn.Linear(config.width, len(LETTERS), bias=False)
        self.start_alike()

    @torch.no_grad()
    def start_alike(self) -> None:
        """Let queries start as keys in every mixer, so that equal names fit from the start."""
        for module in self.mixer.modules():
            if hasattr(module, "qkv"):
                queries, keys, _ = module.qkv.weight.chunk(3)
                queries.copy_(keys)

    def forward(
        self, what: Tensor, names: Tensor, letters: Tensor, state: layers.State | None = None
    ) -> tuple[Tensor, Any]:
        x = self.what(what) + self.name(names) + self.letter(letters)
        mixed, state = self.mixer(self.norms[0](x), state)
        x = x + mixed
        x = x + self.mlp(self.norms[1](x))
        return self.out(self.norms[2](x)), state


def make_mixer(config: TwoDemandsConfig) -> layers.Mixer:
    """The mixer of a wiring."""
    size = (config.width, config.heads, config.window)
    sees, holds = {"window": config.window, "persistent": config.persistent}, {"memory": config.memory}
    match config.wiring:
        case "attention":
            return layers.Attention(*size, **sees)
        case "lmm":
            return layers.Titans(*size, **holds)
        case "mac":
            return layers.MemoryAsContext(*size, persistent=config.persistent, **holds)
        case "mag":
            return layers.MemoryAsGate(*size, **sees, **holds)
    return layers.MemoryAsLayer(*size, **sees, **holds)


class Asked(nn.Module):
    """Mean cross-entropy of the answers, in nats."""

    def __init__(self, model: Reader):
        super().__init__()
        self.model = model

    def forward(self, what: Tensor, names: Tensor, letters: Tensor, answers: Tensor) -> Tensor:
        scores, _ = self.model(what, names, letters)
        return F.cross_entropy(scores.flatten(0, 1), answers.flatten(), ignore_index=NO_ANSWER)


class TwoDemands:
    """The task: shares of wrong answers (``"near"``, ``"far"``), nats an answer (``"loss"``, also as ``"mean"``)."""

    def __init__(self, config: TwoDemandsConfig, seed: int):
        self.config, self.seed = config, seed
        self.replace_model(Reader(config))

    def replace_model(self, model: Reader) -> None:
        self.model, self.blocks = model, []
        self.module = Asked(model)

    def batches(self, start_step: int, rank: int = 0, processes: int = 1) -> Iterator[tuple[Tensor, ...]]:
        step = start_step
        while True:
            rows = draw_rows(self.config, self.config.batch_size, "train", [self.seed, step])
            yield tuple(part[rank::processes] for part in rows)
            step += 1

    def validate(self, module: nn.Module, device: torch.device) -> dict[str, float]:
        return self._measure("validation", device)

    def test(self, device: torch.device) -> dict[str, float]:
        return self._measure("test", device)

    def _measure(self, part: str, device: torch.device) -> dict[str, float]:
        rows = draw_rows(self.config, self.config.held_out // self.config.length, part, [0])
        scores = say(self.model, Rows(*(tensor.to(device) for tensor in rows)))
        loss = F.cross_entropy(scores.flatten(0, 1), rows.answers.flatten(), ignore_index=NO_ANSWER).item()
        wrong = scores.argmax(-1) != rows.answers
        found = {name: wrong[which].float().mean().item() for name, which in demands(rows).items()}
        return {"loss": loss, **found, "mean": loss}

    def extras(self, device: torch.device, sample: int) -> dict[str, Any]:
        return {}

    def save(self, folder: Path) -> None:
        save_weights(self.model, folder)

    def load(self, folder: Path) -> None:
        load_weights(self.model, folder)


@torch.no_grad()
def say(model: nn.Module, rows: Rows, size: int = 256) -> Tensor:
    """Scores of letters (B, L, 27) on the CPU, ``size`` rows at a time."""
    pieces = zip(*(part.split(size) for part in rows[:3]), strict=True)
    return torch.cat([model(*piece)[0].cpu() for piece in pieces])


def demands(rows: Rows) -> dict[str, Tensor]:
    """Which tokens ask, by demand: (B, L) bool each."""
    return {"near": rows.what >= PLACE, "far": rows.what == ASKED}


def draw_rows(config: TwoDemandsConfig, count: int, part: str, seed: list[int]) -> Rows:
    """Rows whose text belongs to one part; equal arguments give equal rows.

    Half of the second half asks, as often for a place as for a name, but a place that holds no letter of the text
    is not asked for: then a name is.
    """
    g = np.random.default_rng([["train", "validation", "test"].index(part), *seed])
    length, quarter = config.length, config.length // 4
    text = letters_of(config.texts, part)
    start = g.integers(len(text) - length, size=(count, 1))
    letters = text[start + np.arange(length)]
    what, called = np.full((count, length), TEXT), np.full((count, length), NOBODY)

    row = np.arange(count)[:, None]
    names = g.permuted(np.tile(np.arange(NAMES), (count, 1)), axis=1)[:, : config.facts]
    told = g.permuted(np.tile(np.arange(quarter), (count, 1)), axis=1)[:, : config.facts]
    what[row, told], called[row, told] = TOLD, names
    letters[row, told] = facts = g.integers(1, len(LETTERS), size=names.shape)

    asks = g.random((count, length)) < 0.5
    asks[:, : length // 2] = False
    back = g.integers(BACK[0], BACK[-1] + 1, size=asks.shape)
    source = np.maximum(np.arange(length) - back, 0)
    near = asks & ~asks[row, source]
    which = g.integers(config.facts, size=asks.shape)
    answers = np.where(asks, np.where(near, letters[row, source], facts[row, which]), NO_ANSWER)
    what = np.where(asks, np.where(near, PLACE + back - BACK[0], ASKED), what)
    called = np.where(asks & ~near, names[row, which], called)
    letters = np.where(asks, NOTHING, letters)
    return Rows(*(torch.from_numpy(array.astype(np.int64)) for array in (what, called, letters, answers)))


@cache
def letters_of(domain: str, part: str) -> np.ndarray:
    """A domain's text as places in ``LETTERS``; all that is no letter is one space."""
    words = "".join(c if c in LETTERS else " " for c in load_text(domain, part).lower()).split()
    table = np.zeros(128, dtype=np.int64)
    table[[ord(c) for c in LETTERS]] = range(len(LETTERS))
    return table[np.frombuffer(" ".join(words).encode(), dtype=np.uint8)]
