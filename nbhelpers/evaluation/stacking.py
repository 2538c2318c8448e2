"""Ad-hoc level stacking: the MLPs of a trained Transformer as levels of a continuum memory, each with its own period.

    python -m nbhelpers.evaluation.stacking [ARM ...]

tunes every arm of ``ARMS`` on six texts, measures it on six others, and writes a record of kind "bench" for each.
Nothing is trained: a rate of 0 gives the Transformer as it is, §7.3 of arXiv 2512.24695.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nbhelpers.core.records import RUNS, Record
from nbhelpers.data.texts import load_documents
from nbhelpers.data.tokenizer import load_tokenizer
from nbhelpers.models import LanguageModel, adapt, load

MODEL = "train-transformer-s0-27223027"
LENGTH, TRIALS, EXPONENTS = 1024, 9, (0.0, 0.5, 1.0)
RATES = -2.5, -1.5  # powers of ten between which the rate of the shortest period is tried
ONE_CLOCK = -4.0, -1.0  # the same for a single period
TUNED_ON = ("Macbeth", "Moby-Dick, chapters 126–135")  # with four addresses of the validation part
REPORTED = ("The Tempest", "Hamlet", "Persuasion")  # with three of the test part
ARMS = {
    "many.first.layer.fast": (8, 32, 128, 512),
    "many.last.layer.fast": (512, 128, 32, 8),
    "one.8": (8,) * 4,
    "one.32": (32,) * 4,
    "one.128": (128,) * 4,
    "one.512": (512,) * 4,
}


def texts(part: str, titles: Sequence[str], count: int = 6) -> tuple[list[str], Tensor]:
    """Titles and openings (count, ``LENGTH`` + 1) of some works, filled up with addresses of the part."""
    works = {one.title: one for one in load_documents("all", part)}
    speeches = [one.title for one in load_documents("speech", part)]
    chosen = [*titles, *speeches[:: len(speeches) // (count - len(titles))][: count - len(titles)]]
    coder = load_tokenizer("bpe4096")
    rows = [coder.encode(works[title].text[: 8 * LENGTH])[: LENGTH + 1] for title in chosen]
    return chosen, torch.tensor(rows)


def stack(model: LanguageModel, periods: Sequence[int], rate: float, exponent: float = 0.0) -> None:
    """Give each layer's MLP its period in tokens, and the rate η · (shortest period / period)^exponent.

    Raises
    ------
    ValueError
        If there is not one period for each layer.
    """
    if len(periods) != len(model.blocks):
        raise ValueError(f"{len(periods)} periods for {len(model.blocks)} layers; expected one each.")
    for block, period in zip(model.blocks, periods, strict=True):
        own = rate * (min(periods) / period) ** exponent
        block.cms.levels = tuple(
            dataclasses.replace(level, period_steps=1, period_tokens=period, learning_rate=own)
            for level in block.cms.levels
        )


def trials(periods: Sequence[int]) -> list[tuple[float, float]]:
    """(rate, exponent) to try: as many for every arm."""
    if len(set(periods)) == 1:
        return [(float(f"{rate:.3g}"), 0.0) for rate in np.logspace(*ONE_CLOCK, TRIALS)]
    count = TRIALS // len(EXPONENTS)
    return [(float(f"{rate:.3g}"), e) for e in EXPONENTS for rate in np.logspace(*RATES, count)]


def read(model: LanguageModel, tokens: Tensor, periods: Sequence[int], rate: float, exponent: float = 0.0) -> Tensor:
    """Mean nats a token of each text (B,), read while the levels learn."""
    stack(model, periods, rate, exponent)
    return adapt(model, tokens)[0].mean(1)


def settings(periods: Sequence[int]) -> dict:
    """What decides an arm's record."""
    return {
        "task": "stacking",
        "model": MODEL,
        "periods": list(periods),
        "length": LENGTH,
        "trials": [list(trial) for trial in trials(periods)],
    }


def run_arm(name: str, to: str | Path = RUNS) -> Record:
    """The record of an arm; what is there is not run again."""
    periods = ARMS[name]
    record = Record("bench", f"stacking.{name}", 0, settings(periods), to)
    if record.result is not None:
        return record
    record.begin()
    model = load(RUNS / MODEL / "model").float()
    _, tokens = texts("validation", TUNED_ON)
    rows = []
    for rate, exponent in trials(periods):
        loss = float(read(model, tokens, periods, rate, exponent).mean())
        rows.append((loss if math.isfinite(loss) else math.inf, rate, exponent))
        record.log(rate=rate, exponent=exponent, loss=loss if math.isfinite(loss) else None)
    _, rate, exponent = min(rows)
    titles, tokens = texts("test", REPORTED)
    still, learning = (read(model, tokens, periods, one, exponent).tolist() for one in (0.0, rate))
    record.finish(status="done", rate=rate, exponent=exponent, titles=titles, frozen=still, learning=learning)
    return record


def main(names: Sequence[str]) -> int:
    """Run the arms that are named, or all."""
    torch.set_num_threads(1)
    for name in names or ARMS:
        found = run_arm(name).result
        saved = np.subtract(found["frozen"], found["learning"])
        print(f"{name}: rate {found['rate']}, exponent {found['exponent']}, saved {np.round(saved, 3)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
