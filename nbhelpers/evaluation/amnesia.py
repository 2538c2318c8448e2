"""What frozen models recall of what they were told, and what a gradient step on the told sentence brings and costs.

    python -m nbhelpers.evaluation.amnesia [FOLDER]

measures every model ``amnesiac.…`` of a folder of records and writes what it finds as records of kind "bench" beside
them. A measurement that is there is not made again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nbhelpers.core.records import RUNS, Record, records
from nbhelpers.data.facts import DIGITS, Fact, Filler, as_rows, probes
from nbhelpers.evaluation.one_step import Weights, bits_each, learn_each, says_each
from nbhelpers.models import LanguageModel, load, recalled

WINDOW = 256  # tokens that the reader with a truncated context sees: the rows of its training
FAR = 512  # a distance at which nothing of the told sentence is in that window
DISTANCES = (40, 64, 96, 128, 160, 192, 224, 256, 272, 288, 320, 384, 512, 1024)
RATES = tuple(float(f"{rate:.2g}") for rate in np.geomspace(0.01, 10, 13))
STEPS = (1, 2, 4, 8)
COUNT = 128  # facts of an exam
CHAIN = 16  # facts told one after another
TEXT = 8, 256  # rows and tokens of held-out text
AT_ONCE = 64  # rows or students that are computed side by side


@dataclass(frozen=True)
class Exam:
    """The same facts asked for at several distances, and some text.

    Attributes
    ----------
    facts: N of them.
    told: (N, L) the sentence that tells each, between line breaks.
    rows: (N, T) by distance; the last ``DIGITS`` tokens of row i are the number of fact i.
    text: (B, T) of the same works as the text in the rows.
    """

    facts: list[Fact]
    told: Tensor
    rows: dict[int, Tensor]
    text: Tensor

    def strangers(self) -> list[int]:
        """For each fact the place of another one, with another name and another number."""
        found = []
        for i, fact in enumerate(self.facts):
            order = (*range(i + 1, len(self.facts)), *range(i))
            found.append(next(j for j in order if self._differ(fact, self.facts[j])))
        return found

    @staticmethod
    def _differ(one: Fact, other: Fact) -> bool:
        return one.name != other.name and one.value != other.value


def make_exam(
    part: str, count: int, distances: tuple[int, ...], *, texts: str = "fiction", seed: int = 0, least: int = WINDOW
) -> Exam:
    """An exam on facts and text of one part; the same for the same seed.

    Parameters
    ----------
    part: "validation" for choices, "test" for what is reported.
    count: N, facts.
    distances: at which they are asked for.
    texts: a domain of ``nbhelpers.data.texts``.
    least: tokens that are read at the least.
    """
    filler = Filler(texts, part)
    made = {distance: probes(filler, distance, count, part, least=least, seed=seed) for distance in distances}
    facts = [one.fact for one in made[distances[0]]]
    told = torch.tensor([list(f"\n{fact.told()}\n".encode()) for fact in facts])
    generator = np.random.default_rng(seed)
    text = np.stack([filler(TEXT[1], generator) for _ in range(TEXT[0])]).astype(np.int64)
    return Exam(facts, told, {d: as_rows(some) for d, some in made.items()}, torch.from_numpy(text))


def recall(model: LanguageModel, exam: Exam, window: int | None = None) -> dict[int, float]:
    """Share of the facts that the model says, by distance; ``window`` as for ``nbhelpers.models.recalled``."""
    found = {}
    for distance, rows in exam.rows.items():
        right = torch.cat([recalled(model, some, DIGITS, window) for some in rows.split(AT_ONCE)])
        found[distance] = right.double().mean().item()
    return found


def students(model: LanguageModel, exam: Exam, rate: float, steps: int) -> list[Weights]:
    """One student a fact, in groups of at most ``AT_ONCE``, each told its own."""
    return [learn_each(model, told, rate, steps) for told in exam.told.split(AT_ONCE)]


def recall_each(model: LanguageModel, groups: list[Weights], rows: Tensor) -> float:
    """Share of students that say the last tokens of their own row, through the window."""
    pairs = zip(groups, rows.split(AT_ONCE), strict=True)
    right = [says_each(model, group, some[:, None], DIGITS, WINDOW)[:, 0] for group, some in pairs]
    return torch.cat(right).double().mean().item()


def price(model: LanguageModel, groups: list[Weights], exam: Exam, near: int) -> dict[str, float]:
    """What the students lost by their step.

    Returns
    -------
    strangers: share that give the number they were told to someone whose number they were never told.
    others: share that still say a fact, not their own, that stands in the window at distance ``near``.
    bits: bits per byte on the exam's text.
    """
    others = exam.strangers()
    asked = exam.rows[FAR][others].clone()
    asked[:, -DIGITS:] = exam.rows[FAR][:, -DIGITS:]  # a stranger's question, one's own number
    bits = torch.cat([bits_each(model, group, exam.text) for group in groups])
    return {
        "strangers": recall_each(model, groups, asked),
        "others": recall_each(model, groups, exam.rows[near][others]),
        "bits": bits.double().mean().item(),
    }


def choose_rate(model: LanguageModel, exam: Exam, steps: int, rates: tuple[float, ...] = RATES) -> dict[float, float]:
    """Recall from far away after ``steps`` steps, by rate: what a rate is chosen by, on validation facts."""
    return {rate: recall_each(model, students(model, exam, rate, steps), exam.rows[FAR]) for rate in rates}


def told_in_turn(model: LanguageModel, exam: Exam, rate: float, steps: int, chain: int = CHAIN) -> list[float]:
    """Recall of a fact after it was learned, then after one more was learned, … up to ``chain`` facts in all."""
    taught, found = None, []
    told = exam.told[:AT_ONCE]
    for later in range(chain):
        taught = learn_each(model, told.roll(-later, 0), rate, steps, taught)
        right = says_each(model, taught, exam.rows[FAR][:AT_ONCE, None], DIGITS, WINDOW)
        found.append(right.double().mean().item())
    return found


def measure_recall(record: Record) -> Record:
    """Write the record of a model's recall by distance."""
    window = WINDOW if record.name.endswith("transformer") else None
    settings = {"model": record.config, "window": window, "distances": list(DISTANCES), "facts": COUNT}
    bench = Record("bench", f"recall.{record.name}", record.seed, settings, record.folder.parent)
    if bench.result is None:
        model = load(record.folder / "model").float()
        bench.begin()
        found = recall(model, make_exam("test", COUNT, DISTANCES, texts=record.config["texts"]), window)
        bench.finish(status="done", recall={str(d): share for d, share in found.items()})
    return bench


