"""The hub on Prometheus and Jaeger: the window, what fills it, and what a viewer should know of it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.hub.remote import points
from perfagent.hub.remote.address import address
from perfagent.hub.remote.client import Client
from perfagent.hub.remote.dialects import Dialect
from perfagent.hub.remote.errors import RemoteError
from perfagent.hub.remote.jaeger import Jaeger
from perfagent.hub.remote.metrics import GUESS, Metrics
from perfagent.hub.remote.processes import Processes
from perfagent.hub.remote.prometheus import Prometheus
from perfagent.hub.remote.spans import Spans
from perfagent.hub.remote.traces import Traces
from perfagent.hub.remote.window import Window
from perfagent.hub.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfagent.hub.remote.filling import Topic
    from perfagent.hub.remote.points import Listed
    from perfagent.settings import Settings

PATIENCE = 1.5  # seconds that an answer waits for what its range lacks
AGAIN = 0.2  # and the next one about the same range: who looks on sees it fill
LOOK = 0.03  # seconds between two looks whether it is there
LATE = 300.0  # seconds after which the newest data is not taken for the present any more
BEHIND = 3  # intervals without an answer, from which a remote is not well
SPANS = 400_000  # spans in the window
TRIM = 3600.0  # seconds between two looks at how much there is
LEAST = 4 * 3600.0  # seconds that are kept, however large they are
MIB = 1 << 20
log = logging.getLogger("perfagent.hub")
NOWHERE = Dialect()
NO_JAEGER = "no Jaeger is set, so there are no traces: PERFAGENT_JAEGER_URL names one"
SERVICES = 20  # that one search asks for
NAMES = 60.0  # seconds for which the list of all metrics is not asked for again


def is_wanted(settings: Settings) -> bool:
    """Whether the hub is to read from elsewhere instead of taking telemetry in."""
    return bool(settings.prometheus_url or settings.jaeger_url)


@dataclass(frozen=True, slots=True)
class State:
    """How one remote is.

    Args:
        name: "Prometheus" or "Jaeger".
        url: without credentials.
        problem: what is wrong and what to do; "" where all is well.
        last_success: when it last answered, seconds since the epoch; None where it never did.
        lag_seconds: how old the newest is that the window has of it; None where it has nothing.
        left_out: series that were not read, because there are too many.
        interval_seconds: between two readings.
        failing: whether it does not answer.
    """

    name: str
    url: str
    problem: str
    last_success: float | None
    lag_seconds: float | None
    left_out: int
    interval_seconds: int
    failing: bool

    def answer(self) -> dict[str, Any]:
        """As the interface tells it."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "failing"}


