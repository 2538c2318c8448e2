"""The texts: parts that share no work, the held-out works, and the form they are stored in."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbhelpers.data.sources import DataFileError, sources
from nbhelpers.data.texts import (
    DOMAINS,
    OTHER_LANGUAGES,
    PARTS,
    Document,
    from_lines,
    load_corpus,
    load_documents,
    load_text,
    to_lines,
)

FILES = [*(name for names in DOMAINS.values() for name in names), *OTHER_LANGUAGES]
# Verses and quotations that several works share, and formulas that presidents repeat, are shorter than this.
LONG = 300


@pytest.mark.parametrize("name", FILES)
def test_parts_are_disjoint_and_as_recorded(name):
    recorded = sources()[f"lm/{name}.jsonl.xz"]["parts"]
    assert set(recorded) == set(PARTS)
    titles, texts = {}, {}
    for part in PARTS:
        documents = load_documents(name, part)
        assert len(documents) == recorded[part]["documents"]
        assert sum(len(one.text.encode()) for one in documents) == recorded[part]["bytes"]
        titles[part] = {(one.title, one.text[:80]) for one in documents}
        texts[part] = {one.text for one in documents}
    for one, other in combinations(PARTS, 2):
        assert not titles[one] & titles[other]
        assert not texts[one] & texts[other]
    assert len(load_documents(name)) == sum(len(load_documents(name, part)) for part in PARTS)


def test_no_long_paragraph_of_a_held_out_part_stands_in_training():
    def paragraphs(part):
        texts = (one.text for one in load_documents("all", part))
        cut = (re.sub(r"\s+", " ", piece) for text in texts for piece in text.split("\n\n"))
        return {piece for piece in cut if len(piece) > LONG}

    train = paragraphs("train")
    assert len(train) > 5000
    for part in ("validation", "test"):
        assert paragraphs(part) and not paragraphs(part) & train


def test_the_held_out_works():
    held_out = {
        part: {one.title for name in ("shakespeare", "austen", "moby_dick") for one in load_documents(name, part)}
        for part in ("validation", "test")
    }
    assert held_out["test"] == {"Hamlet", "The Tempest", "Persuasion"}
    assert held_out["validation"] == {"Macbeth", "Moby-Dick, chapters 126–135"}
    assert len(load_documents("shakespeare")) == 38 and len(load_documents("austen")) == 6


def test_addresses_are_in_order_of_time_and_every_twentieth_is_held_out():
    addresses = load_documents("sotu")
    years = [one.facts["year"] for one in addresses]
    assert years == sorted(years) and (years[0], years[-1], len(years)) == (1790, 2021, 233)
    assert [number for number, one in enumerate(addresses, 1) if one.part == "test"] == list(range(20, 234, 20))
    assert [number for number, one in enumerate(addresses, 1) if one.part == "validation"] == list(range(10, 234, 20))


def test_topics_are_held_out_in_equal_shares():
    articles = load_documents("wiki_vital_en")
    topics = {one.facts["topic"] for one in articles}
    assert len(topics) == 12
    for topic in topics:
        parts = [one.part for one in articles if one.facts["topic"] == topic]
        assert parts.count("test") / len(parts) == pytest.approx(0.2, abs=0.003)
        assert parts.count("validation") / len(parts) == pytest.approx(0.1, abs=0.003)


def test_other_languages_are_in_no_domain():
    spanish, french = (load_documents(name) for name in OTHER_LANGUAGES)
    assert (len(spanish), len(french)) == (6226, 9951)
    assert "Geografía" in {one.facts["topic"] for one in spanish} and "Géographie" in {
        one.facts["topic"] for one in french
    }
    everything = {one.title for one in load_documents("all")}
    assert "(1) Cérès" in {one.title for one in french} - everything


def test_the_plays_have_no_markup_left():
    text = load_text("drama", "train")
    assert not re.search(r"[*_#\\]| +$", text, re.MULTILINE)


def test_every_document_has_a_title_of_its_own():
    for domain in DOMAINS:
        titles = [one.title for one in load_documents(domain)]
        assert len(set(titles)) == len(titles)
        assert not [title for title in titles if not title or title.startswith("#") or "ACT I" in title]


def test_texts_begin_as_their_books_do():
    assert load_text("drama", "test").startswith("The Tempest\n\nACT I")
    assert load_text("fiction", "test").startswith("Persuasion\n\nby\n\nJane Austen")
    assert load_text("moby_dick", "train").startswith("CHAPTER 1. Loomings.\n\nCall me Ishmael.")
    assert load_text("moby_dick", "validation").endswith("as it rolled five thousand years ago.")


def test_text_is_the_documents_with_an_empty_line_between():
    assert load_text("fiction", "train") == "\n\n".join(one.text for one in load_documents("fiction", "train"))


def test_what_is_not_there_is_said_so():
    with pytest.raises(ValueError, match='no domain "poetry"; there are: drama'):
        load_documents("poetry")
    with pytest.raises(ValueError, match='no part "dev"; there are: train'):
        load_text("drama", "dev")
    with pytest.raises(DataFileError, match="build it again with"):
        load_corpus("nowhere/portable", "train")


@given(
    st.lists(
        st.builds(
            Document,
            st.text(),
            st.sampled_from(PARTS),
            st.text(st.characters(exclude_categories=["Cs"])),
            st.dictionaries(st.sampled_from(["year", "topic"]), st.integers()),
        )
    )
)
def test_documents_come_back_from_their_lines(documents):
    documents = [one for one in documents if one.title.isprintable()]
    assert list(from_lines(to_lines(documents))) == documents
