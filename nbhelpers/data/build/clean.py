"""Cleaning rules: small functions from a file's bytes or text to plain text."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

# Raised when a rule changes, and written beside every result.
CLEANING = 1


def decode(content: bytes) -> str:
    """UTF-8, latin-1 where it is not; newlines as ``\\n``, no byte order mark."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def tidy(text: str) -> str:
    """No spaces at line ends, at most one empty line in a row, none at either end; the first line keeps its indent."""
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n").rstrip()


def plain(text: str) -> str:
    """HTML's named letters as letters, no control characters but newline and tab."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", unescape(text))


def play(markdown: str) -> str:
    """A play without its Markdown signs."""
    text = re.sub(r"^#+ ", "", markdown, flags=re.MULTILINE)
    text = re.sub(r"\\(.)", r"\1", re.sub(r"[*_]", "", text))
    return tidy(plain(text))


class _Words(HTMLParser):
    """Collects the words of a page; block elements end a paragraph, scripts, menus and footers are left out."""

    BLOCKS = frozenset(
        "address article blockquote body br dd div dl dt figure form h1 h2 h3 h4 h5 h6 header hr li main nav ol "
        "p pre section table td th tr ul".split()
    )
    SILENT = frozenset("footer head nav script style title".split())

    def __init__(self):
        super().__init__()
        self.pieces: list[str] = []
        self.silent = 0
        self.verbatim = 0

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.silent += tag in self.SILENT
        self.verbatim += tag == "pre"
        if tag in self.BLOCKS:
            self.pieces.append("\n" if tag in ("br", "tr", "li", "dt", "dd", "td", "th") else "\n\n")

    def handle_endtag(self, tag: str) -> None:
        self.silent = max(self.silent - (tag in self.SILENT), 0)
        self.verbatim = max(self.verbatim - (tag == "pre"), 0)
        if tag in self.BLOCKS:
            self.pieces.append("\n" if tag in ("tr", "li", "dt", "dd", "td", "th") else "\n\n")

    def handle_data(self, data: str) -> None:
        if self.silent:
            return
        if not self.verbatim:
            data = re.sub(r"\s+", " ", data)
            if not self.pieces or self.pieces[-1].endswith("\n"):
                data = data.lstrip()
        if data:
            self.pieces.append(data)


def page(html: str) -> str:
    """The words of an HTML page, a paragraph a block."""
    words = _Words()
    words.feed(html)
    words.close()
    return tidy("".join(words.pieces))


def manual(pod: str) -> str:
    """A Perl manual page without its markup."""
    text = re.sub(r"^=for\b.*?(?:\n\n|\Z)", "", pod, flags=re.MULTILINE | re.DOTALL)  # for other programs only
    text = re.sub(r"^=(?:over|back|begin|end|encoding|cut|pod)\b.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^=(?:head\d|item)\b ?", "", text, flags=re.MULTILINE)
    text = re.sub(r"\bX<[^<>]*>", "", text)  # entries of an index that is not here
    for _ in range(3):  # codes nest: B<C<x>>
        text = re.sub(r"\b[A-Z]<<+ (.*?) >>+", r"\1", text, flags=re.DOTALL)
        text = re.sub(r"\b[A-Z]<([^<>]*)>", r"\1", text)
    return tidy(text)


def tagless(text: str) -> str:
    """OSIS or ThML text without its tags; what ends a line or a block there ends a paragraph here."""
    text = re.sub(r"</?(?:br|lb|p|div|l|lg|q|title|item|list)\b[^>]*>", "\n\n", text, flags=re.IGNORECASE)
    return tidy(plain(re.sub(r"<[^>]*>", "", text)))
