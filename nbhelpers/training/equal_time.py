"""The second half of a contest: the same rules at equal time, after a sweep has held it at equal steps.

    python -m nbhelpers.training.equal_time fashion [to=data/runs] [rounds=20] [seeds=5]

takes the records ``contest-fashion.ARM-…`` and their rates, measures what a step of each arm costs (a record of kind
"bench"), cuts every arm's steps to what fits into the time that the cheapest arm needs for all of its own, and runs
them again under the name ``fashion.time.ARM``. Each run has a schedule of its own length. An arm that keeps all of its
steps is not run again; :func:`entries` finds its first record.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from nbhelpers.core.records import RUNS, Record, records
from nbhelpers.training.config import RunOptions, StepConfig
from nbhelpers.training.cost import ROUNDS, record_cost
from nbhelpers.training.settings import config_from_json
from nbhelpers.training.sweep import one_thread
from nbhelpers.training.train import train
from nbhelpers.training.watch import Diverged

ROWS = 20  # how many reports a run makes


def contestants(name: str, to: str | Path = RUNS) -> dict[str, StepConfig]:
    """The config of each arm of a contest at equal steps.

    Raises
    ------
    ValueError
        If there is no such contest.
    """
    found = {
        record.name.removeprefix(f"{name}."): config_from_json(record.config)
        for record in records("contest", to=to)
        if record.name.startswith(f"{name}.") and ".time." not in record.name
    }
    if not found:
        raise ValueError(f'There is no contest "{name}" in {to}; hold it with nbhelpers.training.sweep first.')
    return found


def shortened(config: StepConfig, share: float) -> StepConfig:
    """The config with a share of its steps, at least one."""
    steps = max(1, int(config.steps * share + 1e-9))
    return replace(config, **{config.budget: steps * config.units})


def entries(name: str, to: str | Path = RUNS) -> dict[str, dict[str, list[Record]]]:
    """The finished records of a contest, by "steps" and "time", then by arm, in the order of their seeds.

    At equal time an arm without records of its own kept all of its steps.
    """
    steps: dict[str, list[Record]] = {arm: [] for arm in contestants(name, to)}
    time: dict[str, list[Record]] = {arm: [] for arm in steps}
    for record in records("contest", to=to):
        arm = record.name.removeprefix(f"{name}.")
        if record.result and arm != record.name:
            short = arm.startswith("time.")
            (time if short else steps).setdefault(arm.removeprefix("time."), []).append(record)
    return {
        "steps": {arm: sorted(found, key=lambda r: r.seed) for arm, found in steps.items()},
        "time": {arm: sorted(time[arm] or steps[arm], key=lambda r: r.seed) for arm in steps},
    }


def race(name: str, to: str | Path = RUNS, rounds: int = ROUNDS, seeds: int = 5) -> None:
    """Hold the contest at equal time: run what is not yet recorded."""
    arms = contestants(name, to)
    cost = record_cost(f"{name}.step", arms, rounds, to).result["step_seconds"]
    cheapest = min(cost.values())
    for seed in range(seeds):
        for arm, config in arms.items():
            short = shortened(config, cheapest / cost[arm])
            if short.steps < config.steps:
                every = max(1, short.steps // ROWS)
                often = {"log_every": every, "validate_every": every, "checkpoint_every": 10**9}
                where = {"name": f"{name}.time.{arm}", "seed": seed, "to": str(to)}
                how = {"keep_model": False, "progress": False, "sample": 0}
                with suppress(Diverged):
                    record = train(short, RunOptions(**where, **how, **often), kind="contest")
                    print(f"{record.id}  {short.steps} steps  {record.result['test']['mean']:.4f}", flush=True)


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    name, *words = arguments
    given = dict(word.partition("=")[::2] for word in words)
    try:
        if wrong := set(given) - {"to", "rounds", "seeds"}:
            raise ValueError(f"There is no setting {', '.join(sorted(wrong))}; there are: to, rounds, seeds.")
        one_thread()
        race(name, given.get("to", RUNS), int(given.get("rounds", ROUNDS)), int(given.get("seeds", 5)))
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
