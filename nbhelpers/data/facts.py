"""Told-fact episodes: invented tags, told in sentences inside real text and asked for later.

    … for the whole of the
    Remember Mir47.
    evening, and she could not
    Which tag? Mir47

One token a byte. A fact is a name and its number of two digits, which together are the tag. Names and numbers each
belong to one part: no name and no number of the test was ever told, or asked for, in training, and neither was the text
around them.

The **distance** of an answer counts tokens from the first letter of the sentence that told it to the last token that is
read before the answer is whole (its first digit), both included: a reader of the last ``W`` tokens has the whole
sentence before it exactly if the distance is at most ``W``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from nbhelpers.data.texts import PARTS, load_text

if TYPE_CHECKING:
    import torch

TOLD = ("Remember {tag}.", "Please note {tag}.", "The tag is {tag}.")
ASKED = ("Which tag? {name}", "And {name}")
DIGITS = 2
CONSONANTS, VOWELS = "BDFGHJKLMNPRSTVZ", "aeiou"
PART_OF_REST = {3: "validation", 7: "test"}  # of what a name or a number leaves when divided by 10
QUESTIONS = 8  # the most in a row, the last one included
TRIES = 64


@dataclass(frozen=True)
class Fact:
    """A name of three letters and its number, two digits."""

    name: str
    value: str

    @property
    def tag(self) -> str:
        """Name and number, which is what a sentence tells."""
        return self.name + self.value

    def told(self, form: int = 0) -> str:
        """The sentence that tells it, in one of the forms of ``TOLD``."""
        return TOLD[form].format(tag=self.tag)

    def asked(self, form: int = 0) -> str:
        """The question for it, in one of the forms of ``ASKED``; its number comes next."""
        return ASKED[form].format(name=self.name)


@cache
def names(part: str) -> tuple[str, ...]:
    """The names of one part: consonant, vowel, consonant; about a tenth each for validation and test."""
    every = [a + b + c.lower() for a in CONSONANTS for b in VOWELS for c in CONSONANTS]
    return tuple(name for name in every if part_of(sum(name.encode())) == _part(part))


@cache
def values(part: str) -> tuple[str, ...]:
    """The numbers of one part, "00" to "99"; the sum of the digits decides."""
    return tuple(f"{n:02d}" for n in range(10**DIGITS) if part_of(n // 10 + n % 10) == _part(part))


def part_of(number: int) -> str:
    """Which part a name's or a number's sum belongs to."""
    return PART_OF_REST.get(number % 10, "train")


def draw_facts(count: int, part: str, generator: np.random.Generator) -> list[Fact]:
    """Facts whose names end on different letters, and whose numbers differ.

    Raises
    ------
    ValueError
        If there are not so many numbers in the part.
    """
    if count > len(values(part)):
        raise ValueError(f"{count} facts with different numbers; the part {part} has {len(values(part))} numbers.")
    ends = generator.choice(list(_by_last_letter(part)), count, replace=False)
    chosen = [_by_last_letter(part)[end] for end in ends]
    numbers = generator.choice(values(part), count, replace=False)
    return [Fact(str(generator.choice(some)), str(value)) for some, value in zip(chosen, numbers, strict=True)]


class Filler:
    """Pieces of real text of any length, from the beginning of a word, nearly always to the end of one.

    Parameters
    ----------
    texts: a domain of ``nbhelpers.data.texts``.
    part: of its documents.
    """

    def __init__(self, texts: str, part: str):
        self.text = np.frombuffer(" ".join(load_text(texts, part).split()).encode(), dtype=np.uint8)
        self.starts = np.flatnonzero(self.text[:-1] == ord(" ")) + 1

    def __call__(self, length: int, generator: np.random.Generator) -> np.ndarray:
        """A piece (length,) uint8.

        Raises
        ------
        ValueError
            If the text is shorter.
        """
        possible = np.searchsorted(self.starts, len(self.text) - length)
        if possible < 1:
            raise ValueError(f"A piece of {length} bytes; the text has {len(self.text)}.")
        starts = self.starts[generator.integers(possible, size=TRIES)]
        whole = starts[self.text[starts + length] == ord(" ")]
        start = whole[0] if len(whole) else starts[0]
        return self.text[start : start + length]


def episodes(
    filler: Filler,
    batch_size: int,
    length: int,
    *,
    part: str = "train",
    facts: int = 4,
    seed: int = 0,
    start_step: int = 0,
    rank: int = 0,
    processes: int = 1,
    outside: bool = False,
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Training batches without end: inputs and targets (B, L) int64, and which targets are answers (B, L) bool.

    A row tells one to ``facts`` facts and asks up to ``QUESTIONS`` times for those it has told, in turn; it ends with a
    question and its answer. It depends on the seed, the step and its number in the batch alone.

    Parameters
    ----------
    filler: the text between the sentences.
    batch_size: rows of a step over all processes.
    length: L, tokens a row.
    part: of names and numbers.
    facts: the most that a row tells.
    seed, start_step, rank, processes: as for ``nbhelpers.data.streams.batches``.
    outside: every other row also asks, twice and at its end, for one more fact that it does not tell. Batches then hold
        a fourth tensor (B, T) int64: the sentence that tells it (``told_tokens``), zeros for the other rows.

    Raises
    ------
    ValueError
        If the sentences may not fit into a row, or the rows do not divide among the processes.
    """
    import torch

    most = facts * (longest(TOLD) + 2) + (QUESTIONS + outside) * (longest(ASKED) + DIGITS + 3)
    if length < most:
        raise ValueError(f"length={length}: sentences about {facts} facts may take {most} tokens.")
    if batch_size % processes or not 0 <= rank < processes:
        raise ValueError(f"rank={rank} of processes={processes} with batch_size={batch_size}: it must divide evenly.")

    def rows() -> Iterator[tuple[torch.Tensor, ...]]:
        step = start_step
        while True:
            made = []
            for row in range(rank, batch_size, processes):
                generator = np.random.default_rng([seed, step, row])
                made.append(_training_row(filler, length + 1, part, facts, generator, outside and row % 2 == 1))
            tokens = torch.from_numpy(np.stack([tokens for tokens, _, _ in made]).astype(np.int64))
            answers = torch.from_numpy(np.stack([marks for _, marks, _ in made]))
            batch = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous(), answers[:, 1:].contiguous()
            yield (*batch, told_tokens([fact for _, _, fact in made])) if outside else batch
            step += 1

    return rows()


