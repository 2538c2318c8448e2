"""Rules on the Markdown cells: what Colab, GitHub and the book all render, and how the prose reads."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from tests.notebooks.notebook import Notebook, Piece, name

TAGS = {"details", "summary", "sub", "sup", "br", "kbd", "a", "img", "figure", "figcaption"}
ALT = range(20, 401)
BANNED = ("simply", "obviously", "clearly", "just", "of course", "trivially", "trivial", "easy", "easily")
BUILDER_ONLY = {
    r"^\s*(```+|~~~+)\s*\{": "a directive fence of the book builder",
    r"^\s*:{3,}": "a colon fence of the book builder",
    r"\{[a-zA-Z][\w:-]*\}`": "a role of the book builder",
    r"^\([\w:-]+\)=\s*$": "a target of the book builder",
    r"\{\{.*?\}\}": "a substitution of the book builder",
    r"^\+\+\+|^% ": "a block break or comment of the book builder",
    r"\[\^[\w-]+\]": "a footnote, which Colab does not render",
}
# What may stand before a number with a point that nobody measured.
NAMES_BEFORE = re.compile(
    r"(?:\bv|version|Python|[Tt]orch|PyTorch|NumPy|numpy|SymPy|ipywidgets|Jupyter|CUDA|CC BY(?:-\w+)?|arXiv[: ]|§+\s?"
    r"|[Ss]ections?|[Cc]hapters?|[Aa]ppendix|[Tt]ables?|[Ff]igures?|[Ff]ig\.|[Ee]quations?|[Ee]qs?\.|[Ee]xercises?"
    r"|[Tt]heorem|[Pp]roposition|[Aa]lgorithm|[Dd]efinition)\s*$"
)
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\d.]*\.\d)(?!\w)")
ARXIV = re.compile(r"\b\d{4}\.\d{4,5}(v\d+)?\b")


def markdown_is_portable(notebook: Notebook) -> list[str]:
    """Only what the book, Colab and GitHub render alike."""
    complaints = []
    for cell in notebook.markdown:
        text = _without_code(cell.source)
        for pattern, what in BUILDER_ONLY.items():
            if found := re.search(pattern, text, flags=re.MULTILINE):
                complaints.append(f"{name(cell)}: {found[0].strip()!r} is {what}")
        complaints += [
            f"{name(cell)}: fence {found[0]!r}"
            for found in re.finditer(r"^\s*(```+|~~~+)\{.*$", cell.source, flags=re.M)
        ]
    for piece in notebook.pieces:
        if piece.kind != "html":
            continue
        for tag in re.findall(r"</?\s*([a-zA-Z][\w-]*)|(<!--)", piece.text):
            if tag[1] or tag[0].lower() not in TAGS:
                complaints.append(f"{piece.cell}: HTML {tag[0] or 'comment'}; allowed: {', '.join(sorted(TAGS))}")
        if found := re.search(r"\s(style|class|on\w+)\s*=", piece.text):
            complaints.append(f"{piece.cell}: HTML attribute {found[1]}, which Colab or GitHub drop")
    return complaints


def markdown_is_not_swallowed(notebook: Notebook) -> list[str]:
    """Text on a line that starts with an HTML block is shown raw by the book: an empty line must part them."""
    complaints = []
    for piece in notebook.pieces:
        if piece.kind == "html" and piece.text.count("\n"):  # a block, not a tag inside a line
            # A summary is HTML to its end in all three places.
            text = re.sub(r"<[^>]+>", " ", piece.text)
            if found := re.search(r"\$[^$]+\$|\*\*\S|`|\]\(|(?m:^\s*[-*] )", text):
                complaints.append(
                    f"{piece.cell}: {found[0][:40]!r} stands in an HTML block and is not rendered; "
                    "leave an empty line between the tags and the text"
                )
    return complaints


def images_are_described(notebook: Notebook) -> list[str]:
    """Every picture has a description of 20 to 400 characters that is no path."""
    described = [(piece.cell, piece.text) for piece in notebook.pieces if piece.kind == "image"]
    for piece in notebook.pieces:
        if piece.kind == "html":
            for tag in re.findall(r"<img\b[^>]*>", piece.text, flags=re.IGNORECASE):
                alt = re.search(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""", tag)
                described.append((piece.cell, (alt[1] or alt[2] or "") if alt else ""))
    return [
        f"{cell}: a picture described as {alt!r}; say what one sees in 20 to 400 characters"
        for cell, alt in described
        if len(alt.strip()) not in ALT or re.fullmatch(r"\S+\.(png|svg|jpe?g)", alt.strip())
    ]


def links_lead_somewhere(notebook: Notebook) -> list[str]:
    """Relative links name files of the tree; nothing links to a built page or from the root."""
    complaints = []
    addresses = list(notebook.links)
    for piece in notebook.pieces:
        if piece.kind == "html":
            addresses += [
                (piece.cell, found) for found in re.findall(r"""\b(?:href|src)\s*=\s*["']([^"']+)""", piece.text)
            ]
    for cell, address in addresses:
        parts = urlsplit(address)
        if parts.scheme in {"https", "mailto"} or (not parts.path and parts.fragment):
            continue
        if parts.scheme:
            complaints.append(f"{cell}: {address} is not https")
        elif parts.path.startswith("/"):
            complaints.append(f"{cell}: {address} starts at a root that only one place has; write it relative")
        elif not (notebook.path.parent / unquote(parts.path)).exists():
            complaints.append(f"{cell}: {address} leads nowhere in the tree")
    return complaints


