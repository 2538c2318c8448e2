"""Texts for language models: documents with a title and a part, by domain.

A document belongs to one part, whole: works are never cut at random lines. ``data/README.md`` says which
works are held out.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nbhelpers.data.sources import DATA, DataFileError, check, read

PARTS = ("train", "validation", "test")
DOMAINS = {
    "drama": ("shakespeare",),
    "fiction": ("austen", "moby_dick"),
    "speech": ("sotu",),
    "encyclopaedia": ("wiki_vital_en",),
}
OTHER_LANGUAGES = ("wiki_vital_es", "wiki_vital_fr")  # read by name; in no domain, and not in "all"
SEPARATOR = "\n\n"


@dataclass(frozen=True)
class Document:
    """One work, address or article.

    Attributes
    ----------
    title: of the document.
    part: ``"train"``, ``"validation"`` or ``"test"``.
    text: its words, newlines as ``\\n``.
    facts: what else is known of it: year and party of an address, topic of an article, source of a chunk.
    """

    title: str
    part: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


def to_lines(documents: Iterable[Document]) -> bytes:
    """Documents as UTF-8 JSON lines, the form in which every text of this book is stored."""
    rows = ({"title": one.title, "part": one.part, **one.facts, "text": one.text} for one in documents)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def from_lines(content: bytes) -> Iterator[Document]:
    """The documents that ``to_lines`` wrote."""
    for line in content.decode("utf-8").split("\n"):  # not splitlines: a text may hold other line separators
        if line:
            row = json.loads(line)
            yield Document(row.pop("title"), row.pop("part"), row.pop("text"), row)


def load_documents(domain: str, part: str | None = None, folder: Path = DATA) -> list[Document]:
    """The documents of a domain.

    Parameters
    ----------
    domain: a key of ``DOMAINS``, one of its files (such as ``"austen"``), one of ``OTHER_LANGUAGES``, or ``"all"``
        (the files of all domains).
    part: one of ``PARTS``; default all of them.
    folder: default the clone's ``data/``.

    Raises
    ------
    ValueError
        If there is no such domain or part.
    DataFileError
        If a file is missing or damaged.
    """
    every = {name: (name,) for names in DOMAINS.values() for name in names}
    known = {**DOMAINS, **every, **{name: (name,) for name in OTHER_LANGUAGES}, "all": tuple(every)}
    if domain not in known:
        raise ValueError(f'There is no domain "{domain}"; there are: {", ".join(known)}.')
    _check_part(part)
    documents = [one for name in known[domain] for one in _file(name, Path(folder))]
    return [one for one in documents if part in (None, one.part)]


def load_text(domain: str, part: str, folder: Path = DATA) -> str:
    """The documents of one part, joined by an empty line: the quickest way to some text. See ``load_documents``."""
    return SEPARATOR.join(one.text for one in load_documents(domain, part, folder))


def load_corpus(folder: str | Path, part: str) -> list[Document]:
    """One part of a corpus that ``python -m nbhelpers.data.build`` made, after its sha256 was compared.

    Parameters
    ----------
    folder: the corpus' folder; it holds ``MANIFEST.json``.
    part: one of ``PARTS``. Training documents are chunks of 64 kB or more in shuffled order; ``facts`` holds
        source and domain.

    Raises
    ------
    DataFileError
        If a file is missing, or is not the one that the manifest lists.
    """
    _check_part(part)
    folder = Path(folder)
    again = f"build it again with: python -m nbhelpers.data.build {folder.name} --to {folder.parent}"
    try:
        manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
        content = (folder / f"{part}.jsonl").read_bytes()
    except FileNotFoundError as error:
        raise DataFileError(f"{error.filename} is missing; {again}") from None
    check(content, manifest["parts"][part]["sha256"], folder / f"{part}.jsonl", again)
    return list(from_lines(content))


def _check_part(part: str | None) -> None:
    if part not in (None, *PARTS):
        raise ValueError(f'There is no part "{part}"; there are: {", ".join(PARTS)}.')


@cache
def _file(name: str, folder: Path) -> tuple[Document, ...]:
    return tuple(from_lines(lzma.decompress(read(f"lm/{name}.jsonl.xz", folder))))
