"""Records: whole files, honest names, and refusals."""

from __future__ import annotations

import json

import pytest

from nbhelpers.core import records as r


def test_the_seeds_of_one_config_share_its_hash(tmp_path):
    one, two = (r.Record("train", "hope", seed, {"width": 8, "rate": 0.1}, tmp_path) for seed in (0, 1))
    other = r.Record("train", "hope", 0, {"width": 16, "rate": 0.1}, tmp_path)
    assert one.id[-8:] == two.id[-8:] != other.id[-8:]
    assert one.id.startswith("train-hope-s0-") and two.id.startswith("train-hope-s1-")


def test_the_order_of_keys_does_not_matter():
    assert r.fingerprint({"a": 1, "b": [2]}) == r.fingerprint({"b": [2], "a": 1}) != r.fingerprint({"a": 1, "b": [3]})


def test_what_is_written_is_found_again(tmp_path):
    record = r.Record("sweep", "titans", 3, {"width": 8}, tmp_path).begin()
    assert record.result is None and record.rows() == []
    record.log(step=1, loss=2.0)
    record.log(step=2, loss=1.0)
    record.finish(status="done")
    (found,) = r.records("sweep", to=tmp_path)
    assert found.rows() == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    assert found.config == {"width": 8} and found.seed == 3 and found.id == record.id
    assert found.result["status"] == "done"
    assert {"revision", "device", "versions", "python"} <= set(found.result)
    assert not list(tmp_path.rglob("*.part"))


def test_kind_and_name_select(tmp_path):
    for kind, name in (("train", "a"), ("train", "b"), ("sweep", "a")):
        r.Record(kind, name, 0, {}, tmp_path).begin()
    assert [x.id for x in r.records("train", to=tmp_path)] == [
        r.Record("train", n, 0, {}, tmp_path).id for n in ("a", "b")
    ]
    assert len(list(r.records(name="a", to=tmp_path))) == 2
    assert list(r.records("bench", to=tmp_path)) == []


def test_rewind_keeps_what_was_before_and_drops_a_torn_line(tmp_path):
    record = r.Record("train", "a", 0, {}, tmp_path).begin()
    for step in range(1, 6):
        record.log(step=step)
    with open(record.folder / r.METRICS, "a") as lines:
        lines.write('{"step": 6, "lo')  # what kill -9 leaves
    assert [row["step"] for row in record.rows()] == [1, 2, 3, 4, 5]
    record.rewind(3)
    record.log(step=4)
    assert [row["step"] for row in record.rows()] == [1, 2, 3, 4]


def test_a_changed_config_is_refused(tmp_path):
    record = r.Record("train", "a", 0, {"width": 8}, tmp_path).begin()
    path = record.folder / r.CONFIG
    path.write_text(path.read_text().replace("8", "16"))
    with pytest.raises(r.RecordError, match="was changed"):
        list(r.records(to=tmp_path))
    path.write_text(json.dumps({"kind": "train"}))
    with pytest.raises(r.RecordError, match="not the config of a record"):
        r.open_record(record.folder)
    path.write_text("{")
    with pytest.raises(r.RecordError, match="cannot be read"):
        r.open_record(record.folder)
    path.unlink()
    with pytest.raises(r.RecordError, match="is missing"):
        r.open_record(record.folder)


@pytest.mark.parametrize(
    ("kind", "name", "word"), [("training", "a", "kind"), ("train", "a-b", "name"), ("train", "", "name")]
)
def test_names_that_would_not_come_back_are_refused(kind, name, word):
    with pytest.raises(ValueError, match=f"{word} is"):
        r.Record(kind, name, 0, {})


def test_numbers_that_are_not_finite_do_not_enter_a_result(tmp_path):
    record = r.Record("train", "a", 0, {}, tmp_path).begin()
    with pytest.raises(ValueError, match="Out of range"):
        record.finish(loss=float("nan"))
    assert record.result is None
