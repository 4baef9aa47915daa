"""From a minute that violates a threshold to a message that arrived, by real processes, also where one is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.hub import resource, span, traces
from tests.notify_story import write
from tests.program import clean_environment
from tests.receivers import Answer, MailServer, Webhook, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hubs import Home

pytestmark = pytest.mark.slow
LIMIT = json.dumps({"error_rate_percent": {"warning": 2, "critical": 5, "violations": 1}})


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as receiver:
        yield receiver


class Running:
    """A hub in a process of its own, in the folder of a home.

    Args:
        home: where it lives.
        more: of its environment.
    """

    def __init__(self, home: Home, **more: str) -> None:
        environ = clean_environment(
            home.env(
                PERFAGENT_ALERT_THRESHOLDS=LIMIT, PERFAGENT_ALERT_INTERVAL="1", PERFAGENT_HUB_OPEN="never",
                PERFAGENT_HUB_PUBLIC_URL="https://perf.example.com", **more,
            )
        )  # fmt: skip
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "perfagent", "hub"], env=environ, cwd=home.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: home.found is not None and home.found.pid == self.process.pid, lambda: home.log, 60)
        assert home.get("health", timeout=90), home.log  # waits until it answers

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Ends it as the kernel does when memory is short."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def fail(self) -> float:
        """Sends a minute of requests of which half fail; returns when it was stored, seconds since the epoch."""
        spans = [span(number + 1, status=500 if number % 2 else 200, ago=70 + number % 50) for number in range(100)]
        assert self.home.post("/v1/traces", json.dumps(traces(resource("shop"), *spans)).encode()) == 200
        return time.time()


def hook(webhook: Webhook) -> str:
    return f'[[channel]]\nname = "hook"\nkind = "webhook"\nurl = "{webhook.url}"\n'


def log_of(home: Home) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = home.get("deliveries", timeout=60)["items"]
    return found


def about_errors(webhook: Webhook) -> list[dict[str, Any]]:
    """The messages that tell of failing requests, as they were answered."""
    told = [one.json for one in webhook.answered]
    return [
        one for one in told if any(v["rule"] == "error_rate_percent" for v in one["incident"]["violations"])
    ]  # fmt: skip


def test_a_violation_is_delivered_and_the_log_tells_how_long_that_took(home: Home, webhook: Webhook) -> None:
    with MailServer() as mail:
        write(
            home.folder / "perfagent.toml",
            hook(webhook)
            + f"""
            [[channel]]
            name = "mail"
            kind = "email"
            host = "127.0.0.1"
            port = {mail.port}
            security = "none"
            from = "perfagent@example.com"
            to = ["ops@example.com"]
            """,
        )
        with Running(home) as hub:
            stored = hub.fail()
            until(lambda: about_errors(webhook), lambda: f"{log_of(home)}\n{home.log}", 90)
            until(lambda: mail.messages, lambda: f"{log_of(home)}\n{home.log}", 60)
            arrived = time.time()
            (told, *_) = about_errors(webhook)
            print(f"stored to delivered by webhook and mail: {arrived - stored:.1f} s")
            assert told["happening"] == "fired"
            assert told["incident"]["services"] == ["shop"]
            assert told["link"].startswith("https://perf.example.com/#/")
            assert "failing" in mail.messages[0]["Subject"].lower()
            until(lambda: {one["state"] for one in log_of(home) if one["event"] == told["id"]} == {"delivered"})
            for one in log_of(home):
                if one["event"] == told["id"]:
                    print(f"{one['channel']}: {one['latency_seconds']:.2f} s from the event")
                    assert one["latency_seconds"] == pytest.approx(one["ended"] - one["happened"], abs=1e-6)
                    assert stored - 1 <= one["happened"] <= one["ended"] <= arrived + 1


def test_a_hub_that_is_killed_between_event_and_delivery_delivers_once_after_its_start(
    home: Home, webhook: Webhook
) -> None:
    webhook.answer = Answer(hangs=True)
    write(home.folder / "perfagent.toml", hook(webhook))
    with Running(home) as hub:
        hub.fail()
        until(lambda: webhook.requests, lambda: f"{log_of(home)}\n{home.log}", 90)
        waiting = {one["event"] for one in log_of(home)}
        assert {one["state"] for one in log_of(home)} == {"waiting"}
        hub.kill()
    assert webhook.answered == []
    webhook.answer = Answer()
    with Running(home):
        until(lambda: webhook.answered, lambda: f"{log_of(home)}\n{home.log}", 90)
        until(lambda: "waiting" not in {one["state"] for one in log_of(home)}, lambda: str(log_of(home)), 60)
        told = [one.json["id"] for one in webhook.answered]
        assert waiting <= set(told)
        assert len(told) == len(set(told))


def test_the_command_shows_channels_and_deliveries_and_tests_a_channel(home: Home, webhook: Webhook) -> None:
    home.folder.mkdir(parents=True)
    with Running(home, PERFAGENT_ALERT_CHANNELS=f"json://127.0.0.1:{webhook.port}/canary-of-the-path") as hub:

        def notify(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "perfagent", "notify", *words], env=clean_environment(home.env()),
                cwd=home.folder, capture_output=True, text=True, timeout=90, check=False,
            )  # fmt: skip

        assert hub.process.poll() is None
        shown = notify()
        assert (shown.returncode, "json" in shown.stdout, "idle" in shown.stdout) == (0, True, True), shown
        shown = notify("test", "json")
        assert (shown.returncode, "json has taken the message" in shown.stdout) == (0, True), shown
        assert "A test of the channel json" in webhook.requests[0].json["title"]
        webhook.answer = Answer(401, b"who are you")
        shown = notify("test", "json")
        assert (shown.returncode, "who are you" in shown.stdout) == (1, True), shown
        shown = notify("list")
        assert (shown.returncode, "failing" in shown.stdout) == (1, True), shown
        shown = notify("log", "json", "--state", "delivered", "--output", "json")
        (one,) = json.loads(shown.stdout)["deliveries"]
        assert (one["happening"], one["state"]) == ("test", "delivered")
        shown = notify("log")
        assert "A test of the channel json" in shown.stdout
        shown = notify("test", "other")
        assert (shown.returncode, "there are: json" in shown.stderr) == (2, True), shown
        assert "canary" not in notify("list", "--output", "json").stdout + home.log
