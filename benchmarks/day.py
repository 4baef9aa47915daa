"""A day of two services in a store, the same for the same seed: what the hub's figures are measured on.

Eight endpoints of a shop and one of a payment service, with a daily rhythm, a slow tail, failures, a repeated query, a
page that became slower an hour ago, and the vital signs of four processes every 15 s.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from perfagent.hub.store.rows import Batch, LogRow, Operation, PointRow, Resource, Series, SpanRow

if TYPE_CHECKING:
    from collections.abc import Iterator

MS = 1_000_000  # ns
SECOND = 1000 * MS
HOUR = 3600 * SECOND
POINTS_EVERY = 15 * SECOND
BATCH_SPANS = 20_000
BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]


class Query(NamedTuple):
    """A statement of an endpoint: its summary, its text, its median time and how often a request runs it."""

    summary: str
    text: str
    median_ms: float
    times: int
    caller: str


class Endpoint(NamedTuple):
    """A route: its share of the traffic, its own work, what fails, its queries and whether it calls the payments."""

    name: str
    share: float
    median_ms: float
    spread: float  # sigma of the log-normal distribution
    failing: float
    queries: tuple[Query, ...]
    pays: bool = False


def _query(table: str, where: str, median_ms: float, times: int, line: int) -> Query:
    text = f"SELECT id, name, price FROM {table} WHERE {where}"
    return Query(f"SELECT {table}", text, median_ms, times, f"shop/{table}.py:{line} load_{table}")


ENDPOINTS = (
    Endpoint("GET /", 0.30, 4, 0.4, 0.000, (_query("products", "featured = ?", 0.8, 1, 12),)),
    Endpoint("GET /products/{id}", 0.25, 6, 0.5, 0.002, (_query("products", "id = ?", 0.4, 1, 31),)),
    Endpoint("GET /search", 0.12, 35, 0.9, 0.004, (_query("products", "name LIKE ?", 28, 1, 58),)),
    Endpoint("GET /orders", 0.10, 9, 0.5, 0.001, (_query("orders", "customer = ?", 1.2, 1, 20),
                                                  _query("lines", "order_id = ?", 0.7, 8, 44))),
    Endpoint("POST /cart", 0.10, 7, 0.4, 0.003, (_query("stock", "product = ? FOR UPDATE", 2.0, 1, 77),)),
    Endpoint("POST /checkout", 0.06, 60, 0.6, 0.02, (_query("stock", "product = ? FOR UPDATE", 2.0, 2, 91),), True),
    Endpoint("GET /account", 0.06, 5, 0.4, 0.001, (_query("customers", "id = ?", 0.5, 1, 9),)),
    Endpoint("GET /reports/daily", 0.01, 900, 0.5, 0.01, (_query("orders", "placed > ?", 640, 1, 130),)),
)  # fmt: skip


def identity(*parts: object) -> int:
    """A 63-bit hash, as receivers make them."""
    digest = blake2b(json.dumps(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _resource(service: str, number: int, version: str) -> Resource:
    instance = f"{service}-{number}"
    attributes = {
        "host.name": "server-1",
        "process.pid": 4000 + number,
        "process.runtime.version": "3.11.7",
        "service.instance.id": instance,
        "service.name": service,
        "service.version": version,
        "telemetry.distro.version": "0.1.0",
    }
    return Resource(identity(service, instance), service, instance, version, "production", json.dumps(attributes))


def _operation(service: str, category: str, name: str, system: str = "", text: str = "") -> Operation:
    return Operation(identity(service, category, name, system, text), service, category, name, system, text)


@dataclass
class Day:
    """A day of telemetry, in batches that a store takes.

    Args:
        spans: about how many.
        end: its last moment, ns since the epoch.
        hours: how long it is.
        seed: of what happens.
        ends_at: the hour of the day, 0 to 24, that its rhythm ends at; that of `end` unless given.
    """

    spans: int
    end: int
    hours: float = 24
    seed: int = 1
    ends_at: float | None = None

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.begin = self.end - int(self.hours * HOUR)
        self.shops = [_resource("shop", number, "2.4.0") for number in (1, 2, 3)]
        self.payments = _resource("payments", 4, "1.1.3")
        self.requests = 0
        self.errors = 0
        self.made = 0
        self._resources = {one.id: one for one in (*self.shops, self.payments)}
        self._operations: dict[int, Operation] = {}

    def batches(self) -> Iterator[Batch]:
        """All of it, in the order of time."""
        batch = self._empty()
        next_points = self.begin
        mean_spans = sum(one.share * self._size(one) for one in ENDPOINTS)
        requests = self.spans / mean_spans
        moment = float(self.begin)
        shift = 0.0 if self.ends_at is None else self.ends_at - self.end / HOUR
        while moment < self.end:
            hour = (moment / HOUR + shift) % 24
            rhythm = 1 + 0.6 * math.sin((hour - 9) / 24 * 2 * math.pi)
            moment += self.random.expovariate(requests * rhythm / (self.end - self.begin))
            while next_points <= moment:
                self._vitals(batch, next_points)
                next_points += POINTS_EVERY
            self._request(batch, int(moment))
            if len(batch.spans) >= BATCH_SPANS:
                yield batch
                batch = self._empty()
        yield batch

    def _empty(self) -> Batch:
        return Batch(resources=self._resources, operations=self._operations)

    @staticmethod
    def _size(endpoint: Endpoint) -> int:
        return 1 + sum(query.times for query in endpoint.queries) + (3 if endpoint.pays else 0)

    def _request(self, batch: Batch, started: int) -> None:
        random = self.random
        endpoint = random.choices(ENDPOINTS, [one.share for one in ENDPOINTS])[0]
        resource = random.choice(self.shops)
        trace, root = random.randbytes(16), random.randbytes(8)
        failed = random.random() < endpoint.failing
        at = started + int(0.3 * MS)
        for query in endpoint.queries:
            for _ in range(query.times):
                at = self._query(batch, trace, root, resource, query, at)
        if endpoint.pays:
            at = self._payment(batch, trace, root, resource, at)
        own = random.lognormvariate(math.log(endpoint.median_ms / 2), endpoint.spread)
        if endpoint.name == "GET /search" and started > self.end - HOUR:
            own *= 3  # became slower an hour ago
        code = 500 if failed else 200
        operation = self._known(_operation("shop", "server", endpoint.name))
        method, _, route = endpoint.name.partition(" ")
        attributes = {
            "http.request.method": method,
            "http.response.status_code": code,
            "http.route": route,
            "server.address": "shop.example",
            "server.port": 443,
            "url.path": route.replace("{id}", str(random.randrange(5000))),
            "url.scheme": "https",
        }
        events = None
        if failed:
            exception = {"exception.type": "TimeoutError", "exception.message": "the database did not answer in 5 s"}
            events = json.dumps([{"time": at, "name": "exception", "attributes": exception}])
            self._log(batch, resource, at, trace, root)
            self.errors += 1
        duration = at - started + int(own * MS)
        self._add(
            batch,
            SpanRow(
                trace, root, None, resource.id, operation.id, endpoint.name, 2, started, duration,
                2 if failed else 0, None, code, True, -1, None, 1.0, json.dumps(attributes), events, None,
            ),
        )  # fmt: skip
        self.requests += 1

    def _query(self, batch: Batch, trace: bytes, parent: bytes, resource: Resource, query: Query, at: int) -> int:
        duration = int(self.random.lognormvariate(math.log(query.median_ms), 0.5) * MS)
        operation = self._known(_operation("shop", "db", query.summary, "postgresql", query.text))
        attributes = {
            "db.system.name": "postgresql", "db.namespace": "shop", "db.query.text": query.text,
            "db.query.summary": query.summary, "server.address": "db.internal",
        }  # fmt: skip
        self._add(
            batch,
            SpanRow(
                trace, self.random.randbytes(8), parent, resource.id, operation.id, query.summary, 3, at, duration,
                0, None, 0, False, self.random.randrange(20), query.caller, 1.0, json.dumps(attributes), None, None,
            ),
        )  # fmt: skip
        return at + duration + int(0.05 * MS)

    def _payment(self, batch: Batch, trace: bytes, parent: bytes, resource: Resource, at: int) -> int:
        duration = int(self.random.lognormvariate(math.log(38), 0.5) * MS)
        call, served = self.random.randbytes(8), self.random.randbytes(8)
        pays = self._known(_operation("shop", "http", "POST payments.internal"))
        pay = self._known(_operation("payments", "server", "POST /pay"))
        query = self._known(_operation("payments", "cache", "GET", "redis"))
        tail = (None, None)
        self._add(batch, SpanRow(trace, call, parent, resource.id, pays.id, "POST", 3, at, duration, 0, None, 200,
                                 False, -1, None, 1.0, '{"server.address": "payments.internal"}', *tail))  # fmt: skip
        self._add(batch, SpanRow(trace, served, call, self.payments.id, pay.id, "POST /pay", 2, at + MS,
                                 duration - 2 * MS if duration > 4 * MS else duration, 0, None, 200, True, -1, None,
                                 1.0, '{"http.route": "/pay", "http.request.method": "POST"}', *tail))  # fmt: skip
        self._add(batch, SpanRow(trace, self.random.randbytes(8), served, self.payments.id, query.id, "GET", 3,
                                 at + 2 * MS, MS // 3, 0, None, 0, False, -1, None, 1.0,
                                 '{"db.system.name": "redis"}', *tail))  # fmt: skip
        return at + duration

    def _known(self, operation: Operation) -> Operation:
        return self._operations.setdefault(operation.id, operation)

    def _add(self, batch: Batch, row: SpanRow) -> None:
        batch.spans.append(row)
        self.made += 1

    def _log(self, batch: Batch, resource: Resource, at: int, trace: bytes, span: bytes) -> None:
        attributes = json.dumps({"code.file.path": "shop/database.py", "code.line.number": 61})
        body = "query failed: the database did not answer in 5 s"
        batch.logs.append(LogRow(at, resource.id, "shop.database", 17, "ERROR", None, body, attributes, trace, span))

    def _vitals(self, batch: Batch, at: int) -> None:
        """The points of every process at one moment; sums and histograms as differences."""
        random = self.random
        growth = (at - self.begin) / (self.end - self.begin)
        for resource in self._resources.values():
            lag = [random.randrange(3) if position < 4 else 0 for position in range(len(BOUNDS) + 1)]
            for name, unit, value in (
                ("process.cpu.utilization", "1", min(max(random.gauss(0.3, 0.08), 0), 1)),
                ("process.memory.usage", "By", 150e6 + 40e6 * growth + random.gauss(0, 1e6)),
                ("process.thread.count", "{thread}", 12),
                ("process.unix.file_descriptor.count", "{file_descriptor}", 40 + random.randrange(9)),
                ("process.uptime", "s", (at - self.begin) / SECOND + 60),
            ):
                series = self._series(batch, resource, "gauge", name, unit, {})
                batch.points.append(PointRow(series, at, 0, value, *(None,) * 8))
            for name, value in (("perfagent.cache.hits", 60 + random.randrange(9)), ("perfagent.cache.misses", 40)):
                series = self._series(batch, resource, "sum", name, "{hit}", {"cache.name": "prices"})
                batch.points.append(PointRow(series, at, at - POINTS_EVERY, value, *(None,) * 8))
            series = self._series(batch, resource, "histogram", "perfagent.eventloop.lag", "s", {})
            total = sum(lag) * 0.008
            batch.points.append(
                PointRow(series, at, at - POINTS_EVERY, None, sum(lag), total, 0.001, 0.05, lag, None, None, None)
            )

    def _series(
        self, batch: Batch, resource: Resource, kind: str, name: str, unit: str, attributes: dict[str, str]
    ) -> int:
        found = identity(resource.id, name, attributes)
        if found not in batch.series:
            batch.series[found] = Series(
                found, resource.id, resource.service, "perfagent", name, kind, unit, "", False, kind != "gauge",
                json.dumps(attributes), BOUNDS if kind == "histogram" else None,
            )  # fmt: skip
        return found
