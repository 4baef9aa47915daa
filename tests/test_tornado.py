"""Tornado: patterns name the spans, which end when the response has been sent."""

from __future__ import annotations

import asyncio
import http.client
import socket
from typing import TYPE_CHECKING

import pytest

from perfagent.instruments.tornado import template
from tests.otlp import Receiver
from tests.web import Web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunText


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with Receiver() as receiver:
        web = Web(receiver, tmp_path_factory.mktemp("server"), "python", "-m", "tests.apps.tornado_app", "PORT")
        yield web
        web.program.stop()
        assert "perfagent:" not in web.program.stderr


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/items/7", "/items/{0}"),
        ("/generated/x", "/generated/{name}"),
        ("/generated", "/generated"),
        ("/gone", "/gone"),
        ("/moved", "/moved"),
    ],
)
def test_a_request_is_named_by_its_pattern(server: Web, path: str, route: str) -> None:
    server.ask(path)
    span = server.server_span(path)
    assert (span.attributes["http.route"], span.name) == (route, f"GET {route}")


def test_patterns_of_other_hosts_are_known_too(server: Web) -> None:
    assert server.ask("/items/a/b.txt", Host="elsewhere.test").status == 500  # the handler takes one argument
    assert server.server_span("/items/a/b.txt").attributes["http.route"] == "/items/{0}/{1}.txt"


@pytest.mark.parametrize(
    ("pattern", "route"),
    [
        (r"/items/(?P<number>[0-9]+)$", "/items/{number}"),
        (r"^/a/([^/()]+)/(b(c)d)?$", "/a/{0}/{1}"),
        (r"/api/(?:v1|v2)/(\(\d+\))", "/api/(?:v1|v2)/{0}"),
        (r"/", "/"),
    ],
)
def test_a_pattern_becomes_a_template(pattern: str, route: str) -> None:
    assert template(pattern) == route


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("BREW", "/items/9", 405)])
def test_what_nobody_handles_is_a_request_too(server: Web, method: str, path: str, status: int) -> None:
    assert server.ask(path, method).status == status
    span = server.server_span(path)
    assert ("http.route" in span.attributes, span.status.code) == (status == 405, "UNSET")
    assert span.attributes["http.response.status_code"] == status


def test_the_caller_is_its_parent_and_its_queries_are_its_children(server: Web) -> None:
    server.ask("/items/10?secret=1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01", User_Agent="tests")
    span = server.server_span("/items/10")
    assert (span.trace_id, span.parent_id) == ("a" * 32, "b" * 16)
    assert server.child(span).kind == "CLIENT"
    assert span.attributes == {
        "http.request.method": "GET", "url.scheme": "http", "http.route": "/items/{0}", "url.path": "/items/10",
        "http.response.status_code": 200, "network.protocol.version": "1.1", "server.address": "127.0.0.1",
        "server.port": server.port, "user_agent.original": "tests", "client.address": "127.0.0.1",
    }  # fmt: skip
    asked = {"http.route": "/items/{0}", "http.response.status_code": 200}
    server.receiver.wait_for_metric(
        "http.server.response.body.size", where=lambda point: asked.items() <= point.attributes.items()
    )


def test_a_coroutine_of_tornado_s_own_kind_keeps_its_span(server: Web) -> None:
    assert server.ask("/generated/kept").body == b"kept 1"  # type: ignore[attr-defined]
    assert server.child(server.server_span("/generated/kept")).kind == "CLIENT"


def test_a_stream_is_measured_to_its_last_byte(server: Web) -> None:
    assert server.ask("/stream").body == b"first 1"  # type: ignore[attr-defined]
    span = server.server_span("/stream")
    assert span.end - span.start >= 200_000_000
    assert server.child(span).kind == "CLIENT"


def test_a_response_that_nobody_reads_is_not_sent_yet(server: Web) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
        assert client.recv(8) == b"HTTP/1.1"
        server.ask("/items/13")
        between = server.server_span("/items/13")
        assert not server.spans_of("/large")
        client.settimeout(10)
        left = 20_000_000
        while left > 0:
            left -= len(client.recv(1 << 20))
    assert server.server_span("/large").end > between.end


