"""Turn a notebook into a script for editing, and back into the clean notebook that the tests ask for.

    python -m tools.notebook script chapters/two-clocks.ipynb two-clocks.py
    python -m tools.notebook clean two-clocks.py chapters/two-clocks.ipynb

The script is jupytext's percent format with each cell's id in its header, so that ids survive editing. On the way
back the set-up cell gets its one text, and outputs, counts and stray metadata go. `clean` also takes a notebook, such
as one saved on Colab.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jupytext
import nbformat

from nbhelpers.notebook.setup_cell import SETUP_CELL

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SETUP_ID = "setup-cell"
CHECKED = "nbval-check-output"  # such cells keep their output: it is part of the lesson


def to_script(notebook: nbformat.NotebookNode) -> str:
    """Return the notebook as a percent script with the cells' ids in their headers."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        cell.metadata["id"] = cell.id
    return jupytext.writes(notebook, fmt="py:percent")


def from_script(script: str) -> nbformat.NotebookNode:
    """Return the notebook of a percent script; each cell's header names its id.

    Raises
    ------
    ValueError
        If a cell has no id, naming the cell's first line.
    """
    notebook = jupytext.reads(script, fmt="py:percent")
    for cell in notebook.cells:
        if "id" not in cell.metadata:
            first = (cell.source.splitlines() or ["an empty cell"])[0]
            raise ValueError(f'The cell "{first}" has no id: write # %% id="some-words" (or # %% [markdown] id="…").')
        cell.id = cell.metadata.pop("id")
    return notebook


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the notebook without outputs, counts and stray metadata, with the book's set-up cell."""
    notebook = nbformat.from_dict(notebook)
    notebook.nbformat, notebook.nbformat_minor, notebook.metadata = 4, 5, METADATA
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        if cell.id == SETUP_ID:
            cell.source = SETUP_CELL
        if cell.cell_type == "code" and CHECKED not in (tags or []):
            cell.outputs, cell.execution_count = [], None
    nbformat.validate(notebook)
    return notebook


def text(notebook: nbformat.NotebookNode) -> str:
    """Return the one way in which a notebook is written to disk."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Convert a file as the command line says. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.notebook", description=__doc__.splitlines()[0])
    parser.add_argument("to", choices=["script", "clean"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args(arguments)
    content = given.source.read_text(encoding="utf-8")
    try:
        notebook = nbformat.reads(content, 4) if given.source.suffix == ".ipynb" else from_script(content)
    except ValueError as error:
        print(f"{given.source}: {error}", file=sys.stderr)
        return 1
    result = to_script(notebook) if given.to == "script" else text(clean(notebook))
    given.target.write_text(result, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
