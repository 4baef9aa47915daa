"""WSGI: one server span a request under every server, ended at the right moment, and nothing left behind."""

from __future__ import annotations

import importlib.util
import socket
import sys
from typing import TYPE_CHECKING
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest

from perfagent.instruments import wsgi
from perfagent.runtime.context import baggage, current
from perfagent.runtime.http import ServerSpan
from tests.apps import wsgi_app
from tests.otlp import Receiver
from tests.web import Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from tests.web import StartWeb

GUNICORN = ("gunicorn", "tests.apps.wsgi_app:app", "-b", "127.0.0.1:PORT", "--no-control-socket", "-k")
OWN = ("python", "-m", "tests.apps.wsgi_app")
SERVERS = {
    "gunicorn sync": (*GUNICORN, "sync"),
    "gunicorn gthread": (*GUNICORN, "gthread", "--threads", "2"),
    "gunicorn gevent": (*GUNICORN, "gevent"),
    "werkzeug": (*OWN, "werkzeug", "PORT"),
    "wsgiref": (*OWN, "wsgiref", "PORT"),
    "waitress": (*OWN, "waitress", "PORT"),
}
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    for library in ("gevent", "waitress"):
        if library in request.param and importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    with Receiver() as receiver:
        web = Web(receiver, tmp_path_factory.mktemp("server"), *SERVERS[request.param])
        web.kind = request.param  # type: ignore[attr-defined]
        yield web
        web.program.stop()
        assert "perfagent:" not in web.program.stderr


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with Receiver() as receiver:
        web = Web(receiver, tmp_path_factory.mktemp("server"), *SERVERS["gunicorn gthread"])
        yield web
        web.program.stop()


def test_a_request_has_the_attributes_of_the_semantic_conventions(server: Web) -> None:
    assert server.ask("/plain/caf%C3%A9?token=secret", User_Agent="tester/1").status == 200
    span = server.server_span("/plain/café")
    assert isinstance(span.attributes.pop("client.port", 1), int)
    version = span.attributes.pop("network.protocol.version")
    assert version in ("1.1", "1.0")
    assert span.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/plain/café",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "client.address": "127.0.0.1",
        "user_agent.original": "tester/1",
    }
    assert (span.name, span.status.code, span.parent_id) == ("GET", "UNSET", "")


def test_a_streamed_response_is_measured_to_its_last_chunk_and_is_the_parent_of_what_it_does(server: Web) -> None:
    assert server.ask("/stream").body == b"one two"  # type: ignore[attr-defined]
    span = server.server_span("/stream")
    query = server.child(span)
    assert span.start <= query.start <= query.end <= span.end
    assert span.attributes["http.response.status_code"] == 200


def test_the_close_of_a_body_runs_within_the_request(server: Web) -> None:
    assert server.ask("/closing").body == b"abc"  # type: ignore[attr-defined]
    assert server.child(server.server_span("/closing")).name == "SELECT"


def test_an_exception_before_the_response_is_recorded_with_the_500_that_the_server_answers(server: Web) -> None:
    for path in ("/fails", "/fails_late"):
        assert server.ask(path).status == 500
        span = server.server_span(path)
        assert span.attributes["http.response.status_code"] == 500
        assert span.attributes["error.type"] == "LookupError"
        assert span.status.code == "ERROR"
        (event,) = span.events
        assert event.attributes["exception.type"] == "LookupError"


def test_an_exception_in_the_midst_of_a_body_is_recorded_and_the_status_stays_the_one_that_was_sent(
    server: Web,
) -> None:
    assert server.ask("/breaks").status == 200
    span = server.server_span("/breaks")
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["error.type"] == "LookupError"
    assert span.status.code == "ERROR"


def test_a_head_request_has_no_body_and_a_span(server: Web) -> None:
    assert server.ask("/plain/head", "HEAD").body == b""  # type: ignore[attr-defined]
    assert server.server_span("/plain/head").name == "HEAD"


def test_a_file_arrives_whole(server: Web) -> None:
    with open(wsgi_app.__file__, "rb") as source:
        assert server.ask("/file").body == source.read()  # type: ignore[attr-defined]
    assert server.server_span("/file").attributes["http.response.status_code"] == 200


def test_a_sized_body_still_gets_its_content_length_from_the_server(server: Web) -> None:
    response = server.ask("/unsized")
    assert response.body == b"four"  # type: ignore[attr-defined]
    computes = server.kind in ("wsgiref", "waitress")  # type: ignore[attr-defined]
    assert response.headers["Content-Length"] == ("4" if computes else None)
    assert server.server_span("/unsized")


def test_the_write_callable_and_a_corrected_status_work_as_before(server: Web) -> None:
    assert server.ask("/written").body == b"by hand"  # type: ignore[attr-defined]
    assert server.ask("/corrected").status == 503
    assert server.server_span("/written").attributes["http.response.status_code"] == 200
    assert server.server_span("/corrected").attributes["http.response.status_code"] == 503


