"""What the parts of HOPE are worth: the same run with one part taken out, or chosen otherwise.

    python -m nbhelpers.training.ablation bytes learning_rate=8e-3 width=64 layers=2
    python -m nbhelpers.training.ablation gpu learning_rate=1e-3 seeds=1 parts=whole,no_cms

Every variant gets the settings of the whole, the learning rate included: a variant that would want another one is
judged too hard. The seeds are the yardstick: a change smaller than their spread is none. Each run is a record of the
kind contest, named ``hope.VARIANT``; runs that are over are not run twice.
"""

from __future__ import annotations

import sys
from typing import Any

from nbhelpers.core.records import RUNS, Record
from nbhelpers.training.settings import values_of
from nbhelpers.training.summary import table
from nbhelpers.training.sweep import run_all

# What is left out or chosen otherwise; names of the paper's own rows in its Table 6 stand behind them.
VARIANTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "no_erase": {"mixer.erase": "none"},  # w/o DGD
    "with_momentum": {"mixer.momentum": True},  # the whole of the paper; ours is its "w/o momentum"
    "no_cms": {"periods": (1,)},  # w/o CMS
    "fixed_key": {"mixer.adaptive": ("value", "learning_rate", "retention")},  # w/o inner-projection k
    "fixed_value": {"mixer.adaptive": ("key", "learning_rate", "retention")},  # w/o inner-projection v
    "adaptive_query": {"mixer.adaptive": ("key", "value", "learning_rate", "retention", "query")},
    "nothing_adaptive": {"mixer.adaptive": ()},
    "given_values": {"mixer.own_values": False},
    "dot_product": {"mixer.objective": "dot"},
    "erase_inner": {"mixer.erase": "inner"},
    "read_after": {"mixer.read": "after"},
    "read_chunk_start": {"mixer.read": "chunk_start"},
    "matrix_memory": {"mixer.memory": "matrix"},
    "no_convolution": {"mixer.window": 1},
    "independent_levels": {"variant": "independent"},
}


def jobs(base: dict[str, Any], variants: tuple[str, ...], seeds: int) -> list[tuple[str, dict[str, Any]]]:
    """The runs, as ``sweep.run_all`` takes them: seed by seed, each with all variants.

    Raises
    ------
    ValueError
        If there is no such variant, or the settings name no learning rate.
    """
    if unknown := [name for name in variants if name not in VARIANTS]:
        raise ValueError(f"There is no variant {', '.join(unknown)}; there are: {', '.join(VARIANTS)}.")
    if "learning_rate" not in base:
        raise ValueError("Say at which rate: learning_rate=…, such as the best one of a sweep over families.")
    whole = base | {"family": "hope", "progress": False, "keep_model": False, "sample": 0}
    return [
        ("contest", whole | VARIANTS[name] | {"name": f"hope.{name}", "seed": seed})
        for seed in range(seeds)
        for name in variants
    ]


def run_ablation(
    base: dict[str, Any], variants: tuple[str, ...] = tuple(VARIANTS), seeds: int = 3, workers: int = 1
) -> list[Record]:
    """Run what is not yet recorded; return the records, those that were over before first.

    Parameters
    ----------
    base: settings of the whole, as in ``settings.PRESETS``, with a ``learning_rate``.
    variants: names of ``VARIANTS``.
    seeds: runs of each; they count from 0.
    workers: runs side by side, each on one thread.
    """
    return list(run_all(jobs(base, variants, seeds), workers))


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    own: dict[str, Any] = {}
    rest = []
    for setting in arguments[1:]:
        key, _, text = setting.partition("=")
        if key == "parts":
            own["variants"] = tuple(text.split(","))
        elif key in ("seeds", "workers"):
            own[key] = int(text)
        else:
            rest.append(setting)
    try:
        base = values_of(arguments[0], rest)
        run_ablation(base, **own)
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 1
    print(table(base.get("to", RUNS), "contest"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
