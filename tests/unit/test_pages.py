"""The generated pages: they say what the data say, the same way each time, and a faulty entry is refused in words."""

import copy
import json
import re

import jsonschema
import pytest
import yaml

from nbhelpers.core.identity import REVISION
from nbhelpers.notebook.ledger import VERDICTS
from tools import pages

PLAN = pages.load("chapters")
TITLES = {chapter["slug"]: chapter["title"] for chapter in PLAN["chapters"]}
TOC = yaml.safe_load((pages.ROOT / "_toc.yml").read_text())

CLAIM = {
    "id": "two-clocks/gain",
    "source": "article",
    "where": "the simulation's comment",
    "claim": "The fast weight carries the context.",
    "kind": "empirical",
    "chapter": "two-clocks",
    "metric": "gain = share carried; no_decay_gain = the same with decay = 1.",
    "criterion": {"holds": "gain >= 0.95", "conditions": "no_decay_gain >= 0.95"},
    "seeds": 200,
    "value": {"gain": 0.4444, "no_decay_gain": 0.998},
    "spread": {"gain": [0.43, 0.46]},
    "evidence": None,
    "verdict": "holds under conditions",
}
ERRATUM = {
    "id": "a-layer-is-a-solver/indices",
    "source": "article",
    "where": "the displayed formula",
    "printed": r"W x_t",
    "wrong": "The input and the surprise belong to different samples.",
    "corrected": r"W x_{t+1}",
    "chapter": "a-layer-is-a-solver",
    "check": "(3) one sample",
}


def changed(entry, **fields):
    return copy.deepcopy(entry) | fields


def folder_with(tmp_path, **files):
    for name in ("chapters", "claims", "errata"):
        content = files.get(name, PLAN if name == "chapters" else [])
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(content))
    return tmp_path


# ---- the data of this repository


@pytest.mark.parametrize("name", ["chapters", "claims", "errata"])
def test_schemas_are_schemas_and_the_data_fit_them(name):
    jsonschema.Draft202012Validator.check_schema(json.loads((pages.DATA / f"{name}.schema.json").read_text()))
    assert pages.load(name)


def test_a_chapter_is_finished_if_and_only_if_it_is_a_page():
    listed = [entry["file"] for part in TOC["parts"] for entry in part["chapters"]]
    finished = [c["slug"] for c in PLAN["chapters"] if c["status"] == "finished"]
    assert [f for f in listed if re.fullmatch(r"chapters/[^/]+", f)] == [f"chapters/{slug}" for slug in finished]
    assert [f for f in listed if f.startswith("chapters/solutions/")] == [f"chapters/solutions/{s}" for s in finished]
    for file in listed:
        assert any((pages.ROOT / f"{file}{ending}").exists() for ending in (".ipynb", ".md")), file
    notebooks = {path.stem for path in (pages.ROOT / "chapters").glob("*.ipynb")}
    assert notebooks == set(finished), "notebooks and the chapters called finished in data/chapters.yml differ"


def test_chapters_stand_in_the_contents_under_the_part_of_the_plan():
    part_of = {f"chapters/{c['slug']}": c["part"] for c in PLAN["chapters"]}
    titles = {part["id"]: part["title"] for part in PLAN["parts"]}
    for part in TOC["parts"]:
        for entry in part["chapters"]:
            if entry["file"] in part_of:
                assert titles[part_of[entry["file"]]] == part["caption"]


def test_the_notebook_carries_the_title_of_the_plan():
    for chapter in PLAN["chapters"]:
        if chapter["status"] == "finished":
            cells = json.loads((pages.ROOT / f"chapters/{chapter['slug']}.ipynb").read_text())["cells"]
            first = "".join(cells[0]["source"]).splitlines()[0]
            assert first == f"# {chapter['title']}"


# ---- contents and status


