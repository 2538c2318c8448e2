"""The benchmark of mixers runs and prints a ratio for each row. What it measures is not tested: machines differ."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_table_of_mixers_is_printed():
    call = [
        sys.executable,
        "-m",
        "tests.benchmarks.mixers",
        "--shapes",
        "1x70",
        "--rounds",
        "1",
        "--only",
        "hope matrix",
    ]
    seen = subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = {line[:32].strip(): line[32:].split() for line in seen[3:]}
    assert list(rows) == ["attention", "hope matrix", "hope matrix, chunk-start read"]
    assert float(rows["attention"][1]) == 1 and all(float(row[1]) > 0 and float(row[4]) >= 0 for row in rows.values())
