"""HTTP clients: one span for each request sent, and the callee told of it."""

from __future__ import annotations

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.agent import agent_env
from tests.otlp import Receiver, Span
from tests.program import Program, find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunProgram, RunText

ROOT = Path(__file__).parent.parent
APP = ROOT / "tests" / "apps" / "http_calls.py"
CLIENTS = ("requests", "urllib", "urllib3", "httpx", "httpx-async", "aiohttp", "tornado")
SCOPES = {"httpx-async": "httpx", "aiohttp": "aiohttp-client", "tornado": "tornado-client"}
BODY_DELAY = 0.3  # seconds between the headers and the body of a streamed response


class Callee(BaseHTTPRequestHandler):
    """The server that is called: says what it is asked for, and remembers what it was sent."""

    protocol_version = "HTTP/1.1"
    requests: list[tuple[str, str, dict[str, str]]]
    failures: dict[str, int]

    def answer(self) -> None:
        path, _, _ = self.path.partition("?")
        self.requests.append((self.command, path, {name.lower(): value for name, value in self.headers.items()}))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = path.strip("/").split("/")
        if parts[0] == "status":
            self.reply(int(parts[1]))
        elif parts[0] == "redirect":
            left = int(parts[1]) - 1
            self.reply(302, Location=f"/redirect/{left}" if left else "/redirected")
        elif parts[0] == "failing":
            self.failures[path] = self.failures.get(path, 0) + 1
            self.reply(503 if self.failures[path] <= int(parts[1]) else 200)
        elif parts[0] == "protected" and "Authorization" not in self.headers:
            self.reply(401, **{"WWW-Authenticate": 'Digest realm="shop", nonce="abc", qop="auth"'})
        elif parts[0] == "dropped":
            self.close_connection = True
        else:
            if parts[0] == "slow":
                time.sleep(1)
            self.reply(200, delay=BODY_DELAY if parts[0] == "stream" else 0)

    def reply(self, status: int, delay: float = 0, **headers: str) -> None:
        body = b"answer"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Answer", "yes")
        self.send_header("Set-Cookie", "session=secret")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        time.sleep(delay)
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = do_BREW = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):  # a client that gave up
            self.close_connection = True


class Server:
    """A running callee."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        handler = type("Handler", (Callee,), {"requests": self.requests, "failures": {}})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def headers_of(self, path: str) -> list[dict[str, str]]:
        return [headers for _, called, headers in self.requests if called == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Run:
    """One run of the program under the agent, what it printed and what its callee saw."""

    def __init__(self, client: str, directory: Path, **env: str) -> None:
        self.client = client
        self.server = Server()
        self.refused = find_free_port()
        self.command = ("python", str(APP), client, self.server.url, str(self.refused))
        try:
            with Receiver() as self.receiver:
                measured = agent_env(self.receiver, **env)
                self.stdout = Program(("perfagent", "run", *self.command), directory, measured, ROOT).check()
                self.receiver.wait_until_quiet(0.2)
            self.callee_saw = list(self.server.requests)
            self.bare = Program(self.command, directory, None, ROOT).check()
        finally:
            self.server.close()
        self.spans = [span for span in self.receiver.spans if span.kind == "CLIENT"]

    def of(self, path: str) -> list[Span]:
        found = [span for span in self.spans if urlsplit(span.attributes["url.full"]).path == path]
        return sorted(found, key=lambda span: span.start)

    def one(self, path: str) -> Span:
        (span,) = self.of(path)
        return span

    def exported(self) -> bytes:
        bodies = [request.body for request in self.receiver.requests]
        return b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies)


@pytest.fixture(scope="module", params=CLIENTS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of each client, with headers captured and one address left out."""
    client = str(request.param)
    variable = SCOPES.get(client, client).replace("-", "_").upper()
    return Run(
        client,
        tmp_path_factory.mktemp("run"),
        OTEL_PYTHON_EXCLUDED_URLS="posted",
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST="x-kept,x-api-.*",
        OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE="x-answer,set-cookie",
        **{f"OTEL_PYTHON_{variable}_EXCLUDED_URLS": "nowhere,excluded$"},
    )


def test_a_request_has_a_span_with_what_the_conventions_ask_for(run: Run) -> None:
    span = run.one("/plain")
    captured = {name: value for name, value in span.attributes.items() if ".header." in name}
    assert {name: value for name, value in span.attributes.items() if name not in captured} == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": run.server.port,
        "url.full": f"{run.server.url}/plain",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }
    assert (span.name, span.kind, span.status.code) == ("GET", "CLIENT", "UNSET")
    assert span.scope.name == f"perfagent.{SCOPES.get(run.client, run.client)}"


