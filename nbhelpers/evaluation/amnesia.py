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
from torch.nn import functional as F

from nbhelpers.core.records import RUNS, Record, records
from nbhelpers.data.facts import DIGITS, Fact, Filler, as_rows, probes, told_tokens
from nbhelpers.data.streams import bits_per_byte
from nbhelpers.models import LanguageModel, learn_once, load, recalled

WINDOW = 256  # tokens that the reader with a truncated context sees: the rows of its training
NEAR, FAR = 128, 512  # a distance inside the window, and one at which nothing of the told sentence is left in it
DISTANCES = (40, 64, 96, 128, 160, 192, 256, 288, 320, 384, 512, 1024)
RATES = tuple(float(f"{rate:.2g}") for rate in np.geomspace(0.001, 1, 10))
STEPS = (1, 8)
COUNT, STUDENTS = 128, 64  # facts that a frozen model is asked for; facts that are told by a step, each to a copy
OTHERS = {"gated_deltanet": 0}  # by family: more facts that a row tells; where not named:
MOST_OTHERS = 2
LOADS = (1, 2, 3, 4, 6, 8)  # facts that a row tells, where it is their number that is varied
CHAIN = 8  # facts told one after another
TEXT = 4, 256  # rows and tokens of held-out text
AT_ONCE = 64  # rows that are computed side by side

Changes = dict[str, Tensor]


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

    def chains(self, length: int) -> Tensor:
        """For each fact the places of itself and of the facts told after it, (N, length): all with other numbers.

        Raises
        ------
        ValueError
            If the exam has fewer numbers.
        """
        numbers = len({fact.value for fact in self.facts})
        if length > numbers:
            raise ValueError(f"length={length}: the facts of this exam have {numbers} different numbers, so no more.")
        found = []
        for i in range(len(self.facts)):
            chain: list[int] = []
            for j in (*range(i, len(self.facts)), *range(i)):
                if len(chain) < length and all(self._differ(self.facts[j], self.facts[k]) for k in chain):
                    chain.append(j)
            found.append(chain)
        return torch.tensor(found)

    @staticmethod
    def _differ(one: Fact, other: Fact) -> bool:
        return one.name != other.name and one.value != other.value


def make_exam(
    part: str,
    count: int,
    distances: tuple[int, ...],
    *,
    texts: str = "fiction",
    seed: int = 0,
    others: int = MOST_OTHERS,
) -> Exam:
    """An exam on facts and text of one part; the same for the same seed.

    Parameters
    ----------
    part: "validation" for choices, "test" for what is reported.
    count: N, facts.
    distances: at which they are asked for.
    texts: a domain of ``nbhelpers.data.texts``.
    others: facts that each row tells besides, where they fit.
    """
    filler = Filler(texts, part)
    made = {
        distance: probes(filler, distance, count, part, least=WINDOW, others=others, seed=seed)
        for distance in distances
    }
    facts = [one.fact for one in made[distances[0]]]
    generator = np.random.default_rng(seed)
    text = np.stack([filler(TEXT[1], generator) for _ in range(TEXT[0])]).astype(np.int64)
    return Exam(facts, told_tokens(facts), {d: as_rows(some) for d, some in made.items()}, torch.from_numpy(text))


def recall(
    model: LanguageModel, exam: Exam, window: int | None = None, changes: list[Changes] | None = None
) -> dict[int, float]:
    """Share of the facts that the model says, by distance.

    Parameters
    ----------
    window: as for ``nbhelpers.models.recalled``.
    changes: of ``learn``, where each row is read by a student of its own; None for the model as it is.
    """
    return {distance: share_said(model, rows, window, changes) for distance, rows in exam.rows.items()}


def share_said(
    model: LanguageModel, rows: Tensor, window: int | None = None, changes: list[Changes] | None = None
) -> float:
    """Share of rows (N, T) whose last ``DIGITS`` tokens the model would write."""
    return _said(model, rows, window, changes).double().mean().item()


