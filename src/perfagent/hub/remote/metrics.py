"""What the hub reads from Prometheus: the live edge each half minute, and whatever a range lacks."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from perfagent.hub.remote import calls, points
from perfagent.hub.remote.coverage import MINUTE, Coverage
from perfagent.hub.remote.dialects import DECIDING, REQUESTS, SPANS, Dialect
from perfagent.hub.remote.errors import RemoteError
from perfagent.hub.remote.filling import Filler, Topic
from perfagent.hub.remote.liveness import Liveness
from perfagent.hub.remote.prometheus import Stretch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfagent.hub.remote.processes import Processes
    from perfagent.hub.remote.prometheus import Prometheus
    from perfagent.hub.remote.window import Window

DELAY = 3  # seconds that a sample may be on its way
SETTLED = 180  # seconds after which a minute is not asked for again: queues of Collectors send late
FIRST = 2 * 3600 + 600  # seconds that are filled at the start: an hour, the one before it, and the time to read
LEAST = 5  # seconds of the minute under way that are worth a question
DISCOVER, INTRODUCE = 300.0, 120.0  # seconds between two questions of which metrics, and which processes there are
METRICS = 40  # single metrics that are followed, those that somebody looked at last
FOLLOWED = 900.0  # seconds after which one that nobody looks at is not asked for any more
GUESS = Dialect(SPANS[:1], frozenset(DECIDING))
"""What is taken for granted until Prometheus has answered once."""
log = logging.getLogger("perfagent.hub")


class Metrics:
    """Prometheus' part of the window.

    Args:
        prometheus: from where.
        window: where to.
        processes: whose series they are.
        interval: seconds between two readings of the live edge.
    """

    def __init__(self, prometheus: Prometheus, window: Window, processes: Processes, interval: int) -> None:
        self.prometheus, self._window, self._interval = prometheus, window, interval
        self.dialect: Dialect | None = None
        self.horizon = 0.0
        """Until when the window has what Prometheus told, seconds since the epoch."""
        self.failing = ""
        """Why the last reading failed; empty where it did not."""
        self.news: Callable[[], object] = lambda: None
        """Called when the window has something new at its end."""
        self.span_names: dict[int, tuple[str, str]] = {}
        """For each operation its service and the name of its spans."""
        liveness = Liveness(prometheus)
        self._liveness = liveness
        self._reader = points.Reader(prometheus, processes, liveness)
        self._bounds: dict[str, list[float]] = {}
        self._every: points.Wanted = {}
        self._learnt: dict[str, float] = {}
        self.filler = Filler(lambda: prometheus.client.rests)
        self.calls = Topic("calls", self._fetch_calls)
        self.vitals = Topic("vital signs", lambda stretch: self._fetch_points(self._every, stretch))
        self.single: dict[str, tuple[Topic, points.Wanted]] = {}
        self._single_asked: dict[str, float] = {}
        for topic in (self.calls, self.vitals):
            self.filler.add(topic)
        self._closed = 0
        self._choosing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edge", daemon=True)
        self._recall()

    def start(self) -> None:
        """Begins to read."""
        now = time.time()
        for topic in (self.calls, self.vitals):
            self.filler.want(topic, now - FIRST, now, MINUTE, stays=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends; the client ends what is under way."""
        self._ended.set()
        self.filler.stop()
        if self._thread.is_alive():
            self._thread.join(2)
        self.remember()

    def topics(self) -> Iterator[Topic]:
        """Everything that is filled."""
        yield self.calls
        yield self.vitals
        yield from (topic for topic, _ in list(self.single.values()))

    def follow(self, name: str) -> Topic | None:
        """The topic of one metric, from now on followed; None where Prometheus has none of that name.

        Raises:
            RemoteError: it cannot be asked.
        """
        with self._choosing:
            self._single_asked[name] = time.monotonic()
            known = self.single.get(name)
            return known[0] if known is not None else self._take_on(name)

    def _take_on(self, name: str) -> Topic | None:
        wanted = points.known_as(self.prometheus, name, int(time.time()))
        if not wanted:
            return None
        self._reader.learn_bounds(wanted, int(time.time()))
        topic = Topic(name, lambda stretch: self._fetch_points(wanted, stretch))
        while len(self.single) >= METRICS:
            self._unfollow(min(self.single, key=lambda one: self._single_asked.get(one, 0.0)))
        self.single[name] = (topic, wanted)
        self.filler.add(topic)
        return topic

    def _unfollow(self, name: str) -> None:
        topic, _ = self.single.pop(name)
        self._single_asked.pop(name, None)
        self.filler.remove(topic)

    def _run(self) -> None:
        while not self._ended.is_set():
            rests = self.prometheus.client.rests
            if not rests:
                self._poll_guarded()
                rests = self.prometheus.client.rests
            now = time.time()
            due = (int(now - DELAY) // self._interval + 1) * self._interval + DELAY
            self._ended.wait(max(0.1, min(rests + 0.05, due - now) if rests else due - now))

    def _poll_guarded(self) -> None:
        try:
            self.poll(time.time())
            self.failing = ""
        except RemoteError as error:
            if str(error) != self.failing and error.outcome != "resting" and not self._ended.is_set():
                log.warning("%s", error)
            self.failing = str(error)
        except Exception:
            self.failing = "what Prometheus told could not be taken in: a failure of the hub itself, see hub.log"
            log.exception("Prometheus could not be read")

    def poll(self, now: float) -> None:
        """Reads the live edge; raises RemoteError, StoreFailed."""
        until = int(now) - DELAY
        minute = until // MINUTE * MINUTE
        self._prepare(until)
        self.filler.start()  # which needs to know what there is
        if self._closed and minute - self._closed > SETTLED:  # it was away: what was not settled is asked for anew
            self._fill_gap(self._closed - SETTLED, minute)
        if minute > self._closed:
            self._read(Stretch(minute - SETTLED, minute, MINUTE), live=False)
            self._closed = minute
        if until - minute >= LEAST:
            self._read(Stretch(minute, until, until - minute), live=True)
        self.horizon = float(until)
        self.news()

    def _fill_gap(self, begin: int, end: int) -> None:
        for topic in self.topics():
            self.filler.again(topic, begin, end)
        for topic in (self.calls, self.vitals):
            self.filler.want(topic, begin, end, MINUTE, stays=True)

    def _read(self, stretch: Stretch, *, live: bool) -> None:
        """Reads a stretch of every topic; a single metric that fails is left to the filler."""
        _each(self._fetch_calls, stretch)
        _each(lambda part: self._fetch_points(self._every, part, live=live), stretch)
        if not live:
            for topic in (self.calls, self.vitals):
                self.filler.done(topic, stretch)
        now = time.monotonic()
        for name, (topic, wanted) in list(self.single.items()):
            if now - self._single_asked.get(name, 0.0) > FOLLOWED:
                self._unfollow(name)
                continue
            self._fetch_points(wanted, stretch)
            if not live:
                self.filler.done(topic, stretch)

    def _prepare(self, until: int) -> None:
        """Learns anew, now and then, what there is to be asked for."""
        settled = self.dialect is not None and self.dialect.counts_spans
        for what, every, learn in (
            ("dialect", DISCOVER if settled else 0.0, self._discover),
            ("processes", INTRODUCE, self._introduce),
            ("vital signs", DISCOVER if self._every else 0.0, self._learn_vitals),
        ):
            if time.monotonic() - self._learnt.get(what, -1e9) >= every:
                learn(until)
                self._learnt[what] = time.monotonic()

    def _introduce(self, until: int) -> None:
        self._reader.introduce(Stretch(until - 3600, until, 3600))

    def _learn_vitals(self, until: int) -> None:
        self._every = points.present(self.prometheus, until)
        self._reader.learn_bounds(self._every, until)

    def _discover(self, until: int) -> None:
        found = calls.discover(self.prometheus, until)
        self._bounds = calls.bounds(self.prometheus, found, until)
        before = self.dialect
        names = [source.name for source in found.sources]
        if before is not None and [source.name for source in before.sources] != names:
            log.warning("calls are now told by %s", ", ".join(names) or "Jaeger's traces")
            self._window.forget_calls()
            self.filler.again(self.calls, 0, until + MINUTE)
            self.filler.want(self.calls, until - FIRST, until, MINUTE, stays=True)
        if before != found:
            self.dialect = found
            self.remember()

    def _fetch_calls(self, stretch: Stretch) -> None:
        dialect = self.dialect
        if dialect is None:
            raise RemoteError(f"{self.prometheus.client.name} has not told yet which metrics there are", "resting")
        if not dialect.sources:
            return
        found = calls.read(self.prometheus, dialect, self._bounds, stretch, self._liveness.is_doubtful(stretch))
        self._window.put_calls(stretch, found.rows, found.operations)
        self.span_names.update(found.spans)
        if found.left_out:
            self.prometheus.client.health.leave_out(found.left_out)

    def _fetch_points(self, wanted: points.Wanted, stretch: Stretch, *, live: bool = False) -> None:
        if not live and stretch.end < time.time() - 3600:
            self._reader.introduce(stretch)  # those that have ended since
        told = self._reader.read(wanted, stretch, live=live)
        refused = self._window.put_points(
            stretch, told.rows, told.series, told.resources, told.begun, list(told.latest.values())
        )
        if told.left_out + refused:
            self.prometheus.client.health.leave_out(told.left_out + refused)

    def remember(self) -> None:
        """Keeps in the window what of it is there, for the next start."""
        covered = {topic.name: topic.coverage.stretches for topic in (self.calls, self.vitals)}
        dialect: dict[str, Any] = {}
        if self.dialect is not None:
            dialect = {
                "sources": [source.name for source in self.dialect.sources],
                "present": sorted(self.dialect.present),
            }
        self._window.remember("covered", {"until": self._closed, "topics": covered, "dialect": dialect})

    def _recall(self) -> None:
        """Takes up what the window had at its last end; the minutes that were not settled are asked for anew."""
        known = self._window.remembered("covered")
        if not isinstance(known, dict):
            return
        for topic in (self.calls, self.vitals):
            topic.coverage = Coverage(known["topics"].get(topic.name, ()))
            topic.coverage.drop(known["until"] - SETTLED, 1 << 40)
        if known["dialect"]:
            sources = tuple(one for one in (*SPANS, *REQUESTS) if one.name in known["dialect"]["sources"])
            self.dialect = Dialect(sources, frozenset(known["dialect"]["present"]))


def _each(fetch: Callable[[Stretch], None], stretch: Stretch) -> None:
    """Fetches a stretch; step by step where that is too much at once."""
    try:
        fetch(stretch)
    except RemoteError as error:
        if not error.is_too_much or stretch.steps == 1:
            raise
        for begin in range(stretch.begin, stretch.end, stretch.step):
            fetch(Stretch(begin, begin + stretch.step, stretch.step))
