"""What the hub has answered with 200 is there after it was killed, however often and whenever that happens."""

from __future__ import annotations

import http.client
import json
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import duckdb
import pytest
from benchmarks.otlp import Template

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

PERFAGENT = Path(sys.executable).with_name("perfagent")


class HubProcess:
    """`perfagent hub` in a folder, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""
        self.start()

    def start(self) -> None:
        command = [str(PERFAGENT), "hub", "--directory", str(self.folder), "--port", "0"]
        with (self.folder / "out.txt").open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                told = json.loads((self.folder / "hub.lock").read_text())
                with urllib.request.urlopen(f"{told['address']}/health/ready", timeout=5):
                    assert told["pid"] == self._process.pid
                    self.address = told["address"]
                    return
            except (OSError, ValueError, KeyError, AssertionError):
                time.sleep(0.02)
        raise AssertionError((self.folder / "out.txt").read_text())

    def end(self, number: int) -> int:
        self._process.send_signal(number)
        return self._process.wait(20)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    process = HubProcess(tmp_path)
    yield process
    process._process.kill()
    process._process.wait()


class Sender(threading.Thread):
    """Posts distinct spans until the hub goes away; notes for each request whether it was acknowledged."""

    def __init__(self, address: str, spans: int) -> None:
        super().__init__(daemon=True)
        self._target, self._template = urlsplit(address), Template(spans)
        self.acknowledged: list[list[bytes]] = []
        self.unanswered: list[list[bytes]] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=20)
        while True:
            body, identities = self._template.fresh()
            try:
                connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self.unanswered.append(identities)
                return
            if answer.status == 200:
                self.acknowledged.append(identities)
            elif answer.status in (429, 503):
                self.unanswered.append(identities)
                time.sleep(0.05)
            else:
                raise AssertionError(answer.status)


def ingest(hub: HubProcess, seconds: float, number: int) -> list[Sender]:
    senders = [Sender(hub.address, spans) for spans in (1, 5, 300, 2000)]
    for sender in senders:
        sender.start()
    time.sleep(seconds)
    hub.end(number)
    for sender in senders:
        sender.join(25)
        assert not sender.is_alive()
    return senders


def stored(folder: Path) -> set[bytes]:
    with duckdb.connect(str(folder / "hub.duckdb")) as connection:
        rows = connection.execute("SELECT span_id FROM spans").fetchall()
    found = {row[0] for row in rows}
    assert len(found) == len(rows), "no span is there twice"
    return found


def check(senders: list[Sender], found: set[bytes]) -> None:
    acknowledged = [request for sender in senders for request in sender.acknowledged]
    assert sum(map(len, acknowledged)) > 100, "too little was sent to tell anything"
    missing = [span for request in acknowledged for span in request if span not in found]
    assert missing == []
    for sender in senders:
        for request in sender.unanswered:
            there = sum(span in found for span in request)
            assert there in (0, len(request)), "a request is stored as a whole or not at all"


def test_every_acknowledged_span_survives_kill_9(hub: HubProcess) -> None:
    senders = []
    for _ in range(3):
        senders += ingest(hub, random.uniform(0.3, 1.5), signal.SIGKILL)
        hub.start()
    assert hub.end(signal.SIGTERM) == 0
    check(senders, stored(hub.folder))
    assert not list(hub.folder.glob("*.corrupt-*"))


def test_every_acknowledged_span_is_there_after_an_orderly_end_under_load(hub: HubProcess) -> None:
    senders = ingest(hub, 1.0, signal.SIGTERM)
    check(senders, stored(hub.folder))