def _said(model: LanguageModel, rows: Tensor, window: int | None, changes: list[Changes] | None) -> Tensor:
    """Which rows (N,) those are."""
    groups = rows.split(AT_ONCE)
    states = [None] * len(groups) if changes is None else changes
    said = [recalled(model, some, DIGITS, window, state) for some, state in zip(groups, states, strict=True)]
    return torch.cat(said)


def learn(
    model: LanguageModel, told: Tensor, rate: float, steps: int, changes: list[Changes] | None = None
) -> list[Changes]:
    """Students, one for each sentence (N, T): what ``steps`` gradient steps change, in groups of ``AT_ONCE``."""
    groups = told.split(AT_ONCE)
    found = [None] * len(groups) if changes is None else list(changes)
    for number, some in enumerate(groups):
        for _ in range(steps):
            found[number] = learn_once(model, some, rate, found[number])
    return found


@torch.no_grad()
def bits(model: LanguageModel, text: Tensor, changes: list[Changes] | None = None) -> float:
    """Bits per byte on rows (B, T), averaged over the students, if there are any: each reads all of them."""
    if changes is None:
        return _bits(model, text, None)
    each = []
    for group in changes:
        count = len(next(iter(group.values())))
        each += [_bits(model, row.expand(count, -1), group) * count for row in text]
    return sum(each) / len(text) / sum(len(next(iter(group.values()))) for group in changes)


def _bits(model: LanguageModel, rows: Tensor, state: Changes | None) -> float:
    logits, _ = model(rows[:, :-1], state)
    nats = F.cross_entropy(logits.flatten(0, 1).double(), rows[:, 1:].flatten(), reduction="sum")
    return bits_per_byte(nats.item(), rows[:, 1:].numel())


def strangers(model: LanguageModel, exam: Exam, changes: list[Changes] | None) -> dict[str, float]:
    """Share of students that give the number they were told to someone whose number they were never told.

    Returns
    -------
    strangers: of all of them.
    strangers_unseen: of those whose window does not show that number for another reason (some other fact has it).
    """
    asked = exam.rows[FAR][exam.strangers()].clone()
    asked[:, -DIGITS:] = exam.rows[FAR][:, -DIGITS:]  # a stranger's question, one's own number
    said = _said(model, asked, WINDOW, changes)
    return {
        "strangers": said.double().mean().item(),
        "strangers_unseen": said[~in_view(asked)].double().mean().item(),
    }


def in_view(rows: Tensor) -> Tensor:
    """Which rows (N, T) show their last ``DIGITS`` tokens somewhere else in the window too: (N,) bool."""
    texts = [bytes(row[-WINDOW - 1 :].tolist()) for row in rows]
    return torch.tensor([text[-DIGITS:] in text[:-DIGITS] for text in texts])


def price(model: LanguageModel, exam: Exam, changes: list[Changes] | None) -> dict[str, float]:
    """What a step costs elsewhere.

    Returns
    -------
    strangers, strangers_unseen: as above.
    others: share that still say a fact, not their own, that stands in the window at distance ``NEAR``.
    bits: bits per byte on the exam's text.
    """
    return {
        **strangers(model, exam, changes),
        "others": share_said(model, exam.rows[NEAR][exam.strangers()], WINDOW, changes),
        "bits": bits(model, exam.text, changes),
    }


def try_rates(model: LanguageModel, exam: Exam, steps: int, rates: tuple[float, ...]) -> dict[str, list[float]]:
    """Recall from far away, strangers, and bits per byte on a row of text after ``steps`` steps, for each rate."""
    found: dict[str, list[float]] = {"recall": [], "strangers": [], "strangers_unseen": [], "bits": []}
    for rate in rates:
        changes = learn(model, exam.told, rate, steps)
        share = share_said(model, exam.rows[FAR], WINDOW, changes)
        shares = {"recall": share, **strangers(model, exam, changes), "bits": bits(model, exam.text[:1], changes)}
        for name, value in shares.items():
            found[name].append(value)
    return found


