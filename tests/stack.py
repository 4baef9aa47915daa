"""The production stack for tests: its real programs with the files of collector/, and what the stores answer."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from tools.stack.build import is_built
from tools.stack.parts import PARTS
from tools.stack.programs import Programs
from tools.stack.stack import NEEDS, Stack

from tests.servers import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


def need(*parts: str) -> None:
    """Skips the test where a program of these parts was not built."""
    for name in parts:
        if not is_built(PARTS[name]):
            missing(PARTS[name].programs[0], f"python -m tools.stack build {name}")


class Stores:
    """What Prometheus, Alertmanager and Jaeger of a stack answer.

    Args:
        stack: the one to ask.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and values of an instant query."""
        answer = get(self.stack.url("prometheus:9090"), "/api/v1/query", query=expression)
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def value(self, expression: str) -> float:
        """The one value of an instant query; 0 where there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else 0.0

    def firing(self) -> set[str]:
        """The names of the alerts that fire in Prometheus."""
        found = get(self.stack.url("prometheus:9090"), "/api/v1/alerts")["data"]["alerts"]
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace in Jaeger; [] where it has none."""
        with contextlib.suppress(urllib.error.HTTPError):
            return list(get(self.stack.url("jaeger:16686"), f"/api/traces/{trace_id}")["data"][0]["spans"])
        return []

    def traces(self, service: str, begin: float, end: float, most: int = 1000) -> dict[str, list[str]]:
        """The ids of spans by the id of their trace, of the traces of a service that began in a range.

        Args:
            service: one that has a span in them.
            begin, end: seconds since the epoch.
            most: traces; as many as that fail the test, for there may be more.
        """
        found = get(
            self.stack.url("jaeger:16686"),
            "/api/traces",
            service=service,
            start=int(begin * 1e6),
            end=int(end * 1e6),
            limit=most,
        )["data"]
        assert len(found) < most, f"{len(found)} traces between {begin} and {end}: ask for less at a time"
        return {one["traceID"]: [span["spanID"] for span in one["spans"]] for one in found}


def eventually(condition: Callable[[], Any], seconds: float, told: Callable[[], str] = str) -> Any:
    """What the condition answers once that is true; fails the test after so many seconds with what `told` answers."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {told()}"
        time.sleep(0.2)


class Notification(NamedTuple):
    """One alert of a notification, and when it arrived."""

    arrived: float
    status: str  # firing or resolved
    labels: Mapping[str, str]


class Webhook:
    """A server that Alertmanager notifies, which keeps what arrives; `host` is where it listens."""

    def __init__(self) -> None:
        self.notifications: list[Notification] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                now = time.time()
                outer.notifications += [Notification(now, one["status"], one["labels"]) for one in body["alerts"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Webhook:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def first(self, alert: str, status: str, since: float = 0) -> Notification | None:
        """The first notification of an alert with that status after a time; None where there is none yet."""
        for one in self.notifications:
            if one.labels["alertname"] == alert and one.status == status and one.arrived >= since:
                return one
        return None


@contextlib.contextmanager
def running(directory: Path, webhook: Webhook | None = None, **environ: str) -> Iterator[tuple[Stack, Programs]]:
    """A stack on free ports, and its programs, which are not started; skips the test where a program was not built.

    Args:
        directory: for data and logs.
        webhook: what takes the notifications.
        environ: variables of the Collectors' files.
    """
    need(*NEEDS)
    programs = Programs(directory)
    addresses = dict(programs.addresses)
    if webhook:
        addresses["webhook:8080"] = webhook.host
    with Stack(directory, environ=environ, addresses=addresses) as stack:
        yield stack, programs


def get(base: str, path: str, **parameters: object) -> Any:
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    with urllib.request.urlopen(f"{base}{path}{query}", timeout=30) as response:
        return json.load(response)