def measure_step(record: Record) -> Record:
    """Write the record of what one, two, … gradient steps bring and cost."""
    settings = {"model": record.config, "window": WINDOW, "distances": list(DISTANCES), "facts": COUNT}
    settings |= {"rates": list(RATES), "steps": list(STEPS), "chain": CHAIN}
    bench = Record("bench", f"step.{record.name}", record.seed, settings, record.folder.parent)
    if bench.result is not None:
        return bench
    model = load(record.folder / "model").float()
    choices = make_exam("validation", COUNT, (FAR,), texts=record.config["texts"])
    exam = make_exam("test", COUNT, DISTANCES, texts=record.config["texts"])
    bench.begin()
    found: dict[str, Any] = {"0": measure_students(model, exam, 0.0, 0)}
    for steps in STEPS:
        scores = choose_rate(model, choices, steps)
        rate = max(scores, key=scores.get)
        found[str(steps)] = {"rate": rate, "scores": {str(r): s for r, s in scores.items()}}
        found[str(steps)] |= measure_students(model, exam, rate, steps)
        found[str(steps)]["told_in_turn"] = told_in_turn(model, exam, rate, steps)
    bench.finish(status="done", steps=found)
    return bench


def measure_students(model: LanguageModel, exam: Exam, rate: float, steps: int) -> dict[str, Any]:
    """Recall by distance and price of students at one rate."""
    groups = students(model, exam, rate, steps)
    found = {str(distance): recall_each(model, groups, rows) for distance, rows in exam.rows.items()}
    return {"recall": found, **price(model, groups, exam, near=128)}


def main(folder: str = str(RUNS)) -> int:
    torch.set_num_threads(1)
    made = [record for record in records("train", to=Path(folder)) if record.name.startswith("amnesiac.")]
    for record in made:
        if (record.folder / "model").is_dir():
            print(measure_recall(record).id)
            if record.name == "amnesiac.transformer":
                print(measure_step(record).id)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
