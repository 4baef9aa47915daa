"""The shop that never unsubscribes, under the agent: a real hub names line, endpoint, and the way to what is kept."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import NARROW, WIDE, Visit
from tests.test_docs import blocks
from tests.told_faults import FAULTS, insights, line_of, start, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.conftest import RunProgram
    from tests.hub import ServedHub, ServeHub

HOLDER = "__main__.bus.subscribers"
KEY = "leaks"
PAGE = "docs/how-to/leaks.md"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


def asked(hub: ServedHub, instance: str, value: str) -> dict[str, Any]:
    """What a process answers to `references`."""
    response = hub.ask(
        f"agents/{instance}/commands", "operator", "POST", json={"command": "references", "value": value}
    )
    assert response.status_code == 202, response.text
    deadline = time.monotonic() + 60
    while True:
        found = [
            one
            for one in hub.get(f"agents/{instance}/commands")["items"]
            if one["id"] == response.json()["data"]["id"] and one["state"] in ("done", "failed")
        ]
        if found:
            answered: dict[str, Any] = found[0]
            return answered
        assert time.monotonic() < deadline, "the process did not answer"
        time.sleep(0.1)


def test_the_page_names_what_is_kept_its_line_its_endpoint_and_the_way_to_it(
    serve_hub: ServeHub, run_program: RunProgram, browser: Browser
) -> None:
    hub = serve_hub(PERFAGENT_CONTROL_KEY=KEY)
    settings = {"PERFAGENT_LEAK_INTERVAL": "0.2", "PERFAGENT_CONTROL": "on", "PERFAGENT_CONTROL_KEY": KEY}
    runs, asks, _answer = (*blocks(PAGE, "sh"), "")
    assert runs == "perfagent run python examples/known_faults/leak.py\n"  # as it is started here
    program = start(hub, run_program, "leak", "400", **settings)

    def grown() -> dict[str, Any] | None:
        return next((one for one in insights(hub, "memory_growth") if one["subject"] == HOLDER), None)

    found: dict[str, Any] = wait_for(grown, program, 240)
    path = str(FAULTS / "leak.py")
    makes, subscribes = line_of("leak", "= Subscription(order)"), line_of("leak", "bus.subscribe(Order(number))")
    appends = line_of("leak", "self.subscribers.append(")  # where a busy machine has caught none of the new ones
    places = (f"{path}:{makes} subscribe", f"{path}:{appends} subscribe", f"{path}:{subscribes} checkout")
    assert found["place"] in places
    assert found["title"] == f"{HOLDER} of faulty keeps every one of its __main__.Subscription objects"
    assert "POST /checkout leaves 1 behind a request" in found["evidence"]
    assert found["metrics"]["bytes_per_hour"] > 100_000

    (process,) = hub.get("processes")["items"]
    (leak,) = [one for one in hub.get(f"processes/{process['instance']}/memory")["leaks"] if one["holder"] == HOLDER]
    assert leak["endpoint"] == "POST /checkout"
    assert leak["entries_per_request"] == 1
    assert leak["assigned"] == f"{path}:{line_of('leak', 'self.subscribers: list')}"
    assert leak["growing"]

    answered = asked(hub, process["instance"], "__main__.Order")
    assert answered["state"] == "done", answered
    ways = {one["path"] for one in answered["result"]["paths"]}
    assert f"{HOLDER}[…].order" in ways
    assert "line 1 of order" not in str(answered), "no value is shown"
    refused = asked(hub, process["instance"], "app.Nothing")
    assert refused["state"] == "failed"
    assert "no object of app.Nothing" in refused["result"]

    at = ("--url", hub.url, "--token", hub.access.token("operator"))
    keeps, ways_to = (shlex.split(line, comments=True) for line in asks.replace("shop", "faulty").splitlines())
    every = run_program(*keeps, *at)
    assert every.wait() == 1, every.stderr
    assert HOLDER in every.stdout
    shown = run_program(*(word.replace("app.Order", "Order") for word in ways_to), *at).check()
    assert ".subscribers" in shown
    assert "objects live" in shown
    grows = run_program("perfagent", "memory", "--pid", str(process["pid"]), *at)
    assert grows.wait() == 1, grows.stderr
    assert HOLDER in grows.stdout

    for size, scheme in ((WIDE, "light"), (WIDE, "dark"), (NARROW, "light")):
        with Visit(browser, hub, size, scheme) as visit:
            visit.open(f"processes/{process['instance']}", "process")
            visit.page.get_by_text(HOLDER, exact=True).first.wait_for()
            panel = visit.page.locator(".panel", has=visit.page.get_by_text("Memory that is kept"))
            if scheme == "light":
                panel.get_by_role("button", name="References").first.click()
                panel.locator(".way li", has_text=".subscribers").first.wait_for(timeout=90_000)
            panel.scroll_into_view_if_needed()
            visit.keep(f"leaks-{scheme}-{size[0]}")
            visit.width_fits()
            visit.accessible()
            visit.check()
    program.stop()
