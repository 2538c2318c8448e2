"""The claims ledger: its schema, its verdicts recomputed, and the call that compares a page with it."""

import json

import jsonschema
import pytest
import yaml

from nbhelpers.notebook import ledger
from nbhelpers.notebook.ledger import CONDITIONS, FAILS, HOLDS, UNTESTABLE, LedgerError, claim, evaluate, verdict
from nbhelpers.notebook.setup import DATA, chapters

CLAIMS = yaml.safe_load((DATA / "claims.yml").read_text())


def test_the_ledger_fits_its_schema():
    jsonschema.validate(CLAIMS, json.loads((DATA / "claims.schema.json").read_text()))


def test_ids_are_unique_and_start_with_a_chapter():
    names = [entry["id"] for entry in CLAIMS]
    assert len(set(names)) == len(names)
    for entry in CLAIMS:
        assert entry["id"].split("/")[0] == entry["chapter"]
        assert entry["chapter"] in chapters()


@pytest.mark.parametrize("entry", CLAIMS, ids=lambda entry: entry["id"])
def test_the_verdict_follows_from_criterion_and_value(entry):
    assert (entry["criterion"] is None) == (entry["kind"] in ledger.OTHER_KINDS)
    assert entry["verdict"] == verdict(entry["criterion"], entry["value"])
    assert entry["evidence"], "say where a reader sees it"


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        ("gain >= 0.5", True),
        ("gain > 0.5", False),
        ("gain >= 0.5 and lag <= 2", False),
        ("lag > gain", True),
        ("tiny <= 1e-10", True),
    ],
)
def test_conditions_are_read_as_written(condition, truth):
    assert evaluate(condition, {"gain": 0.5, "lag": 3.0, "tiny": 1e-12}) is truth


@pytest.mark.parametrize("condition", ["gain", "gain == 1", "other >= 1", "gain >= other", "__import__('os') >= 1"])
def test_a_condition_that_cannot_be_read_is_refused(condition):
    with pytest.raises(LedgerError):
        evaluate(condition, {"gain": 0.5})


def test_each_verdict_can_come_out():
    criterion = {"holds": "a >= 1", "conditions": "b >= 1"}
    assert verdict(criterion, {"a": 1, "b": 0}) == HOLDS
    assert verdict(criterion, {"a": 0, "b": 1}) == CONDITIONS
    assert verdict(criterion, {"a": 0, "b": 0}) == FAILS
    assert verdict({"holds": "a >= 1"}, {"a": 0}) == FAILS
    assert verdict({"untestable": "needs a larger model"}, None) == UNTESTABLE
    assert verdict(None, None) is None


@pytest.fixture
def one_claim(monkeypatch):
    entry = {
        "id": "page/claim", "claim": "It works.", "criterion": {"holds": "a >= 1"}, "value": {"a": 2.0},
        "spread": None, "seeds": 5, "verdict": HOLDS,
    }  # fmt: skip
    shown = []
    monkeypatch.setattr(ledger, "claims", lambda: {"page/claim": entry})
    monkeypatch.setattr("IPython.display.display", shown.append)
    return entry, shown


def test_a_page_that_agrees_shows_the_verdict_with_its_spread(one_claim):
    _, shown = one_claim
    claim("page/claim", a=(2.01, 1.5, 2.5))
    assert "Holds" in shown[0].data and "1.5 to 2.5 over 5 seeds" in shown[0].data


def test_a_spread_of_nothing_is_said_once(one_claim):
    _, shown = one_claim
    claim("page/claim", a=(2.0, 2.0, 2.0))
    assert "a 2 (all 5 seeds)" in shown[0].data


@pytest.mark.parametrize("measured", [{"a": 2.2}, {"a": 0.5}, {"b": 2.0}, {}])
def test_a_page_that_disagrees_stops_and_shows_the_lines_to_write(one_claim, measured):
    with pytest.raises(LedgerError):
        claim("page/claim", **measured)


def test_the_message_holds_what_to_write(one_claim):
    with pytest.raises(LedgerError, match=r"value: \{a: 0.5\}\n.*\n  verdict: does not hold here"):
        claim("page/claim", a=0.5)


def test_an_unknown_claim_is_refused(one_claim):
    with pytest.raises(LedgerError, match='no claim "page/other"'):
        claim("page/other", a=1.0)