def test_the_program_sees_what_it_sees_without_the_agent(run: Run) -> None:
    assert run.stdout == run.bare


def test_the_callee_is_told_of_each_span_and_of_no_other(run: Run) -> None:
    told = [headers["traceparent"] for _, path, headers in run.callee_saw if path != "/excluded"]
    spans = {f"00-{span.trace_id}-{span.span_id}-01" for span in run.spans}
    assert len(set(told)) == len(told)
    assert set(told) <= spans
    assert len(spans) == len(run.spans) == len(told) + 2  # the one that was refused, and the one of TLS


def test_a_header_of_the_programs_own_gives_way_in_the_request_alone(run: Run) -> None:
    for headers in run.server.headers_of("/headers")[:2]:
        assert "1" * 32 not in headers["traceparent"]
        assert headers["x-kept"] == "kept"


def test_methods_are_in_upper_case_and_unknown_ones_are_others(run: Run) -> None:
    posted = run.one("/posted")
    assert (posted.name, posted.attributes["http.request.method"]) == ("POST", "POST")
    other = run.one("/coffee")
    assert (other.name, other.attributes["http.request.method"]) == ("HTTP", "_OTHER")
    assert other.attributes["http.request.method_original"] == "BREW"


def test_statuses_from_400_on_are_errors(run: Run) -> None:
    for status in (404, 503):
        span = run.one(f"/status/{status}")
        assert span.attributes["http.response.status_code"] == status
        assert span.attributes["error.type"] == str(status)
        assert (span.status.code, span.status.message) == ("ERROR", "")


def test_each_redirect_has_a_span_that_says_how_many_came_before(run: Run) -> None:
    spans = run.of("/redirect/2") + run.of("/redirect/1") + run.of("/redirected")
    assert [span.attributes["http.response.status_code"] for span in spans] == [302, 302, 200]
    assert [span.attributes.get("http.request.resend_count") for span in spans] == [None, 1, 2]
    assert [span.status.code for span in spans] == ["UNSET"] * 3
    assert spans[0].end <= spans[1].start
    assert spans[1].end <= spans[2].start
    resent = {span.attributes["url.full"] for span in run.spans if "http.request.resend_count" in span.attributes}
    again = {f"{run.server.url}/dropped"}  # aiohttp does so where a connection that was kept is closed
    assert resent - again == {span.attributes["url.full"] for span in spans[1:]}


def test_a_span_ends_when_the_headers_have_arrived(run: Run) -> None:
    span = run.one("/stream")
    assert span.end - span.start < BODY_DELAY * 1e9


def test_a_timeout_is_an_error_of_its_own_type(run: Run) -> None:
    span = run.one("/slow")
    assert span.status.code == "ERROR"
    assert span.attributes["error.type"].endswith(("ReadTimeout", "TimeoutError", "ReadTimeoutError"))
    assert "http.response.status_code" not in span.attributes
    assert span.events[0].name == "exception"


@pytest.mark.parametrize("path", ["/dropped", "/refused", "/tls"])
def test_a_connection_that_fails_is_an_error(run: Run, path: str) -> None:
    spans = run.of(path)
    assert spans
    for span in spans:
        assert span.status.code == "ERROR"
        assert span.attributes["error.type"] == "ConnectionRefusedError" or "." in span.attributes["error.type"]
        assert "http.response.status_code" not in span.attributes
    if path == "/tls":
        assert spans[0].attributes["server.port"] == run.server.port
        assert "ssl" in str(spans[0].events[0].attributes).lower()


def test_headers_are_captured_as_asked_for_and_secret_ones_replaced(run: Run) -> None:
    attributes = run.of("/headers")[0].attributes
    assert attributes["http.request.header.x-kept"] == ["kept"]
    assert attributes["http.request.header.x-api-key"] == ["[REDACTED]"]
    assert attributes["http.response.header.x-answer"] == ["yes"]
    assert attributes["http.response.header.set-cookie"] == ["[REDACTED]"]
    assert "http.request.header.accept" not in attributes


def test_no_password_query_or_secret_header_leaves(run: Run) -> None:
    assert run.one("/user").attributes["url.full"] == f"{run.server.url}/user"
    exported = run.exported()
    assert b"url.full" in exported
    assert b"secret" not in exported


