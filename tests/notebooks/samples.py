"""A small chapter that keeps every rule; the tests of the rules spoil it in one way at a time."""

from __future__ import annotations

from types import SimpleNamespace

import nbformat

from nbhelpers.notebook.setup_cell import SETUP_CELL
from tests.notebooks.file_rules import METADATA
from tests.notebooks.notebook import CHAPTERS, SOLUTIONS, Notebook

TITLE = """# Two clocks

A page that asks one question and answers it with a number.

**You will be able to**

- say what a rate does;
- derive the gain of a
  fast weight;
- measure it.

**You need** the gradient step of *A layer is a solver*.

**Time** about five minutes."""

DERIVATION = r"""## The gain

> **Predict, then run.** Is it 0.4 or 0.6?

Put the rate $0.8$ into

$$g = \frac{\eta}{1 - \alpha} \tag{1}$$

and `gain(0.8)` says what Python 3.11, section 4.2 and [the notation page](../pages/notation.md) leave open.

$$h = g^2 \tag{2}$$

| the paper's table | value |
|---|---|
| perplexity | 15.31 |"""

END = """## Summary

- The gain is the rate over what the decay leaves.

## Sources

- A. Author, *A title*, 2025. It is where the idea comes from, and it explains the gain well.
- B. Author, *Another title*, 2024. It measures the same thing on a larger model and finds it.
- C. Author, *A third title*, 2023. The oldest of the three and the one with the shortest proof."""

KINDS = ("recall", "derive", "build", "explore", "recall")
NAMES = ("first", "second", "third", "fourth", "fifth")


def markdown(identity: str, source: str):
    return nbformat.v4.new_markdown_cell(source, id=identity)


def code(identity: str, source: str):
    return nbformat.v4.new_code_cell(source, id=identity)


def registry() -> dict[str, SimpleNamespace]:
    """The exercises of the sample, as the registry would hold them."""
    return {
        f"a-sample/{name}": SimpleNamespace(kind=kind, stars=2, minutes=5)
        for name, kind in zip(NAMES, KINDS, strict=True)
    }


def _exercise(number: int, name: str, kind: str) -> list:
    hint = "<details><summary>Hint</summary>\n\nLook at $g$.\n\n</details>"
    text = f"### Exercise {number} · {kind} · ★★ · 5 min\n\nWhat is it?\n\n{hint}"
    if kind in ("recall", "derive"):
        text += "\n\n<details><summary>Answer</summary>\n\nIt is $g$.\n\n</details>"
    cell = code(f"exercise-{name}", f'answer = ...\nexercise("a-sample/{name}").check(answer)')
    return [markdown(f"exercise-{name}-text", text), cell]


def chapter() -> Notebook:
    """Return the sample chapter, a new one at each call."""
    cells = [
        markdown("title", TITLE),
        code("set-up", SETUP_CELL),
        code(
            "imports",
            "from nbhelpers import check, claim, exercise, explore, model_map, setup, show\n\n"
            'book = setup("a-sample", PRESET)\nmodel_map("a-sample")',
        ),
        markdown("derivation", DERIVATION),
        code("gain", "def gain(rate, decay):\n    return rate / (1 - decay)"),
        code("gain-check", 'check.close("(1) gain", gain(0.8, 0.5), 1.6, near_miss=0.4)'),
        code("look", "explore(gain, alt=str, label=str, rate=[1, 2])\nshow(gain, alt=str)"),
        code("verdict", 'claim("a-sample/tracks", carried=0.44)'),
        markdown("breaks", "## Where it breaks\n\nAt a decay of one."),
        markdown("departures", "## The article says, we do, why\n\nNothing here."),
        markdown("verdicts", "## Verdicts\n\nOne."),
        markdown("exercises", "## Exercises\n\nFive of them."),
    ]
    for number, (name, kind) in enumerate(zip(NAMES, KINDS, strict=True), 1):
        cells += _exercise(number, name, kind)
    cells += [markdown("end", END), code("closing", "check.summary(expected=12)")]
    return _notebook(cells, CHAPTERS / "a-sample.ipynb")


def solutions() -> Notebook:
    """Return the sample's solutions."""
    cells = [
        markdown("title", "# Solutions to Two clocks\n\nOne cell each."),
        code("set-up", SETUP_CELL),
        code(
            "imports",
            'from nbhelpers import exercise, setup\n\nbook = setup("a-sample", PRESET, solutions=True)',
        ),
        code("third", 'exercise("a-sample/third").check(3)'),
        code("fourth", 'exercise("a-sample/fourth").check(4)'),
    ]
    return _notebook(cells, SOLUTIONS / "a-sample.ipynb")


def _notebook(cells: list, path) -> Notebook:
    node = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    node.nbformat_minor = 5
    return Notebook(node, path)
