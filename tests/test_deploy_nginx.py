"""deploy/nginx: a real nginx in front of two shops under the agent and of a hub."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import connect

from perfagent.hub.access import Access, secret
from tests.agent import agent_env
from tests.deploy import ROOT
from tests.hubs import Home
from tests.otlp import Receiver
from tests.program import Program, find_free_port
from tests.servers import find

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

FILES = ROOT / "deploy" / "nginx"
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Answer:
    """Status, headers by name and body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


class Proxy:
    """nginx with the files of deploy/nginx; ports, folders and the addresses of what is behind it are the test's.

    Args:
        directory: for its files and log.
        shops: ports.
        hub: port.
        trace: in place of trace.conf.
    """

    def __init__(self, directory: Path, shops: list[int], hub: int, trace: str = "trace.conf") -> None:
        self.port, self.status_port = find_free_port(), find_free_port()
        files, made = directory / "files", directory / "made"
        shutil.copytree(FILES, files)  # makes `directory`, too
        made.mkdir()
        made.chmod(0o777)  # the workers of a master that root started are `nobody`
        configuration = (files / "nginx.conf").read_text()
        for before, after in (
            ("8080", str(self.port)),
            ("8081", str(self.status_port)),
            ("/tmp/", f"{made}/"),
            ("trace.conf", trace),
        ):
            assert before in configuration
            configuration = configuration.replace(before, after)
        self.path = files / "nginx.conf"
        self.path.write_text(configuration)
        upstreams = (files / "upstreams.conf").read_text()
        (line,) = re.findall(r"^ +server shop:8000 .*\n", upstreams, re.MULTILINE)
        servers = "".join(line.replace("shop:8000", f"127.0.0.1:{port}") for port in shops)
        upstreams = upstreams.replace(line, servers).replace("hub:4318", f"127.0.0.1:{hub}")
        (files / "upstreams.conf").write_text(upstreams)
        self.directory = directory
        self.nginx = find("nginx", "apt-get install nginx")

    def __enter__(self) -> Proxy:
        self.program = Program((self.nginx, "-c", str(self.path), "-g", "daemon off;"), self.directory)
        self.program.wait_for_port(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self.program.terminate()
        self.program.stop()

    def ask(
        self, path: str, method: str = "GET", *, host: str = "", port: int = 0, body: bytes = b"", **headers: str
    ) -> Answer:
        """An answer, read to its end."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, {"Host": host or f"127.0.0.1:{self.port}", **named})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def logged(self, path: str, number: int = 1) -> list[dict[str, Any]]:
        """The lines of the access log about a path, as soon as there are so many."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            found[:] = [line for line in map(json.loads, self.program.stdout.splitlines()) if line["path"] == path]
            return len(found) >= number

        self.program.wait_until(enough, f"{path} was not logged {number} times")
        return found


class Backends:
    """Two shops under the agent with one database, a hub, and the receiver of what the shops send."""

    def __init__(self, directory: Path, receiver: Receiver) -> None:
        self.directory, self.receiver = directory, receiver
        self.ports = [find_free_port(), find_free_port()]
        self.shops = [self.start(number) for number in (0, 1)]
        self.home = Home(directory / "hub")
        env = self.home.env(PERFAGENT_HUB_ALLOWED_HOSTS="hub,hub.localhost", PERFAGENT_HUB_OPEN="never")
        self.hub = Program(("perfagent", "hub"), self._folder("hub-output"), env)
        self.hub.wait_until(lambda: self.home.found is not None, "the hub did not start")

    def _folder(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(exist_ok=True)
        return path

    def start(self, number: int) -> Program:
        """Starts a shop; the second finds the database filled."""
        env = agent_env(
            self.receiver,
            SHOP_DATABASE=str(self.directory / "shop.db"),
            OTEL_SERVICE_NAME="shop",
            OTEL_PYTHON_EXCLUDED_URLS="/health",
        )
        words = ("uvicorn", "tests.apps.shop_with_echo:app", "--port", str(self.ports[number]))
        program = Program(
            ("perfagent", "run", sys.executable, "-m", *words), self._folder(f"shop-{number}"), env, cwd=ROOT
        )
        program.wait_for_port(self.ports[number])
        return program

    def stop(self) -> None:
        """Ends them all."""
        for program in (*self.shops, self.hub):
            program.stop()

    @property
    def hub_port(self) -> int:
        """Where the hub listens."""
        return int(self.home.hub.address.rpartition(":")[2])

    def token(self, role: str = "viewer") -> str:
        """What Authorization wants of the hub."""
        return f"Bearer {Access(secret(str(self.home.folder))).token(role)}"


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    with Receiver() as receiver:
        backends = Backends(tmp_path_factory.mktemp("backends"), receiver)
        yield backends
        backends.stop()


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that nginx' workers, who are `nobody` where root runs the tests, can enter; pytest's are closed."""
    with tempfile.TemporaryDirectory(prefix="perfagent-nginx-") as path:
        os.chmod(path, 0o711)
        yield Path(path)


@pytest.fixture(scope="module")
def proxy(backends: Backends, place: Path) -> Iterator[Proxy]:
    with Proxy(place / "first", backends.ports, backends.hub_port) as proxy:
        yield proxy


def test_nginx_finds_nothing_wrong_with_the_files(proxy: Proxy) -> None:
    done = subprocess.run(
        [proxy.nginx, "-t", "-c", str(proxy.path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr, done.stderr
    assert proxy.program.stderr == ""


def test_its_status_is_for_this_machine_alone(proxy: Proxy) -> None:
    told = proxy.ask("/nginx_status", port=proxy.status_port)
    assert told.status == 200
    assert re.match(rb"Active connections: \d+ \nserver accepts handled requests\n", told.body)
    assert proxy.ask("/nginx_status").status == 404  # on the port for everybody it is a page that the shop has not
    foreign = http.client.HTTPConnection("127.0.0.1", proxy.status_port, timeout=60, source_address=("127.0.0.2", 0))
    foreign.request("GET", "/nginx_status")
    assert foreign.getresponse().status == 403
    foreign.close()


def test_the_callers_trace_goes_on_in_the_program_and_stands_in_the_log(proxy: Proxy, backends: Backends) -> None:
    assert proxy.ask("/products/7?token=secret", traceparent=CALLER).status == 200
    (span,) = backends.receiver.wait_for_spans(
        where=lambda span: span.kind == "SERVER" and span.attributes["url.path"] == "/products/7"
    )
    (line,) = proxy.logged("/products/7")
    _, trace, parent, _ = CALLER.split("-")
    assert (span.trace_id, span.parent_id) == (trace, parent)
    assert line["trace_id"] == trace
    assert (line["method"], line["status"], line["upstream_status"]) == ("GET", 200, "200")
    assert line["upstream"].rpartition(":")[2] in map(str, backends.ports)
    assert "secret" not in proxy.program.stdout


def test_without_a_caller_the_program_begins_the_trace(proxy: Proxy, backends: Backends) -> None:
    assert proxy.ask("/products/8", traceparent="00-not-one").status == 200
    (span,) = backends.receiver.wait_for_spans(
        where=lambda span: span.kind == "SERVER" and span.attributes["url.path"] == "/products/8"
    )
    assert span.parent_id == ""
    assert proxy.logged("/products/8")[0]["trace_id"] == ""


def test_where_nginx_begins_traces_each_line_of_the_log_leads_to_its_trace(
    proxy: Proxy, backends: Backends, place: Path
) -> None:
    with Proxy(place / "all", backends.ports, backends.hub_port, trace="trace-all.conf") as other:
        assert other.ask("/products/9").status == other.ask("/products/10", traceparent=CALLER).status == 200
        spans = backends.receiver.wait_for_spans(
            2,
            where=lambda span: span.kind == "SERVER" and span.attributes["url.path"] in ("/products/9", "/products/10"),
        )
        by_path = {span.attributes["url.path"]: span.trace_id for span in spans}
        assert other.logged("/products/9")[0]["trace_id"] == by_path["/products/9"] != ""
        assert other.logged("/products/10")[0]["trace_id"] == by_path["/products/10"] == CALLER.split("-")[1]


def test_a_request_has_an_id_and_a_hostile_one_is_replaced(proxy: Proxy) -> None:
    kept = proxy.ask("/products/11", X_Request_ID="order-4711.a")
    replaced = proxy.ask("/products/11", X_Request_ID='x"},{"', User_Agent='a "quoted" \\ agent')
    assert kept.headers["X-Request-ID"] == "order-4711.a"
    assert re.fullmatch(r"[0-9a-f]{32}", replaced.headers["X-Request-ID"])
    lines = proxy.logged("/products/11", 2)
    assert [line["request_id"] for line in lines] == [answer.headers["X-Request-ID"] for answer in (kept, replaced)]
    assert lines[1]["user_agent"] == 'a "quoted" \\ agent'


def test_answers_are_packed_and_carry_security_headers(proxy: Proxy) -> None:
    packed = proxy.ask("/products?category=toys", Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    wanted = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}
    assert wanted.items() <= packed.headers.items()
    assert wanted.items() <= proxy.ask("/no-such-page").headers.items()
    assert packed.headers["Server"] == "nginx"  # no version


def test_a_websocket_passes(proxy: Proxy) -> None:
    with connect(f"ws://127.0.0.1:{proxy.port}/ws/echo") as socket:
        for text in ("first", "second"):
            socket.send(text)
            assert socket.recv(timeout=60) == text


def test_the_hubs_page_opens_by_its_own_name(proxy: Proxy, backends: Backends) -> None:
    host = f"hub.localhost:{proxy.port}"
    code = Access(secret(str(backends.home.folder))).code()
    entered = proxy.ask(f"/?code={code}", host=host)
    assert entered.status == 303
    cookie = entered.headers["set-cookie"].partition(";")[0]
    assert b"<html" in proxy.ask("/", host=host, Cookie=cookie).body
    me = proxy.ask("/api/v1/performance/me", host=host, Cookie=cookie, Origin=f"http://{host}")
    assert json.loads(me.body)["data"]["role"] == "admin"
    assert proxy.ask("/api/v1/performance/me", host=host, Cookie=cookie, Origin="http://evil.example").status == 403
    assert code not in proxy.program.stdout  # it opens the page for 15 minutes


def test_the_hubs_live_values_come_one_by_one(proxy: Proxy, backends: Backends) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    headers = {"Host": "hub.localhost", "Authorization": backends.token(), "Accept-Encoding": "gzip"}
    connection.request("GET", "/api/v1/performance/realtime", headers=headers)
    stream = connection.getresponse()
    assert stream.getheader("Content-Type", "").startswith("text/event-stream")
    assert stream.getheader("Content-Encoding") is None
    arrived = []
    while (
        len(arrived) < 2
    ):  # the hub sends one each 2 s, for ever: a proxy that waits for more would not let it through
        if stream.readline() == b"event: snapshot\n":
            arrived.append(time.monotonic())
    connection.close()
    assert arrived[1] - arrived[0] > 1


def test_requests_follow_the_shops_that_live(proxy: Proxy, backends: Backends) -> None:
    for path in ("/health", "/health/ready", "/health/live"):
        assert proxy.ask(path).status == 200
    dead, alive = (f"127.0.0.1:{port}" for port in backends.ports)
    backends.shops[0].stop()
    assert [proxy.ask("/products/12").status for _ in range(20)] == [200] * 20
    lines = proxy.logged("/products/12", 20)
    assert {line["upstream"].rpartition(", ")[2] for line in lines} == {alive}
    tried = sum(dead in line["upstream"] for line in lines)
    assert 1 <= tried <= 4, "after two failures nobody is sent there for a while"
    backends.shops[1].stop()
    assert proxy.ask("/health/ready").status == 502
    backends.shops[0] = backends.start(0)
    proxy.program.wait_until(lambda: proxy.ask("/health/ready").status == 200, "the shop that came back gets nothing")
    backends.shops[1] = backends.start(1)
    proxy.program.wait_until(
        lambda: (
            proxy.ask("/products/13").status == 200
            and {line["upstream"] for line in proxy.logged("/products/13")} >= {dead, alive}
        ),
        "the second shop gets nothing after it came back",
    )


def test_a_shop_that_is_not_ready_costs_nobody_and_no_order_is_sent_twice(backends: Backends, place: Path) -> None:
    asked: list[str] = []

    class NotReady(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.command)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the base class has it so

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotReady) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shops = [server.server_port, backends.ports[0]]
        with Proxy(place / "reading", shops, backends.hub_port) as other:
            assert [other.ask("/products/15").status for _ in range(10)] == [200] * 10
            assert set(asked) == {"GET"}
        asked.clear()
        with Proxy(place / "ordering", shops, backends.hub_port) as other:
            order = {"Content_Type": "application/json"}
            answers = [other.ask("/customers/3/cart", "POST", body=b'{"product_id": 8}', **order) for _ in range(10)]
            assert {answer.status for answer in answers} == {201, 503}
            assert asked == ["POST"] * sum(answer.status == 503 for answer in answers)
        server.shutdown()


def test_one_client_alone_cannot_take_it_all(proxy: Proxy) -> None:
    with ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        statuses = list(pool.map(lambda _: proxy.ask("/products/14").status, range(400)))
        spent = time.monotonic() - began
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= 100 + 50 * (spent + 1)
    assert proxy.ask("/health").status == 200
