"""aiohttp's server: resources name the spans, which end when the response has been sent."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from tests.otlp import Receiver
from tests.web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with Receiver() as receiver:
        web = Web(receiver, tmp_path_factory.mktemp("server"), "python", "-m", "tests.apps.aiohttp_app", "PORT")
        yield web
        web.program.stop()
        assert "perfagent:" not in web.program.stderr


@pytest.mark.parametrize(
    ("path", "route"), [("/items/7", "/items/{number}"), ("/sub/deep/x", "/sub/deep/{name}"), ("/gone", "/gone")]
)
def test_a_request_is_named_by_its_resource(server: Web, path: str, route: str) -> None:
    server.ask(path)
    span = server.server_span(path)
    assert (span.attributes["http.route"], span.name) == (route, f"GET {route}")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/items/9", 405)])
def test_a_request_that_no_resource_takes_has_no_route(server: Web, method: str, path: str, status: int) -> None:
    assert server.ask(path, method).status == status
    span = server.server_span(path)
    assert ("http.route" in span.attributes, span.name, span.status.code) == (False, method, "UNSET")


def test_the_caller_is_its_parent_and_its_queries_are_its_children(server: Web) -> None:
    server.ask("/items/10", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    span = server.server_span("/items/10")
    assert (span.trace_id, span.parent_id) == ("a" * 32, "b" * 16)
    assert server.child(span).kind == "CLIENT"
    told = span.attributes
    assert (told["server.address"], told["network.protocol.version"], told["url.scheme"]) == (
        "127.0.0.1",
        "1.1",
        "http",
    )
    assert told["client.address"] == "127.0.0.1"


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


@pytest.mark.parametrize(("path", "status", "code"), [("/gone", 410, "UNSET"), ("/unavailable", 503, "ERROR")])
def test_an_answer_that_is_raised_is_an_answer(server: Web, path: str, status: int, code: str) -> None:
    assert server.ask(path).status == status
    span = server.server_spans(path)[-1]
    assert (span.attributes["http.response.status_code"], span.status.code, len(span.events)) == (status, code, 0)


def test_a_client_that_leaves_ends_its_request(server: Web) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n")
        server.ask("/items/11")
        server.server_span("/items/11")
    span = server.server_span("/slow")
    assert span.attributes["http.route"] == "/slow"
    assert "http.response.status_code" not in span.attributes


def test_a_websocket_is_one_request(server: Web) -> None:
    import aiohttp

    async def talk() -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{server.port}/socket") as connection,
        ):
            await connection.send_str("is ")
            return str((await connection.receive()).data)

    assert asyncio.run(talk()) == "is 1"
    span = server.server_span("/socket")
    assert span.attributes["http.response.status_code"] == 101
    assert server.child(span).kind == "CLIENT"


def test_what_is_no_http_leaves_the_server_as_it_was(server: Web) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 400")
    assert server.ask("/items/12").status == 200


def test_every_request_had_one_span(server: Web) -> None:
    for _ in range(20):
        server.ask("/items/20")
    server.server_spans("/items/20", 20)
    server.receiver.wait_until_quiet(0.3)
    assert len(server.spans_of("/items/20")) == 20
