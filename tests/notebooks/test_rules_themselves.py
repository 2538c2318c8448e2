"""Each rule lets the good sample pass and catches a sample spoiled in one way."""

from __future__ import annotations

import json

import nbformat
import pytest

from tests.notebooks import chapter_rules, code_rules, file_rules, rules, text_rules
from tests.notebooks.notebook import CHAPTERS, Notebook
from tests.notebooks.samples import chapter, code, markdown, registry, solutions


def cell(notebook: Notebook, identity: str):
    return next(one for one in notebook.node.cells if one.id == identity)


def spoiled(identity: str, old: str, new: str) -> Notebook:
    """Return the sample with one text replaced in one cell."""
    notebook = chapter()
    one = cell(notebook, identity)
    assert old in one.source
    one.source = one.source.replace(old, new)
    return notebook


def with_text(text: str) -> Notebook:
    notebook = chapter()
    notebook.node.cells.insert(4, markdown("spoiled", text))
    return notebook


def with_code(source: str, **fields) -> Notebook:
    notebook = chapter()
    one = code("spoiled", source)
    one.metadata.update(fields.pop("metadata", {}))
    one.update(fields)
    notebook.node.cells.insert(5, one)
    return notebook


@pytest.mark.parametrize("rule", [*rules.EVERYWHERE, *rules.IN_CHAPTERS], ids=lambda rule: rule.__name__)
def test_the_good_sample_passes(rule):
    assert rule(chapter()) == []


@pytest.mark.parametrize("rule", rules.EVERYWHERE, ids=lambda rule: rule.__name__)
def test_the_good_solutions_pass(rule):
    assert rule(solutions()) == []


def test_the_good_exercises_pass():
    assert chapter_rules.exercises_are_complete(chapter(), registry(), solutions()) == []
    assert chapter_rules.solutions_are_strict(solutions(), registry()) == []


def format_4_4():
    notebook = chapter()
    notebook.node.nbformat_minor = 4
    return notebook


def same_id():
    notebook = chapter()
    notebook.node.cells[1].id = notebook.node.cells[0].id
    return notebook


def random_id():
    notebook = chapter()
    notebook.node.cells[0].id = "4f0c12ab"
    return notebook


def no_cell_metadata():
    notebook = chapter()
    del notebook.node.cells[0]["metadata"]
    return notebook


def kernel_left():
    notebook = chapter()
    notebook.node.metadata["colab"] = {"provenance": []}
    return notebook


def no_set_up():
    notebook = chapter()
    del notebook.node.cells[1]
    return notebook


def many_cells():
    notebook = chapter()
    notebook.node.cells += [code(f"more-{i}", "x = 1") for i in range(40)]
    return notebook