def test_a_clients_own_variable_of_excluded_addresses_stands_in_place_of_the_common_one(run: Run) -> None:
    assert not run.of("/excluded")
    assert "traceparent" not in run.server.headers_of("/excluded")[0]
    assert run.of("/posted")


def test_every_request_is_in_the_duration_metric(run: Run) -> None:
    def count(**attributes: object) -> int:
        return run.receiver.total("http.client.request.duration", **attributes).count

    assert count() == len(run.spans)
    assert count(http__response__status_code=302) == 2
    assert count(error__type="404") == 1
    assert count(server__port=run.refused) == 1


@pytest.fixture
def callee() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def measure(code: str, receiver: Receiver, run_program: RunProgram, callee: Server, **env: str) -> str:
    """What a program prints that calls the server at URL."""
    code = f"URL = {callee.url!r}\n{code}"
    printed = run_program("perfagent", "run", "python", "-c", code, env=agent_env(receiver, **env), cwd=ROOT).check()
    receiver.wait_until_quiet(0.2)
    return printed


def client_spans(receiver: Receiver) -> list[Span]:
    return sorted((span for span in receiver.spans if span.kind == "CLIENT"), key=lambda span: span.start)


def resends(spans: list[Span]) -> list[tuple[int | None, int | None]]:
    names = ("http.response.status_code", "http.request.resend_count")
    return [(span.attributes.get(names[0]), span.attributes.get(names[1])) for span in spans]


DIGEST = {
    "requests": """
import requests
print(requests.get(URL + "/protected", auth=requests.auth.HTTPDigestAuth("user", "secret")).status_code)
""",
    "httpx": """
import httpx
print(httpx.get(URL + "/protected", auth=httpx.DigestAuth("user", "secret"), trust_env=False).status_code)
""",
}


@pytest.mark.parametrize("client", DIGEST)
def test_a_request_sent_again_with_its_authentication_has_a_span_of_its_own(
    client: str, receiver: Receiver, run_program: RunProgram, callee: Server
) -> None:
    assert measure(DIGEST[client], receiver, run_program, callee) == "200\n"
    assert resends(client_spans(receiver)) == [(401, None), (200, 1)]


def test_each_retry_of_urllib3_has_a_span_of_its_own(
    receiver: Receiver, run_program: RunProgram, callee: Server
) -> None:
    code = """
import urllib3
retries = urllib3.Retry(5, status_forcelist=[503], backoff_factor=0)
print(urllib3.PoolManager().request("GET", URL + "/failing/2", retries=retries).status)
"""
    assert measure(code, receiver, run_program, callee) == "200\n"
    spans = client_spans(receiver)
    assert resends(spans) == [(503, None), (503, 1), (200, 2)]
    assert [span.parent_id for span in spans] == ["", "", ""]
    assert spans[0].end <= spans[1].start
    assert spans[1].end <= spans[2].start


def test_retries_below_requests_are_one_span_with_their_number(
    receiver: Receiver, run_program: RunProgram, callee: Server
) -> None:
    code = """
import requests, urllib3
session = requests.Session()
retries = urllib3.Retry(5, status_forcelist=[503], backoff_factor=0)
session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
print(session.get(URL + "/failing/2").status_code)
"""
    assert measure(code, receiver, run_program, callee) == "200\n"
    (span,) = client_spans(receiver)
    assert resends([span]) == [(200, 2)]
    assert span.scope.name == "perfagent.requests"


def test_sessions_are_subclassed_pickled_shared_and_their_requests_sent_again(
    receiver: Receiver, run_program: RunProgram, callee: Server
) -> None:
    code = """
import inspect, pickle, requests
from concurrent.futures import ThreadPoolExecutor

class Own(requests.Session):
    def send(self, request, **options):
        request.headers["X-Own"] = "yes"
        return super().send(request, **options)

session = pickle.loads(pickle.dumps(requests.Session()))
print(session.get(URL + "/pickled").status_code, Own().get(URL + "/own").request.headers["X-Own"])
request = session.prepare_request(requests.Request("GET", URL + "/again"))
before = dict(request.headers)
with ThreadPoolExecutor(4) as pool:
    print({response.status_code for response in pool.map(session.send, [request] * 20)})
print(dict(request.headers) == before, pickle.loads(pickle.dumps(session.send(request))).status_code)
print(inspect.signature(requests.adapters.HTTPAdapter.send), requests.Session.send.__module__)
"""
    printed = measure(code, receiver, run_program, callee)
    bare = run_program("python", "-c", f"URL = {callee.url!r}\n{code}", cwd=ROOT).check()
    assert printed == bare
    told = {headers["traceparent"][36:52] for headers in callee.headers_of("/again")[:21]}
    spans = [span for span in client_spans(receiver) if span.attributes["url.full"].endswith("/again")]
    assert len(spans) == 21
    assert told == {span.span_id for span in spans}
    assert not [span for span in spans if "http.request.resend_count" in span.attributes]


