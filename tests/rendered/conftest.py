"""One browser and one server for the whole run, and one parameter for each page of the built book."""

from __future__ import annotations

import os

import pytest

from tests.rendered import book
from tests.rendered.browser import BrowserMissing, reader
from tests.rendered.scripts import ScriptsMissing
from tests.rendered.visits import Visits


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, pages in (
        ("page", book.pages),
        ("any_page", lambda: book.pages(all_pages=True)),
        ("slider_page", lambda: [page for page in book.pages() if book.has_sliders(page)]),
        ("fold_page", lambda: [page for page in book.pages() if book.article(page).select("details")]),
    ):
        if name in metafunc.fixturenames:
            try:
                metafunc.parametrize(name, pages())
            except book.BookMissing as missing:
                # Not collected means not tested: that must never look like success.
                raise pytest.UsageError(str(missing)) from None


def pytest_terminal_summary(terminalreporter) -> None:
    """Print what each page weighs, in kB: what it adds itself, and a whole first visit as servers compress it."""
    weights = {
        dict(report.user_properties)["page"]: dict(report.user_properties)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" and "own_bytes" in dict(report.user_properties)
    }
    if weights:
        terminalreporter.section("page weights")
        terminalreporter.line(f"{'page':44}{'own kB':>10}{'first visit kB':>16}")
        for page, size in sorted(weights.items(), key=lambda item: -item[1]["own_bytes"]):
            terminalreporter.line(f"{page:44}{size['own_bytes'] / 1000:10.0f}{size['visit_bytes'] / 1000:16.0f}")


@pytest.fixture(scope="session")
def browse():
    """The browser; see :class:`tests.rendered.browser.Reader`."""
    try:
        with reader() as opened:
            yield opened
    except (BrowserMissing, ScriptsMissing) as missing:
        # Never a skip: a page that nobody looked at is not a page that passed. A parallel worker cannot end the run.
        if "PYTEST_XDIST_WORKER" in os.environ:
            pytest.fail(str(missing), pytrace=False)
        pytest.exit(str(missing), returncode=3)


@pytest.fixture(scope="session")
def visit(browse) -> Visits:
    """``visit(page, width, theme)``: what a reader saw; see :class:`tests.rendered.visits.Visits`."""
    return Visits(browse)
