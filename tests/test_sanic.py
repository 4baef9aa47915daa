"""Sanic: routes name the spans, under its own server and under an ASGI server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.otlp import Receiver
from tests.web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = "tests.apps.sanic_app:app"
SERVERS = {
    "own": ("sanic", APP, "--host", "127.0.0.1", "--port", "PORT", "--no-motd"),
    "uvicorn": ("uvicorn", "--port", "PORT", APP),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with Receiver() as receiver:
        web = Web(receiver, tmp_path_factory.mktemp("server"), *SERVERS[request.param])
        yield web
        web.program.stop()
        assert "perfagent:" not in web.program.stderr


def test_a_request_is_named_by_its_route(server: Web) -> None:
    assert server.ask("/items/7").body == b"7 1"  # type: ignore[attr-defined]
    span = server.server_span("/items/7")
    assert (span.attributes["http.route"], span.name) == ("/items/<number:int>", "GET /items/<number:int>")
    assert (span.attributes["http.response.status_code"], span.attributes["network.protocol.version"]) == (200, "1.1")
    assert (span.attributes["client.address"], span.attributes["server.port"]) == ("127.0.0.1", server.port)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/items/9", 405)])
def test_a_request_that_no_route_takes_has_none(server: Web, method: str, path: str, status: int) -> None:
    assert server.ask(path, method).status == status
    span = server.server_span(path)
    assert ("http.route" in span.attributes, span.name, span.status.code) == (False, method, "UNSET")


@pytest.mark.parametrize("path", ["/items/8", "/plain"])
def test_the_caller_is_its_parent_and_its_queries_are_its_children(server: Web, path: str) -> None:
    server.ask(path, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    span = server.server_span(path)
    assert (span.trace_id, span.parent_id) == ("a" * 32, "b" * 16)
    assert server.child(span).kind == "CLIENT"


def test_a_stream_is_measured_to_its_last_byte(server: Web) -> None:
    assert server.ask("/stream").body == b"first 1"  # type: ignore[attr-defined]
    span = server.server_span("/stream")
    assert span.end - span.start >= 200_000_000
    assert server.child(span).kind == "CLIENT"


def test_an_unhandled_exception_is_recorded_once_with_its_type(server: Web) -> None:
    assert server.ask("/boom").status == 500
    span = server.server_span("/boom")
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("LookupError", 500)
    (event,) = span.events
    assert event.attributes["exception.message"] == "nobody handles it"


@pytest.mark.parametrize(("path", "status"), [("/gone", 410), ("/handled", 418)])
def test_an_exception_that_is_answered_is_an_answer(server: Web, path: str, status: int) -> None:
    assert server.ask(path).status == status
    span = server.server_span(path)
    assert (span.attributes["http.response.status_code"], span.status.code, len(span.events)) == (status, "UNSET", 0)


def test_a_websocket_is_one_request(server: Web) -> None:
    import aiohttp

    async def talk() -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{server.port}/socket/x") as connection,
        ):
            await connection.send_str("is ")
            return str((await connection.receive()).data)

    assert asyncio.run(talk()) == "is x1"
    span = server.server_span("/socket/x")
    assert (span.attributes["http.route"], span.attributes["http.response.status_code"]) == ("/socket/<name:str>", 101)
    assert server.child(span).kind == "CLIENT"


def test_every_request_had_one_span(server: Web) -> None:
    for _ in range(20):
        server.ask("/items/20")
    server.server_spans("/items/20", 20)
    server.receiver.wait_until_quiet(0.3)
    assert len(server.spans_of("/items/20")) == 20