OUTPUT = nbformat.v4.new_output("stream", text="1\n")
SPOILED = [
    (file_rules.is_valid, format_4_4, "expected 4.5"),
    (file_rules.is_valid, same_id, "two cells have this id"),
    (file_rules.is_valid, random_id, "readable id"),
    (file_rules.is_valid, no_cell_metadata, "not a valid notebook"),
    (file_rules.is_stripped, lambda: with_code("1", outputs=[OUTPUT]), "stored output"),
    (file_rules.is_stripped, lambda: with_code("1", execution_count=3), "execution count"),
    (file_rules.is_stripped, lambda: with_code("1", metadata={"tags": ["nbval-check-output"]}), "nothing is compared"),
    (file_rules.metadata_is_minimal, kernel_left, "expected {'kernelspec'"),
    (file_rules.metadata_is_minimal, lambda: with_code("1", metadata={"collapsed": True}), "metadata collapsed"),
    (file_rules.metadata_is_minimal, lambda: with_code("1", metadata={"tags": ["mytag"]}), "tag mytag"),
    (file_rules.survives_jupytext, lambda: with_code("x = 1\n# %%\ny = 2"), "round trip"),
    (code_rules.setup_cell_is_the_one, no_set_up, "not the set-up cell"),
    (code_rules.setup_cell_is_the_one, lambda: spoiled("set-up", "PRESET = None", 'PRESET = "full"'), "not the set-up"),
    (code_rules.paths_are_relative, lambda: with_code('open("/content/data.csv")'), "/content/"),
    (code_rules.paths_are_relative, lambda: with_code('open("/data/corpus.txt")'), "path of one machine"),
    (code_rules.paths_are_relative, lambda: with_text("It lies in /home/ada."), "/home/a"),
    (code_rules.paths_are_relative, lambda: with_text("See ~/book."), "~/"),
    (code_rules.nothing_is_skipped, lambda: with_code("1", metadata={"tags": ["nbval-skip"]}), "nbval-skip"),
    (code_rules.nothing_is_skipped, lambda: with_code("1", metadata={"tags": ["raises-exception"]}), "without a line"),
    (code_rules.nothing_is_silenced, lambda: with_code("try:\n    f()\nexcept:\n    x = 1"), "bare except"),
    (code_rules.nothing_is_silenced, lambda: with_code("try:\n    f()\nexcept OSError:\n    pass"), "dropped"),
    (code_rules.nothing_is_silenced, lambda: with_code("import sys\nsys.exit(0)"), "ends the page"),
    (code_rules.nothing_is_silenced, lambda: with_code('warnings.filterwarnings("ignore")'), "silences warnings"),
    (code_rules.nothing_is_silenced, lambda: with_code("!pip install numpy"), "not plain Python"),
    (code_rules.cells_are_small, lambda: with_code("x = 1\n" * 26), "27 lines"),
    (code_rules.cells_are_small, lambda: with_code("x = '" + "a" * 90 + "'"), "96 columns"),
    (code_rules.cells_are_small, lambda: with_code("from math import *"), "star import"),
    (code_rules.cells_are_small, lambda: with_code(""), "is empty"),
    (code_rules.cells_are_small, many_cells, "at most 40"),
    (code_rules.figures_go_through_show, lambda: with_code("plt.show()"), "without alt text"),
    (text_rules.markdown_is_portable, lambda: with_text("```{note}\nx\n```"), "directive"),
    (text_rules.markdown_is_portable, lambda: with_text("::: tip\nx\n:::"), "colon fence"),
    (text_rules.markdown_is_portable, lambda: with_text("See {ref}`gain`."), "role"),
    (text_rules.markdown_is_portable, lambda: with_text("(gain)=\n## Gain"), "target"),
    (text_rules.markdown_is_portable, lambda: with_text("Said before.[^1]\n\n[^1]: There."), "footnote"),
    (text_rules.markdown_is_portable, lambda: with_text("<div>x</div>"), "HTML div"),
    (text_rules.markdown_is_portable, lambda: with_text("a <span>b</span>"), "HTML span"),
    (text_rules.markdown_is_portable, lambda: with_text('<br style="x">'), "attribute style"),
    (text_rules.markdown_is_portable, lambda: with_text("<!-- later -->"), "HTML comment"),
    (
        text_rules.markdown_is_not_swallowed,
        lambda: with_text("<details><summary>Hint</summary>Put $x$ in.</details>\n\nMore."),
        "'$x$' stands in an HTML block",
    ),
    (text_rules.images_are_described, lambda: with_text("![](figures/a.svg)"), "described as ''"),
    (text_rules.images_are_described, lambda: with_text("![figures/a-file-with-a-name.svg](a.svg)"), "described as"),
    (text_rules.images_are_described, lambda: with_text('<img src="a.svg">'), "described as ''"),
    (text_rules.images_are_described, lambda: with_text(f"![{'x' * 401}](a.svg)"), "described as"),
    (text_rules.links_lead_somewhere, lambda: with_text("[there](no-such-chapter.ipynb)"), "leads nowhere"),
    (text_rules.links_lead_somewhere, lambda: with_text("[there](/pages/notation.md)"), "write it relative"),
    (text_rules.links_lead_somewhere, lambda: with_text("[there](http://example.org)"), "is not https"),
    (text_rules.links_lead_somewhere, lambda: with_text('<a href="nowhere.md">x</a>'), "leads nowhere"),
    (text_rules.table_columns_are_named, lambda: with_text("| | a |\n|---|---|\n| b | 1 |"), "without a name"),
    (text_rules.table_columns_are_named, lambda: with_text("| a | $x$ |\n|---|---|\n| b | 1 |"), "without a name"),
    (text_rules.headings_step_down, lambda: with_text("#### Deep"), "jumps from level 2 to 4"),
    (text_rules.headings_step_down, lambda: with_text("# Again"), "2 titles"),
    (text_rules.equations_are_numbered_in_order, lambda: with_text("$$x \\tag{1}$$"), "stands twice"),
    (text_rules.equations_are_numbered_in_order, lambda: spoiled("derivation", "\\tag{1}", "\\tag{3}"), "after"),
    (text_rules.equations_are_numbered_in_order, lambda: with_text("$$x \\tag{gain}$$"), "a tag is a number"),
    (
        text_rules.tagged_equations_have_no_row_ends,
        lambda: with_text(r"$$\begin{aligned} a \\ b \end{aligned} \tag{9}$$"),
        r"\tag{9} stands in a formula with \\",
    ),
    (text_rules.prose_is_calm, lambda: with_text("It works!"), "exclamation mark"),
    (text_rules.prose_is_calm, lambda: with_text("<details><summary>Wow!</summary></details>"), "exclamation mark"),
    (text_rules.prose_is_calm, lambda: with_text("This is clearly so."), "“clearly”"),
    (text_rules.prose_is_calm, lambda: with_text("- Of course it is."), "“Of course”"),
    (text_rules.no_number_is_typed, lambda: with_text("The gain is 0.44 here."), "the number 0.44"),
    (text_rules.no_number_is_typed, lambda: with_text("It carries **44.4 %** of it."), "the number 44.4"),
    (text_rules.no_number_is_typed, lambda: with_text("| gain |\n|---|\n| 0.44 |"), "the number 0.44"),
    (chapter_rules.chapter_has_its_parts, lambda: spoiled("title", "**Time**", "Time:"), '"**Time**"'),
    (chapter_rules.chapter_has_its_parts, lambda: spoiled("title", "- measure it.\n", ""), "2 goals"),
    (chapter_rules.chapter_has_its_parts, lambda: spoiled("end", "## Summary", "## At last"), "## Summary"),
    (chapter_rules.chapter_has_its_parts, lambda: spoiled("breaks", "Where it breaks", "Limits"), "Where it breaks"),
    (chapter_rules.chapter_has_its_parts, lambda: spoiled("departures", "we do, ", ""), "we do, why"),
    (chapter_rules.chapter_has_its_parts, lambda: spoiled("derivation", "> **Predict", "> **Guess"), "predict"),
    (chapter_rules.chapter_has_its_parts, lambda: spoiled("look", "explore(", "print("), "no slider"),
    (chapter_rules.chapter_has_its_parts, lambda: spoiled("verdict", "claim(", "print("), "no verdict"),
    (chapter_rules.chapter_has_its_parts, lambda: spoiled("imports", "model_map(", "print("), "drawing of the final"),
    (chapter_rules.sources_are_listed, lambda: spoiled("end", "- C. Author", "C. Author"), "2 sources"),
    (chapter_rules.sources_are_listed, lambda: spoiled("end", ", 2023. The oldest of", ". The"), None),
    (chapter_rules.closing_cell_counts_the_checks, lambda: spoiled("closing", "12", "9"), "at least 10 checks"),
    (chapter_rules.closing_cell_counts_the_checks, lambda: spoiled("closing", "check", "x"), "expected check.summary"),
]


