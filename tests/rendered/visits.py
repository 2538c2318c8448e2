"""Each page is opened once for each kind of reader; all tests look at what was seen then."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Error, Page

from tests.rendered import scripts
from tests.rendered.browser import DESKTOP, PHONE, Log, Reader

FACTS = (Path(__file__).parent / "facts.js").read_text(encoding="utf-8")
KINDS = tuple((width, theme) for width in (DESKTOP, PHONE) for theme in ("light", "dark"))
SAMPLE = ("index.html", "chapters/", "pages/claims.html", "pages/notation.html")  # what axe sees in every kind


def audited(page: str, width: int, theme: str) -> bool:
    """Return whether axe looks: at every page on a light desktop, at the sample in the dark and on a phone too."""
    sampled = page.startswith(SAMPLE) and not page.startswith("chapters/solutions/")
    return sampled or (width, theme) == (DESKTOP, "light")


@dataclass(frozen=True)
class Visit:
    """What one reader saw of one page."""

    facts: dict  # what facts.js returns
    log: Log
    findings: list[dict] | None  # axe: {rule, target, html, summary} for each fault; None where axe did not look


class Visits:
    """All visits of this run, made when first asked for."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._made: dict[tuple[str, int, str], Visit] = {}
        self._failed: dict[tuple[str, int], Error] = {}

    def __call__(self, page: str, width: int = DESKTOP, theme: str = "light") -> Visit:
        if (page, width) in self._failed:
            raise self._failed[page, width]
        if (page, width, theme) not in self._made:
            try:
                self._visit(page, width)
            except Error as error:  # such as a page that never gets ready: waiting for it once is enough
                self._failed[page, width] = error
                raise
        return self._made[page, width, theme]

    def _visit(self, page: str, width: int) -> None:
        with self._reader.open(page, width=width, theme="light") as (tab, log):
            self._made[page, width, "light"] = self._look(tab, page, width, "light", log)
            # The system's wish turns while the page is open: the theme has to follow.
            tab.emulate_media(color_scheme="dark", reduced_motion="reduce")
            tab.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
            self._made[page, width, "dark"] = self._look(tab, page, width, "dark", log)

    def _look(self, tab: Page, page: str, width: int, theme: str, log: Log) -> Visit:
        return Visit(tab.evaluate(FACTS), log, run_axe(tab) if audited(page, width, theme) else None)


def run_axe(tab: Page) -> list[dict]:
    """Return what axe finds on the page as it stands."""
    if not tab.evaluate("() => 'axe' in window"):
        # As a function of its own: pages with require.js would have it swallowed as an anonymous module.
        source = scripts.axe().read_text(encoding="utf-8")
        tab.evaluate(f"() => {{ const define = undefined; const module = undefined; {source}\n; window.axe = axe; }}")
    # The inside of a described picture is nothing to a screen reader, and many thousand elements to axe.
    found = tab.evaluate(
        """() => axe.run({exclude: [["svg[role=img] > *"]]}, {resultTypes: ["violations"]})
        .then((found) => JSON.stringify(found.violations))"""
    )
    return [
        {
            "rule": violation["id"],
            "target": " ".join(map(str, node["target"])),
            "html": node["html"][:200],
            "summary": " ".join(node["failureSummary"].split()),
        }
        for violation in json.loads(found)
        for node in violation["nodes"]
    ]
