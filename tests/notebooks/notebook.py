"""A notebook as the rules see it: its place in the tree, its cells, and its Markdown as tokens."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS, SOLUTIONS, TEMPLATES = ROOT / "chapters", ROOT / "chapters" / "solutions", ROOT / "templates"


@cache
def _parser() -> MarkdownIt:
    # What the book's parser, Colab and GitHub have in common: CommonMark, tables, dollar maths.
    return MarkdownIt("commonmark", {"html": True}).enable("table").use(dollarmath_plugin, double_inline=True)


@dataclass(frozen=True)
class Piece:
    """One piece of text with where it stands."""

    cell: str  # the cell's id
    text: str
    kind: str  # "text", "code", "maths", "html", "image"
    inside: tuple[str, ...] = ()  # the blocks around it: "blockquote", "table", "heading", "link"
    block: str = ""  # all text of the outermost block around it


@dataclass(frozen=True)
class Notebook:
    """A notebook of the tree.

    Attributes
    ----------
    node: the parsed notebook.
    path: where it lies (or would lie, for a sample).
    """

    node: nbformat.NotebookNode
    path: Path

    @classmethod
    def read(cls, path: Path) -> Notebook:
        """Read a notebook without changing anything, not even adding missing ids."""
        return cls(nbformat.from_dict(nbformat.reader.reads(path.read_text(encoding="utf-8"))), path)

    @property
    def slug(self) -> str:
        """The chapter's name."""
        return self.path.stem

    @property
    def is_chapter(self) -> bool:
        return self.path.parent == CHAPTERS

    @property
    def is_solutions(self) -> bool:
        return self.path.parent == SOLUTIONS

    @property
    def code(self) -> list[nbformat.NotebookNode]:
        return [cell for cell in self.node.cells if cell.cell_type == "code"]

    @property
    def markdown(self) -> list[nbformat.NotebookNode]:
        return [cell for cell in self.node.cells if cell.cell_type == "markdown"]

    @cached_property
    def pieces(self) -> list[Piece]:
        """Every piece of the Markdown cells, in order."""
        return [piece for cell in self.markdown for piece in _pieces(_parser().parse(cell.source), name(cell))]

    @cached_property
    def headings(self) -> list[tuple[int, str, int]]:
        """Every heading: level, text, index of its cell."""
        found = []
        for index, cell in enumerate(self.node.cells):
            if cell.cell_type == "markdown":
                tokens = _parser().parse(cell.source)
                for opening, inline in itertools.pairwise(tokens):
                    if opening.type == "heading_open":
                        found.append((int(opening.tag[1]), inline.content.strip(), index))
        return found

    @cached_property
    def table_heads(self) -> list[tuple[str, int]]:
        """Every table: the id of its cell and how many columns of it have a head without a word."""
        found = []
        for cell in self.markdown:
            tokens = _parser().parse(cell.source)
            for index, token in enumerate(tokens):
                if token.type == "table_open":
                    found.append((name(cell), 0))
                elif token.type == "th_open" and not re.sub(r"\$[^$]*\$", "", tokens[index + 1].content).strip():
                    found[-1] = (found[-1][0], found[-1][1] + 1)
        return found

    @cached_property
    def links(self) -> list[tuple[str, str]]:
        """Every address that the Markdown points at, links and pictures, with the id of its cell."""
        found = []
        for cell in self.markdown:
            for token in _parser().parse(cell.source):
                for child in token.children or ():
                    address = child.attrGet("href") or child.attrGet("src")
                    if address:
                        found.append((name(cell), str(address)))
        return found


def name(cell: nbformat.NotebookNode) -> str:
    """Return what to call a cell in a complaint."""
    return cell.get("id") or f"cell without id ({cell.source[:30]!r})"


def notebooks() -> list[Path]:
    """Return every notebook of the tree: chapters, their solutions, the template."""
    return [path for folder in (CHAPTERS, SOLUTIONS, TEMPLATES) for path in sorted(folder.glob("*.ipynb"))]


def _pieces(tokens: list[Token], cell: str) -> Iterator[Piece]:
    inside: list[str] = []
    block = ""
    for index, token in enumerate(tokens):
        kind = token.type.removesuffix("_open").removesuffix("_close")
        if token.type.endswith("_open"):
            if not inside:
                block = _text_of(tokens[index:], token)
            inside.append(kind)
        elif token.type.endswith("_close"):
            inside.pop()
        elif token.type == "inline":
            yield from _inline(token.children or [], cell, tuple(inside), block)
        elif token.type in {"fence", "code_block"}:
            yield Piece(cell, f"{token.info}\n{token.content}", "code", tuple(inside))
        elif token.type in {"math_block", "math_block_label"}:
            yield Piece(cell, token.content, "maths", tuple(inside))
        elif token.type == "html_block":
            yield Piece(cell, token.content, "html", tuple(inside))


def _text_of(tokens: list[Token], opening: Token) -> str:
    closing = opening.type.removesuffix("_open") + "_close"
    parts = []
    for token in tokens:
        if token.type == closing and token.level == opening.level:
            break
        if token.type == "inline":
            parts.append(token.content)
    return " ".join(parts)


def _inline(tokens: list[Token], cell: str, inside: tuple[str, ...], block: str) -> Iterator[Piece]:
    link = False
    for token in tokens:
        around = (*inside, "link") if link else inside
        if token.type in {"link_open", "link_close"}:
            link = token.type == "link_open"
        elif token.type == "text":
            yield Piece(cell, token.content, "text", around, block)
        elif token.type == "code_inline":
            yield Piece(cell, token.content, "code", around, block)
        elif token.type.startswith("math_inline"):
            yield Piece(cell, token.content, "maths", around, block)
        elif token.type == "html_inline":
            yield Piece(cell, token.content, "html", around, block)
        elif token.type == "image":
            yield Piece(cell, token.content, "image", around, block)
