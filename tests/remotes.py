"""What a hub reads from: the real Collectors, Prometheus and Jaeger, a Prometheus with a past, and ones that fail."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, urlsplit

import uvicorn
from tools.stack.build import program
from tools.stack.parts import PARTS
from tools.stack.process import HOST, Process, take_port
from tools.stack.stack import Stack

from perfagent.hub.api.app import build
from perfagent.hub.control.commands import Commands
from perfagent.hub.hub import Hub
from perfagent.hub.remote.remote import Remote
from perfagent.hub.store.intake import Intake
from tests.hub import ServedHub
from tests.stack import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SCRAPE = 2  # seconds; a test does not wait for 15
EVERY = 30  # seconds between two samples of a past
MINUTE, HOUR = 60, 3600

CONFIG = f"""
global: {{ scrape_interval: {SCRAPE}s }}
otlp:
  promote_resource_attributes:
    [service.name, service.instance.id, service.version, deployment.environment.name, host.name]
storage: {{ tsdb: {{ out_of_order_time_window: 30m }} }}
"""
SCRAPED = """
scrape_configs:
  - job_name: span-metrics
    static_configs: [{ targets: ["gateway:8889", "gateway-2:8889"] }]
"""


class Remotes(Stack):
    """The stack without Alertmanager, its Prometheus scraping often and with no rules."""

    @property
    def processes(self) -> list[Process]:
        """What is started, in order."""
        return [self.prometheus, self.jaeger, *self.gateways, self.collector]

    def _render(self) -> None:
        folder = self.directory / "files" / "prometheus"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prometheus.yml").write_text(self.rendered(CONFIG + SCRAPED))


class ReadingHub(ServedHub):
    """A hub in this process that reads from elsewhere."""

    remote: Remote

    async def _serve(self) -> None:
        self.remote = remote = Remote(self.settings, self._directory)
        intake = Intake(remote.window, self.settings.hub_queue)
        await intake.start()
        self.hub = Hub(
            self.settings,
            self._directory,
            "http://127.0.0.1:4318",
            remote.window,
            intake,
            self.access,
            Commands(),
            remote,
        )
        self.app = build(self.hub, self._rates)
        config = uvicorn.Config(self.app, port=0, log_level="error", ws="none", server_header=False, lifespan="on")
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        remote.start()
        self._started.set()
        await serving
        await asyncio.to_thread(remote.stop)
        await intake.stop()
        remote.window.close()


@contextlib.contextmanager
def reading(directory: Path, **environ: str) -> Iterator[ReadingHub]:
    """A hub that reads from what the settings say; it asks for news every 5 s."""
    with ReadingHub(directory, None, **{"PERFAGENT_REMOTE_INTERVAL": "5", **environ}) as hub:
        assert isinstance(hub, ReadingHub)
        yield hub


Series = tuple[str, dict[str, str], list[tuple[float, float]]]
"""A series of a past: its name, its labels, and its samples, each with its time in seconds since the epoch."""


@contextlib.contextmanager
def prometheus(directory: Path, past: Sequence[Series] = ()) -> Iterator[Process]:
    """A real Prometheus that takes OTLP and holds these series; skips the test where it was not built."""
    need("prometheus")
    directory.mkdir(parents=True, exist_ok=True)
    config, data = directory / "prometheus.yml", directory / "data"
    config.write_text(CONFIG)
    if past:
        _make_blocks(directory / "past.om", data, past)
    port = take_port(0)
    url = f"http://{HOST}:{port}"
    command = (
        str(program(PARTS["prometheus"])),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={HOST}:{port}",
        "--web.enable-otlp-receiver",
    )
    process = Process("prometheus", command, f"{url}/-/ready", directory / "work", {}, {"url": url})
    process.start()
    try:
        process.wait()
        yield process
    finally:
        process.stop()


def _make_blocks(text: Path, data: Path, past: Sequence[Series]) -> None:
    """Writes series as blocks of Prometheus, by its own tool."""
    with text.open("w") as file:
        for name, labels, samples in sorted(past, key=lambda one: one[0]):
            shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
            file.writelines(f"{name}{{{shown}}} {value:g} {moment:.3f}\n" for moment, value in samples)
        file.write("# EOF\n")
    tool = program(PARTS["prometheus"], "promtool")
    subprocess.run(
        [tool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", text, data], check=True, capture_output=True
    )


class Tee:
    """Hands what programs send on to two receivers, and answers as the first one does.

    Args:
        targets: OTLP/HTTP receivers.
    """

    def __init__(self, *targets: str) -> None:
        self._server = _TeeServer((HOST, 0), _Handing)
        self._server.targets = [urlsplit(one) for one in targets]
        self.url = f"http://{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Tee:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _TeeServer(ThreadingHTTPServer):
    daemon_threads = True
    targets: list[SplitResult]


class _Handing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _TeeServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        answers = []
        for target in self.server.targets:
            connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
            connection.request("POST", self.path, body, kept)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
            connection.close()
        self.send_response(answers[0][0])
        self.send_header("Content-Length", str(len(answers[0][1])))
        self.end_headers()
        self.wfile.write(answers[0][1])

    def log_message(self, *_: object) -> None:
        pass


class Faulty:
    """A proxy in front of a remote that forwards, or behaves badly: `mode` says how.

    Modes: "" forwards; "down" closes each connection at once; "hang" says nothing; "trickle" sends a byte now and then;
    "garbage" answers HTML; "huge" begins an answer without an end; "many" answers with a million series; "busy" answers
    429 with Retry-After; "moved" redirects to another host.

    Args:
        target: what it forwards to; nothing where "".
    """

    def __init__(self, target: str = "") -> None:
        self.mode = ""
        self.target = urlsplit(target)
        self.asked: list[str] = []
        self.under_way = self.most_under_way = 0
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server((HOST, 0), _Misbehaving)
        self._server.faulty = self
        self.url = f"http://{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Faulty:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    @contextlib.contextmanager
    def answering(self, path: str) -> Iterator[None]:
        """Counts a request that is under way."""
        with self._lock:
            self.asked.append(path)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            yield
        finally:
            with self._lock:
                self.under_way -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    faulty: Faulty


class _Misbehaving(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(size) if size else None
        faulty = self.server.faulty
        with faulty.answering(self.path), contextlib.suppress(OSError):  # the hub may have gone
            getattr(self, f"_{faulty.mode or 'forward'}")(faulty, body)

    def do_POST(self) -> None:
        self.do_GET()

    def _forward(self, faulty: Faulty, body: bytes | None) -> None:
        connection = http.client.HTTPConnection(faulty.target.hostname or "", faulty.target.port, timeout=30)
        kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        connection.request(self.command, f"{faulty.target.path}{self.path}", body, kept)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name in ("Content-Type", "Content-Encoding"):
            if value := answer.getheader(name):
                self.send_header(name, value)
        self._content(content)
        connection.close()

    def _content(self, content: bytes) -> None:
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _down(self, faulty: Faulty, body: bytes | None) -> None:
        self.close_connection = True

    def _hang(self, faulty: Faulty, body: bytes | None) -> None:
        faulty.ended.wait(60)
        self.close_connection = True

    def _trickle(self, faulty: Faulty, body: bytes | None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not faulty.ended.wait(0.1):
            self.wfile.write(b" ")
        self.close_connection = True

    def _garbage(self, faulty: Faulty, body: bytes | None) -> None:
        self.send_response(200)
        self._content(b"<html>a page of something else</html>")

    def _huge(self, faulty: Faulty, body: bytes | None) -> None:
        self.send_response(200)
        self.end_headers()
        while not faulty.ended.is_set():
            self.wfile.write(b"x" * 65_536)

    def _many(self, faulty: Faulty, body: bytes | None) -> None:
        """As one that knows no `limit`: a million series where buckets are asked for, and not those of a few."""
        fields = dict(parse_qsl((body or b"").decode()))
        query = fields.get("query", "")
        if "end" not in fields or "_bucket" not in query or "topk" in query:
            return self._forward(faulty, body)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status":"success","data":{"resultType":"matrix","result":[')
        for number in range(1_000_000):
            labels = f'"service_name":"s","le":"+Inf","span_name":"{number}","span_kind":"SPAN_KIND_SERVER"'
            self.wfile.write(f'{{"metric":{{{labels}}},"values":[[{fields["end"]},"7"]]}},'.encode())
        self.wfile.write(b"]}}")
        self.close_connection = True
        return None

    def _busy(self, faulty: Faulty, body: bytes | None) -> None:
        self.send_response(429)
        self.send_header("Retry-After", "2")
        self._content(b"slow down")

    def _moved(self, faulty: Faulty, body: bytes | None) -> None:
        self.send_response(302)
        self.send_header("Location", "http://user:secret@metadata.internal/latest")
        self._content(b"")

    def log_message(self, *_: object) -> None:
        pass


BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Of the gateways' span metrics, in seconds."""