@pytest.mark.parametrize(("rule", "spoil", "says"), SPOILED)
def test_the_spoiled_sample_is_caught(rule, spoil, says):
    complaints = rule(spoil())
    if says is None:
        assert complaints == [], "a change that a rule must let pass"
    else:
        assert any(says in complaint for complaint in complaints), complaints


@pytest.mark.parametrize(("slug", "silent"), [("the-mathematics-you-need", True), ("two-clocks", False)])
def test_only_the_pages_of_tools_need_no_verdict(slug, silent):
    notebook = spoiled("verdict", "claim(", "print(")
    cell(notebook, "verdicts").source = "## Something else"
    complaints = chapter_rules.chapter_has_its_parts(Notebook(notebook.node, CHAPTERS / f"{slug}.ipynb"))
    expected = ['no section "## Verdicts"', "no verdict on a claim: claim() is never called"]
    assert complaints == ([] if silent else expected)


def test_the_verdict_table_is_compared_row_by_row():
    notebook = spoiled("verdict", "claim(", "claim(")
    entries = [
        {"id": f"{notebook.slug}/{name}", "chapter": notebook.slug, "kind": kind, "verdict": verdict}
        for name, kind, verdict in [("first", "empirical", "holds"), ("second", "reading", None)]
    ]
    head = "\n## Verdicts\n\n| statement | what it is | verdict | in which sense |\n|---|---|---|---|\n"
    rule = chapter_rules.verdict_table_is_the_ledgers
    assert rule(notebook, entries) == []  # no table, nothing to compare
    cell(notebook, "verdicts").source = head + "| a | measured | holds | so |\n| b | reading | none | so |\n"
    assert rule(notebook, entries) == []
    assert "second" in rule(notebook, entries[::-1])[0]
    assert "none" in rule(notebook, [entries[0], entries[1] | {"verdict": "holds"}])[0]
    for rows in (
        "| a | measured | holds | so |\n",
        "| a | measured | holds | so |\n" + "| b | reading | none | so |\n" * 2,
    ):
        cell(notebook, "verdicts").source = head + rows
        assert len(rule(notebook, entries)) == 1


