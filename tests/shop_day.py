"""A day of a shop minute by minute, as its agents would tell of it: healthy but alive, or with one thing that is wrong.

Alive means: a season of the day, traffic that wanders, durations with heavy tails, processes that are replaced by three
releases and are cold at first, single errors, collections of garbage, a job in the night that works the database hard,
and a minute or two in which everything is slow.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.store.rows import Batch, Operation, PointRow, Resource, Series, SpanRow, identity

if TYPE_CHECKING:
    from collections.abc import Iterator

MS, SECOND, MINUTE = 1_000_000, 1_000_000_000, 60_000_000_000
DAY_MINUTES = 1440
BOUNDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
CORES = 4


class Call(NamedTuple):
    """A statement, a look-up or a call of others: how long it takes as a rule, and how often a request has it."""

    category: str
    name: str
    median_ms: float
    times: int = 1
    text: str = ""


class Endpoint(NamedTuple):
    """A route: its share of the traffic, its own work, the share of it that fails, and what it calls."""

    name: str
    share: float
    median_ms: float
    failing: float
    calls: tuple[Call, ...]


def _select(table: str, where: str, median_ms: float, times: int = 1) -> Call:
    return Call("db", f"SELECT {table}", median_ms, times, f"SELECT id, name FROM {table} WHERE {where} = ?")


LOOKUP = Call("cache", "GET", 0.3)
PAY = Call("http", "POST payments.internal", 45)
ENDPOINTS = (
    Endpoint("GET /", 0.30, 4, 0.0002, (LOOKUP,)),
    Endpoint("GET /products/{id}", 0.28, 6, 0.0005, (LOOKUP, _select("products", "id", 0.7))),
    Endpoint("GET /search", 0.14, 12, 0.001, (_select("products", "name", 25),)),
    Endpoint("GET /orders", 0.10, 5, 0.0005, (_select("orders", "customer", 1.5), _select("lines", "order_id", 2))),
    Endpoint("POST /cart", 0.12, 4, 0.0005, (_select("stock", "product", 2),)),
    Endpoint("POST /checkout", 0.06, 20, 0.004, (_select("stock", "product", 2), PAY)),
)
SERVED = Endpoint("POST /pay", 0.0, 30, 0.001, (_select("accounts", "id", 3),))
JOB = Endpoint("nightly", 0.0, 300, 0.0, (_select("orders", "placed", 300, 4), _select("lines", "day", 150, 4)))
RELEASES = (9.6, 13.3, 17.1)  # hours of the day, about
NIGHT = (150, 170)  # minutes of the job


@dataclass(slots=True)
class Wrong:
    """What is wrong from one minute of the day to another; 1 and 0 are what is right.

    Args:
        begin, end: minutes of the day.
        slower: times that calls of these names take longer.
        own: times that requests' own work takes longer, all of them.
        failing: share of the requests that fail besides; of one route, or of all where `route` is "".
        traffic: times that as many come.
        repeated: statements of these names run so many times more often.
        misses: share of the look-ups that miss besides.
        leak_mb: what a process' memory grows by in a minute.
        cores: kept busy besides.
        lag_ms: how late the event loop is besides.
        pool: connections in use besides.
    """

    begin: int = 0
    end: int = 0
    slower: dict[str, float] = field(default_factory=dict)
    own: float = 1.0
    failing: float = 0.0
    route: str = ""
    traffic: float = 1.0
    repeated: dict[str, int] = field(default_factory=dict)
    misses: float = 0.0
    leak_mb: float = 0.0
    cores: float = 0.0
    lag_ms: float = 0.0
    pool: int = 0

    def at(self, minute: int) -> Wrong:
        """What is wrong in a minute."""
        return self if self.begin <= minute < self.end else RIGHT


RIGHT = Wrong()


@dataclass(slots=True)
class Process:
    """A process of a service, since the minute in which it began."""

    resource: Resource
    since: int
    leaked_mb: float = 0.0


class ShopDay:
    """The telemetry of a day.

    Args:
        seed: of what happens.
        begin: its first moment, seconds since the epoch; midnight of the shop.
        rate: requests a minute on average.
        wrong: what is wrong besides.
    """

    def __init__(self, seed: int, begin: int, rate: float = 60.0, wrong: Wrong = RIGHT) -> None:
        self.random, self.begin, self.rate, self.wrong = Random(seed), begin, rate, wrong
        self.releases = sorted(int(60 * (hour + self.random.uniform(-0.7, 0.7))) for hour in RELEASES)
        self.blip = self.random.randrange(600, 1320)
        self._wander = 0.0
        self._pid = 4000
        self._operations: dict[int, Operation] = {}
        self.processes = {
            "shop": [self._process("shop", 0, 0), self._process("shop", 0, 0)],
            "payments": [self._process("payments", 0, 0)],
            "jobs": [self._process("jobs", 0, 0)],
        }

    def minute(self, number: int) -> Batch:
        """What is told of one minute of the day."""
        random, wrong = self.random, self.wrong.at(number)
        if number - 2 in self.releases:  # one process after the other
            self.processes["shop"][1] = self._process("shop", number, self.releases.index(number - 2) + 1)
        if number in self.releases:
            self.processes["shop"][0] = self._process("shop", number, self.releases.index(number) + 1)
        wanted, slow = self._weather(number, wrong)
        batch = Batch(resources={}, operations=self._operations)
        for processes in self.processes.values():
            batch.resources.update((one.resource.id, one.resource) for one in processes)
        start = (self.begin + 60 * number) * SECOND
        count = max(0, round(random.gauss(wanted, math.sqrt(wanted))))
        for _ in range(count):
            process = random.choice(self.processes["shop"])
            cold = 1 + math.exp(-(number - process.since)) if process.since else 1.0
            endpoint = random.choices(ENDPOINTS, [one.share for one in ENDPOINTS])[0]
            self._request(batch, process, endpoint, start + random.randrange(MINUTE), slow * cold, wrong)
        if NIGHT[0] <= number < NIGHT[1]:
            for second in range(0, 60, 4):
                self._request(batch, self.processes["jobs"][0], JOB, start + second * SECOND, 1.0, wrong)
        for service, processes in self.processes.items():
            for process in processes:
                requests = count / len(processes) if service == "shop" else 0.0
                self._vitals(batch, process, number, requests, slow, wrong)
        return batch

    def _weather(self, number: int, wrong: Wrong) -> tuple[float, float]:
        """How many requests a minute brings on average, and how many times longer all takes in it."""
        random, hour = self.random, number / 60
        self._wander = 0.95 * self._wander + random.gauss(0, 0.04)
        season = 1 + 0.75 * math.sin((hour - 9) / 24 * 2 * math.pi) + 0.15 * math.exp(-((hour - 12.5) ** 2))
        slow = 1 + 0.1 * season
        if number in (self.blip, self.blip + 1):
            slow *= random.uniform(3, 5)
        if NIGHT[0] <= number < NIGHT[1]:
            slow *= 1.3
        return self.rate * season * math.exp(self._wander) * wrong.traffic, slow

    def _process(self, service: str, since: int, release: int) -> Process:
        self._pid += 1
        instance = f"server-1:{self._pid}"
        attributes = {"service.name": service, "service.instance.id": instance, "process.pid": self._pid}
        version = f"2.{release}.0"
        told = json.dumps(attributes, sort_keys=True)
        return Process(Resource(identity(told, version), service, instance, version, "production", told), since)

    def _request(
        self, batch: Batch, process: Process, endpoint: Endpoint, start: int, slow: float, wrong: Wrong,
        trace: bytes = b"", parent: bytes | None = None,
    ) -> int:  # fmt: skip
        """Adds a request with all that it calls; returns how long it took, ns."""
        random, service = self.random, process.resource.service
        trace, own = trace or random.randbytes(16), random.randbytes(8)
        at = start + self._took(endpoint.median_ms * 0.3, slow * wrong.own)
        for call in endpoint.calls:
            for _ in range(call.times * wrong.repeated.get(call.name, 1)):
                factor = slow * wrong.slower.get(call.name, 1.0)
                at += self._call(batch, process, call, at, factor, wrong, trace, own) + MS // 20
        at += self._took(endpoint.median_ms * 0.7, slow * wrong.own)
        broken = wrong.failing if wrong.route in ("", endpoint.name) else 0.0
        failed = random.random() < 1 - (1 - endpoint.failing) * (1 - broken)
        method, _, route = endpoint.name.partition(" ")
        category = "server" if route else "internal"
        attributes = {"http.request.method": method, "http.route": route} if route else {}
        events = None
        if failed:
            exception = {"exception.type": "KeyError", "exception.message": "'price'"}
            events = json.dumps([{"time": at, "name": "exception", "attributes": exception}])
        batch.spans.append(
            SpanRow(
                trace,
                own,
                parent,
                process.resource.id,
                self._operation(service, category, endpoint.name),
                endpoint.name,
                2 if route else 1,
                start,
                at - start,
                2 if failed else 0,
                None,
                (500 if failed else 200) if route else 0,
                True,
                -1,
                None,
                1.0,
                json.dumps(attributes),
                events,
                None,
            )
        )
        return at - start

    def _call(
        self, batch: Batch, process: Process, call: Call, at: int, slow: float, wrong: Wrong, trace: bytes, own: bytes
    ) -> int:
        span = self.random.randbytes(8)
        system = {"db": "postgresql", "cache": "redis"}.get(call.category, "")
        duration = self._took(call.median_ms, slow)
        if call is PAY:
            served = self._request(batch, self.processes["payments"][0], SERVED, at + MS, slow, wrong, trace, span)
            duration = served + 2 * MS
        operation = self._operation(process.resource.service, call.category, call.name, system, call.text)
        batch.spans.append(
            SpanRow(
                trace,
                span,
                own,
                process.resource.id,
                operation,
                call.name,
                3,
                at,
                duration,
                0,
                None,
                200 if call.category == "http" else 0,
                False,
                5 if call.category == "db" else -1,
                None,
                1.0,
                json.dumps({"db.system.name": system} if system else {"server.address": "payments.internal"}),
                None,
                None,
            )
        )
        return duration

    def _took(self, median_ms: float, slow: float) -> int:
        """A duration in ns: log-normal as a rule, and one in two hundred from a tail without end."""
        random = self.random
        found = random.lognormvariate(math.log(median_ms * slow), 0.45)
        if random.random() < 0.005:
            found *= min(random.paretovariate(1.1), 60)
        return int(found * MS)

    def _operation(self, service: str, category: str, name: str, system: str = "", text: str = "") -> int:
        found = identity(service, category, name, system, text)
        if found not in self._operations:
            self._operations[found] = Operation(found, service, category, name, system, text)
        return found

    def _vitals(self, batch: Batch, process: Process, number: int, requests: float, slow: float, wrong: Wrong) -> None:
        random, service = self.random, process.resource.service
        at = (self.begin + 60 * number + 59) * SECOND
        if service != "shop":
            wrong = RIGHT
        age = number - process.since + 1
        process.leaked_mb += wrong.leak_mb
        busy = requests * 0.012 / 60 * slow + wrong.cores + random.uniform(0.005, 0.02)
        if service == "jobs" and NIGHT[0] <= number < NIGHT[1]:
            busy += 0.8
        memory = 120e6 + 25e6 * (1 - math.exp(-age / 8)) + random.gauss(0, 1.5e6) + process.leaked_mb * 1e6
        lag = [0] * (len(BOUNDS) + 1)
        for _ in range(200):
            late = random.expovariate(1) * 0.001 * slow + wrong.lag_ms / 1000 * (random.random() < 0.2)
            lag[next((place for place, bound in enumerate(BOUNDS) if late <= bound), len(BOUNDS))] += 1
        pauses = [0] * (len(BOUNDS) + 1)
        pauses[1] = random.randrange(4)
        hits = sum(random.random() >= 0.08 + wrong.misses for _ in range(round(requests * 0.58)))
        for name, unit, kind, value, attributes in (
            ("process.cpu.utilization", "1", "gauge", busy / CORES, {"cpu.mode": "user"}),
            ("process.memory.usage", "By", "level", memory, {}),
            ("process.memory.limit", "By", "level", 512e6, {}),
            ("process.uptime", "s", "gauge", 60.0 * age, {}),
            ("process.cpu.time", "s", "sum", busy * 60, {"cpu.mode": "user"}),
            ("perfagent.cache.hits", "{hit}", "sum", hits, {"cache.name": "pages"}),
            ("perfagent.cache.misses", "{miss}", "sum", round(requests * 0.58) - hits, {"cache.name": "pages"}),
            ("db.client.connection.max", "{connection}", "level", 20, POOL),
            ("db.client.connection.count", "{connection}", "level",
             min(20, 1 + int(requests * slow * 0.01) + wrong.pool), {**POOL, "db.client.connection.state": "used"}),
        ):  # fmt: skip
            self._point(batch, process, kind, name, unit, attributes, at, value)
        self._histogram(batch, process, "perfagent.eventloop.lag", lag, at)
        self._histogram(batch, process, "perfagent.gc.pause", pauses, at)

    def _point(
        self, batch: Batch, process: Process, kind: str, name: str, unit: str, attributes: dict[str, str], at: int,
        value: float,
    ) -> None:  # fmt: skip
        series = self._series(batch, process, kind, name, unit, attributes)
        batch.points.append(PointRow(series, at, at - MINUTE if kind == "sum" else 0, value, *(None,) * 8))

    def _histogram(self, batch: Batch, process: Process, name: str, counts: list[int], at: int) -> None:
        series = self._series(batch, process, "histogram", name, "s", {})
        total = sum(count * bound * 0.7 for count, bound in zip(counts, [*BOUNDS, 12.0], strict=True))
        largest = next((b for c, b in zip(reversed(counts), [12.0, *reversed(BOUNDS)], strict=True) if c), 0.0)
        batch.points.append(
            PointRow(series, at, at - MINUTE, None, sum(counts), total, 0.0, largest, counts, None, None, None)
        )

    def _series(
        self, batch: Batch, process: Process, kind: str, name: str, unit: str, attributes: dict[str, str]
    ) -> int:
        one = process.resource
        found = identity(str(one.id), name, json.dumps(attributes))
        if found not in batch.series:
            told: tuple[Any, ...] = (found, one.id, one.service, "perfagent", name)
            batch.series[found] = Series(
                *told, "sum" if kind == "level" else kind, unit, "", kind == "level", kind == "sum",
                json.dumps(attributes), BOUNDS if kind == "histogram" else None,
            )  # fmt: skip
        return found


POOL = {"db.client.connection.pool.name": "db.internal:5432/shop"}


def minutes(day: ShopDay, first: int = 0, last: int = DAY_MINUTES) -> Iterator[tuple[int, Batch]]:
    """The minutes of a day, each with what is told of it."""
    for number in range(first, last):
        yield number, day.minute(number)
