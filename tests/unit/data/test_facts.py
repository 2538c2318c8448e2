"""Told-fact episodes: what a row holds, what is held out, how far an answer is from its fact."""

from __future__ import annotations

import re
from itertools import islice

import numpy as np
import pytest
import torch

from nbhelpers.data.facts import (
    ASKED,
    DIGITS,
    QUESTIONS,
    TOLD,
    Fact,
    Filler,
    as_rows,
    draw_facts,
    episodes,
    make_probe,
    names,
    probes,
    values,
)
from nbhelpers.data.texts import PARTS, load_text

TOLD_PATTERN = re.compile("|".join(re.escape(form).replace(r"\{tag\}", r"([A-Z][a-z]{2})(\d\d)") for form in TOLD))
ASKED_PATTERN = re.compile(
    "|".join(re.escape(form).replace(r"\{name\}", r"([A-Z][a-z]{2})") + r"(\d\d)" for form in ASKED)
)


def found(pattern: re.Pattern, text: str) -> list[tuple[int, str, str]]:
    """Where, who and what, for each match."""
    return [(match.start(), *(group for group in match.groups() if group)) for match in pattern.finditer(text)]


@pytest.fixture(scope="module")
def filler():
    return Filler("austen", "train")


@pytest.fixture(scope="module")
def rows(filler):
    """Whole rows as text, with the places that are marked as answers."""
    inputs, targets, answers = next(episodes(filler, 64, 256, seed=3))
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    tokens = torch.cat([inputs, targets[:, -1:]], 1).to(torch.uint8).numpy()
    return [
        (row.tobytes().decode("latin-1"), marks.nonzero().flatten() + 1)
        for row, marks in zip(tokens, answers, strict=True)
    ]


def test_no_name_and_no_number_belongs_to_two_parts():
    for whole in (names, values):
        parts = [set(whole(part)) for part in PARTS]
        assert sum(map(len, parts)) == len(set.union(*parts)) and all(parts)
    assert {len(values(part)) for part in PARTS} == {80, 10} and sum(len(names(part)) for part in PARTS) == 16 * 5 * 16


def test_every_question_comes_after_its_fact_and_is_answered_with_its_number(rows):
    most = 0
    for text, marks in rows:
        told = {name: (where, value) for where, name, value in found(TOLD_PATTERN, text)}
        asked = found(ASKED_PATTERN, text)
        assert 1 <= len(told) <= 4 and 1 <= len(asked) <= QUESTIONS
        for where, name, value in asked:
            assert told[name][1] == value and told[name][0] < where
            assert name in names("train") and value in values("train")
        assert text.endswith(asked[-1][2])  # the row ends with an answer
        places = [text.index(value, where + 7) + digit for where, _, value in asked for digit in range(DIGITS)]
        assert marks.tolist() == places
        most = max(most, len(asked))
    assert most > 2 and len({len(found(TOLD_PATTERN, text)) for text, _ in rows}) >= 3


def test_the_text_between_is_real_and_begins_with_a_word(filler):
    text = " ".join(load_text("austen", "train").split())
    generator = np.random.default_rng(0)
    ends = 0
    for length in (1, 7, 60, 400):
        for _ in range(20):
            piece = filler(length, generator).tobytes().decode()
            assert len(piece) == length and piece in text
            ends += f" {piece} " in text
    assert ends > 75 and len(filler(0, generator)) == 0


def test_a_resumed_stream_and_two_processes_give_the_same_rows(filler):
    whole = list(islice(episodes(filler, 4, 256, seed=1), 5))
    resumed = list(islice(episodes(filler, 4, 256, seed=1, start_step=3), 2))
    for one, again in zip(whole[3:], resumed, strict=True):
        assert all(map(torch.equal, one, again))
    halves = [next(episodes(filler, 4, 256, seed=1, rank=rank, processes=2)) for rank in (0, 1)]
    for tensor, first, second in zip(whole[0], *halves, strict=True):
        assert torch.equal(tensor[0::2], first) and torch.equal(tensor[1::2], second)
    assert not torch.equal(whole[0][0], next(episodes(filler, 4, 256, seed=2))[0])


@pytest.mark.parametrize("distance", [40, 100, 256, 700])
@pytest.mark.parametrize("least", [0, 256])
def test_a_probe_asks_at_its_distance(filler, distance, least):
    for seed in range(20):
        probe = make_probe(filler, distance, "test", np.random.default_rng(seed), least=least)
        text = probe.tokens.tobytes().decode("latin-1")
        assert len(text) == max(distance, least) + 1
        told, asked = found(TOLD_PATTERN, text), found(ASKED_PATTERN, text)
        assert [(name, value) for _, name, value in asked] == [(probe.fact.name, probe.fact.value)]
        start = next(where for where, name, _ in told if name == probe.fact.name)
        assert len(text) - 1 - start == distance  # from the sentence's first letter to the last token that is read
        assert {(name, value) for _, name, value in told} == {(f.name, f.value) for f in (probe.fact, *probe.others)}
        facts = probe.fact, *probe.others
        assert {f.name for f in facts} <= set(names("test")) and {f.value for f in facts} <= set(values("test"))
        assert len({f.name[-1] for f in facts}) == len({f.value for f in facts}) == len(facts)
    assert len(probe.others) == 2 or max(distance, least) < 100


def test_a_probe_asks_for_the_same_fact_at_every_distance(filler):
    near, far = (probes(filler, distance, 5, "validation", least=120) for distance in (80, 300))
    assert [one.fact for one in near] == [one.fact for one in far]
    rows = as_rows(near)
    assert rows.shape == (5, 121) and rows.dtype == torch.int64
    assert torch.equal(rows[:3], as_rows(probes(filler, 80, 3, "validation", least=120)))
    assert not torch.equal(rows[:3], as_rows(probes(filler, 80, 3, "validation", least=120, seed=1)))


def test_what_does_not_fit_is_refused(filler):
    with pytest.raises(ValueError, match="the two sentences alone take"):
        make_probe(filler, 20, "test", np.random.default_rng(0))
    with pytest.raises(ValueError, match="may take"):
        episodes(filler, 4, 128)
    with pytest.raises(ValueError, match="divide evenly"):
        episodes(filler, 4, 256, processes=3)
    with pytest.raises(ValueError, match="the part test has 10 numbers"):
        draw_facts(11, "test", np.random.default_rng(0))
    with pytest.raises(ValueError, match='no part "exam"'):
        names("exam")
    with pytest.raises(ValueError, match="the text has"):
        filler(10**9, np.random.default_rng(0))


def test_a_fact_in_words():
    assert Fact("Mir", "47").told(0) == "Remember Mir47."
    assert Fact("Mir", "47").asked(1) == "And Mir"