def test_the_program_sees_nothing_of_us_in_the_environ(server: Web) -> None:
    assert server.ask("/seen").body == b""  # type: ignore[attr-defined]


def test_a_client_that_goes_away_ends_the_request(gunicorn: Web) -> None:
    with socket.create_connection(("127.0.0.1", gunicorn.port)) as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: here\r\n\r\n")
        assert client.recv(100)
    span = gunicorn.server_span("/endless")
    assert span.attributes["http.response.status_code"] == 200
    assert "error.type" not in span.attributes


def test_what_a_proxy_told_the_program_is_what_the_span_says(gunicorn: Web) -> None:
    gunicorn.ask("/proxied")
    attributes = gunicorn.server_span("/proxied").attributes
    assert attributes["client.address"] == "203.0.113.7"
    assert attributes["server.address"] == "shop.example"
    assert attributes["server.port"] == 443
    assert attributes["url.scheme"] == "https"


def test_an_environ_that_a_middleware_copied_is_still_the_same_request(gunicorn: Web) -> None:
    assert gunicorn.ask("/copied").body == b"copied"  # type: ignore[attr-defined]
    assert gunicorn.server_span("/copied").attributes["http.route"] == "/copied"
    gunicorn.receiver.wait_until_quiet(0.3)
    assert len(gunicorn.spans_of("/copied")) == 1


def test_a_request_without_a_host_has_the_servers_own_address(gunicorn: Web) -> None:
    with socket.create_connection(("127.0.0.1", gunicorn.port)) as client:
        client.sendall(b"GET /plain/old HTTP/1.0\r\n\r\n")
        assert client.recv(100)
    attributes = gunicorn.server_span("/plain/old").attributes
    assert attributes["server.port"] == gunicorn.port
    assert attributes["network.protocol.version"] == "1.0"


def test_a_request_joins_its_callers_trace(gunicorn: Web) -> None:
    gunicorn.ask("/plain/joined", traceparent=f"00-{TRACE}-{CALLER}-01", tracestate="a=1")
    span = gunicorn.server_span("/plain/joined")
    assert (span.trace_id, span.parent_id, span.trace_state) == (TRACE, CALLER, "a=1")


