"""The claims ledger: a chapter's measured numbers against ``data/claims.yml``, and the verdict that follows."""

from __future__ import annotations

import html
import operator
import re
from functools import cache
from math import isclose
from typing import Any

from nbhelpers.notebook.setup import DATA

HOLDS, CONDITIONS, FAILS = "holds", "holds under conditions", "does not hold here"
UNTESTABLE = "not testable at this scale"
VERDICTS = (HOLDS, CONDITIONS, FAILS, UNTESTABLE)
TESTED_KINDS = ("identity", "theorem", "empirical")
OTHER_KINDS = ("reading", "analogy", "prediction", "opinion")
TOLERANCE = 0.02  # relative: libraries differ in the last digits, not in the second

_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_COMPARISON = re.compile(r"^\s*(\w+)\s*(>=|<=|>|<)\s*(\S+)\s*$")


class LedgerError(ValueError):
    """The ledger and the page disagree; the message says where and what to write."""


@cache
def claims() -> dict[str, dict[str, Any]]:
    """Return the entries of ``data/claims.yml`` by id."""
    import yaml

    return {entry["id"]: entry for entry in yaml.safe_load((DATA / "claims.yml").read_text())}


def evaluate(condition: str, numbers: dict[str, float]) -> bool:
    """Evaluate comparisons joined by "and", such as ``"gain >= 0.95 and lag < other"``, over named numbers.

    Raises
    ------
    LedgerError
        If a part is not ``name operator number-or-name``, or a name has no number.
    """
    return all(_compare(part, numbers) for part in condition.split(" and "))


def _compare(part: str, numbers: dict[str, float]) -> bool:
    match = _COMPARISON.match(part)
    if not match:
        raise LedgerError(f'Cannot read "{part}"; write "name >= number", joined by "and".')
    name, sign, right = match.groups()
    try:
        bound = float(right)
    except ValueError:
        bound = numbers.get(right)
    if name not in numbers or bound is None:
        raise LedgerError(f'"{part}" needs numbers for its names; there are: {", ".join(numbers) or "none"}.')
    return bool(_OPERATORS[sign](numbers[name], bound))


def verdict(criterion: dict[str, str] | None, numbers: dict[str, float] | None) -> str | None:
    """Return the verdict that follows from a claim's criterion and its numbers (None without a criterion).

    A criterion of ``{"untestable": reason}`` gives "not testable at this scale".
    """
    if criterion is None:
        return None
    if "untestable" in criterion:
        return UNTESTABLE
    if numbers is None:
        raise LedgerError("There is a criterion but no value yet.")
    if evaluate(criterion["holds"], numbers):
        return HOLDS
    if "conditions" in criterion and evaluate(criterion["conditions"], numbers):
        return CONDITIONS
    return FAILS


def claim(name: str, **measured: float | tuple) -> None:
    """Compare what the page has measured with the ledger and show the verdict.

    Parameters
    ----------
    name: the claim's id, such as ``"two-clocks/tracks"``.
    measured: one number for each name in the claim's ``value``; a triple (number, low, high) carries the
        spread over seeds.

    Raises
    ------
    LedgerError
        If the claim is unknown, a number is missing or differs from the ledger by more than 2 % (below
        1e-8 only the order against the criterion counts), or the verdict differs. The message holds the
        lines to write.
    """
    if name not in claims():
        raise LedgerError(f'There is no claim "{name}" in data/claims.yml.')
    entry = claims()[name]
    numbers = {key: float(value[0] if isinstance(value, tuple) else value) for key, value in measured.items()}
    spread = {key: [float(v) for v in value[1:]] for key, value in measured.items() if isinstance(value, tuple)}
    found = verdict(entry["criterion"], numbers)
    if entry["value"] is None or not _agree(numbers, entry["value"]) or found != entry["verdict"]:
        raise LedgerError(
            f"{name}: the ledger says {entry['value']} ({entry['verdict']}); measured here:\n"
            f"  value: {_flow(numbers)}\n  spread: {_flow(spread) if spread else 'null'}\n  verdict: {found}"
        )
    _display(entry, numbers, spread)


def _agree(numbers: dict[str, float], recorded: dict[str, float]) -> bool:
    if set(numbers) != set(recorded):
        return False
    return all(isclose(numbers[key], recorded[key], rel_tol=TOLERANCE, abs_tol=1e-8) for key in numbers)


def _flow(numbers: dict[str, Any]) -> str:
    def text(value: Any) -> str:
        return f"[{', '.join(map(text, value))}]" if isinstance(value, list) else f"{value:.4g}"

    return "{" + ", ".join(f"{key}: {text(value)}" for key, value in numbers.items()) + "}"


def format_number(value: float) -> str:
    """Write a measured number for people: three digits, tiny ones as a bound."""
    if value != 0 and abs(value) < 1e-8:
        return "below 1e-8"
    return f"{value:.3g}"


def _display(entry: dict, numbers: dict[str, float], spread: dict[str, list[float]]) -> None:
    from IPython.display import HTML, display

    def item(key: str) -> str:
        text = f"{html.escape(key.replace('_', ' '))} {format_number(numbers[key])}"
        if key in spread:
            low, high = (format_number(v) for v in spread[key])
            same = low == high == format_number(numbers[key])
            text += f" (all {entry['seeds']} seeds)" if same else f" ({low} to {high} over {entry['seeds']} seeds)"
        return text

    slug = (entry["verdict"] or "none").replace(" ", "-")
    display(
        HTML(
            f'<div class="nb-verdict nb-verdict-{slug}"><p><strong>{html.escape((entry["verdict"] or "").capitalize())}'
            f".</strong> {html.escape(entry['claim'])}</p>"
            f'<p class="nb-verdict-numbers">{"; ".join(item(key) for key in numbers)}</p></div>'
        )
    )
