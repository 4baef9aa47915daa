"""Live values: one computation for all who watch, bounded queues, and an end that is told."""

from __future__ import annotations

import socket
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfagent.hub.api import live
from tests.hub import PREFIX, ServedHub, events, resource, span, traces

if TYPE_CHECKING:
    from tests.hub import ServeHub


pytestmark = pytest.mark.slow  # real waits and programs: left out of the fast part


def test_those_who_watch_get_snapshots_and_hear_of_what_is_stored(
    hub: ServedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "EVERY", 0.2)
    hub.send("traces", traces(resource("shop"), *[span(i + 1, ago=5) for i in range(30)]))
    with hub.client.stream("GET", f"{PREFIX}/realtime", headers=hub.bearer("viewer")) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        found = events(response)
        name, values = next(found)
        assert name == "snapshot"
        assert values["requests_per_second"] == pytest.approx(1.0)
        assert [one["service"] for one in values["services"]] == ["shop"]
        hub.send("traces", traces(resource("shop"), span(99, ago=1)))
        stored = next(data for name, data in found if name == "stored")
        assert stored["spans"] == 31


def test_one_who_comes_back_gets_what_was_missed(hub: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY", 0.1)
    headers = hub.bearer("viewer")

    def lines(number: int, **more: str) -> list[str]:
        with hub.client.stream("GET", f"{PREFIX}/realtime", headers={**headers, **more}) as response:
            ids = (line[4:] for line in response.iter_lines() if line.startswith("id: "))
            return list(islice(ids, number))

    first = lines(4)
    assert lines(3, **{"Last-Event-ID": first[0]})[:3] == first[1:4]


def test_one_computation_serves_all_who_watch(hub: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    compute = live.snapshot

    def counted(of: Any) -> dict[str, Any]:
        nonlocal made
        made += 1
        return compute(of)

    monkeypatch.setattr(live, "EVERY", 0.3)
    monkeypatch.setattr(live, "snapshot", counted)
    seen: list[list[float]] = []

    def watch() -> None:
        with httpx.stream("GET", f"{hub.url}{PREFIX}/realtime", headers=hub.bearer("viewer"), timeout=60) as response:
            seen.append([data["time"] for name, data in islice(events(response), 3) if name == "snapshot"])

    threads = [threading.Thread(target=watch) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(seen) == 5
    assert made <= 6
    assert len({moment for times in seen for moment in times}) <= made


def test_twenty_watch_at_once_and_the_next_is_told_so(hub: ServedHub) -> None:
    connections = [_open_stream(hub) for _ in range(live.MOST)]
    try:
        response = hub.ask("realtime")
        assert (response.status_code, response.json()["error"]["code"]) == (429, "too_many_requests")
        connections.pop().close()
        _wait(lambda: hub.get("hub")["subscribers"] < live.MOST)
        connections.append(_open_stream(hub))
    finally:
        for connection in connections:
            connection.close()
    _wait(lambda: hub.get("hub")["subscribers"] == 0)


def test_a_reader_that_does_not_read_is_let_go(hub: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STUCK", 0.5)
    connection = _open_stream(hub)
    try:
        loop = hub.app.state.live._loop
        for _ in range(400):
            loop.call_soon_threadsafe(hub.app.state.live._send, b"data: " + b"x" * 100_000 + b"\n\n")
        _wait(lambda: hub.get("hub")["subscribers"] == 0)
    finally:
        connection.close()


def test_streams_are_told_of_the_end_and_the_hub_ends_at_once(serve_hub: ServeHub) -> None:
    hub = serve_hub()
    found: list[tuple[str, Any]] = []

    def watch() -> None:
        with httpx.stream("GET", f"{hub.url}{PREFIX}/realtime", headers=hub.bearer("viewer"), timeout=60) as response:
            found.extend(events(response))

    thread = threading.Thread(target=watch)
    thread.start()
    _wait(lambda: hub.get("hub")["subscribers"] == 1)
    hub.stop()
    thread.join(60)
    assert found[-1] == ("ended", {"reason": "shutdown"})


def _open_stream(hub: ServedHub) -> socket.socket:
    host, port = hub.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    token = hub.access.token("viewer")
    head = f"GET {PREFIX}/realtime HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    connection.sendall(head.encode())
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    return connection


def _wait(condition: Any, timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
