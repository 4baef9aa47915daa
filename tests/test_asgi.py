"""ASGI, Starlette and FastAPI: one server span a request, ended at the right moment, with the right children."""

from __future__ import annotations

import http.client
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.agent import agent_env
from tests.otlp import Receiver, Span
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunText

ROOT = Path(__file__).parent.parent


class Server:
    """The program of these tests, its address and what it has sent."""

    def __init__(self, receiver: Receiver, directory: Path, **env: str) -> None:
        self.receiver = receiver
        self.port = find_free_port()
        command = (
            "perfagent",
            "run",
            "uvicorn",
            "tests.apps.asgi_app:app",
            "--port",
            str(self.port),
            "--no-access-log",
        )
        self.program = Program(command, directory, agent_env(receiver, **env), cwd=ROOT)
        self.program.wait_for_port(self.port)

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def server_span(self, path: str) -> Span:
        (span,) = self.receiver.wait_for_spans(
            1, where=lambda span: span.kind == "SERVER" and span.attributes["url.path"] == path
        )
        return span

    def children(self, parent: Span, count: int) -> list[Span]:
        return self.receiver.wait_for_spans(count, where=lambda span: span.parent_id == parent.span_id)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Receiver() as receiver:
        server = Server(receiver, tmp_path_factory.mktemp("server"))
        yield server
        server.program.stop()
        assert "perfagent:" not in server.program.stderr


def test_a_request_has_the_attributes_of_the_semantic_conventions(server: Server) -> None:
    assert server.get("/api/things/7?token=secret", **{"User-Agent": "tester/1"})[0] == 200
    span = server.server_span("/api/things/7")
    assert span.name == "GET /api/things/{thing}"
    client_port = span.attributes.pop("client.port")
    assert isinstance(client_port, int)
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/api/things/{thing}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/api/things/7",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "client.address": "127.0.0.1",
        "user_agent.original": "tester/1",
    }
    assert span.status.code == "UNSET"
    assert "secret" not in repr(span)
    (child,) = server.children(span, 1)
    assert child.trace_id == span.trace_id
    assert child.attributes["db.query.text"] == "select ?"


def test_a_mounted_application_adds_its_route_and_no_second_span(server: Server) -> None:
    assert server.get("/mounted/deep/2/item/5") == (200, b"5")
    span = server.server_span("/mounted/deep/2/item/5")
    assert span.attributes["http.route"] == "/mounted/deep/{level}/item/{item}"
    server.children(span, 1)
    assert not [other for other in server.receiver.spans if other.parent_id == span.span_id and other.kind == "SERVER"]


def test_a_path_without_a_route_is_named_by_its_method_alone(server: Server) -> None:
    assert server.get("/no/such/path")[0] == 404
    span = server.server_span("/no/such/path")
    assert span.name == "GET"
    assert "http.route" not in span.attributes
    assert span.status.code == "UNSET"


def test_a_synchronous_endpoint_in_the_thread_pool_has_its_queries_below_it(server: Server) -> None:
    server.get("/sync")
    server.children(server.server_span("/sync"), 1)


def test_tasks_threads_and_to_thread_keep_the_parent(server: Server) -> None:
    server.get("/gather")
    span = server.server_span("/gather")
    assert len(server.children(span, 4)) == 4


def test_a_stream_ends_its_span_with_the_last_chunk(server: Server) -> None:
    assert server.get("/stream") == (200, b"012")
    span = server.server_span("/stream")
    assert span.end - span.start >= 150e6
    assert len(server.children(span, 3)) == 3


def test_a_background_task_does_not_stretch_the_span_and_is_its_child(server: Server) -> None:
    server.get("/background")
    span = server.server_span("/background")
    (child,) = server.children(span, 1)
    assert child.start > span.end
    assert span.end - span.start < 400e6


def test_an_exception_is_an_event_and_an_error_status(server: Server) -> None:
    assert server.get("/boom")[0] == 500
    span = server.server_span("/boom")
    assert span.status.code == "ERROR"
    assert span.attributes["error.type"] == "ValueError"
    assert span.attributes["http.response.status_code"] == 500
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "ValueError"
    assert "asgi_app.py" in event.attributes["exception.stacktrace"]


def test_a_server_error_without_an_exception_is_an_error(server: Server) -> None:
    assert server.get("/fail")[0] == 503
    span = server.server_span("/fail")
    assert span.status.code == "ERROR"
    assert span.attributes["error.type"] == "503"
    assert span.events == ()


def test_head_and_file_responses_are_measured(server: Server) -> None:
    assert server.get("/file")[1] == (ROOT / "tests/apps/asgi_app.py").read_bytes()
    server.server_span("/file")
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("HEAD", "/only-head")
    assert connection.getresponse().status == 404
    assert server.server_span("/only-head").attributes["http.request.method"] == "HEAD"


