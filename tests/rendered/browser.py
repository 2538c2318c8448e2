"""A headless Chromium that sees the built book and nothing else of the network, and what it saw on each page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, Route, sync_playwright

from tests.rendered import book, scripts
from tests.rendered.server import BookServer

DESKTOP, PHONE = 1280, 390
HEIGHT = {DESKTOP: 900, PHONE: 844}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
)
TIMEOUT = 90_000  # ms; far more than a page needs, for machines whose cores are shared


class BrowserMissing(RuntimeError):
    """There is no Chromium; the message says what to do."""


def find_chromium() -> str:
    """Return the path of an installed Chromium or Chrome. Nothing is ever downloaded."""
    wanted = os.environ.get("NBHELPERS_CHROMIUM")
    candidates = [wanted] if wanted else [*map(shutil.which, NAMES), *APPLICATIONS]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return candidate
    raise BrowserMissing(
        "The checks on the rendered pages need Chromium or Google Chrome, and none was found"
        + (f" at NBHELPERS_CHROMIUM={wanted}. " if wanted else ". ")
        + "Install one (Debian: `apt-get install chromium`), or set NBHELPERS_CHROMIUM to its path."
    )


@dataclass
class Log:
    """What happened while a page loaded and was used."""

    console: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)  # requests for anything but the book and its known scripts
    refused: list[str] = field(default_factory=list)  # local files that answered with an error
    local: dict[str, str] = field(default_factory=dict)  # local files: address inside the book -> kind

    def complaints(self) -> list[str]:
        return [
            *(f"console error: {text}" for text in self.console),
            *(f"page error: {text}" for text in self.errors),
            *(f"request to the outside: {text}" for text in self.outside),
            *(f"local file refused: {text}" for text in self.refused),
        ]


class Reader:
    """One browser for all pages of one built book."""

    def __init__(self, browser: Browser, server: BookServer) -> None:
        self._browser, self._server = browser, server
        self.home = server.address
        self._origin = server.address.removesuffix(book.PREFIX) + "/"

    @contextmanager
    def open(self, page: str, *, width: int = DESKTOP, theme: str = "light") -> Iterator[tuple[Page, Log]]:
        """Open a page as a first visitor would, wait until formulas and widgets stand, and hand it out with its log.

        Parameters
        ----------
        page: path of the page inside the book.
        width: of the window in px, ``DESKTOP`` or ``PHONE``.
        theme: ``"light"`` or ``"dark"``, as the reader's system asks for it.
        """
        context = self._browser.new_context(
            viewport={"width": width, "height": HEIGHT[width]},
            color_scheme=theme,
            has_touch=width == PHONE,
            is_mobile=width == PHONE,
            device_scale_factor=1,
            reduced_motion="reduce",
        )
        context.set_default_timeout(TIMEOUT)
        log = Log()
        tab = context.new_page()
        tab.on("console", lambda message: _console(message, log))
        tab.on("pageerror", lambda error: log.errors.append(str(error)))
        tab.on("response", lambda response: self._note(response, log))
        context.route("**/*", lambda route: self._answer(route, log))
        try:
            response = tab.goto(self.home + page, wait_until="load")
            assert response is not None
            assert response.ok, f"{page} answered {response.status}"
            settle(tab, page)
            yield tab, log
        finally:
            context.close()

    def _note(self, response, log: Log) -> None:
        if response.url.startswith(self.home):
            inside = response.url[len(self.home) :].partition("?")[0]
            log.local[inside] = response.request.resource_type
            if response.status >= 400:
                log.refused.append(f"{inside} ({response.status})")

    def _answer(self, route: Route, log: Log) -> None:
        address = route.request.url
        if address.startswith(self.home):
            route.continue_()
        elif address.startswith(self._origin):
            log.outside.append(f"{address} (outside the path {book.PREFIX} that the published book has)")
            route.abort()
        elif file := scripts.local_file(address):
            # Pages ask for these scripts across origins, so they need the header that the public servers send.
            route.fulfill(path=file, headers={"Access-Control-Allow-Origin": "*"})
        else:
            log.outside.append(address)
            route.abort()


def settle(tab: Page, page: str) -> None:
    """Wait until formulas are set and widgets are drawn."""
    if book.has_maths(page):
        tab.wait_for_function("() => window.MathJax?.startup?.promise !== undefined")
        tab.evaluate("() => MathJax.startup.promise.then(() => true)")
    if book.has_sliders(page):
        tab.wait_for_selector(".widget-slider [role=slider]")
    # No half-faded colours: what counts is what the page settles at. The page's own script acts after 150 ms of calm.
    tab.add_style_tag(content="*, *::before, *::after { transition: none !important; animation: none !important; }")
    tab.evaluate("() => document.fonts.ready.then(() => true)")
    tab.wait_for_timeout(300)


@contextmanager
def reader() -> Iterator[Reader]:
    """Start browser and server for the built book; see :class:`Reader`.

    Raises
    ------
    BookMissing, BrowserMissing, ScriptsMissing
        With what to do about it.
    """
    book.pages()
    executable = find_chromium()
    scripts.fetch()
    server = BookServer(book.folder(), book.PREFIX)
    try:
        with sync_playwright() as playwright:
            # Chromium refuses its sandbox to root, which is who runs in a container.
            root = hasattr(os, "geteuid") and os.geteuid() == 0
            browser = playwright.chromium.launch(
                executable_path=executable,
                args=["--disable-dev-shm-usage", "--hide-scrollbars", *(["--no-sandbox"] if root else [])],
            )
            try:
                yield Reader(browser, server)
            finally:
                browser.close()
    finally:
        server.close()


def _console(message, log: Log) -> None:
    if message.type == "error":
        where = message.location.get("url", "")
        log.console.append(f"{message.text} {where}".strip())
