"""Quart: rules name the spans of whatever server calls it, and unhandled exceptions are told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.otlp import Receiver
from tests.web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = "tests.apps.quart_app:app"
SERVERS = {
    "hypercorn": ("hypercorn", "--bind", "127.0.0.1:PORT", APP),
    "uvicorn": ("uvicorn", "--port", "PORT", APP),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with Receiver() as receiver:
        web = Web(receiver, tmp_path_factory.mktemp("server"), *SERVERS[request.param])
        yield web
        web.program.stop()
        assert "perfagent:" not in web.program.stderr


@pytest.mark.parametrize(
    ("path", "route"), [("/items/7", "/items/<int:number>"), ("/inner/a/b/c", "/inner/<tenant>/<path:rest>")]
)
def test_a_request_is_named_by_its_rule(server: Web, path: str, route: str) -> None:
    assert server.ask(path).status == 200
    span = server.server_span(path)
    assert (span.attributes["http.route"], span.name) == (route, f"GET {route}")


def test_a_request_that_no_rule_takes_has_no_route(server: Web) -> None:
    assert server.ask("/nothing").status == 404
    assert "http.route" not in server.server_span("/nothing").attributes


@pytest.mark.parametrize("path", ["/items/8", "/blocking"])
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
    assert server.ask("/gone").status == 410
    assert server.server_span("/gone").status.code == "UNSET"


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
    assert (span.attributes["http.route"], span.attributes["http.response.status_code"]) == ("/socket/<name>", 101)
    assert server.child(span).kind == "CLIENT"


def test_every_request_had_one_span(server: Web) -> None:
    for _ in range(20):
        server.ask("/items/20")
    server.server_spans("/items/20", 20)
    server.receiver.wait_until_quiet(0.3)
    assert len(server.spans_of("/items/20")) == 20


def test_a_test_client_calls_a_measured_application(tmp_path_factory: pytest.TempPathFactory) -> None:
    code = "import asyncio; from tests.apps.quart_app import app; "
    code += "print(asyncio.run(app.test_client().get('/items/5')).status_code)"
    from tests.agent import agent_env
    from tests.program import Program
    from tests.web import ROOT

    with Receiver() as receiver:
        command = ("perfagent", "run", "python", "-c", code)
        program = Program(command, tmp_path_factory.mktemp("client"), agent_env(receiver), ROOT)
        assert program.check() == "200\n"
        receiver.wait_for_spans(2)
        assert sorted(span.name for span in receiver.spans if span.kind == "SERVER") == ["GET /items/<int:number>"]


def test_the_context_that_quart_0_23_hands_to_its_handlers_reaches_them() -> None:
    from perfagent.instruments import quart

    async def handle(*arguments: object) -> tuple[object, ...]:
        return arguments

    error = LookupError("nobody handles it")
    handler = quart._handling(handle)
    assert asyncio.run(handler("app", error)) == ("app", error)  # type: ignore[arg-type]
    assert asyncio.run(handler("app", "context", error)) == ("app", "context", error)  # type: ignore[arg-type]
