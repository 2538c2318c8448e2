"""``python -m nbhelpers.training PRESET [key=value …]``: train a model, or go on where it was stopped."""

from __future__ import annotations

import os
import sys

from nbhelpers.training.checkpoint import CheckpointError
from nbhelpers.training.loop import Interrupted
from nbhelpers.training.settings import PRESETS, configure
from nbhelpers.training.train import report, train
from nbhelpers.training.watch import Diverged

USAGE = """python -m nbhelpers.training PRESET [key=value …]

Presets:
{presets}
Settings, with their meaning: nbhelpers/training/config.py, language.py and facts.py. Some:
  family=hope                 transformer, mamba2, gated_deltanet, titans, hope, hope_attention
  optimizer=muon              {optimizers}
  learning_rate=1e-3 seed=1 tokens=3e6 periods=1,4,16 mixer.memory=matrix to=FOLDER
  parallel=ddp | fsdp         under torchrun: torchrun --nproc-per-node 2 -m nbhelpers.training PRESET …

Ctrl-C stops after the step; the same command goes on from there."""


def main(arguments: list[str]) -> int:
    from nbhelpers.training.optimizers import OPTIMIZERS

    if not arguments or arguments[0] in ("-h", "--help"):
        lines = "\n".join(f"  {name:10s}{text}" for name, (text, _) in PRESETS.items())
        print(USAGE.format(presets=lines, optimizers=", ".join(OPTIMIZERS)))
        return 0 if arguments else 2
    try:
        config, options = configure(arguments[0], arguments[1:])
        record = train(config, options)
        if int(os.environ.get("RANK", "0")) == 0:
            print(report(record))
    except (Diverged, Interrupted) as stopped:
        print(f"{type(stopped).__name__}: {stopped}", file=sys.stderr)
        return 1
    except (CheckpointError, ValueError) as wrong:
        print(wrong, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
