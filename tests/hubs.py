"""Hubs that a test starts, each in a folder of its own; none outlives its test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from perfagent.hub import lock
from perfagent.hub.access import Access, secret
from tests.patience import EXIT, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "/api/v1/performance"


class Home:
    """The folder of a hub, and what a program's environment says of it.

    Args:
        folder: where the hub's files are, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: set[int] = set()

    def env(self, **more: str) -> dict[str, str]:
        """The environment of a program that may find or start this hub."""
        return {
            "PERFAGENT_HUB": "auto",
            "PERFAGENT_HUB_DIR": str(self.folder),
            "PERFAGENT_HUB_PORT": "0",
            "PERFAGENT_STRICT": "true",
            "OTEL_SERVICE_NAME": "tested",
            **EXIT,
            **more,
        }

    @property
    def found(self) -> lock.Found | None:
        """The hub that lives here."""
        found = lock.find(str(self.folder))
        if found is not None:
            self.started.add(found.pid)
        return found

    @property
    def hub(self) -> lock.Found:
        """The hub that lives here, which there must be."""
        found = self.found
        assert found is not None, f"no hub lives in {self.folder}\n{self.log}"
        return found

    @property
    def log(self) -> str:
        """What the hub has logged."""
        path = self.folder / "hub.log"
        return path.read_text() if path.exists() else ""

    def get(self, path: str, role: str = "viewer", timeout: float = PATIENCE) -> Any:
        """The data of an answer, None for 404; waits until the hub answers at all."""
        headers = {"Authorization": f"Bearer {Access(secret(str(self.folder))).token(role)}"}
        request = urllib.request.Request(f"{self.hub.address}{PREFIX}/{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise AssertionError(f"{path} answered {error.code}: {error.read()!r}\n{self.log}") from None

    def post(self, path: str, body: bytes, timeout: float = PATIENCE) -> int:
        """Sends OTLP as JSON and returns the status of the answer."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.hub.address}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def spans(self) -> int:
        """How many spans the hub holds."""
        return int(self.get("hub")["counts"]["spans"])

    def wait_for_spans(self, number: int, timeout: float = PATIENCE) -> None:
        """Returns when the hub holds so many: one that boots takes what waited for it a moment after it answers."""
        deadline = time.monotonic() + timeout
        while (held := self.spans()) < number:
            assert time.monotonic() < deadline, f"{held} of {number} spans after {timeout} s\n{self.log}"
            time.sleep(0.05)
        assert held == number

    def wait_until_gone(self, timeout: float = PATIENCE) -> None:
        """Returns when no hub lives here; raises with its log."""
        deadline = time.monotonic() + timeout
        while lock.is_held(str(self.folder)):
            assert time.monotonic() < deadline, f"the hub still lives after {timeout} s\n{self.log}"
            time.sleep(0.02)

    def kill(self) -> None:
        """Kills the hub without a word, as the kernel does when memory is short."""
        found = self.found
        if found is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)
            self.wait_until_gone()


def one_span(number: int) -> bytes:
    """An export of one span, in OTLP's JSON."""
    now = time.time_ns()
    span = {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": "GET /numbered",
        "kind": 2,
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 1_000_000),
    }
    service = {"key": "service.name", "value": {"stringValue": "sender"}}
    return json.dumps(
        {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": [span]}]}]}
    ).encode()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A folder for a hub; what lives there at the end is killed."""
    home = Home(tmp_path / "hub")
    yield home
    home.kill()
