"""The second half of a contest of optimizers: at equal time, after a sweep has held it at equal steps.

    python -m nbhelpers.training.sweep      images over=optimizer name=fashion arms=… rates=… seeds=5
    python -m nbhelpers.training.equal_time images over=optimizer name=fashion arms=… rates=… seeds=5

Both take the same words. This one measures what a step of each arm costs at its best rate (a record of kind "bench"),
cuts every arm's steps to what fits into the time that the cheapest arm needs for all of its own, and holds the sweep
again under the name ``fashion.time``: the same rates, each tried with the steps that the arm has now.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nbhelpers.core.records import RUNS, Record, records
from nbhelpers.training.cost import ROUNDS, record_cost
from nbhelpers.training.settings import build
from nbhelpers.training.summary import table
from nbhelpers.training.sweep import Sweep, best_rates, configure_sweep, run_sweep, score

TIME = "time"


def at_equal_time(sweep: Sweep, rounds: int = ROUNDS) -> Sweep:
    """The sweep at equal time that belongs to one at equal steps, which is run first where it is not recorded yet."""
    best = best_rates(sweep)
    arms = {arm: build(sweep.final(arm, best[arm], 0))[0] for arm in sweep.arms}
    name, to = sweep.base["name"], sweep.base.get("to", RUNS)
    cost = record_cost(f"{name}.step", arms, rounds, to).result["step_seconds"]
    shares = {arm: min(cost.values()) / cost[arm] for arm in sweep.arms}
    return replace(sweep, base=sweep.base | {"name": f"{name}.{TIME}"}, shares=shares)


def entries(name: str, to: str | Path = RUNS) -> dict[str, dict[str, list[Record]]]:
    """The finished runs of a contest, by "steps" and "time", then by arm, in the order of their seeds.

    Raises
    ------
    ValueError
        If there is no such contest, or an arm has two runs with one seed, as after a change of settings.
    """
    found: dict[str, dict[str, list[Record]]] = {"steps": {}, TIME: {}}
    for half, arm, record in _of(name, "contest", to):
        runs = found[half].setdefault(arm, [])
        if any(run.seed == record.seed for run in runs):
            raise ValueError(f"{record.folder} is a second run of {arm} with seed {record.seed}; delete the stale one.")
        runs.append(record)
    if not found["steps"]:
        raise ValueError(f'There is no contest "{name}" in {to}; hold it with nbhelpers.training.sweep first.')
    return {
        half: {arm: sorted(runs, key=lambda r: r.seed) for arm, runs in arms.items()} for half, arms in found.items()
    }


def trials(name: str, to: str | Path = RUNS) -> dict[str, dict[str, dict[float, float]]]:
    """The trials of a contest, by "steps" and "time", then by arm: learning rate → score, rising; inf if it diverged.

    Raises
    ------
    ValueError
        If an arm tried a rate twice, as after a change of settings, or the arms of a half tried different rates.
    """
    found: dict[str, dict[str, dict[float, float]]] = {"steps": {}, TIME: {}}
    for half, arm, record in _of(name, "sweep", to):
        scores, rate = found[half].setdefault(arm, {}), record.config["learning_rate"]
        if rate in scores:
            raise ValueError(f"{record.folder} is a second trial of {arm} at {rate}; delete the stale one.")
        scores[rate] = score(record)
    for half, arms in found.items():
        if len({frozenset(scores) for scores in arms.values()}) > 1:
            counts = ", ".join(f"{arm} {len(scores)}" for arm, scores in arms.items())
            raise ValueError(f"The arms of {name}, equal {half}, tried different rates: {counts}.")
    return {half: {arm: dict(sorted(scores.items())) for arm, scores in arms.items()} for half, arms in found.items()}


def _of(name: str, kind: str, to: str | Path) -> Iterator[tuple[str, str, Record]]:
    """Half, arm and record of what is over in a contest."""
    halves = {name: "steps", f"{name}.{TIME}": TIME}
    for record in records(kind, to=to):
        contest, _, arm = record.name.rpartition(".")
        if record.result and contest in halves:
            yield halves[contest], arm, record


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    preset, *words = arguments
    rounds = [word for word in words if word.startswith("rounds=")]
    try:
        sweep = configure_sweep(preset, [word for word in words if word not in rounds])
        if not sweep.base.get("name"):
            raise ValueError("A contest at equal time needs the name of the one at equal steps: name=…")
        run_sweep(at_equal_time(sweep, *(int(word.partition("=")[2]) for word in rounds)))
    except (ValueError, RuntimeError) as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 1
    print(table(sweep.base.get("to", RUNS), sweep.kind))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
