"""Rules on the code cells: set-up first, small cells, nothing hidden, nothing silenced."""

from __future__ import annotations

import ast
import re

from nbhelpers.notebook.setup_cell import SETUP_CELL
from tests.notebooks.notebook import Notebook, name

LINES, COLUMNS, CELLS = 25, 88, 40
SKIPS = {"nbval-skip", "skip-execution", "nbval-ignore-output", "skip", "remove-cell"}
REASON = "# raises on purpose:"
PRIVATE = (
    r"/content/",
    r"/home/\w",
    r"/root\b",
    r"/Users/\w",
    r"/tmp\b",
    r"/work/",
    r"/mnt/",
    r"\b[A-Z]:\\",
    r"""(?<![\w.])~/""",
    r"expanduser|Path\.home",
    r"""["']/[\w.-]+/[\w./-]*["']""",
)


def setup_cell_is_the_one(notebook: Notebook) -> list[str]:
    """The first code cell is the set-up cell, byte for byte, and stands once."""
    if not notebook.code:
        return ["there is no code cell"]
    complaints = []
    if notebook.code[0].source != SETUP_CELL:
        complaints.append(f"{name(notebook.code[0])}: the first code cell is not the set-up cell of nbhelpers")
    if sum(cell.source.strip() == SETUP_CELL for cell in notebook.code) > 1:
        complaints.append("the set-up cell stands twice")
    return complaints


def paths_are_relative(notebook: Notebook) -> list[str]:
    """No path of anyone's machine, Colab's included."""
    return [
        f"{name(cell)}: {found[0]!r} is a path of one machine"
        for cell in notebook.node.cells
        for pattern in PRIVATE
        if (found := re.search(pattern, cell.source))
    ]


def nothing_is_skipped(notebook: Notebook) -> list[str]:
    """Every cell runs; one that must fail says why."""
    complaints = []
    for cell in notebook.code:
        tags = set(cell.metadata.get("tags", []))
        if skips := tags & SKIPS:
            complaints.append(f"{name(cell)}: tag {', '.join(sorted(skips))} keeps the cell from being tested")
        if "raises-exception" in tags and REASON not in cell.source:
            complaints.append(f'{name(cell)}: tagged raises-exception without a line "{REASON} …"')
    return complaints


def nothing_is_silenced(notebook: Notebook) -> list[str]:
    """No bare or empty except, no exit, no silenced warnings, no magics."""
    complaints = []
    for cell in notebook.code:
        tree = _parse(cell)
        if tree is None:
            complaints.append(f"{name(cell)}: is not plain Python (a magic, a shell line, or a syntax error)")
            continue
        for node in ast.walk(tree):
            if fault := _silences(node):
                complaints.append(f"{name(cell)}: {fault}")
    return complaints


def _silences(node: ast.AST) -> str | None:
    if isinstance(node, ast.ExceptHandler):
        if node.type is None:
            return "bare except: name the error that you expect"
        if all(isinstance(line, ast.Pass) for line in node.body):
            return "an error is caught and dropped"
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called in {"sys.exit", "os._exit", "exit", "quit"}:
            return f"{called}() ends the page"
        if called in {"warnings.filterwarnings", "warnings.simplefilter"}:
            return f"{called}() silences warnings for the rest of the page"
    return None


def cells_are_small(notebook: Notebook) -> list[str]:
    """At most 25 lines of 88 columns in a cell, at most 40 code cells, and no star imports."""
    complaints = []
    if len(notebook.code) > CELLS:
        complaints.append(f"{len(notebook.code)} code cells, at most {CELLS}")
    for cell in notebook.code:
        lines = cell.source.split("\n")
        if len(lines) > LINES:
            complaints.append(f"{name(cell)}: {len(lines)} lines, at most {LINES}")
        if (widest := max(map(len, lines))) > COLUMNS:
            complaints.append(f"{name(cell)}: {widest} columns, at most {COLUMNS}")
        if not cell.source.strip():
            complaints.append(f"{name(cell)}: is empty")
        for node in ast.walk(_parse(cell) or ast.Module([], [])):
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                complaints.append(f"{name(cell)}: star import from {node.module}")
    return complaints


def figures_go_through_show(notebook: Notebook) -> list[str]:
    """Figures reach the page through show() or explore(), which demand a description."""
    return [
        f"{name(cell)}: {found[0]} puts a figure on the page without alt text; use show()"
        for cell in notebook.code
        if (found := re.search(r"\bplt\.show\(|\.savefig\(|\bdisplay\(fig|\bImage\(", cell.source))
    ]


def _parse(cell) -> ast.Module | None:
    try:
        return ast.parse(cell.source)
    except SyntaxError:
        return None