def test_contents_link_finished_chapters_mark_planned_ones_and_say_what_each_settles():
    text = pages.contents(PLAN)
    for chapter in PLAN["chapters"]:
        assert chapter["settles"] in text
        link = f"[{chapter['title']}](chapters/{chapter['slug']}.ipynb)"
        assert (link in text) == (chapter["status"] == "finished")
    planned = sum(chapter["status"] == "planned" for chapter in PLAN["chapters"])
    assert text.count(">planned</span>") == planned
    assert re.findall(r"\*\*(.+?)\.\*\*", text) == [part["title"] for part in PLAN["parts"]]


def test_status_counts_what_is_finished():
    plan = {
        "parts": [{"id": "a", "title": "A", "about": "About a part of the plan."}],
        "chapters": [
            {"slug": "x", "title": "X", "part": "a", "status": "finished", "settles": "What settles it.",
             "minutes": {"quick": 0.25, "full": 3}, "memory_gb": 0.5},
            {"slug": "y", "title": "Y", "part": "a", "status": "planned", "settles": "What would settle it."},
        ],
    }  # fmt: skip
    assert pages.status_sentence(plan).startswith("One of 2 chapters is finished: *X*.")
    text = pages.status(plan)
    assert "[X](../chapters/x.ipynb)" in text and "../chapters/y" not in text
    assert "15 seconds (quick preset) or 3 minutes (full), in 0.5 GB" in text
    plan["chapters"][0]["status"] = "planned"
    assert pages.status_sentence(plan) == "No chapter of 2 is finished yet."
    for chapter in plan["chapters"]:
        chapter["status"] = "finished"
    assert pages.status_sentence(plan) == "All 2 chapters are finished."


def test_colab_links_name_the_revision_and_the_notebook():
    address = pages.colab_address("two-clocks")
    assert address.startswith("https://colab.research.google.com/github/")
    assert address.endswith(f"/blob/{REVISION}/chapters/two-clocks.ipynb")
    assert pages.colab(PLAN).count("](https://") == sum(c["status"] == "finished" for c in PLAN["chapters"])


# ---- claims


def test_a_claim_shows_verdict_number_spread_and_criterion():
    text = pages.claims([CLAIM], TITLES)
    assert "## Two clocks" in text and "(claim-two-clocks-gain)=" in text
    assert "nb-verdict-holds-under-conditions" in text and ">Holds under conditions<" in text
    assert "**The fast weight carries the context.**" in text
    assert "`gain` 0.444 (0.43 to 0.46 over seeds), `no_decay_gain` 0.998" in text
    assert "Holds if `gain >= 0.95`" in text and "Random seeds: 200" in text
    assert "`gain` = share carried; `no_decay_gain` = the same" in text
    assert "1 claim so far: 1 holds under conditions." in text


def test_the_count_of_verdicts_is_a_sentence():
    found = [changed(CLAIM, verdict=verdict) for verdict in (*VERDICTS[:3], *VERDICTS[:3], VERDICTS[2])]
    assert pages.claims_sentence(found) == ("7 claims so far: 2 hold, 2 hold under conditions and 3 do not hold here.")
    assert pages.claims_sentence([changed(CLAIM, verdict=None), changed(CLAIM, verdict=VERDICTS[2])]) == (
        "2 claims so far: 1 does not hold here and 1 is not measured yet."
    )
    assert pages.claims_sentence([]) == "No claim is listed yet."


@pytest.mark.parametrize("verdict", VERDICTS)
def test_each_verdict_has_a_card_style(verdict):
    css = (pages.ROOT / "_static" / "book.css").read_text()
    assert f".nb-verdict-{verdict.replace(' ', '-')} {{" in css


def test_claims_without_a_number_say_why():
    unmeasured = changed(CLAIM, value=None, spread=None, verdict=None)
    assert ">Not measured yet<" in pages.claims([unmeasured], TITLES)
    reading = changed(CLAIM, kind="reading", criterion=None, value=None, spread=None, verdict=None, evidence="Words.")
    text = pages.claims([reading], TITLES)
    assert ">Without a verdict<" in text and "Measured" not in text and "Words." in text
    large = changed(CLAIM, criterion={"untestable": "It needs a cluster."}, value=None, verdict=VERDICTS[-1])
    assert "Not testable at this scale: It needs a cluster." in pages.claims([large], TITLES)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (-0.5, "−0.5"), (2.00049, "2"), (3e-7, r"$3 \cdot 10^{-7}$"), (1e-6, "$10^{-6}$"),
     (2e-15, "below $10^{-8}$"), (123456, r"$1.23 \cdot 10^{5}$")],
)  # fmt: skip
def test_numbers_are_written_for_people(number, text):
    assert pages._number(number) == text


