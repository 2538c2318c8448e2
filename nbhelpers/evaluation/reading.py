"""What a model learns from the page in front of it, beside what it learned in training: names, and word pairs.

A page is held-out text in which every name that comes back has been replaced by an invented one, so that no training
can have taught it. Whoever expects such a name more at its later mentions than at its first has learned from the page.
The word pairs (``was`` or ``were`` after ``she``) ask for what holds on every page.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nbhelpers.data.texts import Document
from nbhelpers.data.tokenizer import Tokenizer

NAME = re.compile(r"(?<=[a-z,;] )([A-Z][a-z]{2,})\b")  # a capital in mid-sentence
SYLLABLES = re.findall("..", "babebodadofafegagokakekilalelomamemonanenopaperarerosasetatevavezo")
LETTERS = 6  # of text a token, at most, for what a page may need

# The word before: what follows rightly, and what wrongly. A clause that may be subjunctive is left out.
_ONE, _MANY = {"was": "were", "is": "are", "has": "have"}, {"were": "was", "are": "is", "have": "has"}
_BASE = {"be": "is", "have": "has"}
_CASE = {"him": "he", "them": "they", "me": "I", "us": "we"}
RULES: dict[str, dict[str, str]] = {
    **dict.fromkeys(("he", "she", "it"), _ONE),
    **dict.fromkeys(("they", "we", "you"), _MANY),
    **dict.fromkeys("to will shall would should may might could must".split(), _BASE),
    **dict.fromkeys("of with for from by upon at".split(), _CASE),
}
RULES["to"] = _BASE | _CASE
SUBJUNCTIVE = ("if", "though", "as", "that", "lest")


@dataclass(frozen=True)
class Mention:
    """A name on a page: tokens ``start`` to ``stop`` of row ``row``; ``first`` at its first mention."""

    row: int
    start: int
    stop: int
    first: bool


@dataclass(frozen=True)
class Pair:
    """The token at ``place`` of row ``row`` is ``right``; ``wrong`` breaks a rule of grammar there."""

    row: int
    place: int
    right: int
    wrong: int


@dataclass(frozen=True)
class Pages:
    """Pages as tokens (B, L), with their names and their word pairs."""

    tokens: Tensor
    names: list[Mention]
    pairs: list[Pair]


def rename(text: str, generator: random.Random) -> tuple[str, list[str]]:
    """Give every name that comes back in a text an invented one; return the text and the invented names."""
    found = NAME.findall(text)
    names = sorted({name for name in found if found.count(name) > 1})
    invented: dict[str, str] = {}
    for name in names:
        while (new := "".join(generator.choices(SYLLABLES, k=3)).capitalize()) in (*invented.values(), *found):
            pass
        invented[name] = new
    if not invented:
        return text, []
    every = re.compile(r"\b(" + "|".join(invented) + r")\b")
    return every.sub(lambda match: invented[match[1]], text), list(invented.values())


def make_pages(
    documents: Sequence[Document], tokenizer: Tokenizer, count: int, *, length: int = 256, seed: int = 0
) -> Pages:
    """Pages of ``length`` tokens in which some name comes back, drawn from all places of the documents.

    Parameters
    ----------
    documents: held-out texts; longer ones give more pages.
    count: B, pages.
    seed: of the places and of the invented names.

    Raises
    ------
    ValueError
        If the documents are too short for that many pages.
    """
    generator, size = random.Random(seed), LETTERS * length
    places = [(one, at) for one in documents for at in range(0, len(one.text) - size, size)]
    generator.shuffle(places)
    rows, names = [], []
    for one, at in places:
        text, invented = rename(one.text[at : at + size].partition(" ")[2], generator)
        tokens = tokenizer.encode(" " + text)[:length]
        here = _mentions(tokenizer, tokens, len(rows), set(invented))
        if len(tokens) == length and any(not mention.first for mention in here):
            rows.append(tokens)
            names += here
        if len(rows) == count:
            break
    else:
        raise ValueError(f"These documents give {len(rows)} pages of {length} tokens with a name that comes back.")
    pairs = [pair for row, tokens in enumerate(rows) for pair in _pairs(tokenizer, tokens, row)]
    return Pages(torch.tensor(rows), names, pairs)


def words(tokenizer: Tokenizer, tokens: Sequence[int]) -> list[tuple[int, int, str]]:
    """The words of a text, (start, stop, word) with the tokens that make each; marks stand alone."""
    found: list[tuple[int, int, bytes]] = []
    for place, token in enumerate(tokens):
        piece = tokenizer.pieces[token]
        if found and _goes_on(found[-1][2], piece):
            start, _, before = found.pop()
            found.append((start, place + 1, before + piece))
        else:
            found.append((place, place + 1, piece))
    read = [(start, stop, word.decode("utf-8", "replace").strip()) for start, stop, word in found]
    return [one for one in read if one[2]]


def _goes_on(before: bytes, piece: bytes) -> bool:
    """Whether a piece is more of the same word, or of a letter that was cut in two."""
    return (before[-1:].isalpha() and piece[:1].isalpha()) or (before[-1] > 127 and 127 < piece[0] < 192)


def _mentions(tokenizer: Tokenizer, tokens: list[int], row: int, invented: set[str]) -> list[Mention]:
    seen: set[str] = set()
    found = []
    for start, stop, word in words(tokenizer, tokens):
        if word in invented and start:
            found.append(Mention(row, start, stop, word not in seen))
            seen.add(word)
    return found


def _pairs(tokenizer: Tokenizer, tokens: list[int], row: int) -> list[Pair]:
    single = {word: tokenizer.encode(" " + word) for table in RULES.values() for pair in table.items() for word in pair}
    found, before = [], ("", "")
    for start, stop, word in words(tokenizer, tokens):
        wrong = RULES.get(before[1], {}).get(word)
        if wrong and before[0] not in SUBJUNCTIVE and stop == start + 1 and len(single[wrong]) == 1:
            found.append(Pair(row, start, tokens[start], single[wrong][0]))
        before = before[1], word.lower()
    return found


def bits(log_probabilities: Tensor, tokens: Tensor) -> Tensor:
    """Bits of each token but the first, (B, L − 1), from natural logarithms (B, L, V)."""
    chosen = log_probabilities[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0]
    return -chosen / math.log(2)


def score(pages: Pages, log_probabilities: Tensor) -> dict[str, np.ndarray]:
    """What a model's natural logarithms (B, L, V) say about pages: sums and counts by page, (B, 2) each.

    Returns
    -------
    bits, tokens; first and later: bits of invented names, and mentions; first_head and later_head: the part of these
    bits that the first token of the name costs; grammar: word pairs put right, and pairs.
    """
    cost, count = bits(log_probabilities, pages.tokens), len(pages.tokens)
    found = {name: np.zeros((count, 2)) for name in ("bits", "first", "first_head", "later", "later_head", "grammar")}
    found["bits"][:] = np.stack([cost.sum(1).numpy(), np.full(count, cost.shape[1])], 1)
    for one in pages.names:
        kind = "first" if one.first else "later"
        spelt = cost[one.row, one.start - 1 : one.stop - 1]
        found[kind][one.row] += float(spelt.sum()), 1
        found[f"{kind}_head"][one.row] += float(spelt[0]), 1
    for pair in pages.pairs:
        before = log_probabilities[pair.row, pair.place - 1]
        found["grammar"][pair.row] += float(before[pair.right] > before[pair.wrong]), 1
    return found


def mean(table: np.ndarray) -> float:
    """Sum over count, of a table of ``score``."""
    total, count = table.sum(0)
    return float(total / count)


def counted_pairs(pages: Pages, stream: Tensor) -> tuple[int, int]:
    """How many word pairs mere counts of a text put right.

    Parameters
    ----------
    pages: with their word pairs.
    stream: the tokens of another text, (L,).

    Returns
    -------
    Pairs whose right token stands more often in the text than the wrong one: alone, and after the token before it.
    """
    alone, after = 0, 0
    for one in pages.pairs:
        follows = stream[1:][stream[:-1] == pages.tokens[one.row, one.place - 1]]
        alone += int((stream == one.right).sum() > (stream == one.wrong).sum())
        after += int((follows == one.right).sum() > (follows == one.wrong).sum())
    return alone, after


def gain(on: dict[str, np.ndarray], off: dict[str, np.ndarray], part: str = "") -> float:
    """Bits that ``on`` saves at a later mention of a name beyond those that it saves at a first one.

    ``part`` is "" for the whole name, ``"_head"`` for its first token.
    """
    saved = {kind: mean(off[kind + part]) - mean(on[kind + part]) for kind in ("later", "first")}
    return saved["later"] - saved["first"]


def interval(on: dict[str, np.ndarray], off: dict[str, np.ndarray], draws: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of ``gain`` over pages."""
    generator, count = np.random.default_rng(0), len(on["bits"])
    rows = generator.integers(count, size=(draws, count))
    gains = [gain(*({kind: t[row] for kind, t in found.items()} for found in (on, off))) for row in rows]
    low, high = np.quantile(gains, (0.025, 0.975))
    return float(low), float(high)


def together(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Tables of ``score`` for several sets of pages as one."""
    return {kind: np.concatenate([part[kind] for part in parts]) for kind in parts[0]}
