"""The tokens of a run: one training stream, and held-out streams by domain."""

from __future__ import annotations

import os
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from nbhelpers.data.sources import DATA, LIST
from nbhelpers.data.texts import DOMAINS, load_corpus, load_documents
from nbhelpers.data.tokenizer import Tokenizer, load_tokenizer

CACHE = DATA.parent / "_build" / "tokens"


def training_stream(texts: str, tokenizer: str) -> np.ndarray:
    """The training part of ``texts`` (a domain, or a corpus's folder) as tokens (N,) int32.

    Encoding takes seconds to a minute, so the result is kept under ``_build/tokens``, named by what it was made from.
    """
    documents = partial(_documents, texts, "train")
    if _is_corpus(texts):
        documents()  # says what to do where the corpus is missing or damaged
    stamp = sha256(f"{texts} {_origin(texts)} {tokenizer} {_origin('all')}".encode()).hexdigest()[:16]
    kept = CACHE / f"{stamp}.npy"
    if kept.is_file():
        try:
            stream = np.load(kept, allow_pickle=False)
            if sha256(stream[:-8].tobytes()).digest() == stream[-8:].tobytes():
                return stream[:-8]
        except (ValueError, EOFError):
            pass  # damaged: made again below
    stream = load_tokenizer(tokenizer).encode_documents(documents())
    digest = np.frombuffer(sha256(stream.tobytes()).digest(), dtype=np.int32)
    CACHE.mkdir(parents=True, exist_ok=True)
    part = CACHE / f"{stamp}.{os.getpid()}.part"
    with open(part, "wb") as file:
        np.save(file, np.concatenate([stream, digest]))
    os.replace(part, kept)
    return stream


def held_out_streams(texts: str, tokenizer: str, part: str, count: int) -> dict[str, np.ndarray]:
    """Held-out tokens (≤ count + 1,) of each domain, from its beginning; ``part`` is "validation" or "test"."""
    coder = load_tokenizer(tokenizer)
    if _is_corpus(texts):
        documents: dict[str, list] = {}
        for one in _documents(texts, part):
            documents.setdefault(one.facts["domain"], []).append(one)
    else:
        domains = DOMAINS if texts == "all" else (texts,)
        documents = {domain: load_documents(domain, part) for domain in domains}
    return {domain: _opening(coder, members, count + 1) for domain, members in documents.items()}


def _opening(coder: Tokenizer, documents: list, count: int) -> np.ndarray:
    """The first tokens of a stream, without encoding all of it."""
    taken, size = [], 0
    for one in documents:
        taken.append(one)
        size += len(one.text) // 8  # no token of these vocabularies stands for eight letters on average
        if size > count:
            break
    return coder.encode_documents(taken)[:count]


@lru_cache(maxsize=4)
def _documents(texts: str, part: str) -> list:
    return load_corpus(texts, part) if _is_corpus(texts) else load_documents(texts, part)


def _is_corpus(texts: str) -> bool:
    return "/" in texts


def _origin(texts: str) -> str:
    """What a stream depends on: the list of sha256 of the files that it is made from."""
    return sha256((Path(texts) / "MANIFEST.json" if _is_corpus(texts) else DATA / LIST).read_bytes()).hexdigest()