def test_an_erratum_without_its_check_is_named():
    notebook = spoiled("verdict", "claim(", "claim(")
    known = {"id": "known", "chapter": notebook.slug, "check": notebook.slug}
    code = notebook.code[-1]
    code.source += f'\ncheck.true("{notebook.slug}", True)'
    entries = [known, known | {"id": "lost", "check": "no such check"}, known | {"chapter": "another", "check": "x"}]
    assert chapter_rules.errata_are_checked(notebook, entries) == ['lost: no check "no such check"']


LAWFUL = [
    "torch 2.13.0, Python 3.11 and ipywidgets 7.7 of §4.2, arXiv 2512.24695, licence CC BY 4.0.",
    "The code `gain(0.44)` and the maths $0.44$ are no prose.",
    r"$$\begin{aligned} a \cr b \end{aligned} \tag{9}$$",
    r"$$\begin{aligned} a \\ b \end{aligned}$$",
    "> The article says: simply 0.44! Of course.",
    "In 2025 there were 20,000 tokens, 12 levels and 3 × 4 frames.",
    "The word “simply” is quoted.",
    "Adjust it; an unjust, uneasy clearing.",
    "<details><summary>Hint 1</summary>\n\nPut `x` and $y$ in.\n\n</details>",
    "| the paper | it says |\n|---|---|\n| perplexity | 15.31 |",
    "x<sub>1</sub> and <kbd>Enter</kbd><br>",
    "```python\nx = {'a': 0.5}  # of course!\n```",
]


@pytest.mark.parametrize("text", LAWFUL)
@pytest.mark.parametrize("rule", [rule for rule in rules.EVERYWHERE if rule.__module__.endswith("text_rules")])
def test_what_is_lawful_passes(rule, text):
    assert rule(with_text(text)) == []


def exercises(notebook: Notebook, known=None, solved=None) -> list[str]:
    return chapter_rules.exercises_are_complete(notebook, known or registry(), solved)


EXERCISES = [
    ("exercise-first-text", "· recall ·", "recall", "should read like"),
    ("exercise-first-text", "· recall ·", "· derive ·", "the registry ('recall', 2, 5)"),
    ("exercise-first-text", "★★", "★", "the heading says ('recall', 1, 5)"),
    ("exercise-first-text", "5 min", "9 min", "the heading says ('recall', 2, 9)"),
    ("exercise-first-text", "Exercise 1", "Exercise 2", "stands at place 1"),
    ("exercise-first-text", "Hint", "More", "no hint"),
    ("exercise-first-text", "Answer", "More", "no answer in the solutions notebook or in a fold"),
    ("exercise-first", "first", "sixth", "is not in the registry"),
    ("exercise-first", "answer = ...", "answer = 1", "the stub has no ..."),
    ("exercise-first", 'exercise("a-sample/first").check(answer)', "answer", "0 checking cells"),
    ("exercise-second", "second", "first", "is checked twice"),
    ("exercise-second", "second", "first", "a-sample/second is in the registry and not on the page"),
]


@pytest.mark.parametrize(("identity", "old", "new", "says"), EXERCISES)
def test_a_spoiled_exercise_is_caught(identity, old, new, says):
    complaints = exercises(spoiled(identity, old, new), solved=solutions())
    assert any(says in complaint for complaint in complaints), complaints


def test_an_unsolved_exercise_is_caught():
    complaints = exercises(chapter(), solved=None)
    assert complaints == [f"exercise {number}: no answer in the solutions notebook" for number in (3, 4)]


def test_too_few_exercises_are_caught():
    notebook = chapter()
    notebook.node.cells = [one for one in notebook.node.cells if "exercise-fourth" not in one.id]
    complaints = exercises(notebook, solved=solutions())
    assert "4 exercises, expected 5 to 10" in complaints
    assert "no exercise of kind explore" in complaints


@pytest.mark.parametrize(
    ("identity", "old", "new", "says"),
    [
        ("imports", ", solutions=True", "", "a wrong answer would pass"),
        ("third", "third", "sixth", "a-sample/sixth is not in the registry"),
        ("third", "third", "fourth", "solved twice"),
    ],
)
def test_spoiled_solutions_are_caught(identity, old, new, says):
    notebook = solutions()
    one = cell(notebook, identity)
    one.source = one.source.replace(old, new)
    assert any(says in complaint for complaint in chapter_rules.solutions_are_strict(notebook, registry()))


def test_a_file_written_another_way_is_caught(tmp_path):
    path = tmp_path / "a-sample.ipynb"
    node = chapter().node
    path.write_text(nbformat.writes(node) + "\n", encoding="utf-8")
    assert file_rules.is_written_the_one_way(Notebook.read(path)) == []
    path.write_text(json.dumps(node), encoding="utf-8")
    assert len(file_rules.is_written_the_one_way(Notebook.read(path))) == 1
