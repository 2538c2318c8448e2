"""axe on every page: names, contrast, roles. All pages in light; a sample in dark and on a phone."""

from __future__ import annotations

from tests.rendered import book, report
from tests.rendered.browser import DESKTOP, PHONE
from tests.rendered.known import AXE
from tests.rendered.visits import KINDS, audited, run_axe


def finding(found: dict) -> str:
    return f"{found['rule']} at {found['target']}: {found['html']} {found['summary']}"


def unknown(findings: list[dict]) -> list[str]:
    return [text for text in map(finding, findings) if not any(known.covers(text) for known in AXE)]


def test_axe_finds_nothing(page, visit):
    report.none(
        f"{width} px, {theme}: {fault}"
        for width, theme in KINDS
        if audited(page, width, theme)
        for fault in unknown(visit(page, width, theme).findings)
    )


def test_known_axe_findings_still_occur(visit):
    seen = [finding(found) for page in book.pages() for found in visit(page, DESKTOP).findings]
    gone = [known.reason for known in AXE if not any(map(known.covers, seen))]
    report.none(gone, "no longer needed: take it out of tests/rendered/known.py")


def test_axe_sees_a_fault(browse):
    with browse.open("index.html", width=PHONE) as (tab, _):
        tab.evaluate("() => document.querySelector('article').insertAdjacentHTML('beforeend', '<img src=x.png>')")
        assert "image-alt" in {found["rule"] for found in run_axe(tab)}