@dataclass(frozen=True)
class Probe:
    """A question at a known distance from its fact.

    Attributes
    ----------
    tokens: (N,) uint8; the last ``DIGITS`` are the answer.
    fact: what is asked for.
    others: facts told in the same row that nobody asks for.
    """

    tokens: np.ndarray
    fact: Fact
    others: tuple[Fact, ...]

    @property
    def text(self) -> str:
        """The row as text."""
        return self.tokens.tobytes().decode("utf-8", "replace")


def make_probe(
    filler: Filler,
    distance: int,
    part: str,
    generator: np.random.Generator,
    *,
    least: int = 0,
    others: int = 2,
) -> Probe:
    """A row that tells a fact, and others besides, and asks for it at a distance.

    Parameters
    ----------
    filler: the text between the sentences.
    distance: of the answer, in tokens, as defined above.
    part: of names and numbers.
    generator: decides the rest.
    least: how many tokens are read at the least; where that is more than the distance, text goes before the fact.
    others: how many more facts are told, before it or after it; fewer where they do not fit.

    Raises
    ------
    ValueError
        If the two sentences alone are longer than the distance.
    """
    fact, *rest = draw_facts(1 + others, part, generator)
    sentence, *lines = (one.told(int(generator.integers(len(TOLD)))) for one in (fact, *rest))
    question = fact.asked(int(generator.integers(len(ASKED))))
    between = distance - len(sentence) - len(question) - DIGITS - 1
    if between < 0:
        raise ValueError(f"distance={distance}: the two sentences alone take {distance - between} tokens.")
    room = [least - distance - 1, between]  # before the fact, less the line break there; after it
    placed, kept = ([], []), []
    for one, line in zip(rest, lines, strict=True):
        fits = [side for side in (0, 1) if room[side] >= len(line) + 2]
        if fits:
            side = fits[int(generator.integers(len(fits)))]
            placed[side].append(f"\n{line}\n")
            room[side] -= len(line) + 2
            kept.append(one)
    pieces = [*_spread(filler, placed[0], room[0], generator), "\n"] if room[0] >= 0 else []
    pieces += [sentence, "\n", *_spread(filler, placed[1], room[1], generator), "\n", question, fact.value]
    return Probe(np.concatenate([_bytes(piece) for piece in pieces]), fact, tuple(kept))


