"""The stream with three time scales: what its words are, what follows what, and that probes are not in it."""

from __future__ import annotations

import numpy as np
import pytest

from nbhelpers.data import time_scales as t
from nbhelpers.data.texts import load_documents


@pytest.fixture(scope="module")
def words():
    return t.vocabulary()


def test_the_vocabulary_has_three_kinds_of_words(words):
    assert len(set(words.names)) == len(words.names) == len(words.kinds)
    counts = np.bincount(words.kinds)
    assert counts[2] == t.BUCKETS and counts[0] <= 3 * t.FREQUENT and counts[1] <= 9 * t.TYPICAL
    kind = dict(zip(words.names, words.kinds, strict=True))
    assert {kind["the"], kind["dans"], kind["los"]} == {t.KINDS.index(t.LANGUAGE)}
    assert {kind["river"], kind["ville"], kind["poeta"]} == {t.KINDS.index(t.TOPIC)}


def test_unknown_words_go_into_buckets_by_their_spelling(words):
    one, two, the = words.encode("Zyzzyva zyzzyva, the 1984!")
    assert one == two >= len(words.names) - t.BUCKETS
    assert words.names[the] == "the"
    assert t.split("L'été à Paris, 1984: km² ou co-op") == ["l", "été", "à", "paris", "km²", "ou", "co", "op"]


def test_a_stream_changes_article_topic_and_language_each_at_its_pace():
    stream = t.make_stream(3)
    blocks = stream.topic.reshape(18, 1024)
    assert (blocks == blocks[:, :1]).all() and (stream.language == stream.topic // 3).all()
    visits = stream.language.reshape(6, 3072)
    assert visits[:, 0].tolist() == [0, 1, 2, 0, 1, 2] and (visits == visits[:, :1]).all()
    for visit in blocks[:, 0].reshape(6, 3):
        assert len(set(visit)) == 3
    assert set(np.diff(stream.article)) == {0, 1}
    assert 50 < len(stream.words) / (stream.article[-1] + 1) < 90


def test_a_stream_is_its_seeds_and_its_parts():
    one, again, other = t.make_stream(5), t.make_stream(5), t.make_stream(6)
    assert np.array_equal(one.words, again.words) and not np.array_equal(one.words, other.words)
    assert not np.array_equal(one.words, t.make_stream(5, part="train").words)


def test_streams_and_probes_are_made_of_held_out_articles_and_share_none(words):
    stream = t.make_stream(0, visits=("es",), block=512)
    text = " ".join(map(str, stream.words))
    held_out = [
        " ".join(map(str, words.encode(one.text)))
        for part in ("validation", "test")
        for one in load_documents("wiki_vital_es", part)
    ]
    first = " ".join(map(str, stream.words[stream.article == 0]))
    assert any(article.startswith(first) for article in held_out)
    for probe in stream.probes[6:]:
        assert " ".join(map(str, probe)) not in text


def test_a_stream_that_is_too_long_is_refused():
    with pytest.raises(ValueError, match="shorter blocks or fewer visits"):
        t.make_stream(0, visits=("es",) * 20)
