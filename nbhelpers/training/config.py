"""What a training run is made of: the values that decide its result, and those that only say how it is carried out."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import typing
from dataclasses import dataclass, field
from typing import Any

from nbhelpers.core.records import RUNS
from nbhelpers.data import tokenizer as tokenizers
from nbhelpers.models import Config
from nbhelpers.training.optimizers import OPTIMIZERS

PRECISIONS = ("float32", "bfloat16")
PARALLEL = ("none", "ddp", "fsdp")


@dataclass(frozen=True)
class TrainingConfig:
    """All that decides the result of a run. On the command line the values of ``model`` are named without ``model``.

    Parameters
    ----------
    model: the language model; its vocabulary is that of the tokenizer.
    texts: what is read: a domain of ``nbhelpers.data.texts`` ("all" by default), or the folder of a corpus that
        ``python -m nbhelpers.data.build`` made.
    tokenizer: "bytes", "bpe4096" (default) or "bpe8192".
    length, batch_size: tokens of a row, rows of a step over all processes.
    tokens: to train on; the number of steps is what they fill, rounded down.
    optimizer: a key of ``nbhelpers.training.optimizers.OPTIMIZERS``.
    options: further options of that optimizer, such as ``{"momentum": 0.9}``.
    learning_rate: the highest, reached after the warm-up.
    warmup, final_rate: share of the steps that the warm-up takes; the last learning rate as a share of the highest
        (a cosine lies between).
    weight_decay: of matrices; vectors have none.
    clip: the norm that gradients are clipped to; 0 for no clipping.
    precision: "float32" or "bfloat16" (autocast; weights, optimizer and inner memories stay float32).
    held_out: tokens a domain that validation and the final evaluation read.

    Raises
    ------
    ValueError
        If a value is not allowed; the message says which are.
    """

    model: Config = field(default_factory=lambda: Config("transformer", vocabulary=4096))
    texts: str = "all"
    tokenizer: str = "bpe4096"
    length: int = 256
    batch_size: int = 8
    tokens: int = 1_500_000
    optimizer: str = "adamw"
    options: dict[str, Any] = field(default_factory=dict)
    learning_rate: float = 2e-3
    warmup: float = 0.05
    final_rate: float = 0.1
    weight_decay: float = 0.1
    clip: float = 1.0
    precision: str = "float32"
    held_out: int = 6144

    def __post_init__(self):
        choices = {"tokenizer": tokenizers.NAMES, "optimizer": tuple(OPTIMIZERS), "precision": PRECISIONS}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}.")
        for name, least in (("length", 1), ("batch_size", 1), ("held_out", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; expected {least} or more.")
        for name in ("warmup", "final_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a share, from 0 to 1.")
        for name in ("learning_rate", "weight_decay", "clip"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; expected a finite number from 0.")
        if self.steps < 1:
            raise ValueError(
                f"tokens is {self.tokens}, less than one step of {self.batch_size} rows of {self.length} tokens."
            )
        vocabulary = len(tokenizers.load_tokenizer(self.tokenizer))
        if self.model.vocabulary != vocabulary:
            object.__setattr__(self, "model", dataclasses.replace(self.model, vocabulary=vocabulary))

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.tokens // (self.batch_size * self.length)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a record."""
        return dataclasses.asdict(self) | {"model": self.model.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainingConfig:
        """The config that ``to_json`` gave."""
        return cls(**values | {"model": Config.from_json(values["model"])})


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
    sample: tokens of the sample written at each validation; 0 for none.
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
        choices = {"device": ("auto", "cpu", "cuda"), "compile": ("auto", "yes", "no"), "parallel": PARALLEL}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}.")
        for name in ("log_every", "validate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a number of steps from 1.")
        for name in ("seed", "micro_batch", "sample"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more.")


PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny": (
        "seconds, to see that everything works",
        {
            **{"width": 32, "layers": 2, "heads": 2, "chunk_size": 16, "tokenizer": "bytes", "texts": "drama"},
            **{"length": 64, "batch_size": 4, "tokens": 10_240, "held_out": 1024, "sample": 32},
            **{"validate_every": 20, "checkpoint_every": 10, "log_every": 5},
        },
    ),
    "cpu": ("1.3 M parameters, 1.5 M tokens: minutes on two cores", {}),
    "colab": (
        "10 M parameters, 30 M tokens of the portable corpus: one GPU of 16 GB",
        {
            **{"width": 320, "layers": 6, "heads": 5, "tokenizer": "bpe8192", "texts": "_build/data/portable"},
            **{"length": 1024, "batch_size": 32, "tokens": 30_000_000, "held_out": 30_000, "micro_batch": 16},
            **{"validate_every": 200, "checkpoint_every": 100},
        },
    ),
    "gpu": (
        "10 M parameters, 100 M tokens of the open corpus: one large GPU",
        {
            **{"width": 320, "layers": 6, "heads": 5, "tokenizer": "bpe8192", "texts": "_build/data/open"},
            **{"length": 2048, "batch_size": 32, "tokens": 100_000_000, "held_out": 30_000, "precision": "bfloat16"},
            **{"validate_every": 250, "checkpoint_every": 250},
        },
    ),
}


