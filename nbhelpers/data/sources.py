"""The files of ``data/``: where each comes from, and the check that it is still what it was.

``data/SOURCES.json`` has one entry a file: package, version and sha256 of the package, members taken, licence,
cleaning, sha256 of the result. Every loader of this package reads through ``read``, which compares the sha256
first. Nothing here writes.
"""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[2] / "data"
LIST = "SOURCES.json"


class DataFileError(ValueError):
    """A data file is missing, damaged or unknown; the message says which and how to get it again."""


def sources(folder: Path = DATA) -> dict[str, dict[str, Any]]:
    """The entries of ``SOURCES.json`` by file, such as ``"lm/austen.jsonl.xz"``.

    Raises
    ------
    DataFileError
        If the list is missing or cannot be read.
    """
    return _sources(Path(folder))


@cache
def _sources(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        return json.loads((folder / LIST).read_text(encoding="utf-8"))["files"]
    except FileNotFoundError:
        raise DataFileError(
            f"{folder / LIST} is missing. The book's data lie beside nbhelpers in a clone of the book: clone it "
            f"again, or bring the file back with: git checkout -- data/{LIST}"
        ) from None
    except (json.JSONDecodeError, KeyError, UnicodeDecodeError) as error:
        raise DataFileError(
            f"{folder / LIST} cannot be read ({error}); bring it back with: git checkout -- data/{LIST}"
        ) from None


def read(name: str, folder: Path = DATA) -> bytes:
    """The bytes of one data file, after its sha256 was compared.

    Parameters
    ----------
    name: as in ``SOURCES.json``, with forward slashes.
    folder: default the clone's ``data/``.

    Raises
    ------
    DataFileError
        If the file is not listed, is missing, or is not the file that was listed.
    """
    listed = sources(folder)
    if name not in listed:
        raise DataFileError(f'There is no data file "{name}"; there are: {", ".join(sorted(listed))}.')
    path = Path(folder) / name
    again = (
        f"bring it back with: git checkout -- data/{name}\n"
        "or make it again with: python -m nbhelpers.data.build shipped"
    )
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataFileError(f"{path} is missing; {again}") from None
    check(content, listed[name]["sha256"], path, again)
    return content


def check(content: bytes, expected: str, path: str | Path, again: str) -> None:
    """Compare the sha256 of ``content`` with ``expected``.

    Parameters
    ----------
    path, again: what the message names, and what it tells the reader to do.

    Raises
    ------
    DataFileError
        If they differ.
    """
    found = sha256(content).hexdigest()
    if found != expected:
        raise DataFileError(
            f"{path} is damaged or was changed: its sha256 is {found[:16]}…, {expected[:16]}… was expected "
            f"({len(content)} bytes were read). Nothing was changed; {again}"
        )
