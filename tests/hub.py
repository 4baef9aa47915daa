"""A whole hub on a free port: its application under uvicorn in a thread, over a real store, and telemetry sent to it.

A process of its own, as `perfagent hub` starts one, is in `tests.hubs`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import pytest
import uvicorn

from perfagent.hub.access import Access, secret
from perfagent.hub.api.app import build
from perfagent.hub.api.limits import Rates
from perfagent.hub.control.commands import Commands
from perfagent.hub.hub import Hub
from perfagent.hub.store.intake import Intake
from perfagent.hub.store.store import Store
from perfagent.settings import Settings
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import FastAPI

PREFIX = "/api/v1/performance"
MS = 1_000_000  # ns
SECOND = 1000 * MS


class ServedHub:
    """Serves between `with` and its end.

    Args:
        directory: the hub's folder.
        rates: how often a client may ask; in tests that are not about it, as often as it likes.
        collects: whether its own sources run.
        environ: settings.
    """

    def __init__(self, directory: Path, rates: Rates | None = None, collects: bool = False, **environ: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        endless = Rates(*["1000000/second"] * 5)
        self._directory, self._rates, self._collects = directory, rates or endless, collects
        self.settings = Settings(environ, str(directory))
        self.access = Access(secret(str(directory)))
        self.hub: Hub
        self.app: FastAPI
        self.url = ""
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ServedHub:
        self._thread.start()
        assert self._started.wait(PATIENCE), "the hub did not start"
        if self._failure is not None:
            raise self._failure
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.stop()

    def stop(self) -> None:
        """Ends it as a signal does: streams are told, requests under way are answered."""
        if not self._thread.is_alive():
            return
        self.app.state.live.stop()
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the hub did not end"

    def bearer(self, role: str) -> dict[str, str]:
        """The header that shows a role's token."""
        return {"Authorization": f"Bearer {self.access.token(role)}"}

    def ask(self, path: str, role: str = "viewer", method: str = "GET", **more: Any) -> httpx.Response:
        """The answer to a request below the prefix, with a role's token."""
        headers = {**self.bearer(role), **more.pop("headers", {})}
        return self.client.request(method, f"{PREFIX}/{path}", headers=headers, **more)

    def get(self, path: str, role: str = "viewer", **params: Any) -> Any:
        """The data of an answer; `from_` stands for `from`."""
        response = self.ask(path, role, params=_query(params))
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def alerts(self, **params: Any) -> list[dict[str, Any]]:
        """The alerts, after a look at all that was stored."""
        self.hub.alerts.look()
        found: list[dict[str, Any]] = self.get("alerts", **params)["items"]
        return found

    def refusal(self, path: str, role: str = "viewer", **params: Any) -> tuple[int, str, str | None]:
        """Status, code and field of a request that must be refused."""
        response = self.ask(path, role, params=_query(params))
        error = response.json()["error"]
        assert error["message"]
        return response.status_code, error["code"], error["field"]

    def send(self, signal: str, body: dict[str, Any]) -> None:
        """Sends OTLP as JSON; returns when it is stored."""
        response = self.client.post(f"/v1/{signal}", json=body, headers=self.bearer("agent"))
        assert response.status_code == 200, response.text
        assert response.json() == {}, response.text

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            self._started.set()
            raise

    async def _serve(self) -> None:
        store = Store.open(self._directory, 128)
        intake = Intake(store, self.settings.hub_queue)
        await intake.start()
        self.hub = Hub(self.settings, self._directory, "http://127.0.0.1:4318", store, intake, self.access, Commands())
        self.app = build(self.hub, self._rates)
        config = uvicorn.Config(
            self.app, port=0, log_level="error", http="httptools", ws="none", server_header=False, lifespan="on"
        )
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        if self._collects:
            self.hub.sources.start()
        while not self._server.started:
            await asyncio.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        self._started.set()
        await serving
        await self.hub.sources.stop()
        await intake.stop()
        store.close()


def _query(params: dict[str, Any]) -> dict[str, Any] | None:
    return {
        key.rstrip("_"): value for key, value in params.items()
    } or None  # httpx drops a path's query for an empty one


class ServeHub(Protocol):
    """The type of the fixture `serve_hub`."""

    def __call__(self, rates: Rates | None = None, collects: bool = False, **environ: str) -> ServedHub: ...


@pytest.fixture
def serve_hub(tmp_path: Path) -> Iterator[ServeHub]:
    """Starts hubs with the given rates and settings; all of them end with the test."""
    started: list[ServedHub] = []

    def serve(rates: Rates | None = None, collects: bool = False, **environ: str) -> ServedHub:
        started.append(ServedHub(tmp_path / f"hub{len(started)}", rates, collects, **environ))
        return started[-1].__enter__()

    yield serve
    for hub in started:
        hub.__exit__()


@pytest.fixture
def hub(serve_hub: ServeHub) -> ServedHub:
    """A hub with nothing in it."""
    return serve_hub()


def resource(service: str, instance: str = "", **attributes: object) -> dict[str, Any]:
    """Who sends: a resource of OTLP (`host__name` for a dot)."""
    told = {"service.name": service, "service.instance.id": instance or f"{service}-1"}
    return {"attributes": named({**told, **{key.replace("__", "."): value for key, value in attributes.items()}})}


