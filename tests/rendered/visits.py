"""Each page is opened once for each kind of reader; all tests look at what was seen then."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from tests.rendered import scripts
from tests.rendered.browser import DESKTOP, PHONE, Log, Reader

FACTS = (Path(__file__).parent / "facts.js").read_text(encoding="utf-8")
KINDS = tuple((width, theme) for width in (DESKTOP, PHONE) for theme in ("light", "dark"))


@dataclass(frozen=True)
class Visit:
    """What one reader saw of one page."""

    facts: dict  # what facts.js returns
    log: Log
    findings: list[dict]  # axe: {rule, target, help, summary} for each element that breaks a rule


class Visits:
    """All visits of this run, made when first asked for."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._made: dict[tuple[str, int, str], Visit] = {}

    def __call__(self, page: str, width: int = DESKTOP, theme: str = "light") -> Visit:
        if (page, width, theme) not in self._made:
            with self._reader.open(page, width=width, theme="light") as (tab, log):
                self._made[page, width, "light"] = Visit(_facts(tab), log, _axe(tab))
                # The system's wish turns while the page is open: the theme has to follow.
                tab.emulate_media(color_scheme="dark", reduced_motion="reduce")
                tab.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
                self._made[page, width, "dark"] = Visit(_facts(tab), log, _axe(tab))
        return self._made[page, width, theme]


def _facts(tab: Page) -> dict:
    return tab.evaluate(FACTS)


def _axe(tab: Page) -> list[dict]:
    if not tab.evaluate("() => 'axe' in window"):
        # As a function of its own: pages with require.js would have it swallowed as an anonymous module.
        source = scripts.axe().read_text(encoding="utf-8")
        tab.evaluate(f"() => {{ const define = undefined; const module = undefined; {source}\n; window.axe = axe; }}")
    found = tab.evaluate(
        "() => axe.run(document, {resultTypes: ['violations'], elementRef: false}).then((r) => JSON.stringify(r.violations))"
    )
    return [
        {
            "rule": violation["id"],
            "help": violation["help"],
            "target": " ".join(map(str, node["target"])),
            "html": node["html"][:200],
            "summary": " ".join(node["failureSummary"].split()),
        }
        for violation in json.loads(found)
        for node in violation["nodes"]
    ]