def test_a_method_nobody_knows_is_other(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("PROPFIND", "/pot")
    connection.getresponse().read()
    span = server.server_span("/pot")
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "PROPFIND"


def test_a_websocket_is_one_span_from_accept_to_close(server: Server) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/ws/blue") as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
        with pytest.raises(ConnectionClosed):
            ws.recv()
    span = server.server_span("/ws/blue")
    assert span.attributes["http.route"] == "/ws/{room}"
    assert span.attributes["http.response.status_code"] == 101
    assert span.attributes["url.scheme"] == "ws"
    server.children(span, 1)


def test_the_callers_trace_goes_on_with_its_state_and_sampling(server: Server) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    server.get("/hello?kept", traceparent=f"00-{trace}-b7ad6b7169203331-01", tracestate="congo=t61rcWkgMzE,rojo=1")
    (span,) = server.receiver.wait_for_spans(1, where=lambda span: span.trace_id == trace)
    assert span.parent_id == "b7ad6b7169203331"
    assert span.trace_state == "congo=t61rcWkgMzE,rojo=1"
    unsampled = "1bf7651916cd43dd8448eb211c80319c"
    server.get("/hello?dropped", traceparent=f"00-{unsampled}-b7ad6b7169203331-00")
    last = "2cf7651916cd43dd8448eb211c80319c"
    server.get("/hello?after", traceparent=f"00-{last}-b7ad6b7169203331-01")
    server.receiver.wait_for_spans(1, where=lambda span: span.trace_id == last)
    assert not [span for span in server.receiver.spans if span.trace_id == unsampled]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        "x" * 60_000,
        "00-zzf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "\xff\xfe",
    ],
)
def test_a_hostile_traceparent_starts_a_new_trace(header: str, server: Server) -> None:
    path = f"/hostile/{abs(hash(header))}"
    if server.get(path, traceparent=header)[0] == 404:  # uvicorn itself refuses the longest
        assert server.server_span(path).parent_id == ""
    assert server.get("/hello")[0] == 200


def test_hostile_header_bytes_and_a_megabyte_of_baggage_do_no_harm(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(
            b"GET /hello?raw HTTP/1.1\r\nHost: \xff\xfe\r\nUser-Agent: \xc3\x28\xff\r\nbaggage: "
            + b"k=" + b"v" * 50_000 + b"\r\ntracestate: \xff=1\r\nConnection: close\r\n\r\n"
        )  # fmt: skip
        answer = b""
        while part := raw.recv(65536):
            answer += part
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 431", b"HTTP/1.1 400"))
    assert server.get("/hello")[0] == 200


def test_a_client_that_goes_away_leaves_one_finished_span(server: Server) -> None:
    raw = socket.create_connection(("127.0.0.1", server.port))
    raw.sendall(b"GET /stream?gone HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.06)
    raw.close()
    spans = server.receiver.wait_for_spans(
        1, where=lambda span: span.kind == "SERVER" and span.attributes.get("server.address") == "x"
    )
    assert len(spans) == 1


def test_the_requests_counted_are_the_requests_made(receiver: Receiver, tmp_path: Path) -> None:
    server = Server(receiver, tmp_path, OTEL_METRIC_EXPORT_INTERVAL="60000")
    for _ in range(25):
        server.get("/hello")
    for _ in range(5):
        server.get("/boom")
    server.program.terminate()
    counts = {
        point.attributes["http.response.status_code"]: point.count
        for point in receiver.points
        if point.name == "http.server.request.duration"
    }
    assert counts == {200: 25, 500: 5}
    (active,) = [point for point in receiver.points if point.name == "http.server.active_requests"]
    assert active.value == 0
    assert len([span for span in receiver.spans if span.kind == "SERVER"]) == 30


def test_excluded_addresses_give_neither_spans_nor_metrics(receiver: Receiver, tmp_path: Path) -> None:
    server = Server(receiver, tmp_path, OTEL_PYTHON_EXCLUDED_URLS="hel+o$,/health")
    server.get("/hello")
    server.get("/api/things/1")
    server.program.terminate()
    assert [span.attributes["url.path"] for span in receiver.spans if span.kind == "SERVER"] == ["/api/things/1"]
    assert {
        point.attributes.get("http.route") for point in receiver.points if point.name == "http.server.request.duration"
    } == {"/api/things/{thing}"}


def test_captured_headers_appear_and_secret_ones_are_redacted(receiver: Receiver, tmp_path: Path) -> None:
    server = Server(
        receiver,
        tmp_path,
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST="X-Tenant,Authorization,X-Mine",
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE="content-type",
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS="x-mine",
    )
    server.get("/hello", **{"X-Tenant": "blue", "Authorization": "Bearer s3cret", "X-Mine": "s3cret", "X-Other": "no"})
    span = server.server_span("/hello")
    assert span.attributes["http.request.header.x-tenant"] == ["blue"]
    assert span.attributes["http.request.header.authorization"] == ["[REDACTED]"]
    assert span.attributes["http.request.header.x-mine"] == ["[REDACTED]"]
    assert span.attributes["http.response.header.content-type"] == ["application/json"]
    assert "s3cret" not in repr(receiver.spans)
    assert "http.request.header.x-other" not in span.attributes
    server.program.stop()


def test_a_ratio_sampler_keeps_its_share_and_metrics_keep_all(receiver: Receiver, tmp_path: Path) -> None:
    server = Server(receiver, tmp_path, OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.3")
    for _ in range(200):
        server.get("/api/things/1")
    server.program.terminate()
    spans = [span for span in receiver.spans if span.kind == "SERVER"]
    assert 25 < len(spans) < 100
    queries = [span for span in receiver.spans if span.kind == "CLIENT"]
    assert {span.trace_id for span in queries} == {span.trace_id for span in spans}
    points = [
        point
        for point in receiver.points
        if point.name in ("http.server.request.duration", "db.client.operation.duration")
    ]
    assert max(point.count for point in points if point.name.startswith("http")) == 200
    assert max(point.count for point in points if point.name.startswith("db")) == 200


def test_the_callers_baggage_does_not_outlive_the_request_in_the_task_that_made_it() -> None:
    import asyncio
    from typing import Any

    from perfagent.instruments import asgi
    from perfagent.runtime.context import baggage, current

    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(baggage.get())

    async def requests() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"baggage", b"tenant=blue")]}
        await asgi.call(asgi.instrument.scope, app, scope, app, app)  # type: ignore[arg-type]
        seen.append(baggage.get())
        assert current.get() is None

    asyncio.run(requests())
    assert seen == ["tenant=blue", ""]