def table_columns_are_named(notebook: Notebook) -> list[str]:
    """A column whose head is empty, or a formula alone, has no name for those who hear the table."""
    return [f"{cell}: a table has a column without a name in words" for cell, empty in notebook.table_heads if empty]


def headings_step_down(notebook: Notebook) -> list[str]:
    """One title, in the first cell, and no heading that skips a level."""
    levels = [level for level, _, _ in notebook.headings]
    complaints = []
    if levels.count(1) != 1:
        complaints.append(f"{levels.count(1)} titles (level 1), expected one")
    if not notebook.headings or notebook.headings[0][0] != 1 or notebook.headings[0][2] != 0:
        complaints.append("the page does not start with its title")
    for (above, _, _), (level, text, _) in zip(notebook.headings, notebook.headings[1:], strict=False):
        if level > above + 1:
            complaints.append(f"heading {text!r} jumps from level {above} to {level}")
    return complaints


def equations_are_numbered_in_order(notebook: Notebook) -> list[str]:
    """Tags are unique and rise."""
    complaints, last, seen = [], (0, ""), set()
    for piece in notebook.pieces:
        for tag in re.findall(r"\\tag\*?\{([^}]*)\}", piece.text) if piece.kind in {"maths", "text", "html"} else ():
            found = re.fullmatch(r"(\d+)([a-z]?|'*)", tag)
            if not found:
                complaints.append(
                    f"{piece.cell}: \\tag{{{tag}}}; a tag is a number, and a letter where it belongs to one"
                )
                continue
            number = (int(found[1]), found[2])
            if tag in seen:
                complaints.append(f"{piece.cell}: \\tag{{{tag}}} stands twice")
            elif number < last:
                complaints.append(f"{piece.cell}: \\tag{{{tag}}} after \\tag{{{last[0]}{last[1]}}}")
            seen.add(tag)
            last = max(last, number)
    return complaints


def tagged_equations_have_no_row_ends(notebook: Notebook) -> list[str]:
    r"""The builder wraps a formula with ``\\`` in an environment that refuses ``\tag``; ``\cr`` ends rows too."""
    return [
        f"{piece.cell}: {found[0]} stands in a formula with \\\\, which the book cannot set; end its rows with \\cr"
        for piece in notebook.pieces
        if piece.kind == "maths" and "\\\\" in piece.text and (found := re.search(r"\\tag\{[^}]*\}", piece.text))
    ]


def prose_is_calm(notebook: Notebook) -> list[str]:
    """No exclamation marks and none of the words that tell a reader how hard it ought to be."""
    complaints = []
    banned = re.compile(r"\b(" + "|".join(BANNED) + r")\b", flags=re.IGNORECASE)
    for piece in prose(notebook):
        if "!" in piece.text:
            complaints.append(f"{piece.cell}: exclamation mark in {piece.text.strip()[:60]!r}")
        complaints += [
            f"{piece.cell}: “{found[0]}” in {piece.text.strip()[:60]!r}"
            for found in banned.finditer(_unquoted(piece.text))
        ]
    return complaints


def no_number_is_typed(notebook: Notebook) -> list[str]:
    """Decimals in prose come from a cell, stand in maths or code, or are quoted from paper or article."""
    complaints = []
    for piece in prose(notebook):
        if "table" in piece.inside and re.search(r"\b(paper|article)", piece.block, flags=re.IGNORECASE):
            continue
        text = ARXIV.sub("", piece.text)
        for found in DECIMAL.finditer(text):
            if not NAMES_BEFORE.search(text[: found.start()]):
                complaints.append(f"{piece.cell}: the number {found[0]} is typed into {text.strip()[:60]!r}")
    return complaints


def prose(notebook: Notebook) -> list[Piece]:
    """Return what the author says: text outside code, maths and block quotes, in folds too."""
    found = []
    for piece in notebook.pieces:
        if "blockquote" in piece.inside:
            continue
        if piece.kind == "html":
            text = re.sub(r"<[^>]+>", " ", piece.text)
            text = re.sub(r"\$[^$]+\$|`[^`]*`", " ", text)
            found.append(Piece(piece.cell, text, "text", piece.inside, piece.block))
        elif piece.kind in {"text", "image"}:
            found.append(piece)
    return found


def _unquoted(text: str) -> str:
    return re.sub(r"“[^”]*”|\"[^\"]*\"", " ", text)


def _without_code(source: str) -> str:
    source = re.sub(r"^(```+|~~~+)(?!\{).*?^\1\s*$", "", source, flags=re.MULTILINE | re.DOTALL)
    source = re.sub(r"\$\$.*?\$\$", "", source, flags=re.DOTALL)
    source = re.sub(r"\$[^$\n]+\$", "", source)
    # A role's name stands before its backtick, so only a code span of its own is taken out.
    return re.sub(r"(?<!\})(`+)(?!`).+?(?<!`)\1(?!`)", "", source)
