"""A stream of real words with three time scales: the article, its topic, and its language.

Lead sections of Wikipedia in three languages. A *visit* to a language holds blocks of topics; a block holds articles,
one after another. Every word is one of three kinds:

* ``LANGUAGE``: among the most frequent words of a language, whatever the topic;
* ``TOPIC``: typical of one topic of one language;
* ``ARTICLE``: any other word. It is told by its *bucket*, a digest of its spelling, so that what a bucket stands for
  changes with the article.

Which words are of which kind is counted on the training part alone.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

import numpy as np

from nbhelpers.data.texts import load_documents

KINDS = LANGUAGE, TOPIC, ARTICLE = ("language", "topic", "article")
LANGUAGES = ("en", "fr", "es")
TOPICS = {  # the same three in each language
    "en": ("Geography", "People", "Technology"),
    "fr": ("Géographie", "Personnalités", "Technologie"),
    "es": ("Geografía", "Personas", "Tecnología"),
}
FREQUENT, TYPICAL, BUCKETS = 40, 16, 48  # words a language, words a topic, buckets
PARTS = {"train": ("train",), "held out": ("validation", "test")}


@dataclass(frozen=True)
class Words:
    """The vocabulary: what each number stands for and of which kind it is.

    Attributes
    ----------
    names: V of them; buckets come last and are named ``"#0"``, ``"#1"`` …
    kinds: (V,) places in ``KINDS``.
    """

    names: tuple[str, ...]
    kinds: np.ndarray

    def encode(self, text: str) -> list[int]:
        """The words of a text as numbers."""
        number = _numbers(self)
        first = len(self.names) - BUCKETS
        return [number[word] if word in number else first + _bucket(word) for word in split(text)]


@dataclass(frozen=True)
class Stream:
    """Words in the order in which they are read.

    Attributes
    ----------
    words: (T,) numbers.
    article, topic, language: (T,) the number of the article, the place of the topic among nine and of the language
        among three.
    probes: (9, N) words of other articles, a row a topic, for asking without teaching.
    """

    words: np.ndarray
    article: np.ndarray
    topic: np.ndarray
    language: np.ndarray
    probes: np.ndarray


def split(text: str) -> list[str]:
    """The words of a text in lower case; marks and numbers are left out."""
    return re.findall(r"[^\W\d_]+", text.lower())


@cache
def vocabulary() -> Words:
    """The words of the three languages, counted on the training part."""
    kind: dict[str, str] = {}
    for language in LANGUAGES:
        counts = {topic: Counter() for topic in TOPICS[language]}
        for one in _documents(language):
            if one.part == "train" and one.facts["topic"] in counts:
                counts[one.facts["topic"]].update(split(one.text))
        shares = {topic: _shares(count) for topic, count in counts.items()}
        everywhere = {
            word: min(share.get(word, 0) for share in shares.values()) for word in set().union(*shares.values())
        }
        frequent = sorted(everywhere, key=lambda word: (-everywhere[word], word))[:FREQUENT]
        kind |= dict.fromkeys(frequent, LANGUAGE)
        for topic, share in shares.items():
            others = [other for name, other in shares.items() if name != topic]
            excess = {
                word: value - 2 * max(other.get(word, 0) for other in others)
                for word, value in share.items()
                if word not in frequent
            }
            for word in sorted(excess, key=lambda word: (-excess[word], word))[:TYPICAL]:
                kind.setdefault(word, TOPIC)
    kind |= {f"#{bucket}": ARTICLE for bucket in range(BUCKETS)}
    return Words(tuple(kind), np.array([KINDS.index(one) for one in kind.values()]))


def make_stream(
    seed: int, *, part: str = "held out", visits: tuple[str, ...] = LANGUAGES * 2, block: int = 1024, probe: int = 64
) -> Stream:
    """One stream: each visit goes through the topics of its language in an order of its own.

    Parameters
    ----------
    seed: of the articles, their order and that of the topics.
    part: a key of ``PARTS``: from which articles.
    visits: the languages in turn, default each twice.
    block: words of a topic in a row.
    probe: words of the probe of each topic.

    Raises
    ------
    ValueError
        If a topic has too few words for the stream.
    """
    generator = np.random.default_rng(seed)
    shelf, probes = {}, []
    for language in LANGUAGES:
        for topic in TOPICS[language]:
            texts = _texts(language, topic, part)
            order = [texts[i] for i in generator.permutation(len(texts))]
            shelf[language, topic] = iter(order)
            probes.append(_take(shelf[language, topic], probe)[0])
    read, article, topics, languages = [], [], [], []
    for language in visits:
        for place in generator.permutation(len(TOPICS[language])):
            chosen, where = _take(shelf[language, TOPICS[language][place]], block)
            first = article[-1] + 1 if article else 0
            read += chosen
            article += [first + number for number in where]
            number = LANGUAGES.index(language)
            topics += [3 * number + int(place)] * block
            languages += [number] * block
    return Stream(*(np.array(row) for row in (read, article, topics, languages, probes)))


def _take(texts, count: int) -> tuple[list[int], list[int]]:
    """The next ``count`` words of a shelf, and of which of its articles each is."""
    words: list[int] = []
    where: list[int] = []
    for number, text in enumerate(texts):
        words += text
        where += [number] * len(text)
        if len(words) >= count:
            return words[:count], where[:count]
    raise ValueError(
        f"The topic has {len(words)} words left and {count} are needed: take shorter blocks or fewer visits."
    )


@cache
def _texts(language: str, topic: str, part: str) -> tuple[list[int], ...]:
    chosen = [one for one in _documents(language) if one.facts["topic"] == topic and one.part in PARTS[part]]
    return tuple(vocabulary().encode(one.text) for one in chosen)


def _documents(language: str):
    return load_documents(f"wiki_vital_{language}")


def _shares(count: Counter) -> dict[str, float]:
    total = sum(count.values())
    return {word: number / total for word, number in count.items()}


def _bucket(word: str) -> int:
    return blake2b(word.encode(), digest_size=2).digest()[0] % BUCKETS


@cache
def _number_table(names: tuple[str, ...]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _numbers(words: Words) -> dict[str, int]:
    return _number_table(words.names)
