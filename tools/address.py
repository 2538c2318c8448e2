"""Write the book's addresses or its version everywhere they stand.

    python -m tools.address --repository https://github.com/you/book --pages https://you.github.io/book/
    python -m tools.address --version 0.2.0

nbhelpers/core/identity.py is where they are defined. They are repeated where a program cannot ask it: _config.yml, the
badges and set-up cells of notebooks, README.md, CITATION.cff, pages. This rewrites all of them and says which.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
IDENTITY = Path("nbhelpers/core/identity.py")
START = r"(?:(?<![\w.-])|(?<=\\n))"  # not inside a longer word; in a notebook's JSON a line may begin with \n
HISTORY = {"CHANGELOG.md"}  # tells of earlier versions, so a new version changes nothing in it


class AddressError(ValueError):
    """What was asked for cannot be; the message says what was expected."""


@dataclass(frozen=True)
class Identity:
    """What identity.py says."""

    version: str
    repository: str  # https://github.com/OWNER/NAME
    pages: str  # https://…/, with the slash

    @property
    def slug(self) -> str:
        """OWNER/NAME, as it stands in addresses of Colab and of badges."""
        return urlsplit(self.repository).path.strip("/")

    @property
    def name(self) -> str:
        """NAME, which is also the folder that a clone makes."""
        return self.slug.split("/")[1]

    @property
    def prefix(self) -> str:
        """The path of the pages on their host, with slashes at both ends."""
        return urlsplit(self.pages).path


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks. Returns the exit status; a refusal is one line."""
    parser = argparse.ArgumentParser(prog="python -m tools.address", description=__doc__.splitlines()[0])
    parser.add_argument("--repository", metavar="URL")
    parser.add_argument("--pages", metavar="URL")
    parser.add_argument("--version", metavar="X.Y.Z")
    given = parser.parse_args(arguments)
    try:
        before = read_identity(ROOT)
        if given.version is not None:
            changed = change_version(ROOT, before, check_version(given.version))
        else:
            after = Identity(before.version, check_repository(given.repository), check_pages(given.pages))
            changed = change_address(ROOT, before, after)
    except AddressError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(f"changed {path}" for path in changed) or "Nothing to change: it is so already.")
    return 0


def read_identity(root: Path) -> Identity:
    """Read identity.py below `root` without importing it."""
    tree = ast.parse((root / IDENTITY).read_text(encoding="utf-8"))
    values = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
    }
    if values["REVISION"] != f"v{values['VERSION']}":
        raise AddressError(f'{IDENTITY}: REVISION is {values["REVISION"]} and must be "v" + VERSION.')
    return Identity(values["VERSION"], values["REPOSITORY"], values["PAGES"])


def check_repository(given: str | None) -> str:
    """The repository's address without a trailing slash or .git; Colab opens notebooks from github.com alone."""
    address = (given or "").strip().rstrip("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", address):
        raise AddressError(f"REPOSITORY={given or ''} does not fit: give https://github.com/OWNER/NAME.")
    return address


def check_pages(given: str | None) -> str:
    """The address of the published pages, with a slash at its end."""
    address = (given or "").strip().rstrip("/") + "/"
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+\.[A-Za-z]+(:\d+)?/([A-Za-z0-9._~-]+/)*", address):
        raise AddressError(f"PAGES={given or ''} does not fit: give https://OWNER.github.io/NAME/ or your own domain.")
    return address


def check_version(given: str) -> str:
    """A version of three numbers."""
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", given):
        raise AddressError(f"VERSION={given} does not fit: give three numbers, such as 0.2.0.")
    return given


def change_address(root: Path, before: Identity, after: Identity) -> list[str]:
    """Replace the addresses in every text file below `root`. Returns the files changed."""

    def rewrite(path: Path, text: str) -> str:
        # In one pass, so that nothing new is taken for something old. The longest form first.
        forms = {
            before.pages: after.pages,
            before.pages.rstrip("/"): after.pages.rstrip("/"),
            before.slug: after.slug,
        }
        bounded = rf"{START}(?:{'|'.join(re.escape(form) for form in forms)})(?![\w-])"
        text = re.sub(bounded, lambda found: forms[found[0]], text)
        text = re.sub(
            rf"(?m)^(\s*(?:\$ )?cd ){re.escape(before.name)}(?=\s|$)", lambda found: found[1] + after.name, text
        )
        if path == Path("_config.yml"):
            text = text.replace(f"notfound_urls_prefix: {before.prefix}", f"notfound_urls_prefix: {after.prefix}")
        return text

    return rewrite_files(root, rewrite)


def change_version(root: Path, before: Identity, version: str) -> list[str]:
    """Replace the version and its tag in every text file below `root`. Returns the files changed."""
    tag = re.compile(rf"{START}v{re.escape(before.version)}(?![\w-]|\.\d)")

    def rewrite(path: Path, text: str) -> str:
        if path.name in HISTORY:
            return text
        text = tag.sub(f"v{version}", text)
        if path == IDENTITY:
            text = text.replace(f'VERSION = "{before.version}"', f'VERSION = "{version}"')
        if path == Path("CITATION.cff"):
            text = re.sub(rf"(?m)^(version: ['\"]?){re.escape(before.version)}\b", rf"\g<1>{version}", text)
            if version != before.version:
                today = datetime.datetime.now(datetime.UTC).date().isoformat()
                text = re.sub(r"(?m)^(date-released: ['\"]?)\d{4}-\d\d-\d\d", rf"\g<1>{today}", text)
        return text

    return rewrite_files(root, rewrite)


def rewrite_files(root: Path, rewrite: Callable[[Path, str], str]) -> list[str]:
    """Apply `rewrite(path, text)` to every text file of the tree. Returns those that it changed."""
    changed = []
    for path in text_files(root):
        text = (root / path).read_bytes().decode("utf-8")
        new = rewrite(path, text)
        if new != text:
            (root / path).write_bytes(new.encode("utf-8"))
            changed.append(path.as_posix())
    return changed


def text_files(root: Path) -> list[Path]:
    """The text files of the tree, relative to `root`."""
    return [path for path in tree_files(root) if is_text(root / path)]


def tree_files(root: Path) -> list[Path]:
    """The files that git tracks or would add, relative to `root`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=root, capture_output=True, check=False)
    if listing.returncode:
        raise AddressError("git could not list the book's files: run this inside a clone of the book.")
    paths = [Path(name) for name in sorted(set(listing.stdout.decode().split("\0"))) if name]
    return [path for path in paths if (root / path).is_file()]


def is_text(path: Path) -> bool:
    """Whether a file is UTF-8 text."""
    try:
        return "\0" not in path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False


if __name__ == "__main__":
    sys.exit(main())