def test_headers_that_can_be_gone_through_only_once_reach_the_server() -> None:
    import asyncio
    from typing import Any

    from perfagent.instruments import asgi

    fields = [(b"content-type", b"text/plain"), (b"content-length", b"0"), (b"x-last", b"here")]
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": (field for field in fields)})
        await send({"type": "http.response.body"})

    async def send(message: Any) -> None:
        sent.extend(message.get("headers", ()))

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(asgi.call(asgi.instrument.scope, app, scope, app, send))  # type: ignore[arg-type]
    assert sent == fields


def test_a_finished_requests_memory_is_free_without_the_garbage_collector(run_text: RunText) -> None:
    """A program may have turned it off; 5000 requests of 50 KB of headers would be 250 MB."""
    told = run_text(
        """
        import asyncio, gc, resource
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        async def hello(request):
            return PlainTextResponse("hello")

        async def no_more(message):
            pass

        async def main():
            app = Starlette(routes=[Route("/", hello)])
            gc.collect()
            gc.disable()
            for number in range(5000):
                headers = [(b"x-large", b"%d" % number * 10_000)]
                scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": b""}
                await app(scope, None, no_more)
                if number % 250 == 0:
                    await asyncio.sleep(0.02)
                if number == 500:
                    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

        asyncio.run(main())
        """
    )
    assert int(told.stdout) < 100_000  # kB


@pytest.mark.parametrize("parts", ["on", "off"])
def test_what_an_application_returns_reaches_the_server_though_it_should_be_nothing(
    parts: str, run_text: RunText
) -> None:
    program = run_text(
        r"""
        import asyncio, uvicorn
        async def app(scope, receive, send):
            await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return 7
        async def main():
            server = uvicorn.Server(uvicorn.Config(app, port=0, interface="asgi3", lifespan="off", log_level="error"))
            serving = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.read()
            server.should_exit = True
            await serving
        asyncio.run(main())
        """,
        PERFAGENT_TIME_PARTS=parts,
    )
    assert "returned '7'" in program.stderr  # uvicorn blames it


def test_what_uvicorn_has_loaded_is_the_programs_until_a_server_starts(run_text: RunText) -> None:
    run_text(
        """
        import uvicorn
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

        async def app(scope, receive, send): ...

        plain = uvicorn.Config(app, interface="asgi3", proxy_headers=False)
        behind = uvicorn.Config(app, interface="asgi3", proxy_headers=True)
        for config in (plain, behind):
            config.load()
            uvicorn.Server(config)
        assert plain.loaded_app is app
        assert type(behind.loaded_app) is ProxyHeadersMiddleware
        """
    )
