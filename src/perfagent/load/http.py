"""HTTP requests at a rate that does not wait for answers, from one process and one event loop.

A request's response time counts from when it was due, its service time from when it was sent: where the two differ,
requests waited for a free connection, as the callers of a server that is too slow do.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from perfagent.load.arrivals import CONSTANT, arrivals
from perfagent.load.latencies import Latencies

if TYPE_CHECKING:
    from collections.abc import Callable

SLACK = 0.010  # seconds; a request sent later than this after it was due was held up by the generator itself
UNSENT = "not sent in time"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a server.

    Args:
        url: the address.
        rate: requests a second.
        duration: in seconds.
        method: of HTTP.
        headers: sent with every request.
        body: the same with every request, or None.
        connections: most at a time; a request that finds none free waits for one.
        timeout: longest wait for one answer, in seconds; and for all that is open at the end.
        arrival: CONSTANT or POISSON.
        seed: of random arrivals.
        verify: whether the server's certificate is checked.
    """

    url: str
    rate: float
    duration: float
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    connections: int = 100
    timeout: float = 10.0
    arrival: str = CONSTANT
    seed: int = 0
    verify: bool = True


@dataclass(slots=True)
class Outcome:
    """What came of it.

    `lag` is how much later than due the generator handed a request on; `late` how many it handed on after SLACK.
    `errors` are requests without an answer, by kind. Those that waited in vain, for the server or for a connection, are
    in `response` with the time that they waited; those that were refused at once are not.
    """

    due: int = 0
    elapsed: float = 0.0
    response: Latencies = field(default_factory=Latencies)
    service: Latencies = field(default_factory=Latencies)
    lag: Latencies = field(default_factory=Latencies)
    late: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    received: int = 0  # bytes of bodies
    interrupted: bool = False
    begin: float = 0.0  # of `time.perf_counter`
    seconds: dict[int, Counter[int]] = field(default_factory=dict)
    failures: Counter[int] = field(default_factory=Counter)
    """Answers and failures by the second in which they were due: a comparison of two runs must know how they vary."""

    def note(self, due: float, waited: float, *, failed: bool) -> None:
        """Counts an answer in its second, by eighths of an octave of its nanoseconds."""
        second = max(int(due - self.begin), 0)
        bucket = int(8 * math.log2(max(waited * 1e9, 1.0)))
        self.seconds.setdefault(second, Counter())[bucket] += 1
        self.failures[second] += failed

    @property
    def answered(self) -> int:
        """How many requests got an answer, a bad one too."""
        return self.statuses.total()

    @property
    def failed(self) -> int:
        """How many got none, or one of 400 and above."""
        return self.errors.total() + sum(count for status, count in self.statuses.items() if status >= 400)

    @property
    def rate(self) -> float:
        """Answers a second, over the time in which requests were due and their answers came."""
        return self.answered / self.elapsed if self.elapsed else 0.0

    @property
    def behind(self) -> bool:
        """Whether the generator itself was too slow for the figures to be the server's: 1 % and more handed on late."""
        return self.late > self.due / 100

    def figure(self, name: str) -> float | None:
        """A figure that an expectation may name: seconds, a ratio, or a second."""
        if name == "errors":
            return self.failed / self.due if self.due else None
        if name == "rate":
            return self.rate
        if name == "mean":
            return self.response.mean
        if name == "max":
            return self.response.largest if self.response.count else None
        return self.response.percentile(float(name[1:]))