def probes(
    filler: Filler, distance: int, count: int, part: str, *, least: int = 0, others: int = 2, seed: int = 0
) -> list[Probe]:
    """Probes at one distance. Number i asks for the same fact at every distance, after other text."""
    return [
        make_probe(filler, distance, part, np.random.default_rng([seed, row]), least=least, others=others)
        for row in range(count)
    ]


def as_rows(made: list[Probe]) -> torch.Tensor:
    """Probes of one distance as rows of tokens, (N, T) int64."""
    import torch

    return torch.from_numpy(np.stack([one.tokens for one in made]).astype(np.int64))


def told_tokens(facts: list[Fact | None]) -> torch.Tensor:
    """The sentence that tells each fact, in the first form and between line breaks, (N, T) int64; zeros for None."""
    import torch

    size = longest(TOLD[:1]) + 2
    lines = [bytes(size) if fact is None else f"\n{fact.told()}\n".encode() for fact in facts]
    return torch.tensor([list(line) for line in lines])


def longest(forms: tuple[str, ...]) -> int:
    """Length of the longest sentence in these forms, in bytes; all names are as long, and so are all numbers."""
    return max(len(form.format(tag="Mir47", name="Mir")) for form in forms)


def _training_row(filler, size, part, most, generator, outside):
    """The tokens of a row (size,) uint8, which of them are answers (size,) bool, and what it asks but does not tell."""
    count = int(generator.integers(1, most + 1, size=2).max())  # rather many than few
    facts = draw_facts(count + outside, part, generator)
    stranger = facts.pop() if outside else None
    order = generator.permutation(count)
    asked = [facts[order[i % count]] for i in range(1 + generator.integers(QUESTIONS - outside))]  # all in turn
    asked = [stranger, stranger, *asked] if outside else asked
    last, *before = asked
    events = [*facts, *before]
    generator.shuffle(events)
    told, lines, answers = {stranger}, [], []
    for one in events:  # the first time a fact comes up it is told, after that it is asked for
        question = one.asked(int(generator.integers(len(ASKED))))
        sentence = one.told(int(generator.integers(len(TOLD))))
        lines.append(f"\n{question}{one.value}.\n" if one in told else f"\n{sentence}\n")
        answers.append(1 + len(question) if one in told else None)
        told.add(one)
    lines.append("\n" + last.asked(int(generator.integers(len(ASKED)))) + last.value)
    answers.append(len(lines[-1]) - DIGITS)

    pieces = [*_spread(filler, lines[:-1], size - sum(map(len, lines)), generator), lines[-1]]
    marks = np.zeros(size, dtype=bool)
    ends = np.cumsum([len(piece) for piece in pieces])
    for end, line, at in zip(ends[1::2], lines, answers, strict=True):
        if at is not None:
            marks[end - len(line) + at :][:DIGITS] = True
    return np.concatenate([_bytes(piece) for piece in pieces]), marks, stranger


def _spread(filler, lines, room, generator):
    """Text, line, text, …, line, text: as much text in all as there is room, shared out at random."""
    cuts = np.sort(generator.integers(room + 1, size=len(lines)))
    sizes = np.diff(cuts, prepend=0, append=room)
    pieces = [filler(int(size), generator) for size in sizes]
    return [piece for pair in zip(pieces, [*lines, None], strict=True) for piece in pair][:-1]


def _bytes(piece):
    return np.frombuffer(piece.encode(), dtype=np.uint8) if isinstance(piece, str) else piece


@cache
def _by_last_letter(part):
    return {letter: [name for name in names(part) if name[-1] == letter] for letter in CONSONANTS.lower()}


def _part(part):
    if part not in PARTS:
        raise ValueError(f'There is no part "{part}"; there are: {", ".join(PARTS)}.')
    return part
