"""The first call of a chapter: seeds, style, preset, and one line that says what will run where."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from nbhelpers.core.identity import VERSION
from nbhelpers.core.preset import choose_preset
from nbhelpers.core.seeds import seed_everything

T = TypeVar("T")
DATA = Path(__file__).resolve().parents[2] / "data"


@dataclass(frozen=True)
class Run:
    """What a chapter needs to know about this run."""

    chapter: str
    preset: str  # "quick" or "full"
    device: str  # "cpu", "cuda", "mps": what torch would use
    seed: int

    def pick(self, *, quick: T, full: T) -> T:
        """Return the size that belongs to the preset. A preset changes sizes, never skips a cell."""
        return full if self.preset == "full" else quick


def setup(chapter: str, preset: str | None = None, *, seed: int = 0, solutions: bool = False) -> Run:
    """Seed, set the figure style, and print one provenance line before anything costly runs.

    Parameters
    ----------
    chapter: the chapter's slug in ``data/chapters.yml``.
    preset: ``"quick"``, ``"full"`` or None (see :func:`nbhelpers.core.preset.choose_preset`).
    seed: the seed given to every random generator, default 0.
    solutions: True in a solutions notebook: a wrong or missing answer raises instead of being reported.

    Raises
    ------
    ValueError
        If the chapter or the preset is unknown; the message lists what is known.
    """
    from nbhelpers.notebook import checks, exercises, figures

    entry = _chapter(chapter)
    device = _device()
    preset = choose_preset(preset, has_gpu=device == "cuda")
    seed_everything(seed)
    figures.use_style()
    checks.check.reset()
    exercises.strict(solutions)
    print(
        f"{chapter}{' (solutions)' if solutions else ''} · {preset} preset on {device}, {os.cpu_count()} cores"
        f" · {_cost(entry, preset)} · seed {seed}"
        f" · book {VERSION} · Python {platform.python_version()}{_version('torch')}{_version('numpy')}"
    )
    return Run(chapter, preset, device, seed)


@cache
def chapters() -> dict[str, dict]:
    """Return the plan's chapters by slug, as ``data/chapters.yml`` lists them."""
    import yaml

    return {entry["slug"]: entry for entry in yaml.safe_load((DATA / "chapters.yml").read_text())["chapters"]}


def _chapter(slug: str) -> dict:
    if slug not in chapters():
        raise ValueError(f'There is no chapter "{slug}"; the plan has: {", ".join(chapters())}.')
    return chapters()[slug]


def _cost(entry: dict, preset: str) -> str:
    if "minutes" not in entry:  # a chapter that is still being written
        return "time and memory not measured yet"
    minutes = entry["minutes"][preset]
    time = f"{round(60 * minutes)} s" if minutes < 2 else f"{minutes:g} min"
    return f"about {time}, {entry['memory_gb']:g} GB"


def _device() -> str:
    if find_spec("torch") is None:
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f" · {package} {version(package)}"
    except PackageNotFoundError:
        return ""