class Past:
    """Samples as a gateway and a program would have left them, and what they counted.

    Args:
        hours: how far back they reach.
        away: moments, in seconds since the epoch, between which nothing was scraped.
    """

    def __init__(self, hours: float, away: Sequence[tuple[float, float]] = ()) -> None:
        self.end = int(time.time()) // EVERY * EVERY
        self.begin = self.end - round(hours * HOUR)
        self._away = away
        self.series: list[Series] = [("up", {"job": "span-metrics", "instance": "gateway:8889"}, self.samples(1.0))]

    @property
    def moments(self) -> list[int]:
        """When samples were taken."""
        every = range(self.begin, self.end + 1, EVERY)
        return [moment for moment in every if not any(low < moment < high for low, high in self._away)]

    def samples(self, value: float) -> list[tuple[float, float]]:
        """Readings that do not change."""
        return [(float(moment), value) for moment in self.moments]

    def growing(self, rate: float, restarts: Sequence[float] = ()) -> list[tuple[float, float]]:
        """Readings of a counter that grows by `rate` between two scrapes, and begins anew at each restart."""
        found, since = [], self.begin - EVERY
        for moment in self.moments:
            since = max([since, *(round(one) for one in restarts if one <= moment)])
            found.append((float(moment), (moment - since) // EVERY * rate))
        return found

    def spans(
        self,
        name: str,
        kind: str,
        buckets: dict[float, int],
        seconds: float,
        restarts: Sequence[float] = (),
        instance: str = "gateway:8889",
        **labels: str,
    ) -> None:
        """Adds span metrics of an operation.

        Args:
            buckets: calls between two scrapes, by the upper bound of the bucket that they fall into.
            seconds: sum of their durations.
        """
        own = {
            "job": "span-metrics", "instance": instance, "service_name": "shop", "span_name": name,
            "span_kind": f"SPAN_KIND_{kind}", "status_code": "STATUS_CODE_UNSET", **labels,
        }  # fmt: skip
        self.histogram("traces_span_metrics_duration_seconds", own, buckets, seconds, restarts)

    def histogram(
        self,
        name: str,
        labels: dict[str, str],
        buckets: dict[float, int],
        seconds: float,
        restarts: Sequence[float] = (),
    ) -> None:
        """Adds a histogram: values between two scrapes by the bound of their bucket, and their sum."""
        upto = 0
        for bound in (*BOUNDS, float("inf")):
            upto += buckets.get(bound, 0)
            shown = "+Inf" if bound == float("inf") else f"{bound:g}"
            self.series.append((f"{name}_bucket", {**labels, "le": shown}, self.growing(upto, restarts)))
        self.series.append((f"{name}_count", labels, self.growing(upto, restarts)))
        self.series.append((f"{name}_sum", labels, self.growing(seconds, restarts)))

    def shop(self, restarts: Sequence[float] = ()) -> None:
        """Adds an endpoint of 10 calls between two scrapes, its query of 20, and the vital signs of its process."""
        labels = {"http_request_method": "GET", "http_route": "/items", "http_response_status_code": "200"}
        self.spans("GET /items", "SERVER", {0.02: 8, 0.2: 2}, 0.4, restarts, **labels)
        database = {"db_system_name": "sqlite", "db_query_summary": "SELECT items"}
        self.spans("SELECT items", "CLIENT", {0.002: 20}, 0.03, restarts, **database)
        process = {"job": "shop", "instance": "shop-1", "service_name": "shop", "service_instance_id": "shop-1"}
        self.series += [
            ("process_uptime_seconds", process, [(one, one - self.begin) for one, _ in self.samples(0)]),
            ("process_memory_usage_bytes", process, self.samples(5e7)),
            ("process_cpu_time_seconds_total", {**process, "cpu_mode": "user"}, self.growing(6.0)),
            ("shop_cache_hits_total", {**process, "cache_name": "prices"}, self.growing(3.0)),
            ("shop_cache_misses_total", {**process, "cache_name": "prices"}, self.growing(1.0)),
            ("http_server_active_requests", process, self.samples(2)),
            ("target_info", {"job": "shop", "instance": "shop-1", "process_pid": "4711"}, self.samples(1)),
        ]
        upto = 0.0
        for bound, count in (("0.005", 0), ("0.01", 9), ("0.1", 1), ("+Inf", 0)):
            upto += count
            name = "perfagent_eventloop_lag_seconds"
            self.series.append((f"{name}_bucket", {**process, "le": bound}, self.growing(upto)))
        self.series.append(("perfagent_eventloop_lag_seconds_sum", process, self.growing(0.2)))
