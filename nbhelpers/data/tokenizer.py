"""Text to token numbers and back: bytes, or byte-level BPE (byte pair encoding) of 4,096 or 8,192 tokens.

Every token stands for a known run of bytes, so that any text comes back exactly, and bits per byte compare across
tokenizers. One token ends a document; it stands for the single byte 0, in every tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nbhelpers.data.sources import DATA, read

if TYPE_CHECKING:
    from nbhelpers.data.texts import Document

NAMES = ("bytes", "bpe4096", "bpe8192")
END, END_ID = "<|end|>", 0
_NOT_UTF8 = re.compile("([\udc80-\udcff]+)")


def letters() -> list[str]:
    """The printable letter that stands for each of the 256 bytes in a byte-level BPE file (GPT-2's table)."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in kept}
    for position, byte in enumerate(byte for byte in range(256) if byte not in table):
        table[byte] = chr(256 + position)
    return [table[byte] for byte in range(256)]


class Tokenizer:
    """What both kinds share. ``V`` = size of the vocabulary.

    Attributes
    ----------
    name: one of ``NAMES``, or what the file was called.
    pieces: the bytes of each token, V of them.
    byte_lengths: (V,) how many bytes each token stands for.
    end_id: the token that ends a document; one byte, 0.
    """

    end_id = END_ID

    def __init__(self, name: str, pieces: Sequence[bytes]):
        self.name = name
        self.pieces = list(pieces)
        self.byte_lengths = np.array([len(piece) for piece in self.pieces], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def vocabulary(self) -> int:
        """V, the number of tokens."""
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, with no end token.

        Raises
        ------
        ValueError
            If the text holds half a surrogate pair, which no UTF-8 can carry.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"The text holds half a surrogate pair at position {error.start}; give bytes to encode_bytes instead."
            ) from None
        return self._encode_all([text])[0]

    def encode_bytes(self, content: bytes) -> list[int]:
        """The tokens of any bytes; where they are not UTF-8, one token a byte."""
        tokens = []
        for position, piece in enumerate(_NOT_UTF8.split(content.decode("utf-8", "surrogateescape"))):
            if position % 2:
                tokens += [self._byte_ids[ord(letter) - 0xDC00] for letter in piece]
            elif piece:
                tokens += self.encode(piece)
        return tokens

    def encode_documents(self, documents: Iterable[Document]) -> np.ndarray:
        """A stream (N,) int32: an end token, then each document followed by one.

        The stream opens with an end token so that the first real token has something before it to be predicted
        from; ``count_bytes(stream[1:])`` bytes are predicted: those of the texts and one a document.
        """
        rows = self._encode_all([one.text for one in documents])
        pieces = [[self.end_id], *(piece for row in rows for piece in (row, [self.end_id]))]
        return np.concatenate([np.asarray(piece, dtype=np.int32) for piece in pieces])

    def decode_bytes(self, tokens: Iterable[int]) -> bytes:
        """The bytes that the tokens stand for.

        Raises
        ------
        ValueError
            If a token is not in the vocabulary.
        """
        ids = [int(token) for token in tokens]
        wrong = [token for token in ids if not 0 <= token < len(self)]
        if wrong:
            raise ValueError(f"There is no token {wrong[0]}; {self.name} has tokens 0 to {len(self) - 1}.")
        return b"".join(self.pieces[token] for token in ids)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens; where they cut a letter in two, � stands in its place."""
        return self.decode_bytes(tokens).decode("utf-8", "replace")

    def count_bytes(self, tokens: np.ndarray | Sequence[int]) -> int:
        """How many bytes the tokens stand for."""
        return int(self.byte_lengths[np.asarray(tokens, dtype=np.int64)].sum())

    @property
    def _byte_ids(self) -> list[int]:
        raise NotImplementedError

    def _encode_all(self, texts: list[str]) -> list[list[int]]:
        raise NotImplementedError


class ByteTokenizer(Tokenizer):
    """One token a byte, V = 256: nothing to train, nothing to load."""

    def __init__(self):
        super().__init__("bytes", [bytes([byte]) for byte in range(256)])

    @property
    def _byte_ids(self) -> list[int]:
        return list(range(256))

    def _encode_all(self, texts: list[str]) -> list[list[int]]:
        return [list(text.encode()) for text in texts]


class BpeTokenizer(Tokenizer):
    """Byte-level BPE from the text of a ``tokenizers`` file.

    The end token is in the vocabulary but not among the added tokens, so that a text which spells it out is
    encoded like any other.
    """

    def __init__(self, name: str, content: str):
        from tokenizers import Tokenizer as Backend

        self._backend = Backend.from_str(content)
        byte = {letter: bytes([value]) for value, letter in enumerate(letters())}
        vocabulary = self._backend.get_vocab()
        pieces = [b""] * len(vocabulary)
        for token, number in vocabulary.items():
            pieces[number] = b"\0" if token == END else b"".join(byte[letter] for letter in token)
        super().__init__(name, pieces)
        self._bytes = [vocabulary[letter] for letter in letters()]

    @property
    def _byte_ids(self) -> list[int]:
        return self._bytes

    def _encode_all(self, texts: list[str]) -> list[list[int]]:
        return [row.ids for row in self._backend.encode_batch_fast(texts, add_special_tokens=False)]


def train_bpe(texts: Iterable[str], vocabulary: int) -> str:
    """Train a byte-level BPE and return its file: the same texts in the same order give the same file.

    Parameters
    ----------
    texts: training texts, one string a document.
    vocabulary: number of tokens, the 256 bytes and the end token among them.

    Raises
    ------
    ValueError
        If the vocabulary is below 257, or the texts are too small to fill it.
    """
    import json

    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers, trainers

    if vocabulary < 257:
        raise ValueError(f"vocabulary={vocabulary}: it must hold the 256 bytes and the end token, 257 or more.")
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    if backend.get_vocab_size() != vocabulary:
        raise ValueError(
            f"The texts hold enough repeated pairs for {backend.get_vocab_size()} tokens, not for {vocabulary}; "
            "give more text or ask for fewer."
        )
    content = json.loads(backend.to_str())
    content["added_tokens"] = []
    return json.dumps(content, ensure_ascii=False, indent=0) + "\n"


@cache
def load_tokenizer(name: str = "bpe4096", folder: Path = DATA) -> Tokenizer:
    """Load a tokenizer of the book: ``"bytes"``, ``"bpe4096"`` (default) or ``"bpe8192"``.

    Raises
    ------
    ValueError
        If there is no such tokenizer.
    DataFileError
        If its file is missing or damaged.
    """
    if name not in NAMES:
        raise ValueError(f'There is no tokenizer "{name}"; there are: {", ".join(NAMES)}.')
    if name == "bytes":
        return ByteTokenizer()
    return BpeTokenizer(name, read(f"tokenizer/{name}.json", folder).decode("utf-8"))
