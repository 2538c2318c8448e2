"""Tokenizers: exact round trips, and a training that saw training parts only and can be repeated."""

from __future__ import annotations

import json
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbhelpers.data.build.shipped import VOCABULARIES, fingerprint
from nbhelpers.data.sources import DATA, sources
from nbhelpers.data.texts import DOMAINS, Document, load_documents
from nbhelpers.data.tokenizer import NAMES, BpeTokenizer, letters, load_tokenizer, train_bpe

TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # no halves of surrogate pairs: UTF-8 has none
each_tokenizer = pytest.mark.parametrize("name", NAMES)


@each_tokenizer
@given(text=TEXT)
def test_any_text_comes_back(name, text):
    tokenizer = load_tokenizer(name)
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert tokenizer.count_bytes(tokens) == len(text.encode())
    assert all(0 <= token < tokenizer.vocabulary for token in tokens)


@each_tokenizer
@given(content=st.one_of(st.binary(), st.builds(lambda a, b: a.encode() + b, TEXT, st.binary(max_size=4))))
def test_any_bytes_come_back(name, content):
    tokenizer = load_tokenizer(name)
    tokens = tokenizer.encode_bytes(content)
    assert tokenizer.decode_bytes(tokens) == content
    assert tokenizer.count_bytes(tokens) == len(content)


@each_tokenizer
def test_text_and_its_bytes_give_the_same_tokens(name):
    text = load_documents("drama", "test")[0].text[:2000] + " naïve Ωμέγα 中文 🙂"
    assert load_tokenizer(name).encode(text) == load_tokenizer(name).encode_bytes(text.encode())


@each_tokenizer
def test_a_text_that_spells_the_end_token_is_only_text(name):
    tokenizer = load_tokenizer(name)
    tokens = tokenizer.encode("a<|end|>b")
    assert tokenizer.decode(tokens) == "a<|end|>b" and tokenizer.end_id not in tokens


@each_tokenizer
def test_a_stream_has_an_end_token_around_each_document_and_counts_its_bytes(name):
    tokenizer = load_tokenizer(name)
    documents = [Document(str(n), "train", text) for n, text in enumerate(["First one.", "", "Ünd 🙂 three"])]
    stream = tokenizer.encode_documents(documents)
    assert stream.dtype == np.int32
    assert tokenizer.decode_bytes(stream) == b"\0First one.\0\0" + "Ünd 🙂 three".encode() + b"\0"
    assert (stream == tokenizer.end_id).sum() == 4
    assert tokenizer.count_bytes(stream[1:]) == sum(len(one.text.encode()) + 1 for one in documents)


def test_held_out_streams_stand_for_equal_bytes_in_every_tokenizer():
    documents = load_documents("encyclopaedia", "validation")
    tokenizers = [load_tokenizer(name) for name in NAMES]
    streams = [one.encode_documents(documents) for one in tokenizers]
    counted = {one.count_bytes(stream[1:]) for one, stream in zip(tokenizers, streams, strict=True)}
    assert counted == {sum(len(one.text.encode()) + 1 for one in documents)}
    assert len(streams[0]) > 2.5 * len(streams[1]) > 2.5 * len(streams[2])


def test_every_piece_is_known():
    assert load_tokenizer("bytes").vocabulary == 256
    for size in VOCABULARIES:
        tokenizer = load_tokenizer(f"bpe{size}")
        assert tokenizer.vocabulary == len(tokenizer) == size
        assert all(tokenizer.pieces)
        assert len(set(tokenizer.pieces)) == size - 1  # the byte 0 and the end token stand for the same byte
        assert {bytes([byte]) for byte in range(256)} <= set(tokenizer.pieces)


def test_letters_are_the_published_table():
    from tokenizers.pre_tokenizers import ByteLevel

    assert len(set(letters())) == 256 and set(letters()) == set(ByteLevel.alphabet())
    assert letters()[0x20] == "Ġ" and letters()[0x0A] == "Ċ" and letters()[ord("a")] == "a"


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_training_saw_the_training_parts_and_nothing_else(vocabulary):
    entry = sources()[f"tokenizer/bpe{vocabulary}.json"]
    files = {f"lm/{name}.jsonl.xz": name for names in DOMAINS.values() for name in names}
    assert set(entry["trained_on"]) == set(files)
    for file, seen in entry["trained_on"].items():
        texts = [one.text for one in load_documents(files[file], "train")]
        assert seen == {"part": "train", "sha256": fingerprint(texts)}
    file = json.loads((DATA / f"tokenizer/bpe{vocabulary}.json").read_text(encoding="utf-8"))
    assert file["added_tokens"] == []
    assert len(file["model"]["vocab"]) == entry["settings"]["vocabulary"] == vocabulary
    assert file["pre_tokenizer"]["type"] == entry["settings"]["pre_tokenizer"]
    assert file["model"]["vocab"][entry["settings"]["end"]] == load_tokenizer(f"bpe{vocabulary}").end_id


def test_the_smaller_vocabulary_is_the_beginning_of_the_larger():
    """Merges are made one by one, so two sizes trained on the same text agree as far as the smaller goes."""
    small, large = (load_tokenizer(f"bpe{size}") for size in VOCABULARIES)
    assert large.pieces[: len(small)] == small.pieces


def test_training_again_gives_the_same_file_and_other_text_another():
    texts = [one.text for one in load_documents("austen", "train")[:2]]
    files = [train_bpe(iter(texts), 600), train_bpe(list(texts), 600)]
    assert sha256(files[0].encode()).digest() == sha256(files[1].encode()).digest()
    assert BpeTokenizer("small", files[0]).vocabulary == 600
    assert train_bpe([texts[0]], 600) != files[0]


def test_what_cannot_be_done_is_said_so():
    with pytest.raises(ValueError, match='no tokenizer "bpe1"; there are: bytes'):
        load_tokenizer("bpe1")
    with pytest.raises(ValueError, match="257 or more"):
        train_bpe(["text"], 100)
    with pytest.raises(ValueError, match="give more text or ask for fewer"):
        train_bpe(["text text"], 4096)
    for name in NAMES:
        with pytest.raises(ValueError, match="half a surrogate pair at position 2"):
            load_tokenizer(name).encode("ab\ud800")
        for token in (-1, load_tokenizer(name).vocabulary):
            with pytest.raises(ValueError, match="There is no token"):
                load_tokenizer(name).decode([1, token])
