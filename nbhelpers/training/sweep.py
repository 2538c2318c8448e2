"""A fair comparison: every arm gets the same learning rates to try, then the best of each is run with several seeds.

    python -m nbhelpers.training.sweep cpu                                     all model families
    python -m nbhelpers.training.sweep cpu over=optimizer arms=adamw,muon,m3   optimizers, the same way
    python -m nbhelpers.training.sweep cpu rates=1e-3,2e-3,4e-3,8e-3 trial=4e5 seeds=3 workers=2 tokens=1.5e6
    python -m nbhelpers.training.sweep images over=optimizer name=fashion rates=… seeds=5

Every trial is a record. Where any arm's best trial lies on the edge of the range, the range widens for all arms, so
that their budgets stay equal. An edge that is less than 1 % better than the rate beside it is a plateau: the arm takes
that rate, and nothing widens. The queue can be stopped (Ctrl-C) and started again: runs that are over are not run
twice, and one that was cut off goes on from its checkpoint.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tqdm.auto import tqdm

from nbhelpers.core.records import RUNS, Record
from nbhelpers.models import FAMILIES
from nbhelpers.training.config import check_least
from nbhelpers.training.optimizers import OPTIMIZERS
from nbhelpers.training.settings import KEYS, build, literal, values_of
from nbhelpers.training.summary import table

NEVER = 10**9  # steps; the last step is reported whatever the interval
PLATEAU = 0.01  # relative gain on the edge of a range below which an arm counts as level there
WIDEST = 4  # how often a range may widen before the sweep gives up


@dataclass(frozen=True)
class Sweep:
    """A comparison.

    Parameters
    ----------
    base: settings of every run, as in ``PRESETS``.
    over: the setting in which the arms differ, such as "family" or "optimizer".
    arms: its values.
    rates: learning rates to try, rising by one factor.
    trial: tokens (samples) of a trial; None (default) as many as a run's.
    seeds: how many runs of each arm at its best rate; seeds count from 0. Trials use seed 0.
    workers: runs side by side, each on one thread.
    shares: by arm, the share of the steps that it gets, in trials and in runs; an arm without one gets all.
    """

    base: dict[str, Any]
    over: str = "family"
    arms: tuple[str, ...] = FAMILIES
    rates: tuple[float, ...] = (1e-3, 2e-3, 4e-3, 8e-3)
    trial: int | None = None
    seeds: int = 3
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    shares: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        known = {"family": FAMILIES, "optimizer": tuple(OPTIMIZERS)}
        if self.over not in KEYS:
            raise ValueError(f"over is {self.over!r}; expected a setting, such as family or optimizer.")
        wrong = [arm for arm in self.arms if arm not in known.get(self.over, self.arms)]
        if wrong or not self.arms:
            raise ValueError(f"There is no {self.over} {', '.join(wrong)}; there are: {', '.join(known[self.over])}.")
        if len(self.rates) < 3 or list(self.rates) != sorted(set(self.rates)):
            raise ValueError(f"rates is {self.rates}; expected three or more, rising: the best must have neighbours.")
        check_least(self, seeds=1, workers=1)
        if self.trial is not None:
            check_least(self, trial=1)
        if wrong := {arm: share for arm, share in self.shares.items() if not 0 < share <= 1}:
            raise ValueError(f"shares holds {wrong}; expected shares of the steps, above 0 and at most 1.")

    def trial_of(self, arm: str, rate: float) -> dict[str, Any]:
        """The settings of a trial. It reports its end alone, which is what trials are compared by."""
        own = {"learning_rate": rate, "seed": 0, "keep_model": False, "sample": 0}
        own |= {"log_every": NEVER, "validate_every": NEVER}
        return (
            self.base | {self.over: arm, "name": self.name(arm), "progress": False} | own | self.budget(arm, self.trial)
        )

    def final(self, arm: str, rate: float, seed: int) -> dict[str, Any]:
        """The settings of a run at the best rate; the first seed's weights are kept."""
        keep = self.base.get("keep_model", True) and seed == 0
        own = {"learning_rate": rate, "seed": seed, "keep_model": keep}
        return self.base | {self.over: arm, "name": self.name(arm), "progress": False} | own | self.budget(arm)

    def budget(self, arm: str, amount: int | None = None) -> dict[str, int]:
        """The setting that says how much an arm trains on: its share of ``amount``, or of a run's, in whole steps."""
        share = self.shares.get(arm, 1)
        if amount is None and share == 1:
            return {}
        config, _ = build(self.base | {self.over: arm})
        amount = getattr(config, config.budget) if amount is None else amount
        steps = max(1, int(share * (amount // config.units) + 1e-9))
        return {config.budget: amount if share == 1 else steps * config.units}

    def name(self, arm: Any) -> str:
        """Of an arm's records: the arm, after the sweep's own name if the settings give one."""
        return ".".join(part for part in (self.base.get("name", ""), str(arm)) if part)

    @property
    def kind(self) -> str:
        """The kind of the final records."""
        return "train" if self.over == "family" else "contest"


def run_sweep(sweep: Sweep) -> dict[str, list[Record]]:
    """Run what is not yet recorded; return the final records by arm.

    Raises
    ------
    RuntimeError
        If the range was widened ``WIDEST`` times and a best trial is still on its edge, or an arm diverges at every
        rate.
    """
    best = best_rates(sweep)
    jobs = [(sweep.kind, sweep.final(arm, best[arm], seed)) for seed in range(sweep.seeds) for arm in sweep.arms]
    done = list(run_all(jobs, sweep.workers))
    return {arm: [record for record in done if record.name == sweep.name(arm)] for arm in sweep.arms}


def best_rates(sweep: Sweep) -> dict[str, float]:
    """The best learning rate of each arm, strictly inside the range that all arms tried."""
    rates = list(sweep.rates)
    for _ in range(WIDEST + 1):
        jobs = [("sweep", sweep.trial_of(arm, rate)) for rate in rates for arm in sweep.arms]
        scores = {(r.name, r.config["learning_rate"]): score(r) for r in run_all(jobs, sweep.workers)}
        best = {arm: lowest(rates, [scores[sweep.name(arm), rate] for rate in rates]) for arm in sweep.arms}
        hopeless = [str(arm) for arm in sweep.arms if scores[sweep.name(arm), best[arm]] == float("inf")]
        if hopeless:
            raise RuntimeError(
                f"Every trial of {', '.join(hopeless)} diverged, at learning rates {rates}; try lower ones."
            )
        edges = set(best.values()) & {rates[0], rates[-1]}
        if not edges:
            return best
        rates = widen(rates, edges)
    raise RuntimeError(
        f"The range was widened {WIDEST} times, to {rates}, and a best trial is still on its edge: {best}."
    )


def lowest(rates: list[float], found: list[float]) -> float:
    """The rate with the lowest score; on a plateau at an edge (``PLATEAU``) the rate beside it."""
    best = min(range(len(rates)), key=found.__getitem__)
    beside = {0: 1, len(rates) - 1: len(rates) - 2}.get(best, best)
    return rates[beside] if found[beside] - found[best] < PLATEAU * abs(found[best]) else rates[best]


def widen(rates: list[float], edges: Iterable[float]) -> list[float]:
    """One more rate beyond each edge, in the range's own ratio."""
    ratio = rates[1] / rates[0]
    below = [float(f"{rates[0] / ratio:.3g}")] if rates[0] in edges else []
    above = [float(f"{rates[-1] * ratio:.3g}")] if rates[-1] in edges else []
    return [*below, *rates, *above]


def score(record: Record) -> float:
    """What trials are compared by: mean validation bits per byte; infinite where the run diverged."""
    result = record.result
    return result["validation"]["mean"] if result["status"] == "done" else float("inf")


def run_all(jobs: list[tuple[str, dict[str, Any]]], workers: int) -> Iterator[Record]:
    """Run jobs (kind, settings) side by side; yield their records, those that were over before first."""
    waiting = []
    for kind, settings in jobs:
        record = planned(kind, settings)
        if record.result:
            yield record
        else:
            waiting.append((kind, settings))
    if not waiting:
        return
    context = multiprocessing.get_context("spawn")
    with (
        tqdm(total=len(jobs), initial=len(jobs) - len(waiting), unit="run") as bar,
        ProcessPoolExecutor(workers, context, initializer=one_thread) as pool,
    ):
        running = [pool.submit(run_one, *job) for job in waiting]
        try:
            for ended in as_completed(running):
                record = planned(*waiting[running.index(ended)])
                ended.result()
                bar.update()
                bar.write(f"{record.id}  learning rate {record.config['learning_rate']:g}  {score(record):.4f}")
                yield record
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def planned(kind: str, settings: dict[str, Any]) -> Record:
    """The record that a job has or will have."""
    config, options = build(settings)
    return Record(kind, options.name, options.seed, config.to_json(), options.to)


def one_thread() -> None:
    """Settings of a worker: runs side by side would only take each other's threads."""
    import torch

    torch.set_num_threads(1)


def run_one(kind: str, settings: dict[str, Any]) -> None:
    """One job, in a worker. A run that diverges is a result, not an error."""
    from nbhelpers.training.train import train
    from nbhelpers.training.watch import Diverged

    with suppress(Diverged):
        train(*build(settings), kind=kind)


def configure_sweep(preset: str, settings: list[str]) -> Sweep:
    """A sweep from the command line's words: those of ``Sweep``, and settings of every run."""
    own, rest = {}, []
    for setting in settings:
        key, _, text = setting.partition("=")
        if key in ("arms", "rates"):
            own[key] = tuple(literal(part) for part in text.split(","))
        elif key in ("trial", "seeds", "workers"):
            own[key] = int(float(text))
        elif key == "over":
            own[key] = text
        else:
            rest.append(setting)
    if own.get("over") == "optimizer":
        own.setdefault("arms", tuple(OPTIMIZERS))
    return Sweep(values_of(preset, rest), **own)


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    try:
        sweep = configure_sweep(arguments[0], arguments[1:])
        run_sweep(sweep)
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