async def run(plan: Plan, tell: Callable[[Outcome, float], None], stop: asyncio.Event) -> Outcome:
    """Sends what is planned and waits for the answers.

    Args:
        plan: what to send.
        tell: called about once a second with what there is so far and the seconds passed.
        stop: ends it early when set.
    """
    outcome = Outcome()
    waiting: asyncio.Queue[float] = asyncio.Queue()
    connector = aiohttp.TCPConnector(limit=0, ssl=_certificates(plan.verify))
    timeout = aiohttp.ClientTimeout(total=plan.timeout)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=dict(plan.headers)) as session:
        workers = [asyncio.create_task(_work(plan, session, waiting, outcome)) for _ in range(plan.connections)]
        begin = outcome.begin = time.perf_counter()
        telling = asyncio.create_task(_tell(outcome, begin, tell))
        try:
            await _hand_on(plan, begin, waiting, outcome, stop)
            await _settle(plan, begin, waiting, outcome, stop)
        finally:
            for task in (*workers, telling):
                task.cancel()
            ends = await asyncio.gather(*workers, telling, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):  # of us, or of an argument that no request can be made of
            raise end
    ended = time.perf_counter()
    while not waiting.empty():
        _unsent(outcome, ended - waiting.get_nowait())
    outcome.interrupted = stop.is_set()
    return outcome


async def _hand_on(
    plan: Plan, begin: float, waiting: asyncio.Queue[float], outcome: Outcome, stop: asyncio.Event
) -> None:
    """Puts each request into the queue when it is due."""
    clock = time.perf_counter
    for offset in arrivals(plan.rate, plan.duration, plan.arrival, plan.seed):
        due = begin + offset
        while (ahead := due - clock()) > 0:
            if ahead > 0.2:
                if await _until(stop, min(ahead - 0.1, 1.0)):
                    return
            else:
                await asyncio.sleep(ahead)
        if stop.is_set():
            return
        waiting.put_nowait(due)
        outcome.due += 1
        lag = clock() - due
        outcome.lag.record(lag)
        outcome.late += lag > SLACK
        if not outcome.due & 63:
            await asyncio.sleep(0)  # behind its time it would not let the answers in
    while (ahead := begin + plan.duration - clock()) > 0 and not await _until(stop, ahead):
        pass


async def _settle(
    plan: Plan, begin: float, waiting: asyncio.Queue[float], outcome: Outcome, stop: asyncio.Event
) -> None:
    """Waits for the answers that are still to come, as long as one may take."""
    deadline = time.perf_counter() + plan.timeout
    joined = asyncio.create_task(waiting.join())
    try:
        while not joined.done() and time.perf_counter() < deadline and not stop.is_set():
            await asyncio.wait({joined}, timeout=0.1)
    finally:
        joined.cancel()
    outcome.elapsed = time.perf_counter() - begin


async def _work(plan: Plan, session: aiohttp.ClientSession, waiting: asyncio.Queue[float], outcome: Outcome) -> None:
    """Sends one request after the other, on one connection as a rule."""
    clock = time.perf_counter
    while True:
        due = await waiting.get()
        began = clock()
        try:
            async with session.request(plan.method, plan.url, data=plan.body, allow_redirects=False) as response:
                outcome.received += len(await response.read())
        except asyncio.CancelledError:
            _unsent(outcome, clock() - due, "no answer by the end")
            raise
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            kind = _kind(error)
            outcome.errors[kind] += 1
            if kind == "timeout":
                outcome.response.record(clock() - due)
                outcome.note(due, clock() - due, failed=True)
        else:
            ended = clock()
            outcome.statuses[response.status] += 1
            outcome.service.record(ended - began)
            outcome.response.record(ended - due)
            outcome.note(due, ended - due, failed=response.status >= 400)
        waiting.task_done()


def _unsent(outcome: Outcome, waited: float, kind: str = UNSENT) -> None:
    outcome.errors[kind] += 1
    outcome.response.record(waited)


async def _tell(outcome: Outcome, begin: float, tell: Callable[[Outcome, float], None]) -> None:
    while True:
        await asyncio.sleep(1)
        tell(outcome, time.perf_counter() - begin)


async def _until(stop: asyncio.Event, seconds: float) -> bool:
    """Waits so long, or until `stop` is set; returns whether it is."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True


def _kind(error: Exception) -> str:
    """What a request without an answer is counted under."""
    if isinstance(error, asyncio.TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "certificate refused"
    cause: Any = getattr(error, "os_error", error)
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    if isinstance(error, (aiohttp.ServerDisconnectedError, ConnectionError)):
        return "connection closed"
    return type(error).__name__


def _certificates(verify: bool) -> ssl.SSLContext | bool:
    return ssl.create_default_context() if verify else False
