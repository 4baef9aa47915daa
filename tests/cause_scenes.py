"""Scenes of a shop in which one thing goes wrong in the last minute, as OTLP: what causes are ranked from."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from tests.hub import counter, gauge, histogram, level, metrics, resource, span, traces

if TYPE_CHECKING:
    from tests.hub import ServedHub

BEFORE, WRONG = 300, 58  # s of health, and of what is wrong at their end
LAG = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
ORDERS = "SELECT id, total FROM orders WHERE customer = ?"
LINES = "SELECT product FROM lines WHERE order_id = ?"
STOCK = "UPDATE stock SET left = left - ? WHERE product = ?"


@dataclass
class Look:
    """How requests and the process are at a moment; the defaults are healthy."""

    own_ms: float = 4.0
    query_ms: float = 3.0
    update_ms: float = 3.0
    lines: int = 0
    lookup_ms: float = 1.0
    lookup_fails: bool = False
    missed: float = 0.1
    call_ms: float = 20.0
    fails: float = 0.0
    error: str = "KeyError"
    cpu: float = 0.2
    lag_ms: float = 3.0
    memory: float = 100e6
    grows: float = 0.0
    used: float = 2.0
    wait_ms: float = 0.1
    version: str = "1.0"


@dataclass
class Scene:
    """What is sent to a hub: five minutes of health, then a minute of something else.

    Args:
        wrong: what the last minute is like.
        seconds_wrong: how long that is.
    """

    wrong: Look = field(default_factory=Look)
    healthy: Look = field(default_factory=Look)
    seconds_wrong: float = WRONG
    seed: int = 1

    def send(self, hub: ServedHub) -> None:
        """Sends all of it."""
        self._random, self._last = Random(self.seed), 0
        for first, last, look in ((BEFORE, self.seconds_wrong, self.healthy), (self.seconds_wrong, 0.5, self.wrong)):
            spans: list[dict[str, Any]] = []
            ago = float(first)
            while ago > last:
                spans += self._reads(ago, look) + self._orders(ago - 0.1, look)
                ago -= 0.5
            who = resource("shop", f"shop-{look.version}", service__version=look.version)
            hub.send("traces", traces(who, *spans))
            moments = range(int(first), int(last), -5)
            signs = [one for moment in moments for one in self._signs(float(moment), look, first - moment)]
            hub.send("metrics", metrics(who, *signs))

    def _number(self) -> int:
        self._last = self._random.getrandbits(60) | 1
        return self._last

    def _about(self, ms: float) -> float:
        return ms * self._random.lognormvariate(0, 0.25)

    def _reads(self, ago: float, look: Look) -> list[dict[str, Any]]:
        """GET /orders: a look-up, where it fails or misses a query, and lines of each order."""
        root, inner = self._number(), []
        at = self._about(look.own_ms) / 2
        lookup = self._about(look.lookup_ms)
        inner.append(self._inside(root, ago, at, lookup, "GET", 500 if look.lookup_fails else 200,
                                  db__system__name="redis", db__operation__name="GET"))  # fmt: skip
        at += lookup
        if look.lookup_fails or self._random.random() < look.missed:
            for text, name, times, ms in ((ORDERS, "SELECT orders", 1, look.query_ms),
                                          (LINES, "SELECT lines", look.lines, 1.5)):  # fmt: skip
                for _ in range(times):
                    took = self._about(ms)
                    inner.append(self._statement(root, ago, at, took, name, text))
                    at += took
        return [span(root, "GET /orders", trace=root, ago=ago, ms=at + self._about(look.own_ms) / 2), *inner]

    def _orders(self, ago: float, look: Look) -> list[dict[str, Any]]:
        """POST /orders: an update, then a call of the bank; some fail by what their code does."""
        root, at = self._number(), self._about(look.own_ms) / 2
        update = self._about(look.update_ms)
        inner = [self._statement(root, ago, at, update, "UPDATE stock", STOCK)]
        at += update
        call = self._about(look.call_ms)
        inner.append(self._inside(root, ago, at, call, "POST", 200, http__request__method="POST",
                                  server__address="bank.example"))  # fmt: skip
        at += call
        failed = self._random.random() < look.fails
        whole = span(root, "POST /orders", trace=root, ago=ago, ms=at + self._about(look.own_ms) / 2,
                     status=500 if failed else 201)  # fmt: skip
        if failed:
            told = {"exception.type": look.error, "exception.message": "'country'"}
            attributes = [{"key": key, "value": {"stringValue": value}} for key, value in told.items()]
            whole["events"] = [
                {"timeUnixNano": whole["startTimeUnixNano"], "name": "exception", "attributes": attributes}
            ]
        return [whole, *inner]

    def _statement(self, root: int, ago: float, at: float, ms: float, name: str, text: str) -> dict[str, Any]:
        return self._inside(
            root, ago, at, ms, name, 200, db__system__name="postgresql", db__query__summary=name, db__query__text=text,
            code__file__path="/srv/shop/orders.py", code__line__number=35, code__function__name="list_orders",
        )  # fmt: skip

    def _inside(self, root: int, ago: float, at: float, ms: float, name: str, status: int, **more: Any) -> Any:
        return span(self._number(), name, trace=root, parent=root, kind=3, ago=ago - at / 1000, ms=ms, status=status,
                    **more)  # fmt: skip

    def _signs(self, ago: float, look: Look, since: float) -> list[dict[str, Any]]:
        """Vital signs of five seconds."""
        slow = next((place for place, bound in enumerate(LAG) if look.lag_ms <= bound * 1000), len(LAG))
        counts = [0] * (len(LAG) + 1)
        counts[slow] = 20
        pool = {"db.client.connection.pool.name": "shop"}
        hits = 0.0 if look.lookup_fails else 10 * (1 - look.missed)
        misses = 0.0 if look.lookup_fails else 10 * look.missed
        named = {key.replace(".", "__"): value for key, value in pool.items()}
        return [
            counter("process.cpu.time", look.cpu * 5, "s", ago=ago),
            level("process.memory.usage", look.memory + look.grows * since, "By", ago=ago),
            histogram("perfagent.eventloop.lag", LAG, counts, 20 * look.lag_ms / 1000, ago=ago),
            level("db.client.connection.count", look.used, ago=ago, db__client__connection__state="used", **named),
            level("db.client.connection.max", 6, ago=ago, **named),
            histogram(
                "db.client.connection.wait_time", LAG, [10, *[0] * len(LAG)], look.wait_ms / 100, ago=ago, **named
            ),
            counter("perfagent.cache.hits", hits, ago=ago, cache__system="redis"),
            counter("perfagent.cache.misses", misses, ago=ago, cache__system="redis"),
            gauge("perfagent.eventloop.stalled", 0.0, "s", ago=ago),
        ]