def named(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Attributes, as OTLP's JSON has them."""
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return [{"key": key, "value": {kinds[type(value)]: value}} for key, value in values.items()]


def span(
    number: int,
    name: str = "GET /items",
    *,
    trace: int | None = None,
    parent: int | None = None,
    kind: int = 2,
    ago: float = 5.0,
    ms: float = 10.0,
    status: int = 200,
    **attributes: object,
) -> dict[str, Any]:
    """A span that started `ago` seconds ago; a request unless told otherwise; `http__route` for a dot."""
    started = time.time_ns() - round(ago * SECOND)
    told: dict[str, Any] = {key.replace("__", "."): value for key, value in attributes.items()}
    if kind == 2:
        method, _, route = name.partition(" ")
        told = {"http.request.method": method, "http.route": route, "http.response.status_code": status, **told}
    return {
        "traceId": f"{trace or number:032x}",
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(started),
        "endTimeUnixNano": str(started + round(ms * MS)),
        "status": {"code": 2} if status >= 500 else {},
        "attributes": named(told),
    }


def traces(who: dict[str, Any], *spans: dict[str, Any]) -> dict[str, Any]:
    """The body of a request to /v1/traces."""
    return {"resourceSpans": [{"resource": who, "scopeSpans": [{"scope": {"name": "test"}, "spans": list(spans)}]}]}


def logs(who: dict[str, Any], *records: dict[str, Any]) -> dict[str, Any]:
    """The body of a request to /v1/logs."""
    return {
        "resourceLogs": [{"resource": who, "scopeLogs": [{"scope": {"name": "test"}, "logRecords": list(records)}]}]
    }


def record(
    body: str, number: int = 9, ago: float = 5.0, trace: int | None = None, **attributes: object
) -> dict[str, Any]:
    """A log record of `ago` seconds ago."""
    told = {"traceId": f"{trace:032x}", "spanId": f"{trace:016x}"} if trace else {}
    return {
        "timeUnixNano": str(time.time_ns() - round(ago * SECOND)),
        "severityNumber": number,
        "body": {"stringValue": body},
        "attributes": named({key.replace("__", "."): value for key, value in attributes.items()}),
        **told,
    }


def metrics(who: dict[str, Any], *found: dict[str, Any]) -> dict[str, Any]:
    """The body of a request to /v1/metrics."""
    return {
        "resourceMetrics": [{"resource": who, "scopeMetrics": [{"scope": {"name": "test"}, "metrics": list(found)}]}]
    }


def gauge(name: str, value: float, /, unit: str = "1", ago: float = 5.0, **attributes: object) -> dict[str, Any]:
    """A gauge with one reading."""
    return {"name": name, "unit": unit, "gauge": {"dataPoints": [{**_point(ago, attributes), "asDouble": value}]}}


def level(name: str, value: float, /, unit: str = "1", ago: float = 5.0, **attributes: object) -> dict[str, Any]:
    """An up-down counter with one reading."""
    points = [{**_point(ago, attributes), "asDouble": value}]
    return {"name": name, "unit": unit, "sum": {"dataPoints": points, "aggregationTemporality": 2}}


def counter(name: str, increment: float, /, unit: str = "1", ago: float = 5.0, **attributes: object) -> dict[str, Any]:
    """A counter with one increment, as a difference."""
    points = [{**_point(ago, attributes), "asDouble": increment}]
    return {"name": name, "unit": unit, "sum": {"dataPoints": points, "aggregationTemporality": 1, "isMonotonic": True}}


def histogram(
    name: str,
    bounds: list[float],
    counts: list[int],
    total: float,
    /,
    unit: str = "s",
    ago: float = 5.0,
    **attributes: object,
) -> dict[str, Any]:
    """An explicit histogram with one point, as a difference."""
    point = {
        **_point(ago, attributes),
        "count": str(sum(counts)),
        "sum": total,
        "explicitBounds": bounds,
        "bucketCounts": [str(count) for count in counts],
    }
    return {"name": name, "unit": unit, "histogram": {"dataPoints": [point], "aggregationTemporality": 1}}


def exponential(
    name: str,
    scale: int,
    offset: int,
    counts: list[int],
    total: float,
    zeros: int = 0,
    unit: str = "s",
    ago: float = 5.0,
) -> dict[str, Any]:
    """An exponential histogram with one point, as a difference."""
    point = {
        **_point(ago, {}),
        "count": str(sum(counts) + zeros),
        "sum": total,
        "scale": scale,
        "zeroCount": str(zeros),
        "positive": {"offset": offset, "bucketCounts": [str(count) for count in counts]},
    }
    return {"name": name, "unit": unit, "exponentialHistogram": {"dataPoints": [point], "aggregationTemporality": 1}}


def _point(ago: float, attributes: dict[str, object]) -> dict[str, Any]:
    end = time.time_ns() - round(ago * SECOND)
    told = named({key.replace("__", "."): value for key, value in attributes.items()})
    return {"startTimeUnixNano": str(end - SECOND), "timeUnixNano": str(end), "attributes": told}


def events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Name and data of each event of a stream; comments are named ""."""
    name, data = "", ""
    for line in response.iter_lines():
        key, _, value = line.partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            data = value
        elif line.startswith(":"):
            yield "", line
        elif not line and data:
            yield name, json.loads(data)
            name, data = "", ""