def test_adapters_and_transports_that_answer_themselves_still_do(
    receiver: Receiver, run_program: RunProgram, callee: Server
) -> None:
    code = """
import httpx, requests
from unittest import mock

class Adapter(requests.adapters.BaseAdapter):
    def send(self, request, **options):
        response = requests.Response()
        response.status_code, response.request, response.url = 299, request, request.url
        return response
    def close(self):
        pass

session = requests.Session()
session.mount("http://", Adapter())
print(session.get("http://elsewhere/a").status_code)
with mock.patch("requests.adapters.HTTPAdapter.send", lambda *a, **o: Adapter().send(a[1])):
    print(requests.get("http://elsewhere/b").status_code)

hooked = []
hooks = {
    "request": [lambda request: hooked.append(request.method)],
    "response": [lambda response: hooked.append(response.status_code)],
}
def answer(request):
    return httpx.Response(298, json={"traced": "traceparent" in request.headers, "sent": request.content.decode()})
with httpx.Client(transport=httpx.MockTransport(answer), event_hooks=hooks) as client:
    request = client.build_request("POST", "http://elsewhere/c", content=iter([b"a", b"b"]))
    response = client.send(request)
    print(response.status_code, response.json(), hooked)
    print(response.request is request, request.content, "traceparent" in request.headers)
"""
    printed = measure(code, receiver, run_program, callee)
    assert printed.splitlines() == [
        "299", "299", "298 {'traced': True, 'sent': 'ab'} ['POST', 298]", "True b'ab' False"
    ]  # fmt: skip
    assert [span.attributes["url.full"] for span in client_spans(receiver)] == ["http://elsewhere/c"]


IN_PROCESS = """
import asyncio, os
import httpx, redis.asyncio, requests
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

cache = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])

async def inner(request):
    await cache.ping()
    requests.get(URL + "/below")
    return PlainTextResponse("inner")

async def main():
    transport = httpx.ASGITransport(Starlette(routes=[Route("/inner/{key}", inner)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        headers = {"baggage": "user=alice"}
        print([(await client.get(f"/inner/{number}", headers=headers)).text for number in (1, 2)])
    await cache.aclose()

asyncio.run(main())
"""


def test_an_application_called_in_the_process_has_its_own_span_and_hands_the_context_on(
    receiver: Receiver, run_program: RunProgram, callee: Server, redis_url: str
) -> None:
    assert measure(IN_PROCESS, receiver, run_program, callee, REDIS_URL=redis_url) == "['inner', 'inner']\n"
    servers = [span for span in receiver.spans if span.kind == "SERVER"]
    assert [span.name for span in servers] == ["GET /inner/{key}"] * 2
    for span in servers:
        (caller,) = [other for other in receiver.spans if other.span_id == span.parent_id]
        assert (caller.kind, caller.scope.name, caller.parent_id) == ("CLIENT", "perfagent.httpx", "")
        below = receiver.children(span)
        assert [child.scope.name for child in below] == ["perfagent.redis", "perfagent.requests"]
    assert len({span.trace_id for span in servers}) == 2
    for headers in callee.headers_of("/below"):
        assert headers["baggage"] == "user=alice"
        assert headers["traceparent"][3:35] in {span.trace_id for span in servers}