def test_prose_cannot_break_the_page():
    assert pages._prose("a < b * c, see x_y and tuned_ = 1") == r"a &lt; b \* c, see `x_y` and `tuned_` = 1"
    assert pages._prose("kept: `w *= d` and $a < b$") == "kept: `w *= d` and $a < b$"
    assert pages._prose("gain of the again", ["gain"]) == "`gain` of the again"


# ---- errata


def test_an_erratum_shows_both_forms_and_the_check():
    text = pages.errata([ERRATUM], TITLES)
    assert text.index("$$\nW x_t\n$$") < text.index("$$\nW x_{t+1}\n$$")
    assert "different samples." in text and "(3) one sample" in text
    assert "../chapters/a-layer-is-a-solver.ipynb" in text


# ---- faults


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("claims", [changed(CLAIM, verdict="perhaps")], "claims.yml, at 0/verdict"),
        ("claims", [changed(CLAIM, criterion={"holds": "gain is large"})], "claims.yml, at 0/criterion"),
        ("claims", [changed(CLAIM, value=None)], "claims.yml, at 0/value"),
        ("claims", [changed(CLAIM, kind="reading")], "claims.yml, at 0"),
        ("claims", [CLAIM, CLAIM], "two-clocks/gain stands there more than once"),
        ("claims", [changed(CLAIM, chapter="no-such")], "names the chapters no-such"),
        ("errata", [changed(ERRATUM, wrong="no stop")], "errata.yml, at 0/wrong"),
        ("errata", [{k: v for k, v in ERRATUM.items() if k != "check"}], "'check' is a required property"),
        ("errata", [changed(ERRATUM, chapter="no-such")], "names the chapters no-such"),
        ("chapters", {**PLAN, "parts": PLAN["parts"][1:]}, "name a part that is not listed"),
    ],
)
def test_a_faulty_entry_is_refused_in_words(tmp_path, name, content, message):
    with pytest.raises(pages.DataError, match=re.escape(message)):
        pages.fragments(folder_with(tmp_path, **{name: content}))


def test_a_finished_chapter_needs_its_cost(tmp_path):
    plan = copy.deepcopy(PLAN)
    next(c for c in plan["chapters"] if c["status"] == "finished").pop("minutes")
    with pytest.raises(pages.DataError, match="'minutes' is a required property"):
        pages.fragments(folder_with(tmp_path, chapters=plan))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(pages.DataError, match="claims.yml is missing"):
        pages.load("claims", tmp_path)


def test_main_reports_a_fault_in_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pages, "fragments", lambda: pages.claims([changed(CLAIM, chapter="no-such")], TITLES))
    monkeypatch.setattr(pages, "GENERATED", tmp_path / "out")
    assert pages.main() == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


# ---- writing


def test_writing_twice_gives_the_same_bytes_and_touches_nothing(tmp_path):
    texts = pages.fragments(folder_with(tmp_path, claims=[CLAIM], errata=[ERRATUM]))
    assert texts == pages.fragments(tmp_path)
    out = tmp_path / "out"
    assert len(pages.write(texts, out)) == len(texts)
    (out / "old.md").write_text("a fragment that no page asks for any more")
    assert pages.write(texts, out) == []
    assert {path.name for path in out.iterdir()} == set(texts)
    assert pages.write(texts | {"claims.md": "other"}, out) == [out / "claims.md"]


def test_every_fragment_is_included_by_a_page_and_every_include_is_a_fragment():
    included = set()
    for page in (pages.ROOT / "index.md", *(pages.ROOT / "pages").glob("*.md")):
        included |= set(re.findall(r"\{include\} (?:pages/)?_generated/(\S+)", page.read_text()))
    assert included == set(pages.fragments())
