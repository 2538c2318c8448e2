"""Recorded models, evaluated again: ``python -m nbhelpers.training.verify [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path

from nbhelpers.core.records import RUNS, Record, RecordError, records
from nbhelpers.data.tokenizer import load_tokenizer
from nbhelpers.models import evaluate, load
from nbhelpers.training.config import TrainingConfig
from nbhelpers.training.text_streams import held_out_streams

TOLERANCE = 0.002  # bits per byte: another machine, other threads


def verify(record: Record) -> dict[str, float]:
    """Evaluate a record's weights on the CPU and compare with its result; return the bits per byte found.

    Raises
    ------
    RecordError
        If a domain differs by more than ``TOLERANCE``, or the weights are not the config's model.
    """
    config = TrainingConfig.from_json(record.config)
    model = load(record.folder / "model").float()
    if model.config != config.model:
        raise RecordError(f"{record.id}: the weights are those of {model.config}, not of the record's config.")
    streams = held_out_streams(config.texts, config.tokenizer, "test", config.held_out)
    size = {"batch_size": config.batch_size, "length": config.length}
    found = evaluate(model, streams, load_tokenizer(config.tokenizer), **size)
    recorded = record.result["test"]
    odd = {
        domain: (recorded[domain], bits) for domain, bits in found.items() if abs(bits - recorded[domain]) > TOLERANCE
    }
    if odd:
        raise RecordError(f"{record.id}: recorded and found bits per byte differ: {odd}.")
    return found


def verifiable(to: str | Path = RUNS) -> list[Record]:
    """The finished language models of a folder whose weights are there."""
    return [
        record
        for kind in ("train", "contest")
        for record in records(kind, to=to)
        if (record.folder / "model").is_dir() and record.result and "model" in record.config
    ]


def main(folder: str = str(RUNS)) -> int:
    found = verifiable(folder)
    for record in found:
        print(f"{record.id}: {verify(record)['mean']:.4f} bits per byte, as recorded")
    print(f"{len(found)} models verified in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