def test_an_unhandled_exception_is_recorded_once_with_its_type(server: Web) -> None:
    assert server.ask("/boom").status == 500
    span = server.server_span("/boom")
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("LookupError", 500)
    (event,) = span.events
    assert event.attributes["exception.message"] == "nobody handles it"


def test_what_tornado_logs_of_a_request_names_its_trace(server: Web) -> None:
    server.ask("/boom", traceparent=f"00-{'c' * 32}-{'d' * 16}-01")
    server.program.wait_for_output(f"tornado.access {'c' * 32} 500 GET /boom")
    assert f"tornado.application {'c' * 32} Uncaught exception GET /boom" in server.program.stderr


@pytest.mark.parametrize(
    ("path", "status", "code"), [("/gone", 410, "UNSET"), ("/unavailable", 503, "ERROR"), ("/finished", 202, "UNSET")]
)
def test_an_answer_that_is_raised_is_an_answer(server: Web, path: str, status: int, code: str) -> None:
    assert server.ask(path).status == status
    span = server.server_spans(path)[-1]
    assert (span.attributes["http.response.status_code"], span.status.code, len(span.events)) == (status, code, 0)


@pytest.mark.parametrize("path", ["/uploaded", "/streamed"])
def test_uploads_arrive_whole(server: Web, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", path, body=b"x" * 300_000)
    assert connection.getresponse().read() == b"300000"
    connection.close()
    span = server.server_span(path)
    assert span.name == f"POST {path}"
    if path == "/uploaded":
        assert server.child(span).kind == "CLIENT"  # of on_finish


def test_a_handler_that_is_answered_later_lasts_until_then(server: Web) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /polled HTTP/1.1\r\nHost: here\r\n\r\n")
        server.ask("/items/14")
        server.server_span("/items/14")
        assert not server.spans_of("/polled")
        server.ask("/notify")
        assert client.recv(8) == b"HTTP/1.1"
    notify, polled = server.server_span("/notify"), server.server_span("/polled")
    assert polled.start < notify.start < polled.end
    assert polled.trace_id != notify.trace_id
    assert polled.attributes["http.response.status_code"] == 200


def test_a_client_that_leaves_ends_a_request_that_waits(server: Web) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /polled?left HTTP/1.1\r\nHost: here\r\n\r\n")
        server.ask("/items/15")
        server.server_span("/items/15")
        before = len(server.spans_of("/polled"))
    span = server.server_spans("/polled", before + 1)[-1]
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
    query = server.child(span)
    assert query.end <= span.end


def test_every_request_of_a_kept_connection_had_one_span(server: Web) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for _ in range(20):
        connection.request("GET", "/items/20")
        assert connection.getresponse().read()
    connection.close()
    spans = server.server_spans("/items/20", 20)
    server.receiver.wait_until_quiet(0.3)
    assert len(server.spans_of("/items/20")) == 20
    assert len({span.trace_id for span in spans}) == 20


def test_a_handlers_class_that_nobody_has_any_more_is_gone_with_its_application(run_text: RunText) -> None:
    run_text(
        """
        import asyncio, gc, weakref
        from tornado import httpclient, httpserver, testing, web

        async def serve():
            class Handler(web.RequestHandler):
                def get(self):
                    self.write("ok")

            listening, port = testing.bind_unused_port()
            server = httpserver.HTTPServer(web.Application([("/", Handler)]))
            server.add_socket(listening)
            client = httpclient.AsyncHTTPClient()
            await client.fetch(f"http://127.0.0.1:{port}/")
            client.close()
            server.stop()
            await server.close_all_connections()
            return weakref.ref(Handler)

        handler = asyncio.run(serve())
        gc.collect()  # once: nothing of ours is in the way of the cycle that any class is
        assert handler() is None
        """
    )
