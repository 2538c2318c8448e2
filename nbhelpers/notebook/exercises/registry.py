"""What an exercise is, where exercises are kept, and how an answer is reported."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

KINDS = ("recall", "derive", "build", "explore")

_REGISTRY: dict[str, Exercise] = {}
_mode = {"strict": False}


class WrongAnswer(AssertionError):
    """Raised in a solutions notebook when an answer is missing or wrong."""


@dataclass(frozen=True)
class Result:
    """The outcome of one check: ``state`` is "right", "wrong" or "not attempted"; ``message`` says why."""

    state: str
    message: str

    def _ipython_display_(self) -> None:
        """Show nothing: as a cell's last line the result would add an empty box to what was printed."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: what it is, its checker, and the answers that test the checker.

    Attributes
    ----------
    name: ``"chapter/name"``.
    kind: "recall", "derive", "build" or "explore".
    stars: difficulty, 1 to 3.
    minutes: how long a reader may need.
    checker: takes the answer, returns None where it is right, else one sentence that says what is wrong.
    reference: the right answer.
    also_right: the right answer written in other ways.
    wrong: typical wrong answers as (answer, a part of the message that it must get); at least two.
    """

    name: str
    kind: str
    stars: int
    minutes: int
    checker: Callable[[Any], str | None]
    reference: Any
    also_right: tuple[Any, ...]
    wrong: tuple[tuple[Any, str], ...]

    def check(self, answer: Any = None) -> Result:
        """Print one line about the answer: not attempted, right, or what is wrong with it. Never raises in a page."""
        result = self._judge(answer)
        print({"right": "✓ ", "wrong": "✗ ", "not attempted": "○ "}[result.state] + result.message)
        if _mode["strict"] and result.state != "right":
            raise WrongAnswer(f"{self.name}: {result.message}")
        return result

    def _judge(self, answer: Any) -> Result:
        if not attempted(answer):
            return Result("not attempted", f"Not attempted yet ({'★' * self.stars}, about {self.minutes} min).")
        try:
            complaint = self.checker(answer)
        except NotAttempted:
            return Result("not attempted", f"Not attempted yet ({'★' * self.stars}, about {self.minutes} min).")
        except Exception as error:  # a reader's code may fail in any way; the page goes on
            return Result("wrong", f"Your answer stopped with {type(error).__name__}: {error}")
        return Result("wrong", complaint) if complaint else Result("right", "Right.")


class NotAttempted(Exception):
    """A stub was called and returned nothing."""


def attempted(answer: Any) -> bool:
    """Tell whether a value is an answer: ``...``, None and an empty string are not."""
    return not (answer is None or answer is ... or (isinstance(answer, str) and not answer.strip()))


def call(function: Callable, *arguments: Any, **keywords: Any) -> Any:
    """Call a reader's function inside a checker; a stub that returns nothing counts as not attempted."""
    value = function(*arguments, **keywords)
    if not attempted(value):
        raise NotAttempted
    return value


def register(**fields: Any) -> Exercise:
    """Add an exercise to the registry (see :class:`Exercise` for the fields).

    Raises
    ------
    ValueError
        If the name is taken, the kind is unknown, the stars are not 1 to 3, or fewer than two wrong answers
        are given.
    """
    entry = Exercise(**{"also_right": (), **fields})
    if entry.kind not in KINDS:
        raise ValueError(f'{entry.name}: kind is "{entry.kind}"; it can be {", ".join(KINDS)}.')
    if entry.stars not in (1, 2, 3):
        raise ValueError(f"{entry.name}: {entry.stars} stars; it can be 1, 2 or 3.")
    if len(entry.wrong) < 2:
        raise ValueError(f"{entry.name}: give at least two typical wrong answers.")
    known = _REGISTRY.get(entry.name)
    if known and inspect.getmodule(known.checker) is not inspect.getmodule(entry.checker):
        raise ValueError(f"{entry.name} is registered twice.")
    _REGISTRY[entry.name] = entry
    return entry


def registered(chapter: str) -> dict[str, Exercise]:
    """Return the exercises of a chapter by name, in the order of the page.

    Raises
    ------
    ValueError
        If the chapter has no exercises.
    """
    module = f"nbhelpers.notebook.exercises.{chapter.replace('-', '_')}"
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(f'There are no exercises for a chapter "{chapter}".') from None
    return {name: entry for name, entry in _REGISTRY.items() if name.startswith(f"{chapter}/")}


def exercise(name: str) -> Exercise:
    """Return an exercise by its name ``"chapter/name"``.

    Raises
    ------
    ValueError
        If there is none; the message lists the chapter's exercises.
    """
    known = registered(name.partition("/")[0])
    if name not in known:
        raise ValueError(f'There is no exercise "{name}"; there are: {", ".join(known)}.')
    return known[name]


def strict(on: bool) -> None:
    """Make wrong and missing answers raise (solutions notebooks) or only be reported (chapters)."""
    _mode["strict"] = bool(on)
