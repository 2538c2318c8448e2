"""Rules on the notebook as a file: valid, stripped, small metadata, written the one way."""

from __future__ import annotations

import copy
import re

import jupytext
import nbformat

from tests.notebooks.notebook import Notebook, name

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_METADATA = {"tags", "mystnb"}
CHECKED = "nbval-check-output"
TAGS = {CHECKED, "raises-exception", "hide-input", "hide-output", "hide-cell", "remove-input"}


def is_valid(notebook: Notebook) -> list[str]:
    """Format 4.5, valid, and every cell with a readable id of its own."""
    node = notebook.node
    complaints = []
    if (node.get("nbformat"), node.get("nbformat_minor")) != (4, 5):
        complaints.append(f"format {node.get('nbformat')}.{node.get('nbformat_minor')}, expected 4.5")
    # Not nbformat.validate: that one mends what it finds.
    faults = nbformat.validator.iter_validate(copy.deepcopy(node), version=4, version_minor=5)
    complaints += [f"not a valid notebook: {str(fault).splitlines()[0]}" for fault in faults]
    ids = [cell.get("id", "") for cell in node.cells]
    complaints += [f"{identity}: two cells have this id" for identity in sorted({i for i in ids if ids.count(i) > 1})]
    complaints += [
        f"{identity or 'a cell'}: give the cell a readable id (lower case, words joined by -), not a random one"
        for identity in ids
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", identity) or re.fullmatch(r"[0-9a-f]{8,}", identity)
    ]
    return complaints


def is_stripped(notebook: Notebook) -> list[str]:
    """No outputs and no counts, but for cells whose printed output is part of the lesson."""
    complaints = []
    for cell in notebook.code:
        checked = CHECKED in cell.metadata.get("tags", [])
        if checked and not cell.outputs:
            complaints.append(f"{name(cell)}: tagged {CHECKED} and without output, so nothing is compared")
        if not checked and cell.outputs:
            complaints.append(f"{name(cell)}: has stored output; strip it")
        if not checked and cell.execution_count is not None:
            complaints.append(f"{name(cell)}: has an execution count; strip it")
    return complaints


def metadata_is_minimal(notebook: Notebook) -> list[str]:
    """The kernel's name and nothing that an editor left."""
    complaints = []
    if notebook.node.metadata != METADATA:
        complaints.append(f"metadata {dict(notebook.node.metadata)}, expected {METADATA}")
    for cell in notebook.node.cells:
        if extra := set(cell.metadata) - CELL_METADATA:
            complaints.append(f"{name(cell)}: metadata {', '.join(sorted(extra))} is not used by anything")
        if odd := set(cell.metadata.get("tags", [])) - TAGS:
            complaints.append(f"{name(cell)}: tag {', '.join(sorted(odd))}; known: {', '.join(sorted(TAGS))}")
    return complaints


def is_written_the_one_way(notebook: Notebook) -> list[str]:
    """Byte for byte what nbformat writes, so that changes show as what they are."""
    if notebook.path.is_file():
        written = notebook.path.read_text(encoding="utf-8")
        if written != nbformat.writes(notebook.node).rstrip("\n") + "\n":
            return ["the file differs from what nbformat writes: read and write it once"]
    return []


def survives_jupytext(notebook: Notebook) -> list[str]:
    """A percent script made of it gives the same cells again."""
    script = jupytext.writes(notebook.node, fmt="py:percent")
    again = jupytext.reads(script, fmt="py:percent")
    before = [(cell.cell_type, cell.source) for cell in notebook.node.cells]
    after = [(cell.cell_type, cell.source) for cell in again.cells]
    if before == after:
        return []
    for old, new, cell in zip(before, after, notebook.node.cells, strict=False):
        if old != new:
            return [f"{name(cell)}: changes on a jupytext round trip"]
    return [f"{len(before)} cells become {len(after)} on a jupytext round trip"]
