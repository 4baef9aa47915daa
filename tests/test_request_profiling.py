"""ENABLE_PROFILING measures CPU time and memory of each request; off, it is not there. TimingMiddleware times alone."""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from perfagent import TimingMiddleware
from perfagent.runtime import http, metric, profile
from perfagent.runtime.span import Scope
from tests.apps.profiled_app import BURNT
from tests.otlp import Receiver
from tests.web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


FASTAPI = ("uvicorn", "tests.apps.profiled_app:app", "--port", "PORT", "--no-access-log")
FLASK = ("gunicorn", "tests.apps.profiled_app:wsgi", "-b", "127.0.0.1:PORT", "--no-control-socket", "--threads", "4")
GEVENT = (*FLASK[:-2], "-k", "gevent")
DURATION, MEMORY, TIMED = "shop_request_duration_seconds", "shop_request_memory_mb", "api_request_duration_seconds"


def served(directory: Path, *command: str) -> Iterator[Web]:
    with Receiver() as receiver:
        web = Web(receiver, directory, *command, ENABLE_PROFILING="true", PERFAGENT_NAMESPACE="shop")
        yield web
        web.program.stop()
        assert "perfagent:" not in web.program.stderr


@pytest.fixture(scope="module")
def fastapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    yield from served(tmp_path_factory.mktemp("fastapi"), *FASTAPI)


@pytest.fixture(scope="module")
def flask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    yield from served(tmp_path_factory.mktemp("flask"), *FLASK)


@pytest.fixture(params=["fastapi", "flask"])
def server(request: pytest.FixtureRequest) -> Web:
    web: Web = request.getfixturevalue(request.param)
    return web


def cpu(server: Web, path: str) -> float:
    return float(server.server_span(path).attributes[profile.CPU])  # type: ignore[arg-type]


def at_once(server: Web, paths: Sequence[str]) -> None:
    asking = [threading.Thread(target=server.ask, args=(path,)) for path in paths]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()


def test_the_cpu_time_of_a_request_is_its_own_while_others_burn(server: Web) -> None:
    burning = [f"/burning/{number}" for number in range(4)]
    at_once(server, ["/waiting", *burning])
    times = 2 if "uvicorn" in server.program.command else 1
    for path in burning:
        assert times * BURNT <= cpu(server, path) < 2 * times * BURNT
    assert cpu(server, "/waiting") < BURNT


def test_what_a_request_does_in_a_worker_thread_counts(fastapi: Web) -> None:
    fastapi.ask("/thread")
    assert BURNT <= cpu(fastapi, "/thread") < 2 * BURNT


def test_a_body_that_is_made_while_it_is_sent_counts(flask: Web) -> None:
    flask.ask("/stream")
    assert 3 * BURNT <= cpu(flask, "/stream") < 6 * BURNT


def test_a_request_that_fails_is_profiled_as_well(fastapi: Web) -> None:
    fastapi.ask("/failing")
    assert cpu(fastapi, "/failing") >= BURNT
    assert fastapi.server_span("/failing").attributes["error.type"] == "ValueError"


def test_the_growth_of_memory_is_that_of_a_request_which_was_alone(fastapi: Web) -> None:
    fastapi.ask("/growing")
    grown = fastapi.server_span("/growing").attributes[profile.GROWTH]
    assert 25_000_000 < grown < 70_000_000  # type: ignore[operator]
    point = fastapi.receiver.wait_for_metric(MEMORY, where=lambda one: one.attributes.get("http.route") == "/growing")
    assert point.attributes == {
        "http.request.method": "GET", "http.route": "/growing", "http.response.status_code": 200,
        "perfagent.request.overlapped": False,
    }  # fmt: skip
    at_once(fastapi, ["/waiting", "/waiting"])
    fastapi.receiver.wait_for_metric(MEMORY, where=lambda one: one.attributes["perfagent.request.overlapped"] is True)


def test_the_metrics_bear_the_names_of_the_contract(server: Web) -> None:
    server.ask("/waiting")
    route = {"http.request.method": "GET", "http.route": "/waiting", "http.response.status_code": 200}
    for name in (DURATION, TIMED):
        point = server.receiver.wait_for_metric(name, where=lambda one: one.attributes == route)
        assert (point.type, point.unit) == ("histogram", "s")


