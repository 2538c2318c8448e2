"""Probes of what a page teaches: invented names, word pairs, and the numbers made from them."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch

from nbhelpers.data.texts import Document
from nbhelpers.data.tokenizer import load_tokenizer
from nbhelpers.evaluation import reading

TEXT = "So said Ahab, and then old Ahab laughed. She was with Queequeg; he was to be of them. "


@pytest.fixture(scope="module")
def coder():
    return load_tokenizer("bpe4096")


@pytest.fixture(scope="module")
def pages(coder):
    whole = TEXT * 60
    return reading.make_pages([Document("one", "test", whole)], coder, 4, length=64, seed=1)


def test_only_names_that_come_back_are_renamed_and_always_alike():
    text, invented = reading.rename(TEXT, random.Random(0))
    assert "Ahab" not in text and "Queequeg" in text
    (name,) = invented
    assert text == TEXT.replace("Ahab", name)
    assert reading.rename("Nobody is named.", random.Random(0)) == ("Nobody is named.", [])


def test_seeds_decide_places_and_names(coder):
    documents = [Document("one", "test", TEXT * 60)]
    one, again, other = (reading.make_pages(documents, coder, 3, length=64, seed=s).tokens for s in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_mentions_are_the_tokens_of_the_name(pages, coder):
    for row in range(4):
        mine = [one for one in pages.names if one.row == row]
        spelt = [coder.decode(pages.tokens[row, one.start : one.stop].tolist()).strip() for one in mine]
        for name in set(spelt):
            firsts = [one.first for one, word in zip(mine, spelt, strict=True) if word == name]
            assert firsts[0] and not any(firsts[1:])
        assert len(spelt) > len(set(spelt)), "some name comes back"


def test_pairs_put_the_wrong_word_in_the_place_of_the_right_one(pages, coder):
    found = {(coder.decode([one.right]).strip(), coder.decode([one.wrong]).strip()) for one in pages.pairs}
    assert {("was", "were"), ("be", "is"), ("them", "they")} <= found
    for one in pages.pairs:
        assert int(pages.tokens[one.row, one.place]) == one.right


def test_a_clause_that_may_be_subjunctive_gives_no_pair(coder):
    tokens = coder.encode(" I know if he was here, and he was.")
    assert len(reading._pairs(coder, tokens, 0)) == 1


def test_words_join_pieces_and_keep_marks_apart(coder):
    tokens = coder.encode(" “Etherial Wentworthy,” said—\nshe")
    told = reading.words(coder, tokens)
    assert [word for *_, word in told] == ["“", "Etherial", "Wentworthy", ",", "”", "said", "—", "she"]
    assert all(stop > start for start, stop, _ in told)


def test_too_short_documents_are_refused(coder):
    with pytest.raises(ValueError, match="give 0 pages"):
        reading.make_pages([Document("one", "test", "short")], coder, 1)


def uniform(pages, vocabulary=4096):
    return torch.full((*pages.tokens.shape, vocabulary), -math.log(vocabulary))


def test_a_guess_pays_the_same_for_first_and_later_mentions(pages):
    found = reading.score(pages, uniform(pages))
    assert reading.mean(found["bits"]) == pytest.approx(12, abs=1e-4)
    sizes = {first: np.mean([one.stop - one.start for one in pages.names if one.first == first]) for first in (1, 0)}
    assert reading.mean(found["first"]) == pytest.approx(12 * sizes[1], abs=1e-3)
    assert reading.mean(found["later"]) == pytest.approx(12 * sizes[0], abs=1e-3)
    assert reading.mean(found["grammar"]) == 0, "a tie is not right"


def test_gain_is_what_later_mentions_save_beyond_first_ones(pages):
    off = reading.score(pages, uniform(pages))
    better = uniform(pages)
    for one in pages.names:
        for place in range(one.start, one.stop):
            better[one.row, place - 1, pages.tokens[one.row, place]] += (1 if one.first else 3) * math.log(2)
    on = reading.score(pages, better)
    sizes = {first: np.mean([one.stop - one.start for one in pages.names if one.first == first]) for first in (1, 0)}
    expected = 3 * sizes[0] - sizes[1]
    assert reading.gain(on, off) == pytest.approx(expected, abs=1e-3)
    low, high = reading.interval(on, off, draws=200)
    assert low <= expected + 1e-3 and high >= expected - 1e-3 and high - low < 3
    assert reading.gain(on, off, "_head") == pytest.approx(3 - 1, abs=1e-3), "one token, 3 bits later and 1 at first"
    assert reading.gain(off, off) == 0


def test_the_first_token_of_a_name_has_a_score_of_its_own(pages):
    p = uniform(pages)
    for one in pages.names:
        p[one.row, one.start - 1] += 5 * math.log(2)  # five bits cheaper, at the first token alone
    found, plain = reading.score(pages, p), reading.score(pages, uniform(pages))
    for kind in ("first", "later"):
        assert reading.mean(found[f"{kind}_head"]) == pytest.approx(7, abs=1e-3)
        assert reading.mean(plain[kind]) - reading.mean(found[kind]) == pytest.approx(5, abs=1e-3)


def test_counts_put_pairs_right_alone_or_after_the_word_before(pages, coder):
    was, were = (coder.encode(word)[0] for word in (" was", " were"))
    she = next(one for one in pages.pairs if one.right == was)
    before = int(pages.tokens[she.row, she.place - 1])
    only = reading.Pages(pages.tokens, [], [reading.Pair(she.row, she.place, was, were)])
    assert reading.counted_pairs(only, torch.tensor([before, was, were, were])) == (0, 1)
    assert reading.counted_pairs(only, torch.tensor([before, were, was, was])) == (1, 0)
    assert reading.counted_pairs(only, torch.tensor([before])) == (0, 0), "a tie is not right"


def test_right_words_count(pages):
    p = uniform(pages)
    for one in pages.pairs:
        p[one.row, one.place - 1, one.right] += 1
    assert reading.mean(reading.score(pages, p)["grammar"]) == 1


def test_sets_are_put_together(pages):
    one = reading.score(pages, uniform(pages))
    both = reading.together([one, one])
    assert len(both["bits"]) == 2 * len(one["bits"])
    assert reading.mean(both["later"]) == reading.mean(one["later"])