def test_aiohttps_own_trace_configs_websockets_and_warnings_stay_as_they_are(
    receiver: Receiver, run_program: RunProgram, callee: Server
) -> None:
    code = """
import asyncio, inspect, warnings
import aiohttp
from aiohttp import web

async def socket(request):
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    await answer.send_str("hello")
    await answer.close()
    return answer

async def main():
    app = web.Application()
    app.router.add_get("/socket", socket)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    seen = []
    config = aiohttp.TraceConfig()
    async def started(session, context, params): seen.append((params.method, params.url.path, sorted(params.headers)))
    async def redirected(session, context, params): seen.append("redirected")
    async def ended(session, context, params): seen.append(params.response.status)
    config.on_request_start.append(started)
    config.on_request_redirect.append(redirected)
    config.on_request_end.append(ended)
    async with aiohttp.ClientSession(trace_configs=[config], headers={"X-Session": "1"}) as session:
        async with session.get(URL + "/redirect/1") as response:
            print(response.status, len(response.history), seen, len(session.trace_configs))
        print(sorted(session.headers))
        async with session.ws_connect(f"http://127.0.0.1:{port}/socket") as ws:
            print((await ws.receive()).data)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            async with session.get(URL + "/warned", auth=aiohttp.BasicAuth("user", "secret")):
                pass
        print({warning.filename for warning in caught})
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(0.2)) as session:
        try:
            await session.get("http://10.255.255.1/unreachable")
        except Exception as error:
            print(type(error).__mro__[-4].__name__)
    print(inspect.iscoroutinefunction(aiohttp.ClientResponse.start))
    await runner.cleanup()

asyncio.run(main())
"""
    printed = measure(code, receiver, run_program, callee)
    bare = run_program("python", "-c", f"URL = {callee.url!r}\n{code}", cwd=ROOT).check()
    assert printed == bare
    assert "hello" in printed
    by_path = {urlsplit(span.attributes["url.full"]).path: span for span in client_spans(receiver)}
    assert by_path["/socket"].attributes["http.response.status_code"] == 101
    assert by_path["/redirected"].attributes["http.request.resend_count"] == 1
    assert "http.request.resend_count" not in by_path["/warned"].attributes


def test_aiohttps_connector_takes_a_tests_mock_of_a_request_as_without_us(run_text: RunText) -> None:
    run_text(
        """
        import asyncio
        from unittest.mock import AsyncMock, Mock, create_autospec
        import aiohttp

        async def main():
            connector = aiohttp.BaseConnector(force_close=True, limit=1)
            for request in (Mock(), create_autospec(aiohttp.ClientRequest, spec_set=True)):
                protocol = Mock(should_close=True)
                connector._create_connection = AsyncMock(return_value=protocol)
                connection = await connector.connect(request, [], aiohttp.ClientTimeout())
                assert connection.protocol is protocol
                waiting = asyncio.create_task(connector._wait_for_available_connection("a key", []))
                await asyncio.sleep(0)
                waiting.cancel()
                try:
                    await waiting
                except asyncio.CancelledError:
                    pass
                connection.close()
            await connector.close()

        asyncio.run(main())
        """
    )


def test_a_wrong_expression_of_excluded_addresses_is_reported_and_the_others_serve(
    receiver: Receiver, run_program: RunProgram, callee: Server
) -> None:
    code = "import requests; print([requests.get(URL + path).status_code for path in ('/one', '/two')])"
    env = agent_env(receiver, OTEL_PYTHON_REQUESTS_EXCLUDED_URLS="(,two")
    program = run_program("perfagent", "run", "python", "-c", f"URL = {callee.url!r}; {code}", env=env)
    assert program.check() == "[200, 200]\n"
    assert program.stderr.count("OTEL_PYTHON_REQUESTS_EXCLUDED_URLS='('") == 1
    receiver.wait_until_quiet(0.2)
    assert [span.attributes["url.full"] for span in client_spans(receiver)] == [f"{callee.url}/one"]


def test_the_servers_variables_leave_requests_to_it_out(
    receiver: Receiver, run_program: RunProgram, callee: Server, redis_url: str
) -> None:
    excluded = {"OTEL_PYTHON_STARLETTE_EXCLUDED_URLS": "inner/1", "OTEL_PYTHON_EXCLUDED_URLS": "nothing"}
    measure(IN_PROCESS, receiver, run_program, callee, REDIS_URL=redis_url, **excluded)
    (span,) = [span for span in receiver.spans if span.kind == "SERVER"]
    assert span.attributes["url.path"] == "/inner/2"


def test_perfagents_own_exports_are_no_spans(receiver: Receiver, run_program: RunProgram, callee: Server) -> None:
    code = "import http.client, requests; print(requests.get(URL + '/one').status_code)"
    measure(code, receiver, run_program, callee)
    assert len(receiver.spans) == 1
    assert all("traceparent" not in {name.lower() for name in request.headers} for request in receiver.requests)