def configure(preset: str, settings: list[str] | tuple[str, ...] = ()) -> tuple[TrainingConfig, RunOptions]:
    """A preset with ``key=value`` settings on top, as the command line takes them.

    Raises
    ------
    ValueError
        If there is no such preset or key, or a value is not of its key's kind.
    """
    if preset not in PRESETS:
        lines = [f"  {name:8s}{text}" for name, (text, _) in PRESETS.items()]
        raise ValueError("\n".join([f'There is no preset "{preset}"; there are:', *lines]))
    return build(dict(PRESETS[preset][1]) | parse(settings))


def build(values: dict[str, Any]) -> tuple[TrainingConfig, RunOptions]:
    """Both configs from flat values, as in ``PRESETS``."""
    own = {kind: {k: v for k, v in values.items() if k in KEYS and KEYS[k][0] is kind} for kind in KINDS}
    mixer = {k.removeprefix("mixer."): v for k, v in values.items() if k.startswith("mixer.")}
    options = {k.removeprefix("options."): v for k, v in values.items() if k.startswith("options.")}
    model = Config(**{"family": "transformer", "vocabulary": 4096, **own[Config], "mixer": mixer})
    return TrainingConfig(model, options=options, **own[TrainingConfig]), RunOptions(**own[RunOptions])


def parse(settings: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """``["width=64", "mixer.memory=matrix"]`` as values of the right kinds."""
    found = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign:
            raise ValueError(f'"{setting}" is not of the form key=value.')
        if key.startswith(("mixer.", "options.")):
            found[key] = literal(text)
            continue
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(f'There is no setting "{key}".{hint} There are: {", ".join(KEYS)}, mixer.…, options.…')
        found[key] = convert(key, text)
    return found


def convert(key: str, text: str) -> Any:
    """The value of a setting from its text, of the kind that its key takes."""
    kind = KEYS[key][1]
    value = text if kind is str else literal(text)
    if key == "periods":
        value = [literal(p) if isinstance(p, str) else p for p in (text.split(",") if "," in text else [value])]
        value = tuple("inf" if p == float("inf") else p for p in value)
        if all(p == "inf" or (isinstance(p, int) and p > 0) for p in value):
            return value
        raise ValueError(f"periods is {text!r}; expected whole numbers from fast to slow, such as 1,4,16 or 1,inf.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is int and isinstance(value, float) and value == int(value):  # 1e6
        value = int(value)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind):
        raise ValueError(f"{key} is {text!r}; expected {NAMES_OF_KINDS[kind]}.")
    return value


def literal(text: str) -> Any:
    """A number, True, False, None, a tuple of them, or else the text itself."""
    if text.lower() in ("yes", "true", "no", "false"):
        return text.lower() in ("yes", "true")
    if text == "inf":
        return float("inf")
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


KINDS = (Config, TrainingConfig, RunOptions)
NAMES_OF_KINDS = {int: "a whole number", float: "a number", bool: "yes or no", str: "a word"}
NOT_SETTINGS = ("model", "mixer", "options", "vocabulary")


def _keys() -> dict[str, tuple[type, type]]:
    keys = {}
    for owner in KINDS:
        hints = typing.get_type_hints(owner)
        for one in dataclasses.fields(owner):
            if one.name not in NOT_SETTINGS:
                kinds = [k for k in (hints[one.name], *typing.get_args(hints[one.name])) if k in NAMES_OF_KINDS]
                keys[one.name] = (owner, kinds[0] if kinds else tuple)
    return keys


KEYS = _keys()