@pytest.mark.slow
def test_where_greenlets_share_a_thread_no_cpu_time_is_told(receiver: Receiver, start_web: Any) -> None:
    web = start_web(*GEVENT, ENABLE_PROFILING="true")
    at_once(web, ["/waiting", "/waiting"])
    assert all(profile.CPU not in span.attributes for span in web.server_spans("/waiting", 2))
    web.ask("/burning/1")
    assert cpu(web, "/burning/1") >= BURNT


def test_prometheus_gets_exactly_these_names(start_web: Any) -> None:
    from tests.program import find_free_port

    port = find_free_port()
    web = start_web(
        *FASTAPI, ENABLE_PROFILING="true", OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=str(port)
    )
    web.ask("/thread")
    web.server_span("/thread")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
        lines = page.read().decode().splitlines()
    for name in ("perfagent_request_duration_seconds", "perfagent_request_memory_mb", TIMED):
        assert f"# TYPE {name} histogram" in lines


def test_off_it_is_not_there_and_on_again_it_begins_anew() -> None:
    plain = (http.ServerSpan.__init__, http.ServerSpan.finish, http.ServerSpan.measure)
    told: list[object] = []
    http.when_profiled(told.append)
    before = request_span()
    profile.switch(True, "tested")
    try:
        assert (http.ServerSpan.__init__, http.ServerSpan.finish, http.ServerSpan.measure) != plain
        span = request_span()
        before.finish()
        span.finish()
        before.measure()
        span.measure()
        assert span.details is not None
        assert profile.CPU in span.details.attributes
        assert before.details is None
        under_way = request_span()
    finally:
        profile.switch(False, "tested")
        http.profiled.remove(told.append)
    assert (http.ServerSpan.__init__, http.ServerSpan.finish, http.ServerSpan.measure) == plain
    under_way.finish()
    assert under_way.details is None
    assert [type(one).__name__ for one in told] == ["Profile", "NoneType"]


def request_span() -> http.ServerSpan:
    return http.ServerSpan(Scope("tested"), None, "GET", "http", "/", "1.1", b"", b"", None)


def test_steps_pass_on_what_a_task_sends_throws_and_closes() -> None:
    made = request_span()
    measured = profile.Measurement(profile.Profile("tested"))
    measured.begin_steps()

    async def program() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return "cancelled"
        raise AssertionError

    async def main() -> str:
        async def stepped() -> Any:
            return await profile.Steps(measured, program())

        task = asyncio.create_task(stepped())
        await asyncio.sleep(0)
        task.cancel()
        return str(await task)

    assert asyncio.run(main()) == "cancelled"
    assert len(measured.pieces) >= 3
    assert measured.depth == 0
    made.finish()


def timed() -> dict[tuple[object, ...], int]:
    """How often each method, route and status was timed in this process."""
    found: dict[tuple[object, ...], int] = {}
    for (_scope, name), instrument in metric.registry.instruments.items():
        if name == TIMED:
            for series in instrument.collect():
                found[tuple(series.attributes.values())] = series.count  # type: ignore[attr-defined]
    return found


def test_timing_middleware_suits_either_kind_of_application() -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 202})
        await send({"type": "http.response.body", "body": b"x"})
        await asyncio.sleep(0)

    def plain(scope: Any, receive: Any, send: Any) -> Any:
        return asgi(scope, receive, send)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response("404 Not Found", [])
        return iter([b"x"]) if environ["REQUEST_METHOD"] == "PUT" else [b"x"]

    def failing(environ: Any, start_response: Any) -> Any:
        raise ValueError

    sent: list[str] = []
    for app in (asgi, plain):
        asyncio.run(TimingMiddleware(app)({"type": "http", "method": "PATCH"}, None, send))  # type: ignore[operator]
    assert len(sent) == 4
    measured: Any = TimingMiddleware(wsgi)
    assert measured({"REQUEST_METHOD": "HEAD"}, lambda *_: None) == [b"x"]
    body = measured({"REQUEST_METHOD": "PUT"}, lambda *_: None)
    assert ("PUT", 404) not in timed()
    assert list(body) == [b"x"]
    body.close()
    with pytest.raises(ValueError, match=r"^$"):
        TimingMiddleware(failing)({"REQUEST_METHOD": "DELETE"}, None)  # type: ignore[operator]
    found = timed()
    assert {key: found[key] for key in (("PATCH", 202), ("HEAD", 404), ("PUT", 404), ("DELETE", 500))} == {
        ("PATCH", 202): 2, ("HEAD", 404): 1, ("PUT", 404): 1, ("DELETE", 500): 1,
    }  # fmt: skip
