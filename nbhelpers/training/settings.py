"""Settings: presets, ``key=value`` words, and the configs that they make."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import typing
from collections.abc import Callable
from typing import Any

from nbhelpers.models import Config
from nbhelpers.training.config import RunOptions, StepConfig
from nbhelpers.training.facts import Facts, FactsConfig
from nbhelpers.training.images import Images, ImagesConfig
from nbhelpers.training.language import Language, TrainingConfig
from nbhelpers.training.learner import Learner, LearnerConfig
from nbhelpers.training.quadratic import Quadratic, QuadraticConfig
from nbhelpers.training.task import Task
from nbhelpers.training.two_demands import TwoDemands, TwoDemandsConfig

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
    "amnesiac": (
        "160,000 parameters that are told facts: the models of the first chapter, ten minutes each on one core",
        {
            **{"task": "facts", "width": 64, "layers": 3, "heads": 4, "batch_size": 4, "tokens": 3_000_000},
            **{"optimizer": "muon", "learning_rate": 4e-3},
            **{"validate_every": 1000, "checkpoint_every": 250, "log_every": 100},
        },
    ),
    "images": ("seconds: Fashion-6k and a network of three layers", {"task": "images", "keep_model": False}),
    "quadratic": (
        "seconds: directions that differ a thousandfold in curvature",
        {"task": "quadratic", "keep_model": False, "validate_every": 50},
    ),
    "bytes": (
        "0.3 M parameters, 0.6 M bytes of plays: minutes, for contests of optimizers",
        {
            **{"width": 64, "layers": 4, "heads": 4, "tokenizer": "bytes", "texts": "drama", "length": 128},
            **{"batch_size": 16, "tokens": 600_000, "held_out": 20_000, "keep_model": False, "sample": 0},
        },
    ),
    "wirings": (
        "seconds: one layer, a letter from a few tokens ago and a fact from long ago",
        {"task": "two_demands", "validate_every": 50},
    ),
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


def configure(preset: str, settings: list[str] | tuple[str, ...] = ()) -> tuple[StepConfig, RunOptions]:
    """A preset with ``key=value`` settings on top, as the command line takes them.

    Raises
    ------
    ValueError
        If there is no such preset or key, or a value is not of its key's kind.
    """
    if preset not in PRESETS:
        lines = [f"  {name:10s}{text}" for name, (text, _) in PRESETS.items()]
        raise ValueError("\n".join([f'There is no preset "{preset}"; there are:', *lines]))
    return build(PRESETS[preset][1] | parse(settings))


def build(values: dict[str, Any]) -> tuple[StepConfig, RunOptions]:
    """Both configs from flat values, as in ``PRESETS``; ``task`` names what is trained, "language" by default.

    Raises
    ------
    ValueError
        If there is no such task, or a setting is another task's.
    """
    values = dict(values)
    task = values.pop("task", "language")
    if task not in TASKS:
        raise ValueError(f'There is no task "{task}"; there are: {", ".join(TASKS)}.')
    kind = TASKS[task][0]
    options = RunOptions(**{key: values.pop(key) for key in list(values) if key in OWN[RunOptions]})
    found = {key: values.pop(key) for key in list(values) if key in OWN[kind]}
    for prefix in ("mixer", "options"):
        names = [key for key in values if key.startswith(prefix + ".")]
        if inner := {key.removeprefix(prefix + "."): values.pop(key) for key in names}:
            found[prefix] = inner
    if "model" in {one.name for one in dataclasses.fields(kind)}:
        names = [key for key in [*values, *found] if key in OWN[Config] or key == "mixer"]
        own = {key: values.pop(key) if key in values else found.pop(key) for key in names}
        found["model"] = Config(**{"family": "transformer", "vocabulary": 4096, **own})
    if values:
        raise ValueError(f"The task {task} has no {', '.join(values)}; it has: {', '.join(OWN[kind])}.")
    return kind(**found), options


def config_from_json(values: dict[str, Any]) -> StepConfig:
    """The config of a record, of whatever task it is."""
    return TASKS[values.get("task", "language")][0].from_json(values)


def make_task(config: StepConfig, seed: int) -> Task:
    """What a config trains."""
    return TASKS[config.task][1](config, seed)


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
    kind = KEYS[key]
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


TASKS: dict[str, tuple[type[StepConfig], Callable[[Any, int], Task]]] = {
    "language": (TrainingConfig, Language),
    "facts": (FactsConfig, Facts),
    "learner": (LearnerConfig, Learner),
    "images": (ImagesConfig, Images),
    "quadratic": (QuadraticConfig, Quadratic),
    "two_demands": (TwoDemandsConfig, TwoDemands),
}
NAMES_OF_KINDS = {int: "a whole number", float: "a number", bool: "yes or no", str: "a word"}
NOT_SETTINGS = ("model", "mixer", "options", "vocabulary")


def _kinds(owner: type) -> dict[str, type]:
    """The settings of a config, each with the kind of its value."""
    hints = typing.get_type_hints(owner)
    found = {}
    for one in dataclasses.fields(owner):
        if one.name not in NOT_SETTINGS:
            kinds = [k for k in (hints[one.name], *typing.get_args(hints[one.name])) if k in NAMES_OF_KINDS]
            found[one.name] = kinds[0] if kinds else tuple
    return found


OWN = {owner: _kinds(owner) for owner in (Config, RunOptions, *(kind for kind, _ in TASKS.values()))}
KEYS = {key: kind for kinds in OWN.values() for key, kind in kinds.items()} | {"task": str}
