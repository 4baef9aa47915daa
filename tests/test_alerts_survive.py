"""Alerts of a hub that is killed again and again: none is lost, none is told twice, and what people did stays."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.cli.client import Client
from perfagent.hub.access import Access, secret
from perfagent.hub.lock import find
from tests.hub import resource, span, traces
from tests.hubs import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

PERFAGENT = Path(sys.executable).with_name("perfagent")


class Hub(Home):
    """A hub in a process of its own, with a channel that writes what people are told into a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        folder.mkdir()
        self.told = folder.parent / "told.jsonl"
        (folder / "perfagent.toml").write_text(
            f'[[channel]]\nname = "all"\nkind = "file"\npath = "{self.told}"\nrate_per_hour = 1000\n'
            'happenings = ["fired", "worsened", "acknowledged", "resolved"]\n'
            '[[maintenance]]\nname = "nightly"\nservices = ["backup*"]\ndays = ["mon", "tue", "wed", "thu", "fri", '
            '"sat", "sun"]\nfrom = "00:00"\nto = "00:00"\nreason = "the backup runs"\n'
        )

    def start(self) -> None:
        env = {**os.environ, "PERFAGENT_ALERT_INTERVAL": "1", "PERFAGENT_HUB_DIR": str(self.folder)}
        command = [str(PERFAGENT), "hub", "--directory", str(self.folder), "--port", "0"]
        with (self.folder / "out.txt").open("ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=self.folder)
        self._process = process
        until(self.answers, "the hub does not answer")

    def answers(self) -> bool:
        found = find(str(self.folder))
        if found is None or found.pid != self._process.pid:
            return False
        try:
            with urllib.request.urlopen(f"{found.address}/health/ready", timeout=30):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        super().kill()
        self._process.wait(20)

    @property
    def client(self) -> Client:
        return Client(self.hub.address, Access(secret(str(self.folder))).token("operator"))

    def fails(self, service: str) -> None:
        """Sends what makes an alert of a service: a quarter of its requests fail, for six minutes."""
        first = random.getrandbits(40)
        spans = [
            span(first + minute * 100 + one, ago=60.0 * minute, status=500 if one < 5 else 200)
            for minute in range(6)
            for one in range(20)
        ]
        assert self.post("/v1/traces", json.dumps(traces(resource(service), *spans)).encode()) == 200

    def alerts(self) -> dict[str, dict[str, Any]]:
        """What is active, by service."""
        found = [one for one in self.get("alerts?active_only=true&limit=1000")["items"] if one["kind"] == "threshold"]
        assert len({one["service"] for one in found}) == len(found), "one alert a service"
        return {one["service"]: one for one in found}

    def lines(self) -> list[dict[str, Any]]:
        """What people were told; a line that was written twice, for the hub was killed in between, counts once."""
        lines = [json.loads(line) for line in self.told.read_text().splitlines()] if self.told.exists() else []
        return list({line["id"]: line for line in lines}.values())


def until(met: Callable[[], bool], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path / "hub")
    hub.start()
    yield hub
    hub.kill()


def test_after_a_kill_alerts_actions_silences_and_windows_are_as_they_were(hub: Hub) -> None:
    for service in ("shop", "pay", "search", "backup-eu"):
        hub.fails(service)
    until(lambda: len(hub.alerts()) == 4, f"no alerts\n{hub.log}")
    client, before = hub.client, hub.alerts()
    assert before["backup-eu"]["muted"] == "maintenance nightly"
    client.post("alerts", {"id": before["shop"]["id"], "action": "acknowledge", "note": "I look"})
    client.post("alerts", {"id": before["pay"]["id"], "action": "silence", "duration_minutes": 30})
    client.post("maintenance", {"name": "upgrade", "services": ["search"], "duration_minutes": 30})
    before = hub.alerts()
    assert [before[one]["state"] for one in ("shop", "pay")] == ["acknowledged", "firing"]
    assert before["pay"]["muted"].startswith("silence ")
    until(lambda: len(hub.lines()) >= 4, "shop, pay and search fired, and shop was acknowledged")
    told = hub.lines()
    hub.kill()
    hub.start()
    hub.fails("late")
    until(lambda: "late" in hub.alerts(), f"the hub looks no more\n{hub.log}")
    after = hub.alerts()
    kept = ("id", "incident", "state", "note", "muted", "since", "noticed", "severity")
    for service, alert in before.items():
        assert {key: after[service][key] for key in kept} == {key: alert[key] for key in kept}
    assert [one["active"] for one in hub.get("alerts/silences")["items"]] == [True]
    assert {one["name"]: one["active"] for one in hub.get("maintenance")["items"]} == {"nightly": True, "upgrade": True}
    until(lambda: len(hub.lines()) > len(told), "the new alert is told")
    assert hub.lines()[: len(told)] == told
    assert [line["incident"]["services"] for line in hub.lines()[len(told) :]] == [["late"]]


def test_however_often_the_hub_is_killed_each_alert_is_there_and_told_once(hub: Hub) -> None:
    chance, services = random.Random(7), [f"service-{number}" for number in range(3)]
    for service in services:
        hub.fails(service)
        time.sleep(chance.uniform(0, 1.6))  # before, in and after a look
        os.kill(hub.hub.pid, signal.SIGKILL)
        hub.wait_until_gone()
        hub.start()
    until(lambda: sorted(hub.alerts()) == services, f"not all alerts are there: {sorted(hub.alerts())}\n{hub.log}")
    until(lambda: len(hub.lines()) >= len(services), f"not all were told: {hub.lines()}\n{hub.log}")
    hub.fails("last")
    until(lambda: any(line["incident"]["services"] == ["last"] for line in hub.lines()), "the last one is told")
    fired = [line["incident"]["services"][0] for line in hub.lines() if line["happening"] == "fired"]
    assert sorted(fired) == sorted([*services, "last"])
    for alert in hub.alerts().values():
        timeline = hub.get(f"incidents/{alert['incident']}")["timeline"]
        assert [one["text"] for one in timeline if one["what"] == "told"] == ["People are told: fired"]
        assert [one["text"] for one in timeline if one["what"] == "delivered"] == ["all was told: fired"]
