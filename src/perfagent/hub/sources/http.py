"""An address that must answer: asked again and again, its status and duration told."""

from __future__ import annotations

import http.client
import time
from collections import deque
from typing import TYPE_CHECKING

from perfagent.hub.sources import addresses
from perfagent.hub.sources.asking import Reply, ask
from perfagent.hub.sources.options import headers, numbers
from perfagent.hub.sources.seen import Probe
from perfagent.hub.sources.source import Collected, SourceError

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.source import Plan

METHODS = ("GET", "HEAD", "OPTIONS")
REMEMBERED = 100  # answers that the percentiles are of


class Http:
    """The source `http`; the metrics are those of the Collector's httpcheck receiver, and percentiles.

    Args:
        plan: `url`; its options are `expect`, the statuses that are well (200 to 399 when left out), `headers` and
            `method`.
        hub: not needed.
    """

    def __init__(self, plan: Plan, hub: Hub | None) -> None:
        self._plan = plan
        self._url = addresses.shown(plan.address)
        self._headers = headers(plan)
        self._expected = numbers(plan, "expect", 100, 599)
        self._method = str(plan.options.get("method", "GET")).upper()
        if self._method not in METHODS:
            raise SourceError(f"method={self._method!r} is none of: {', '.join(METHODS)}")
        self._durations: deque[float] = deque(maxlen=REMEMBERED)
        self._failed = 0
        self._asked = 0
        self._began = time.time()

    def close(self) -> None:
        """Holds nothing."""

    def collect(self) -> Collected:
        """Asks once."""
        found = Collected(attributes={"url.full": self._url})
        reply: Reply | None = None
        problem = ""
        try:
            reply = ask(self._plan.address, self._method, self._headers, self._plan.timeout * 0.9)
            if not self._is_expected(reply.status):
                problem = f"it answered {reply.status}, expected was {self._wanted()}"
        except (OSError, http.client.HTTPException) as error:
            problem = f"no answer: {error or type(error).__name__}"
        problem = addresses.without(problem, addresses.secrets(self._plan.address))
        self._asked += 1
        self._failed += bool(problem)
        self._tell(found, reply, problem)
        return found

    def _is_expected(self, status: int) -> bool:
        return status in self._expected if self._expected else 200 <= status < 400

    def _wanted(self) -> str:
        return ", ".join(map(str, self._expected)) if self._expected else "200 to 399"

    def _tell(self, found: Collected, reply: Reply | None, problem: str) -> None:
        where = {"http__url": self._url, "http__method": self._method}
        text = "1 where it answered as expected, 0 where not."
        found.gauge("httpcheck.status", 0 if problem else 1, "1", text, **where)
        found.counter("httpcheck.requests", self._asked, "{request}", "Requests.", self._began, **where)
        text = "Requests without the answer that was expected."
        found.counter("httpcheck.error", self._failed, "{error}", text, self._began, **where)
        if reply is not None:
            self._durations.append(reply.seconds)
            found.gauge("httpcheck.duration", reply.seconds * 1000, "ms", "Until the whole answer was there.", **where)
            text = "Until the status was there."
            found.gauge("httpcheck.response.duration", reply.first_seconds * 1000, "ms", text, **where)
            found.gauge("httpcheck.response.size", len(reply.body), "By", "Size of the body.", **where)
            ordered = sorted(self._durations)
            for share in (50, 95, 99):
                value = ordered[min(-(-share * len(ordered) // 100), len(ordered)) - 1] * 1000
                told = {**where, "quantile": f"0.{share}"}
                found.gauge("httpcheck.duration.quantile", value, "ms", f"Of the last {REMEMBERED} answers.", **told)
        found.seen.append(
            Probe(
                source=self._plan.name, time=time.time(), url=self._url, ok=not problem, problem=problem,
                status=reply.status if reply else None, ms=reply.seconds * 1000 if reply else None,
                bytes=len(reply.body) if reply else 0,
            )
        )  # fmt: skip
        if problem:
            found.notes.append(f"{self._url}: {problem}")
