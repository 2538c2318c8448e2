"""What records say, side by side: ``python -m nbhelpers.training.summary [KIND] [FOLDER]``."""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from nbhelpers.core.records import RUNS, Record, records

MEASURES = {"language": "bits per byte", "facts": "share of facts not said", "learner": "share of facts not said"}


def summarise(to: str | Path = RUNS, kind: str = "train") -> list[dict[str, Any]]:
    """One row an experiment (same name, same config but for the seed), the best mean first.

    A row holds ``name``, ``config`` (hash), ``task``, ``learning_rate``, ``parameters``, ``tokens``, ``seeds`` (how
    many), ``tokens_per_second`` (median), and for ``validation`` and ``test`` the mean over the seeds by domain, with
    the sample standard deviation of the domains' mean under ``validation_spread`` and ``test_spread`` (None for one
    seed). Runs that diverged are counted under ``diverged``.
    """
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records(kind, to=to):
        if record.result:
            groups[record.name, record.id.rpartition("-")[2]].append(record)
    rows = [_row(*key, members) for key, members in groups.items()]
    return sorted(rows, key=lambda row: row.get("validation", {}).get("mean", float("inf")))


def _row(name: str, config: str, members: list[Record]) -> dict[str, Any]:
    done = [r.result for r in members if r.result["status"] == "done"]
    row = {"name": name, "config": config, "task": members[0].config.get("task", "language")}
    row |= {"learning_rate": members[0].config.get("learning_rate")}
    row |= {"seeds": len(done), "diverged": len(members) - len(done)}
    if not done:
        return row
    row |= {key: done[0][key] for key in ("parameters", "tokens")}
    row["tokens_per_second"] = statistics.median(result["tokens_per_second"] for result in done)
    for part in ("validation", "test"):
        if part in done[0]:
            row[part] = {domain: statistics.mean(r[part][domain] for r in done) for domain in done[0][part]}
            means = [r[part]["mean"] for r in done]
            row[f"{part}_spread"] = statistics.stdev(means) if len(means) > 1 else None
    return row


def table(to: str | Path = RUNS, kind: str = "train") -> str:
    """``summarise`` as text, a block a task: what its test measures (its validation where there is no test)."""
    rows = [row for row in summarise(to, kind) if row["seeds"]]
    if not rows:
        return f"There is no finished record of kind {kind} in {to}."
    tasks = dict.fromkeys(row["task"] for row in rows)
    return "\n\n".join(_block([row for row in rows if row["task"] == task]) for task in tasks)


def _block(rows: list[dict[str, Any]]) -> str:
    part = "test" if "test" in rows[0] else "validation"
    domains = [domain for domain in rows[0][part] if domain != "mean"]
    lines = [f"{part}, {MEASURES.get(rows[0]['task'], rows[0]['task'])} (± standard deviation over seeds)"]
    lines.append(
        f"{'name':16}{'rate':>8}{'seeds':>6}{'mean':>18}" + "".join(f"{d:>15}" for d in domains) + "  tokens/s"
    )
    for row in rows:
        spread = row[f"{part}_spread"]
        mean = f"{row[part]['mean']:.4f}" + ("" if spread is None else f" ± {spread:.4f}")
        cells = "".join(f"{row[part].get(d, float('nan')):15.4f}" for d in domains)
        rate = f"{row['name']:16}{row['learning_rate']:8.2g}{row['seeds']:6}"
        lines.append(f"{rate}{mean:>18}{cells}{row['tokens_per_second']:10,.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    kind, folder = [*sys.argv[1:], *("train", str(RUNS))[len(sys.argv) - 1 :]]
    print(table(folder, kind))