class Remote:
    """What a hub has that reads from elsewhere.

    Args:
        settings: where it reads.
        directory: the hub's folder.

    Raises:
        BadAddress: a setting cannot be used.
        StoreUnavailable: one of the databases cannot be opened.
    """

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._interval = settings.remote_interval
        self._clients = [
            Client(
                name,
                address(f"PERFAGENT_{name.upper()}_URL", url, headers, settings.remote_ca_file),
                f"PERFAGENT_{name.upper()}_URL",
                settings.remote_timeout,
                settings.remote_body,
            )
            for name, url, headers in (
                ("Prometheus", settings.prometheus_url, settings.prometheus_headers),
                ("Jaeger", settings.jaeger_url, settings.jaeger_headers),
            )
            if url
        ]
        clients = {client.name: client for client in self._clients}
        origin = " ".join(client.address.shown for client in self._clients)
        self.window = Window(directory, settings.hub_memory, Store.open(directory, 64), origin)
        processes = Processes(self.window.rows("vitals/resources", service=None))
        self.metrics: Metrics | None = None
        self.traces: Traces | None = None
        if client := clients.get("Prometheus"):
            prometheus = Prometheus(client, settings.remote_series)
            self.metrics = Metrics(prometheus, self.window, processes, self._interval)
        if client := clients.get("Jaeger"):
            spans = Spans(processes)
            self.traces = Traces(Jaeger(client), self.window, spans, self._dialect, self._interval)
        self.window.covers = self.reaches
        self._listed: dict[str, Listed] = {}
        self._listed_at = -1e9
        self._asked_back = time.time()  # how far back somebody looks
        self._ended = threading.Event()
        self._trimmer = threading.Thread(target=self._trim, name="trimmer", daemon=True)

    @property
    def clients(self) -> list[Client]:
        """Those that are asked, Prometheus first."""
        return self._clients

    def start(self) -> None:
        """Begins to read."""
        for part in (self.metrics, self.traces):
            if part is not None:
                part.start()
        self._trimmer.start()

    def stop(self) -> None:
        """Ends within a moment, whatever is under way."""
        self._ended.set()
        for client in self._clients:
            client.stop()
        for part in (self.metrics, self.traces):
            if part is not None:
                part.stop()

    def on_news(self, listener: Callable[[], object]) -> None:
        """Calls `listener`, in some thread, whenever the window has something new at its end."""
        if self.metrics is not None:
            self.metrics.news = listener
        elif self.traces is not None:
            self.traces.news = listener

    def present(self) -> float:
        """The moment that "now" stands for: until when there is data, unless that is long ago; epoch seconds."""
        now = time.time()
        horizon = self.metrics.horizon if self.metrics is not None else 0.0
        return horizon if now - horizon < LATE else now

    async def ready(self, begin: float, end: float, step: int) -> list[str]:
        """Has what a range lacks fetched, and waits a moment for it.

        Args:
            begin, end: seconds since the epoch.
            step: of its charts, in seconds.

        Returns:
            What a viewer should know of the answer: what is still on its way, or cannot be had.
        """
        metrics = self.metrics
        if metrics is None:
            return self.problems()
        self._asked_back = min(self._asked_back, begin)
        topics = [metrics.calls, metrics.vitals]
        known = metrics.filler.is_wanted(metrics.calls, begin, end, step)
        wanted = [metrics.filler.want(topic, begin, end, step) for topic in topics]
        await self._wait(list(zip(topics, wanted, strict=True)), AGAIN if known else PATIENCE)
        if end - begin <= 2 * 86_400:  # with which it is compared; whoever looks need not wait for that
            for topic in topics:
                metrics.filler.want(topic, begin - (end - begin), begin, step)
            for topic in topics:
                metrics.filler.want(topic, begin, end, step)  # again, so that it comes first
        return self._notes(topics, wanted)

    async def _wait(self, wanted: list[tuple[Topic, tuple[int, int, int]]], patience: float) -> None:
        until = time.monotonic() + patience
        while time.monotonic() < until and not any(client.rests for client in self._clients[:1]):
            if not any(topic.lacks(*one) and not topic.failing for topic, one in wanted):
                return
            await asyncio.sleep(LOOK)

    def _notes(self, topics: list[Topic], wanted: list[tuple[int, int, int]]) -> list[str]:
        found = self.problems()
        shares = [topic.coverage.share(*one) for topic, one in zip(topics, wanted, strict=True)]
        if shares and min(shares) < 1.0:
            share = f"{min(shares) * 100:.0f} %"
            found.append(f"{share} of this range has been read from Prometheus so far, the newest first")
        return found

    def problems(self) -> list[str]:
        """What is wrong with the remotes, and what the figures are not."""
        found = [state.problem for state in self.states() if state.problem]
        if self.counts_spans:
            found.append(
                "no metric of Prometheus tells of calls: the figures are those of the traces that were sampled"
            )
        return found

    @property
    def counts_spans(self) -> bool:
        """Whether figures come from Jaeger's traces, because no metric has them."""
        return self._dialect()[1]

    def _dialect(self) -> tuple[Dialect, bool]:
        """What names operations, and whether spans count as calls."""
        if self.metrics is None:
            return NOWHERE, True
        dialect = self.metrics.dialect
        if dialect is None:
            return GUESS, False
        return dialect, not dialect.sources

    def states(self) -> list[State]:
        """How the remotes are."""
        now = time.time()
        found = []
        for client in self._clients:
            health = client.health
            newest = self.metrics.horizon if client.name == "Prometheus" and self.metrics else 0.0
            if client.name == "Jaeger" and self.traces:
                newest = self.traces.sampled
            problem = health.problem
            if client.name == "Prometheus" and self.metrics:
                problem = problem or self.metrics.failing
            failing = bool(problem)
            if not problem and self.metrics and client.name == "Prometheus":
                problem = next((topic.failing for topic in self.metrics.topics() if topic.failing), "")
            if not problem and health.left_out:
                problem = (
                    f"{health.left_out} series of {client.name} were left out, those that are called least: "
                    "PERFAGENT_REMOTE_SERIES allows more"
                )
            found.append(
                State(
                    client.name,
                    client.address.shown,
                    problem,
                    health.last_success or None,
                    now - newest if newest else None,
                    health.left_out,
                    self._interval,
                    failing,
                )
            )
        return found

    def reaches(self, begin: float, end: float) -> bool:
        """Whether the window has all calls of a range; where it has not, they are asked for."""
        if self.metrics is None:
            return True
        low, high, step = self.metrics.filler.want(self.metrics.calls, begin, end, 3600)
        return not self.metrics.calls.lacks(low, high, step)

    async def trace(self, trace_id: str) -> str:
        """Has one trace fetched; returns why it is not there, "" where it is if it is anywhere."""
        traces = self.traces
        if traces is None:
            return NO_JAEGER
        return await traces.wanted(("trace", trace_id), lambda: traces.read_trace(trace_id))

    async def find(
        self,
        begin: float,
        end: float,
        most: int,
        *,
        service: str | None = None,
        route: str | None = None,
        operation: int | None = None,
        least_ms: float | None = None,
        most_ms: float | None = None,
    ) -> str:
        """Has traces fetched that may be what somebody looks for.

        Args:
            begin, end: seconds since the epoch.
            most: traces of each service.
            service: that answered the request; any without.
            route: name of the request, or its route of any method.
            operation: identity of a span's operation.
            least_ms, most_ms: how long it took.

        Returns:
            Why they are not there; "" where they are.
        """
        traces = self.traces
        if traces is None:
            return NO_JAEGER
        found = self._places(service, route, operation)
        key = ("find", *found, int(begin) // 10, int(end) // 10, most, least_ms, most_ms)

        def read() -> int:
            places = found or [(one, "") for one in traces.jaeger.services()[:SERVICES]]
            return sum(traces.read(one, begin, end, most, name, least_ms, most_ms) for one, name in places)

        return await traces.wanted(key, read)

    def _places(self, service: str | None, route: str | None, operation: int | None) -> list[tuple[str, str]]:
        """Services and span names to ask for; Jaeger searches one service at a time. None where all are to be asked."""
        if operation is not None and (known := self._span_name(operation)) is not None:
            return [known]
        if route:
            parts = [part.span_names for part in (self.traces, self.metrics) if part is not None]
            named = {pair for names in parts for pair in list(names.values())}
            fit = sorted(
                pair
                for pair in named
                if (pair[1] == route or pair[1].endswith(f" {route}")) and service in (None, pair[0])
            )
            if fit:
                return fit[:SERVICES]
        if service:
            return [(service, "")]
        rows = self.window.rows("calls/entries", most=SERVICES)
        return [(row["service"], "") for row in rows]

    async def operation(self, operation: int, begin: float, end: float) -> str:
        """Has traces of one operation fetched, the newest ones and slow ones; returns why they are not there."""
        traces = self.traces
        if traces is None:
            return NO_JAEGER
        known = self._span_name(operation)
        if known is None:
            return ""
        service, name = known

        def read() -> int:
            new = traces.read(service, begin, end, 60, name)
            rows = self.window.rows("remote/percentile", operation=operation, since=int(begin), until=int(end) + 60)
            if rows and rows[0]["bucket"] is not None:
                slow = 2.0 ** (rows[0]["bucket"] / 8) / 1e6
                new += traces.read(service, begin, end, 20, name, slow)
            return new

        return await traces.wanted(("operation", operation, int(begin) // 60, int(end) // 60), read)

    def _span_name(self, operation: int) -> tuple[str, str] | None:
        for part in (self.traces, self.metrics):
            if part is not None and operation in part.span_names:
                return part.span_names[operation]
        return None

    async def metric(self, name: str, begin: float, end: float, step: int) -> str:
        """Has one metric fetched, and followed from now on; returns why it is not there."""
        metrics = self.metrics
        if metrics is None:
            return "no Prometheus is set, so there are no metrics: PERFAGENT_PROMETHEUS_URL names one"
        try:
            topic = await asyncio.wait_for(asyncio.to_thread(metrics.follow, name), PATIENCE)
        except RemoteError as error:
            return str(error)
        except asyncio.TimeoutError:
            return "Prometheus has not told yet what this metric is; ask again in a moment"
        if topic is not None:
            await self._wait([(topic, metrics.filler.want(topic, begin, end, step))], PATIENCE)
        return topic.failing if topic is not None else ""

    async def names(self) -> dict[str, Listed]:
        """The metrics of programs that can be read, by name; those of a minute ago where Prometheus does not answer."""
        metrics = self.metrics
        if metrics is not None and time.monotonic() - self._listed_at > NAMES:
            self._listed_at = time.monotonic()  # one asks, and others have the list of before
            try:
                task = asyncio.to_thread(points.listed, metrics.prometheus, int(time.time()))
                self._listed = await asyncio.wait_for(task, PATIENCE)
            except (RemoteError, asyncio.TimeoutError):
                pass  # its health says why
        return self._listed

    def _trim(self) -> None:
        """Forgets what is old, or too much, each hour."""
        while not self._ended.wait(TRIM):
            try:
                self.trim(time.time())
            except Exception:
                log.exception("the window could not be trimmed")

    def trim(self, now: float) -> None:
        """Forgets what is older than PERFAGENT_RETENTION_HOURS, unless somebody looked at it within the hour, and more
        while the window is larger than PERFAGENT_RETENTION_SIZE; raises StoreFailed.
        """
        keep = max(self._settings.retention_hours * 3600.0, now - self._asked_back)
        self._asked_back = now
        self._forget(now - keep)
        while self.window.used() > self._settings.retention_size * MIB and keep > LEAST:
            keep /= 2
            self._forget(now - keep)
        if self.metrics is not None:
            self.metrics.remember()

    def _forget(self, before: float) -> None:
        minute = int(before) // 60 * 60
        if self.metrics is not None:
            for topic in self.metrics.topics():
                self.metrics.filler.again(topic, 0, minute)
        self.window.forget(minute, int(before), SPANS)
