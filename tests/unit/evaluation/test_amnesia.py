"""The measurements of told facts: on readers whose recall is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nbhelpers.core.records import Record, open_record
from nbhelpers.data.facts import DIGITS, TOLD
from nbhelpers.evaluation import amnesia
from nbhelpers.evaluation.amnesia import (
    LOADS,
    bits,
    exam_for,
    learn,
    main,
    make_exam,
    price,
    recall,
    recall_by_load,
    share_said,
    told_in_turn,
    try_rates,
)
from nbhelpers.models import Config, LanguageModel, learn_once
from nbhelpers.training.settings import configure
from nbhelpers.training.train import train


@pytest.fixture(scope="module")
def exam():
    return make_exam("test", 12, (60, 128, 256, 512))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return LanguageModel(Config("transformer", vocabulary=256, width=16, layers=1, heads=2)).double()


class Sees(nn.Module):
    """Says the number that stands after the asked name, if it can see it, or that of its state."""

    def forward(self, tokens, state=None):
        logits = torch.zeros(*tokens.shape, 256)
        for row, line in enumerate(tokens):
            text = bytes(line.tolist()).decode("latin-1")
            at = text.index(text[-4:-1])
            value = text[at + 3 : at + 5] if at < len(text) - 4 else "00"
            if state is not None:
                value = bytes(state["value"][row].tolist()).decode()
            logits[row, -2, ord(value[0])] = logits[row, -1, ord(value[1])] = 1
        return logits, {}


def test_a_reader_recalls_what_its_window_holds(exam):
    assert recall(Sees(), exam) == {60: 1, 128: 1, 256: 1, 512: 1}
    assert recall(Sees(), exam, window=256) == {60: 1, 128: 1, 256: 1, 512: 0}
    assert recall(Sees(), exam, window=100) == {60: 1, 128: 0, 256: 0, 512: 0}


def test_a_student_that_says_one_number_to_all(exam, monkeypatch):
    monkeypatch.setattr(amnesia, "bits", lambda *given: 2.0)
    changes = [{"value": torch.tensor([list(fact.value.encode()) for fact in exam.facts])}]
    assert share_said(Sees(), exam.rows[512], 256, changes) == 1
    cost = price(Sees(), exam, changes)
    assert cost == {"strangers": 1, "strangers_unseen": 1, "others": 0, "bits": 2}
    assert price(Sees(), exam, None) == {"strangers": 0, "strangers_unseen": 0, "others": 1, "bits": 2}


def test_a_number_in_view_is_one_that_the_window_shows():
    line = torch.full((2, 300), ord("."))
    line[:, -2:] = torch.tensor([ord("4"), ord("7")])
    line[0, 44:46] = line[0, -2:]  # the first token of the window is number 43
    line[1, 42:44] = line[1, -2:]
    assert amnesia.in_view(line).tolist() == [True, False]


def test_strangers_that_see_the_number_anyway_are_left_out(exam, monkeypatch):
    monkeypatch.setattr(amnesia, "in_view", lambda rows: torch.arange(len(rows)) < 3)
    monkeypatch.setattr(amnesia, "_said", lambda model, rows, window, changes: torch.arange(len(rows)) < 6)
    found = amnesia.strangers(None, exam, None)
    assert found == {"strangers": 6 / 12, "strangers_unseen": 3 / 9}


def test_a_stranger_has_another_name_and_another_number(exam):
    for fact, other in zip(exam.facts, exam.strangers(), strict=True):
        assert exam.facts[other].name != fact.name and exam.facts[other].value != fact.value


def test_every_row_tells_and_asks_for_the_same_fact_and_the_sentence_tells_it(exam):
    for i, fact in enumerate(exam.facts):
        assert bytes(exam.told[i].tolist()).decode() == f"\nRemember {fact.tag}.\n"
        for rows in exam.rows.values():
            assert bytes(rows[i, -5:].tolist()).decode() == fact.tag


def test_groups_change_nothing(exam, model, monkeypatch):
    whole = learn(model, exam.told, 0.05, 2)
    monkeypatch.setattr(amnesia, "AT_ONCE", 5)
    parts = learn(model, exam.told, 0.05, 2)
    assert [len(group["0.cms.0.up"]) for group in parts] == [5, 5, 2]
    torch.testing.assert_close(torch.cat([group["0.cms.0.up"] for group in parts]), whole[0]["0.cms.0.up"])
    once = learn_once(model, exam.told, 0.05)
    torch.testing.assert_close(learn_once(model, exam.told, 0.05, once)["0.cms.0.up"], whole[0]["0.cms.0.up"])
    assert bits(model, exam.text, parts) == pytest.approx(bits(model, exam.text, whole), abs=1e-9)


def test_bits_of_students_that_did_not_move_are_the_models(exam, model):
    still = learn(model, exam.told, 0.0, 1)
    assert bits(model, exam.text, still) == pytest.approx(bits(model, exam.text), abs=1e-9)
    assert 6 < bits(model, exam.text) < 9  # untrained: about eight bits a byte
    assert bits(model, exam.text, learn(model, exam.told, 1.0, 3)) != pytest.approx(bits(model, exam.text), abs=1e-3)


def test_facts_told_in_turn_are_all_learned_by_the_same_students(exam, model, monkeypatch):
    seen = []
    monkeypatch.setattr(amnesia, "share_said", lambda model, rows, window, changes: seen.append(changes) or 0.5)
    assert told_in_turn(model, exam, 0.05, 3) == {"first": [0.5] * 3, "last": [0.5] * 3}
    expected, chains = None, exam.chains(3)
    for later in range(3):
        expected = learn_once(model, exam.told[chains[:, later]], 0.05, expected)
        for asked in seen[2 * later : 2 * later + 2]:
            torch.testing.assert_close(asked[0]["0.cms.0.down"], expected["0.cms.0.down"])


def test_a_chain_begins_with_the_fact_and_repeats_no_number(exam):
    length = 4
    for i, chain in enumerate(exam.chains(length).tolist()):
        told = [exam.facts[j] for j in chain]
        assert chain[0] == i
        assert len({fact.value for fact in told}) == len({fact.name for fact in told}) == length
    with pytest.raises(ValueError, match="different numbers"):
        exam.chains(11)


def test_first_and_last_are_asked_of_the_right_facts(exam, model, monkeypatch):
    asked = []
    monkeypatch.setattr(amnesia, "share_said", lambda model, rows, window, changes: asked.append(rows) or 0.0)
    told_in_turn(model, exam, 0.05, 2)
    first, last = exam.chains(2).T
    for rows, expected in zip(asked, (first, first, first, last), strict=True):
        assert torch.equal(rows, exam.rows[512][expected])


def test_each_rate_is_scored(exam, monkeypatch):
    monkeypatch.setattr(amnesia, "learn", lambda model, told, rate, steps: [rate])
    monkeypatch.setattr(amnesia, "share_said", lambda model, rows, window, changes: changes[0])
    monkeypatch.setattr(amnesia, "bits", lambda model, text, changes: 10 * changes[0])
    monkeypatch.setattr(
        amnesia, "strangers", lambda model, exam, changes: {"strangers": changes[0], "strangers_unseen": 2 * changes[0]}
    )
    assert try_rates(None, exam, 1, rates=(0.01, 0.1)) == {
        "recall": [0.01, 0.1],
        "strangers": [0.01, 0.1],
        "strangers_unseen": [0.02, 0.2],
        "bits": [0.1, 1.0],
    }


def tellings(rows):
    """How many facts each row tells."""
    return [sum(bytes(row.tolist()).count(form.split("{")[0].encode()) for form in TOLD) for row in rows]


def test_a_state_of_one_size_is_asked_about_one_fact_at_a_time():
    for family, most in (("gated_deltanet", 1), ("transformer", 3)):
        record = Record("train", "x", 0, {"model": {"family": family}, "texts": "fiction"})
        assert max(tellings(exam_for(record, "test", 6, (256,)).rows[256])) == most


def test_recall_by_load_tells_so_many_facts(monkeypatch):
    told = []
    monkeypatch.setattr(amnesia, "COUNT", 4)
    monkeypatch.setattr(amnesia, "share_said", lambda model, rows, window: told.append(tellings(rows)) or len(told))
    assert recall_by_load(None, "fiction", 256) == {facts: i for i, facts in enumerate(LOADS, 1)}
    assert told == [[facts] * 4 for facts in LOADS]


def test_what_was_measured_is_recorded_once(tmp_path, monkeypatch):
    words = ["width=16", "layers=1", "heads=2", "tokens=4096", "held_out=1024", "progress=no", "device=cpu"]
    for name in ("amnesiac.transformer", "amnesiac.gated_deltanet"):
        family = name.split(".")[1]
        train(*configure("amnesiac", [*words, f"to={tmp_path}", f"name={name}", f"family={family}"]))
    for name, small in {
        "DISTANCES": (40, 128, 512),
        "RATES": (0.01, 0.1),
        "STEPS": (1, 2),
        "COUNT": 6,
        "STUDENTS": 5,
    }.items():
        monkeypatch.setattr(amnesia, name, small)
    monkeypatch.setattr(amnesia, "CHAIN", 2)
    assert main(str(tmp_path)) == 0
    found = {record.name: record for record in map(open_record, sorted(tmp_path.glob("bench-*")))}
    assert set(found) == {"recall.amnesiac.transformer", "recall.amnesiac.gated_deltanet", "step.amnesiac.transformer"}
    assert [found[name].config["window"] for name in sorted(found)] == [None, 256, 256]
    step = found["step.amnesiac.transformer"].result
    assert set(step["steps"]) == {"1", "2"} and len(step["told_in_turn"]["last"]) == 2
    assert set(step["steps"]["1"]["recall"]) == {"40", "128", "512"}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("bench-*/result.json")}
    main(str(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_window_of_the_measurements_is_the_row_of_the_training():
    assert configure("amnesiac")[0].length == amnesia.WINDOW
    assert amnesia.NEAR in amnesia.DISTANCES and amnesia.FAR in amnesia.DISTANCES and DIGITS == 2
    assert amnesia.FAR - amnesia.WINDOW > 20  # the whole sentence is out of the window