def told_in_turn(model: LanguageModel, exam: Exam, rate: float, length: int) -> dict[str, list[float]]:
    """Recall of the first fact and of the last one, after 1, 2, … up to ``length`` facts, each by one more step."""
    chains, changes = exam.chains(length), None
    found: dict[str, list[float]] = {"first": [], "last": []}
    for now in chains.T:
        changes = learn(model, exam.told[now], rate, 1, changes)
        for name, asked in (("first", chains[:, 0]), ("last", now)):
            found[name].append(share_said(model, exam.rows[FAR][asked], WINDOW, changes))
    return found


def exam_for(record: Record, part: str, count: int, distances: tuple[int, ...]) -> Exam:
    """An exam for a model of a record: a state of one size is asked about one fact at a time."""
    return make_exam(part, count, distances, texts=record.config["texts"], others=others_for(record))


def others_for(record: Record) -> int:
    """More facts that a row of an exam tells; how many a state can hold is another question (``recall_by_load``)."""
    return OTHERS.get(record.config["model"]["family"], MOST_OTHERS)


def recall_by_load(model: LanguageModel, texts: str, window: int | None) -> dict[int, float]:
    """Share of facts said at distance ``WINDOW``, by the number of facts that a row tells."""
    found = {}
    for facts in LOADS:
        exam = make_exam("test", COUNT, (WINDOW,), texts=texts, others=facts - 1)
        found[facts] = share_said(model, exam.rows[WINDOW], window)
    return found


def measure_recall(record: Record) -> Record:
    """Write the record of a model's recall by distance, with its weights frozen."""
    window = None if record.name.endswith(("sliding", "gated_deltanet")) else WINDOW
    settings = {"model": record.config, "window": window, "distances": list(DISTANCES), "facts": COUNT}
    settings |= {"others": others_for(record), "loads": list(LOADS)}
    bench = Record("bench", f"recall.{record.name}", record.seed, settings, record.folder.parent)
    if bench.result is None:
        model = load(record.folder / "model").float()
        bench.begin()
        found = recall(model, exam_for(record, "test", COUNT, DISTANCES), window)
        loads = recall_by_load(model, record.config["texts"], window)
        by_number = [{str(number): share for number, share in some.items()} for some in (found, loads)]
        bench.finish(status="done", recall=by_number[0], recall_by_load=by_number[1])
    return bench


def measure_step(record: Record) -> Record:
    """Write the record of what gradient steps bring and cost; each number of steps has its own rate."""
    settings = {"model": record.config, "window": WINDOW, "distances": list(DISTANCES), "facts": STUDENTS}
    settings |= {"rates": list(RATES), "steps": list(STEPS), "chain": CHAIN}
    bench = Record("bench", f"step.{record.name}", record.seed, settings, record.folder.parent)
    if bench.result is not None:
        return bench
    model = load(record.folder / "model").float()
    choices = exam_for(record, "validation", STUDENTS, (FAR,))
    exam = exam_for(record, "test", STUDENTS, DISTANCES)
    bench.begin()
    found: dict[str, Any] = {}
    for steps in STEPS:
        tried = try_rates(model, choices, steps, RATES)
        rate = RATES[tried["recall"].index(max(tried["recall"]))]
        changes = learn(model, exam.told, rate, steps)
        said = {str(d): share for d, share in recall(model, exam, WINDOW, changes).items()}
        found[str(steps)] = {"rate": rate, "tried": tried, "recall": said, **price(model, exam, changes)}
    turns = told_in_turn(model, exam, found["1"]["rate"], CHAIN)
    bench.finish(status="done", before=price(model, exam, None), steps=found, told_in_turn=turns)
    return bench


def main(folder: str = str(RUNS)) -> int:
    torch.set_num_threads(1)
    made = [record for record in records("train", to=Path(folder)) if record.name.startswith("amnesiac.")]
    for record in made:
        if (record.folder / "model").is_dir():
            print(measure_recall(record).id)
            if record.name in ("amnesiac.transformer", "amnesiac.learner"):
                print(measure_step(record).id)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
