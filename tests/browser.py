"""A real Chromium that opens a hub's page: everything that goes wrong in it is collected, every screen can be kept."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.patience import PATIENCE
from tests.servers import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from tests.hub import ServedHub

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDE, NARROW = (1440, 900), (360, 780)  # px
# What a browser tells of a request that the page itself gave up: a newer question, or the live stream at its end.
GIVEN_UP = ("net::ERR_ABORTED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING")
VIOLATIONS = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) =>
    window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a window; the test is skipped where none is installed."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None) or missing("chromium", "apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--headless=new", "--no-sandbox"])
        yield browser
        browser.close()


def artifacts() -> Path:
    """Where screenshots are kept: PERFAGENT_TEST_ARTIFACTS, or a folder of its own below the temporary one."""
    folder = Path(os.environ.get("PERFAGENT_TEST_ARTIFACTS") or Path(tempfile.gettempdir()) / "perfagent-page")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Visit:
    """One visitor: a browser profile of its own that has opened the link of a hub.

    Args:
        browser: what it runs in.
        hub: whose page it is.
        size: of the window, in px.
        scheme: light or dark, as the system says.
        link: whether it comes by a link that signs it in.
    """

    def __init__(
        self, browser: Browser, hub: ServedHub, size: tuple[int, int] = WIDE, scheme: str = "light", link: bool = True
    ) -> None:
        self.hub = hub
        self.problems: list[str] = []
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=cast("Any", scheme),
            locale="en-GB",
            reduced_motion="reduce",
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.context.add_init_script(VIOLATIONS)
        self.page: Page = self.context.new_page()
        self._watch(self.page)
        self.page.goto(f"{hub.url}/?code={hub.access.code()}" if link else hub.url)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def _watch(self, page: Page) -> None:
        page.on("console", lambda told: self._note(told.type, told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._note("exception", str(error)))
        page.on("response", lambda answer: self._note(answer.status, answer.url) if answer.status >= 400 else None)
        page.on("requestfailed", lambda asked: self._failed(asked.url, asked.failure or ""))

    def _note(self, kind: object, text: str) -> None:
        self.problems.append(f"{kind}: {text}")

    def _failed(self, url: str, why: str) -> None:
        if why not in GIVEN_UP:
            self._note(why, url)

    def open(self, route: str, view: str = "") -> Page:
        """Goes to an address behind the `#` and waits until that view shows its data."""
        self.page.goto(f"{self.hub.url}/#/{route}")
        self.wait(view or re.split(r"[/?]", route)[0] or "overview")
        return self.page

    def wait(self, view: str) -> None:
        """Returns when a view shows its data."""
        self.page.wait_for_selector(f"main [data-loaded={view}][aria-busy=false]", timeout=PATIENCE * 1000)

    def until(self, condition: str, timeout: float = PATIENCE) -> None:
        """Returns when a JavaScript expression is true; Playwright's own way is eval, which the policy forbids."""
        deadline = time.monotonic() + timeout
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, f"not true within {timeout} s: {condition}"
            self.page.wait_for_timeout(50)

    @property
    def query(self) -> str:
        """What stands behind the `?` of the address."""
        return str(self.page.evaluate("location.hash.split('?')[1] || ''"))

    def text(self, selector: str = "main") -> str:
        """The visible text, no-break spaces as spaces."""
        return self.page.inner_text(selector).replace("\u00a0", " ")

    def row(self, holding: str) -> list[str]:
        """The cells of the first row of the main table that holds a text."""
        cells = self.page.locator("main table tbody tr", has_text=holding).first.locator("th, td")
        return [cell.replace("\u00a0", " ") for cell in cells.all_inner_texts()]

    def check(self) -> None:
        """Asserts that nothing went wrong so far: console, requests, content security policy."""
        violations = self.page.evaluate("window.violations")
        assert self.problems == []
        assert violations == []

    def width_fits(self) -> None:
        """Asserts that the page does not scroll sideways; names what is too wide."""
        wide = self.page.evaluate(
            """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
            .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.table'))
            .map((one) => `${one.tagName} ${one.className}`).concat(`${document.documentElement.scrollWidth} px`)"""
        )
        assert wide == []

    def accessible(self) -> None:
        """Asserts that axe finds no serious and no critical fault."""
        from axe_playwright_python.sync_playwright import Axe

        self.until("!document.querySelector('.view[aria-busy=true]')")  # what is asked for anew is dimmed meanwhile
        self.until("[...document.querySelectorAll('.view > *')].every((one) => getComputedStyle(one).opacity === '1')")
        found = Axe().run(self.page).response["violations"]
        assert [
            (one["id"], node["html"][:300], node["failureSummary"])
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ] == []

    def keep(self, name: str) -> Path:
        """Keeps a picture of the whole page."""
        path = artifacts() / f"{name}.png"
        self.page.screenshot(path=str(path), full_page=True)
        return path
