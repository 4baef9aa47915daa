"""What the hub reads from Jaeger: a sample of every service each half minute, and whatever somebody asks for.

No counts come from here where Prometheus has them: what Jaeger holds was sampled.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from perfagent.hub.remote.errors import RemoteError
from perfagent.hub.store.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.hub.remote.dialects import Dialect
    from perfagent.hub.remote.jaeger import Jaeger
    from perfagent.hub.remote.spans import Spans
    from perfagent.hub.remote.window import Window

AT_ONCE = 2  # questions of viewers under way
WAITING = 32  # and those that wait for them
FRESH = 10.0  # seconds for which the same is not asked again
PATIENCE = 4.0  # seconds that a viewer waits; what comes later is there for the next look
QUESTIONS = 20  # of one round of sampling
EACH = 20  # traces of a service in a round, and of an operation
ENOUGH = 20  # traces of an operation in the window, from which it is not asked for by itself
LATELY = 900  # seconds of which operations are looked at
SLOW = 0.95  # of the calls are faster than what is asked for as slow
log = logging.getLogger("perfagent.hub")


class Traces:
    """Jaeger's part of the window.

    Args:
        jaeger: from where.
        window: where to.
        spans: the decoder.
        dialect: what the metrics know of operations; None where nobody counts, so that spans do.
        interval: seconds between two rounds of sampling.
    """

    def __init__(
        self, jaeger: Jaeger, window: Window, spans: Spans, dialect: Callable[[], tuple[Dialect, bool]], interval: int
    ) -> None:
        self.jaeger, self._window, self._spans = jaeger, window, spans
        self._dialect, self._interval = dialect, interval
        self.span_names: dict[int, tuple[str, str]] = {}
        """For each operation its service and the name of its spans."""
        self.news: Callable[[], object] = lambda: None
        """Called when the window has something new at its end."""
        self.sampled = 0.0
        """When the last round ended, seconds since the epoch."""
        self._failing = ""
        self._turn = 0
        self._until = 0.0
        self._under_way: dict[tuple[Any, ...], Future[int]] = {}
        self._asked: dict[tuple[Any, ...], float] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE, "jaeger")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begins to sample."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; the client ends what is under way."""
        self._ended.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._thread.is_alive():
            self._thread.join(2)

    def take(self, documents: list[dict[str, Any]]) -> int:
        """Puts the spans of an answer into the window; returns how many were new. Raises StoreFailed."""
        dialect, counted = self._dialect()
        decoded = self._spans.decode(documents, dialect)
        self.span_names.update(decoded.names)
        return self._window.put_spans(decoded.batch, decoded.texts, counted=counted)

    def read_trace(self, trace_id: str) -> int:
        """Reads one trace; returns how many of its spans were new. Raises RemoteError, StoreFailed."""
        return self.take(self.jaeger.trace(trace_id))

    def read(
        self,
        service: str,
        begin: float,
        end: float,
        most: int,
        operation: str = "",
        least_ms: float | None = None,
        most_ms: float | None = None,
    ) -> int:
        """Reads what `Jaeger.find` finds; returns how many spans were new. Raises RemoteError, StoreFailed."""
        return self.take(self.jaeger.find(service, begin, end, most, operation, least_ms, most_ms))

    async def wanted(self, key: tuple[Any, ...], read: Callable[[], int]) -> str:
        """Reads something that a viewer wants, once for all who want it, and waits a moment for it.

        Args:
            key: what it is; the same is not asked for again within FRESH seconds.
            read: `read` or `read_trace` of it, run in a thread.

        Returns:
            Why it is not there; "" where it is.
        """
        future = self._under_way.get(key)
        if future is None:
            if time.monotonic() - self._asked.get(key, -1e9) < FRESH:
                return self.jaeger.client.health.problem
            if len(self._under_way) >= WAITING:
                return f"{len(self._under_way)} questions wait for Jaeger; ask again in a moment"
            future = self._under_way[key] = self._pool.submit(read)
            loop = asyncio.get_running_loop()
            future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._settle, key, done))
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), PATIENCE)
        except asyncio.TimeoutError:
            return (
                f"Jaeger has not answered within {PATIENCE:g} s; what it answers later will be there at the next look"
            )
        except (RemoteError, StoreFailed) as error:
            return str(error)
        except Exception:
            log.exception("traces could not be read")
            return "traces could not be read: a failure of the hub itself, see hub.log"
        return ""

    def _settle(self, key: tuple[Any, ...], done: Future[int]) -> None:
        self._under_way.pop(key, None)
        if not done.cancelled() and done.exception() is None:
            self._asked[key] = time.monotonic()
            if len(self._asked) > 1000:
                self._asked.pop(next(iter(self._asked)))

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.sample(time.time())
                self._failing = ""
            except RemoteError as error:
                if str(error) != self._failing and error.outcome != "resting" and not self._ended.is_set():
                    log.warning("%s", error)
                self._failing = str(error)
            except Exception:
                log.exception("Jaeger could not be read")
            rests = self.jaeger.client.rests
            self._ended.wait(rests + 0.05 if rests else self._interval)

    def sample(self, now: float) -> None:
        """Reads what is new of each service in turn, then of operations that few traces are known of.

        Raises:
            RemoteError, StoreFailed: the rest waits for the next round.
        """
        services = sorted(self.jaeger.services())
        begin = max(self._until, now - LATELY) - 60  # what came late is there by now
        left = QUESTIONS - 1
        turns = services[self._turn :] + services[: self._turn]
        for service in turns[: left // 2 if len(services) > left // 2 else left]:
            self.read(service, begin if len(services) <= left // 2 else now - LATELY, now + 5, EACH)
            self._turn = (services.index(service) + 1) % len(services)
            left -= 1
        self._until = now
        for service, name in self._rare(now)[:left]:
            self.read(service, now - LATELY, now + 5, EACH, name)
        self.sampled = now
        self.news()

    def _rare(self, now: float) -> list[tuple[str, str]]:
        """Service and span name of requests that came of late and of which the window has few traces."""
        rows = self._window.rows(
            "remote/sampled",
            since=int(now - LATELY),
            begin_ns=int((now - LATELY) * 1e9),
            most=ENOUGH,
        )
        found = []
        for row in rows:
            key = self.span_names.get(row["operation"])
            mark = ("rare", *key) if key else ()
            if key and time.monotonic() - self._asked.get(mark, -1e9) > LATELY / 4:
                self._asked[mark] = time.monotonic()
                found.append(key)
        return found
