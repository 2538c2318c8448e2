"""How any task is optimised, and how a run is carried out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nbhelpers.core.records import RUNS
from nbhelpers.training.optimizers import OPTIMIZERS

PRECISIONS = ("float32", "bfloat16")
PARALLEL = ("none", "ddp", "fsdp")


@dataclass(frozen=True)
class StepConfig:
    """What decides a run's result whatever the task; each task adds its own values.

    Parameters
    ----------
    batch_size: rows of a step over all processes.
    optimizer: a key of ``nbhelpers.training.optimizers.OPTIMIZERS``.
    options: further options of that optimizer, such as ``{"momentum": 0.9}``.
    learning_rate: the highest, reached after the warm-up.
    warmup, final_rate: share of the steps that the warm-up takes; the last learning rate as a share of the highest
        (a cosine lies between).
    weight_decay: of matrices; vectors have none.
    clip: the norm that gradients are clipped to; 0 for no clipping.
    precision: "float32" or "bfloat16" (autocast; weights, optimizer and inner memories stay float32).

    Raises
    ------
    ValueError
        If a value is not allowed; the message says which are.
    """

    task: ClassVar[str]
    budget: ClassVar[str]  # the setting that says how much is trained on

    batch_size: int = 8
    optimizer: str = "adamw"
    options: dict[str, Any] = field(default_factory=dict)
    learning_rate: float = 2e-3
    warmup: float = 0.05
    final_rate: float = 0.1
    weight_decay: float = 0.1
    clip: float = 1.0
    precision: str = "float32"

    def __post_init__(self):
        check_choices(self, optimizer=tuple(OPTIMIZERS), precision=PRECISIONS)
        check_least(self, batch_size=1)
        for name in ("warmup", "final_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a share, from 0 to 1.")
        for name in ("learning_rate", "weight_decay", "clip"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; expected a finite number from 0.")

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """What a record is called where no name is given."""
        return self.task

    @property
    def units(self) -> int:
        """Tokens (samples, where there are no tokens) of a step."""
        return self.batch_size

    def to_json(self) -> dict[str, Any]:
        """Plain values for a record."""
        return {"task": self.task, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> StepConfig:
        """The config that ``to_json`` gave."""
        return cls(**{name: value for name, value in values.items() if name != "task"})


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out: none of these changes what is computed, beyond rounding.

    Parameters
    ----------
    name: of the record; empty (default) takes the family's.
    seed: of the initial weights and of the order of the data.
    to: the folder of records.
    device: "auto" (default: the GPU if there is one), "cpu", "cuda".
    compile: run the model through ``torch.compile``: "auto" (default: on a GPU), "yes", "no".
    parallel: under torchrun, "ddp" (every process holds the model) or "fsdp" (each holds a part); "none" (default)
        for one process.
    micro_batch: rows a process computes at once; 0 (default) is its whole batch. It is halved where memory runs out.
    log_every, validate_every, checkpoint_every: steps between two reports, validations, checkpoints.
    sample: tokens of the sample of text in the result; 0 for none.
    keep_model: keep the weights in the record, as bfloat16.
    progress: show a bar.
    """

    name: str = ""
    seed: int = 0
    to: str = str(RUNS)
    device: str = "auto"
    compile: str = "auto"
    parallel: str = "none"
    micro_batch: int = 0
    log_every: int = 10
    validate_every: int = 200
    checkpoint_every: int = 100
    sample: int = 48
    keep_model: bool = True
    progress: bool = True

    def __post_init__(self):
        check_choices(self, device=("auto", "cpu", "cuda"), compile=("auto", "yes", "no"), parallel=PARALLEL)
        check_least(self, log_every=1, validate_every=1, checkpoint_every=1, seed=0, micro_batch=0, sample=0)


def check_choices(config: Any, **choices: tuple[str, ...]) -> None:
    """Refuse a value that is none of those allowed (ValueError)."""
    for name, allowed in choices.items():
        if getattr(config, name) not in allowed:
            raise ValueError(f"{name} is {getattr(config, name)!r}; expected one of {', '.join(allowed)}.")


def check_least(config: Any, **least: int) -> None:
    """Refuse a number below what is allowed (ValueError)."""
    for name, smallest in least.items():
        if getattr(config, name) < smallest:
            raise ValueError(f"{name} is {getattr(config, name)}; expected {smallest} or more.")
