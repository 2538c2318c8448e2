"""What data/ ships is what SOURCES.json lists, and nothing else is ever read."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256

import pytest

from nbhelpers.data.build.pins import PACKAGES
from nbhelpers.data.images import load_fashion
from nbhelpers.data.sources import DATA, DataFileError, check, read, sources
from nbhelpers.data.texts import load_documents
from nbhelpers.data.tokenizer import load_tokenizer

FOLDERS = ("lm", "vision", "tokenizer")


@pytest.mark.parametrize("name", sources())
def test_a_shipped_file_is_the_listed_one(name):
    content = (DATA / name).read_bytes()
    assert sha256(content).hexdigest() == sources()[name]["sha256"]
    assert len(content) == sources()[name]["bytes"] < 4 * 2**20


def test_every_shipped_file_is_listed_and_all_are_small():
    there = {file.relative_to(DATA).as_posix() for folder in FOLDERS for file in (DATA / folder).iterdir()}
    assert there == set(sources())
    assert sum(entry["bytes"] for entry in sources().values()) < 30e6


@pytest.mark.parametrize("name", sources())
def test_an_entry_says_where_the_file_comes_from_and_under_which_licence(name):
    entry = sources()[name]
    assert entry["licence"]
    assert (DATA / entry["licence_file"]).is_file()
    if "package" in entry:
        pinned = {(one.name, one.version, one.sha256) for one in PACKAGES.values()}
        assert tuple(entry["package"][key] for key in ("name", "version", "sha256")) in pinned
        assert entry["members"] and entry["cleaning"] >= 1
        assert name in (DATA / entry["licence_file"]).read_text(encoding="utf-8")
    else:
        assert entry["trained_on"] and entry["settings"]


@pytest.fixture
def copy(tmp_path):
    for name in ("SOURCES.json", *sources()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / name, tmp_path / name)
    return tmp_path


LOADERS = [
    ("lm/moby_dick.jsonl.xz", lambda folder: load_documents("moby_dick", folder=folder)),
    ("tokenizer/bpe4096.json", lambda folder: load_tokenizer("bpe4096", folder)),
    ("vision/fashion6k.npz", lambda folder: load_fashion(folder=folder)),
]


@pytest.mark.parametrize(("name", "load"), LOADERS)
def test_a_whole_copy_is_loaded(copy, name, load):
    assert load(copy) is not None


@pytest.mark.parametrize(("name", "load"), LOADERS)
@pytest.mark.parametrize("damage", ["one bit", "cut short", "empty"])
def test_a_damaged_copy_is_refused_and_left_as_it_is(copy, name, load, damage):
    content = bytearray((copy / name).read_bytes())
    if damage == "one bit":
        content[len(content) // 2] ^= 1
    else:
        del content[len(content) // 2 if damage == "cut short" else 0 :]
    (copy / name).write_bytes(content)
    with pytest.raises(DataFileError, match="damaged or was changed") as error:
        load(copy)
    for word in (name, sources()[name]["sha256"][:16], f"git checkout -- data/{name}", "nbhelpers.data.build shipped"):
        assert word in str(error.value)
    assert (copy / name).read_bytes() == content


@pytest.mark.parametrize(("name", "load"), LOADERS)
def test_a_missing_file_is_named_with_what_to_do(copy, name, load):
    (copy / name).unlink()
    with pytest.raises(DataFileError, match="is missing") as error:
        load(copy)
    assert name in str(error.value) and "git checkout" in str(error.value)
    assert not (copy / name).exists()


def test_an_unlisted_file_is_never_read(copy):
    (copy / "lm/other.txt").write_text("something")
    with pytest.raises(DataFileError, match="There is no data file"):
        read("lm/other.txt", copy)


def test_a_missing_or_broken_list_is_said_so(tmp_path):
    with pytest.raises(DataFileError, match=r"SOURCES\.json is missing"):
        read("lm/austen.jsonl.xz", tmp_path / "nowhere")
    for number, content in enumerate(["{", json.dumps({"other": 1})]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "SOURCES.json").write_text(content)
        with pytest.raises(DataFileError, match="cannot be read"):
            read("lm/austen.jsonl.xz", folder)


def test_check_accepts_only_the_same_bytes():
    check(b"abc", sha256(b"abc").hexdigest(), "x", "again")
    with pytest.raises(DataFileError):
        check(b"abc.", sha256(b"abc").hexdigest(), "x", "again")
