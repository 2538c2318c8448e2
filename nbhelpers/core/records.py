"""Records: what a run was, what it logged and what came out of it, as plain files in a folder of its own.

    <runs>/<kind>-<name>-s<seed>-<config hash>/
        config.json      what was run, every value
        metrics.jsonl    one line a report
        result.json      what came out, on which machine, from which revision; it exists once the run is over
        model/           the weights, where they are kept

The hash is of the config without the seed, so that the seeds of one experiment share it. Training, contests, sweeps
and benchmarks write their records through this module alone.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nbhelpers.core.identity import REVISION

KINDS = ("train", "contest", "sweep", "bench")
ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "data" / "runs"
CONFIG, METRICS, RESULT = "config.json", "metrics.jsonl", "result.json"
PACKAGES = ("torch", "numpy", "safetensors", "tokenizers")


class RecordError(ValueError):
    """A record is missing, damaged, or is that of another run; the message says what to do."""


def fingerprint(config: Mapping[str, Any]) -> str:
    """Eight hex digits of a config's sha256, whatever the order of its keys."""
    return sha256(json.dumps(config, sort_keys=True, allow_nan=False).encode()).hexdigest()[:8]


class Record:
    """The record of one run.

    Parameters
    ----------
    kind: one of ``KINDS``.
    name: letters, digits, ``_`` and ``.``, such as ``"hope"``.
    seed: of the run.
    config: all that decides the result but the seed, as values that JSON holds.
    to: the folder of records, default ``data/runs``.

    Opening a record that exists continues it; nothing is written before :meth:`begin`.

    Raises
    ------
    ValueError
        If the kind or the name is not of the form above.
    """

    def __init__(self, kind: str, name: str, seed: int, config: Mapping[str, Any], to: str | Path = RUNS):
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}.")
        if not re.fullmatch(r"[\w.]+", name):
            raise ValueError(f"name is {name!r}; expected letters, digits, _ and . alone, as it names a folder.")
        self.kind, self.name, self.seed, self.config = kind, name, int(seed), dict(config)
        self.folder = Path(to) / f"{kind}-{name}-s{self.seed}-{fingerprint(self.config)}"

    @property
    def id(self) -> str:
        """The name of the folder."""
        return self.folder.name

    def begin(self) -> Record:
        """Make the folder and write ``config.json``; return the record."""
        self.folder.mkdir(parents=True, exist_ok=True)
        head = {"kind": self.kind, "name": self.name, "seed": self.seed, "config": self.config}
        write_json(self.folder / CONFIG, head)
        return self

    def log(self, **values: Any) -> None:
        """Add one line to ``metrics.jsonl``."""
        with open(self.folder / METRICS, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(values) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """All that was logged. A last line that a killed process left half written does not count."""
        try:
            text = (self.folder / METRICS).read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def rewind(self, step: int) -> None:
        """Keep what was logged up to ``step`` (rows carry their ``step``): a resumed run logs the rest again."""
        rows = [row for row in self.rows() if row["step"] <= step]
        write_text(self.folder / METRICS, "".join(json.dumps(row) + "\n" for row in rows))

    def finish(self, **values: Any) -> None:
        """Write ``result.json``: the values, and what ran them (``provenance``)."""
        write_json(self.folder / RESULT, values | provenance())

    @property
    def result(self) -> dict[str, Any] | None:
        """What :meth:`finish` wrote; None while the run is not over."""
        path = self.folder / RESULT
        return read_json(path) if path.is_file() else None


def records(kind: str | None = None, name: str | None = None, to: str | Path = RUNS) -> Iterator[Record]:
    """The records of a folder, in the order of their names; of one kind or one name if given.

    Raises
    ------
    RecordError
        If a record cannot be read, or its folder does not bear the hash of its config.
    """
    for folder in sorted(Path(to).glob("*-s*-*/")):
        if not (folder / CONFIG).is_file():
            continue
        record = open_record(folder)
        if kind in (None, record.kind) and name in (None, record.name):
            yield record


def open_record(folder: str | Path) -> Record:
    """The record in a folder.

    Raises
    ------
    RecordError
        If there is none, it cannot be read, or the folder does not bear the hash of its config.
    """
    folder = Path(folder)
    head = read_json(folder / CONFIG)
    try:
        record = Record(head["kind"], head["name"], head["seed"], head["config"], folder.parent)
    except (KeyError, TypeError) as error:
        raise RecordError(f"{folder / CONFIG} is not the config of a record ({error}).") from None
    if record.id != folder.name:
        raise RecordError(
            f"{folder / CONFIG} belongs to a record named {record.id}: the file or the folder's name was changed. "
            "Bring it back from the repository, or delete the folder and run it again."
        )
    return record


def provenance() -> dict[str, Any]:
    """Revision of the code, machine, versions: what a result depends on besides its config."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "revision": revision(),
        "device": device_name(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": found,
    }


def revision() -> str:
    """The commit of the code, with ``+`` where tracked files differ from it; outside git, the version's tag."""
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "nbhelpers"], check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return REVISION
    return commit + ("+" if changed else "")


def device_name() -> str:
    """What computes: the GPU's name, or the processor's architecture with the number of threads in use."""
    torch = sys.modules.get("torch")
    if torch is None:
        return platform.machine()
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU {platform.machine()}, threads: {torch.get_num_threads()}"


def read_json(path: Path) -> Any:
    """Read a file of a record.

    Raises
    ------
    RecordError
        If it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"{path} is missing.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecordError(
            f"{path} cannot be read ({error}); bring it back, or delete the folder and run it again."
        ) from None


def write_json(path: Path, values: Any) -> None:
    """Write a JSON file whole or not at all; a number that is not finite is refused (ValueError)."""
    write_text(path, json.dumps(values, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