@pytest.mark.parametrize(
    "header",
    [
        "", "-", "00-", "é" * 55, "00-" + "0" * 32 + f"-{CALLER}-01", f"00-{TRACE.upper()}-{CALLER}-01", "x" * 60_000,
        f"00-{TRACE}-{CALLER}-01, 00-{TRACE}-{CALLER}-01", "\x00\xff", f"ff-{TRACE}-{CALLER}-01",
    ],
)  # fmt: skip
def test_a_hostile_header_is_as_if_it_had_not_come(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFAGENT_STRICT", "true")
    span = _serve(wsgi_app.plain, HTTP_TRACEPARENT=header, HTTP_TRACESTATE=header, HTTP_BAGGAGE=header * 20)
    assert (span.status, span.parent_id) == (200, None)


def test_headers_are_kept_only_where_the_settings_ask_for_them_and_secrets_never(
    start_web: StartWeb,
) -> None:
    env = {
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-tenant,content-type,authorization",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "X-Answer,set-cookie",
        "OTEL_PYTHON_EXCLUDED_URLS": "plain/health",
        "PERFAGENT_CAPTURE_URL_QUERY": "true",
    }
    web = start_web(*SERVERS["gunicorn sync"], **env)
    web.ask("/plain/health")
    web.ask("/plain?a=1", X_Tenant="blue", X_Other="1", Authorization="Bearer t", Content_Type="text/x")
    attributes = web.server_span("/plain").attributes
    assert {key: value for key, value in attributes.items() if ".header." in key} == {
        "http.request.header.x-tenant": ["blue"],
        "http.request.header.content-type": ["text/x"],
        "http.request.header.authorization": ["[REDACTED]"],
        "http.response.header.x-answer": ["42"],
        "http.response.header.set-cookie": ["[REDACTED]"],
    }
    assert attributes["url.query"] == "a=1"
    assert web.spans_of("/plain/health") == []


def test_the_metrics_count_every_request_once(receiver: Receiver, start_web: StartWeb) -> None:
    web = start_web(*SERVERS["gunicorn gthread"])
    for path in ("/plain", "/plain", "/missing", "/stream", "/breaks"):
        web.ask(path)
    web.ask("/plain", "HEAD")
    assert web.program.terminate() == 0
    by_status = {200: 5, 404: 1}
    for status, count in by_status.items():
        total = receiver.total("http.server.request.duration", http__response__status_code=status)
        assert total.count == count
    sizes = receiver.total("http.server.response.body.size", http__request__method="GET")
    assert (sizes.count, sizes.sum) == (2, 4)
    assert {point.value for point in receiver.metric("http.server.active_requests")[-2:]} == {0}


# What follows runs in the tests' own process, where a thread's context can be looked at.


def _serve(app: Callable[..., Any], close: bool = True, **environ: object) -> ServerSpan:
    """Answers one request in this thread; returns its span."""
    seen: list[ServerSpan] = []

    def watching(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        seen.append(current.get())  # type: ignore[arg-type]
        return app(environ, start)

    setup_testing_defaults(environ)
    body = wsgi.call(wsgi.instrument.scope, watching, environ, lambda status, headers, exc_info=None: None)
    if close:
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()
    else:
        next(iter(body), None)
    return seen[0]


@pytest.mark.parametrize("name", ["plain", "unsized", "stream", "closing"])
@pytest.mark.parametrize("close", [True, False])
def test_nothing_is_left_in_the_thread_and_the_span_ends_even_where_the_server_does_not_close(
    name: str, close: bool
) -> None:
    span = _serve(wsgi_app.ROUTES[name], close, HTTP_BAGGAGE="tenant=blue")
    assert current.get() is None
    assert baggage.get() == ""
    assert span.ended
    assert _serve(wsgi_app.ROUTES[name]).parent_id is None


def test_nothing_is_left_in_the_thread_after_an_exception() -> None:
    with pytest.raises(LookupError):
        _serve(wsgi_app.fails, HTTP_BAGGAGE="tenant=blue")
    assert current.get() is None
    assert baggage.get() == ""


def test_the_callers_baggage_is_there_for_the_whole_request_and_no_longer() -> None:
    seen: list[str] = []

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterator[bytes]:
        start("200 OK", [])
        seen.append(baggage.get())
        yield b"a"
        seen.append(baggage.get())

    _serve(app, HTTP_BAGGAGE="tenant=blue")
    _serve(app)
    assert seen == ["tenant=blue", "tenant=blue", "", ""]


def test_a_span_that_a_body_opens_stays_current_in_its_next_step() -> None:
    found: list[object] = []

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterator[bytes]:
        start("200 OK", [])
        inner = ServerSpan(wsgi.instrument.scope, current.get(), "GET", "http", "/", "", "", "", None)
        token = current.set(inner)
        yield b"a"
        found.append(current.get() is inner)
        current.reset(token)
        yield b"b"
        found.append(current.get() is not inner)

    _serve(app)
    assert found == [True, True]


def test_a_body_stays_what_the_server_knows_it_by(tmp_path: Any) -> None:
    environ: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper}
    setup_testing_defaults(environ)
    mark = object()

    def answer(body: Any) -> tuple[Any, ServerSpan]:
        span: list[Any] = []

        def app(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
            span.append(current.get())
            start("200 OK", [])
            return body

        return wsgi.call(wsgi.instrument.scope, app, environ, lambda *_: None), span[0]

    for body in (mark, None, b"bytes", "text"):
        given, span = answer(body)
        assert given is body
        assert span.ended
    for body in ([b"a", b"b"], (b"a",)):
        given, span = answer(body)
        assert given == body
        assert isinstance(given, type(body))
        assert (len(given), span.ended) == (len(body), 0)
        given.close()
        assert span.ended
    with open(__file__, "rb") as source:
        wrapper = FileWrapper(source)
        own = wrapper.close
        given, span = answer(wrapper)
        assert given is wrapper
        assert not span.ended
        given.close()
        assert source.closed
    assert span.ended
    assert wrapper.close == own


def test_a_body_shows_the_attributes_of_the_programs_own() -> None:
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    body = wsgi.call(wsgi.instrument.scope, wsgi_app.closing, environ, lambda *_: None)
    assert body.size == 3  # type: ignore[attr-defined]


def test_the_protocol_is_kept_as_the_standard_librarys_validator_wants_it() -> None:
    from io import BytesIO
    from wsgiref.validate import validator

    for name in ("plain", "unsized", "stream", "closing"):
        environ: dict[str, Any] = {"SCRIPT_NAME": "", "PATH_INFO": f"/{name}", "QUERY_STRING": ""}
        setup_testing_defaults(environ)
        measured = validator(wsgi.Measured(wsgi_app.check_output, wsgi.instrument.scope))
        output = BytesIO()
        SimpleHandler(BytesIO(), output, sys.stderr, environ).run(measured)
        assert output.getvalue().startswith(b"HTTP/1.0 200 OK"), output.getvalue()


def test_a_library_is_as_before_once_the_instrument_is_taken_out() -> None:
    from wsgiref import handlers

    before = handlers.BaseHandler.run
    instrument = wsgi.Wsgi()
    instrument.apply(handlers)
    assert handlers.BaseHandler.run is not before
    instrument.unpatch()
    assert handlers.BaseHandler.run is before
