"""Recorded models, evaluated again: ``python -m nbhelpers.training.verify [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from nbhelpers.core.records import RUNS, Record, RecordError, records
from nbhelpers.training.settings import config_from_json, make_task

TOLERANCE = 0.002  # bits per byte, or shares: another machine, other threads


def verify(record: Record) -> dict[str, float]:
    """Evaluate a record's weights on the CPU and compare with its result; return the measures found.

    Raises
    ------
    RecordError
        If a domain differs by more than ``TOLERANCE``, or the weights are not the config's model.
    """
    task = make_task(config_from_json(record.config), record.seed)
    try:
        task.load(record.folder / "model")
    except ValueError as error:
        raise RecordError(f"{record.id}: {error}") from None
    found = task.test(torch.device("cpu"))
    recorded = record.result["test"]
    odd = {
        domain: (recorded[domain], bits) for domain, bits in found.items() if abs(bits - recorded[domain]) > TOLERANCE
    }
    if odd:
        raise RecordError(f"{record.id}: recorded and found measures differ: {odd}.")
    return found


def verifiable(to: str | Path = RUNS) -> list[Record]:
    """The finished runs of a folder whose weights are there."""
    return [
        record
        for kind in ("train", "contest")
        for record in records(kind, to=to)
        if (record.folder / "model").is_dir() and record.result
    ]


def main(folder: str = str(RUNS)) -> int:
    found = verifiable(folder)
    for record in found:
        print(f"{record.id}: mean {verify(record)['mean']:.4f}, as recorded")
    print(f"{len(found)} models verified in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
