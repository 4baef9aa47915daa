"""The page tells who is told of alerts and what was told, and an admin may send a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import NARROW, WIDE, Visit
from tests.notify_story import declare, event, settled
from tests.receivers import Answer, Webhook, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.hub import ServeHub


@pytest.mark.slow
def test_channels_and_deliveries_are_on_the_page_of_the_hub(browser: Browser, serve_hub: ServeHub) -> None:
    hub = serve_hub()
    with Webhook() as webhook, Webhook() as failing:
        failing.answer = Answer(500, b"<b>out of order</b>")
        declare(
            hub,
            f"""
            [[channel]]
            name = "ops"
            kind = "webhook"
            url = "{webhook.url}/canary-of-the-path"
            [[channel]]
            name = "desk"
            kind = "webhook"
            url = "{failing.url}"
            [[channel]]
            name = "pager"
            kind = "pagerduty"
            routing_key = "short"
            """,
        )
        hub.hub.notifier.take(
            [event(title="Failing requests of <i>GET /orders</i>"), event(number=2, severity="warning")]
        )
        settled(hub, 2, channel="ops")
        until(lambda: hub.get("channels")["items"][1]["error"])
        with Visit(browser, hub, WIDE) as visit:
            visit.open("hub")
            visit.page.wait_for_selector("table:has(caption:text-is('Deliveries'))")
            shown = visit.text()
            for part in (
                "Who is told of alerts", "Takes messages", "Takes none", "routing_key=… is not accepted",
                "Critical: Failing requests of <i>GET /orders</i> (shop)", "Delivered", "out of order", "Waiting",
            ):  # fmt: skip
                assert part in shown, part
            assert "canary" not in visit.page.content()
            visit.page.get_by_role("button", name="Send a test to ops").click()
            visit.page.wait_for_selector("text=ops has taken the test.")
            until(lambda: any("A test of the channel ops" in one.json["title"] for one in webhook.answered))
            visit.accessible()
            visit.keep("notifications-wide")
            visit.check()
        with Visit(browser, hub, NARROW, "dark") as visit:
            visit.open("hub")
            visit.page.wait_for_selector("table:has(caption:text-is('Deliveries'))")
            visit.width_fits()
            visit.accessible()
            visit.keep("notifications-narrow-dark")
            visit.check()
