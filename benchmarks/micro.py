"""`python -m benchmarks.micro`: what the single pieces cost, in microseconds; and what importing them costs.

Each figure is the fastest of several rounds: the machine can only make a piece slower than it is.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from perfagent.runtime.span import Span

ROUNDS, TIMES = 7, 5000


def main() -> int:
    """Prints the figures as a table, or as JSON with --json; returns 0."""
    figures = {
        **runtime(),
        **instruments(),
        **pages(),
        **messages(),
        **resilience(),
        **monitor(),
        **queries(),
        **caches(),
        **economics(),
        **deprecations(),
        **limits(),
        **imports(),
    }
    if "--json" in sys.argv:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:<58}{value:>9.2f} {'ms' if name.startswith('import') else 'us'}")
    return 0


def fastest(call: Callable[[], object], after: Callable[[], object] = lambda: None) -> float:
    """Microseconds of one call, in the fastest of the rounds; `after` is called between the rounds, untimed."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(TIMES):
            call()
        best = min(best, time.perf_counter() - begin)
        after()
    return best / TIMES * 1e6


def runtime() -> dict[str, float]:
    """Spans, metrics and their encoding."""
    from perfagent.runtime import metric, outbox
    from perfagent.runtime.db import QuerySpan, database
    from perfagent.runtime.span import INTERNAL, Scope, Span

    outbox.limit = outbox.CROWDED = 1 << 40  # nobody empties it meanwhile
    scope = Scope("benchmark")
    target = database("sqlite", "benchmark")
    root = Span(scope, "root", INTERNAL, None)

    def empty() -> None:
        outbox.pending.clear()

    def query() -> Span:
        span = QuerySpan(scope, root, target, "select name from things where id = 5")
        span.finish()
        return span

    query()  # the first of its kind is looked at closely
    finished = query()
    histogram = metric.registry.make(scope, metric.HISTOGRAM, "benchmark.duration", "s")
    series = histogram.of({"route": "/hello"})
    counter = metric.registry.make(scope, metric.COUNTER, "benchmark.count")
    recorded = _recorded()
    return {
        "request, written by the flight recorder": recorded,
        "span, made and finished": fastest(lambda: Span(scope, "x", INTERNAL, root).finish(), empty),
        "query span, made and finished": fastest(query, empty),
        "query span, measured (background)": fastest(finished.measure),
        "query span, encoded (background)": fastest(finished.encode),
        "histogram, recorded on a bound series": fastest(lambda: series.record(0.01)),
        "counter, added with two attributes": fastest(lambda: counter.add(1, {"a": "b", "c": "d"})),
    }


def _recorded() -> float:
    """What the flight recorder adds to a request: its begin and its end."""
    from tempfile import TemporaryDirectory

    from perfagent.runtime import flight
    from perfagent.runtime.http import ServerSpan
    from perfagent.runtime.span import Scope
    from perfagent.settings import Settings

    span = ServerSpan(Scope("benchmark"), None, "GET", "http", "/items/42", "1.1", b"localhost", b"", None)

    def request() -> None:
        assert flight.begin is not None
        slot = flight.begin(span, "GET", "/items/42")
        flight.end(slot, span, 200)

    with TemporaryDirectory() as place:
        flight.install(Settings({"PERFAGENT_FLIGHT_DIR": place}), print)
        request()
        took = fastest(request)
        if flight.recorder is not None:
            flight.recorder.stop()
    return took


def instruments() -> dict[str, float]:
    """What an instrument adds to the call that it wraps, on the program's thread."""
    from perfagent.instruments import sqlite3 as measured
    from perfagent.instruments.asgi import Measured
    from perfagent.runtime import outbox
    from perfagent.runtime.span import Scope

    async def app(scope: object, receive: object, send: Callable[[object], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: object) -> None:
        pass

    def requests(application: Callable[..., Awaitable[None]]) -> float:
        async def all_of_them() -> float:
            best = float("inf")
            for _ in range(ROUNDS):
                scopes = [_request() for _ in range(TIMES)]
                begin = time.perf_counter()
                for scope in scopes:
                    await application(scope, None, send)
                best = min(best, time.perf_counter() - begin)
                outbox.pending.clear()
            return best / TIMES * 1e6

        return asyncio.run(all_of_them())

    statement = "select 1"
    bare = sqlite3.connect(":memory:").cursor()
    measured.instrument.apply(sqlite3)
    wrapped = sqlite3.connect(":memory:").cursor()
    figures = {
        "ASGI request, added": requests(Measured(app, Scope("benchmark"))) - requests(app),
        "sqlite3 execute, added": fastest(lambda: wrapped.execute(statement), outbox.pending.clear)
        - fastest(lambda: bare.execute(statement)),
    }
    measured.instrument.unpatch()
    return figures


def pages() -> dict[str, float]:
    """What PERFAGENT_RUM adds to an answer: to one that is no page, and to a page with 12 tags in its head."""
    from perfagent import rum
    from perfagent.instruments import asgi
    from perfagent.runtime import outbox
    from perfagent.runtime.span import Scope

    scope, measured = Scope("benchmark"), asgi._with_script(asgi.call)
    links = b"".join(b'<link rel="stylesheet" href="/static/%d.css">\n' % number for number in range(8))
    page = b"<!doctype html><html><head><meta charset='utf-8'><title>a</title>" + links + b"</head><body>" + b"x" * 9000

    def cost(call: Callable[..., Awaitable[None]], kind: bytes, body: bytes) -> float:
        async def app(scope: object, receive: object, send: Callable[[object], Awaitable[None]]) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
            await send({"type": "http.response.body", "body": body})

        async def send(message: object) -> None:
            pass

        async def rounds() -> float:
            best = float("inf")
            for _ in range(ROUNDS):
                scopes = [_request() for _ in range(TIMES)]
                begin = time.perf_counter()
                for one in scopes:
                    await call(scope, app, one, None, send)
                best = min(best, time.perf_counter() - begin)
                outbox.pending.clear()
            return best / TIMES * 1e6

        return asyncio.run(rounds())

    rum.use("http://127.0.0.1:4318")
    kinds = {"no page": (b"application/json", b"{}"), "a page": (b"text/html; charset=utf-8", page)}
    found = {
        f"PERFAGENT_RUM, {name}, added": cost(measured, *what) - cost(asgi.call, *what) for name, what in kinds.items()
    }
    rum.hub = None
    return found


def messages() -> dict[str, float]:
    """What a message costs the program's thread, around a producer and a consumer of kafka-python that do nothing.

    Sending has the acknowledgement in it; what is consumed carries the context of a producer.
    """
    from kafka.consumer import group
    from kafka.consumer.fetcher import ConsumerRecord
    from kafka.producer import kafka
    from kafka.producer.future import FutureProduceResult, FutureRecordMetadata, RecordMetadata
    from kafka.structs import TopicPartition

    from perfagent.instruments.kafka_python import instrument
    from perfagent.runtime import outbox

    partition = TopicPartition("orders", 0)
    metadata = RecordMetadata("orders", 0, partition, 1, 1, None, 1, 1, 1)
    context = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    told = {"topic": "orders", "partition": 0, "offset": 1, "timestamp": 1, "headers": [context], "value": b"x"}
    record = ConsumerRecord(**{name: told.get(name) for name in ConsumerRecord._fields})
    config = {"bootstrap_servers": "localhost", "client_id": "benchmark", "group_id": "benchmark"}

    class Producer(kafka.KafkaProducer):
        def __init__(self) -> None:
            self.config = config

        def close(self, *_: object, **__: object) -> None:
            pass

    class Consumer(group.KafkaConsumer):
        def __init__(self) -> None:
            self.config = config

        def __del__(self) -> None:
            pass

    kafka.KafkaProducer.send = lambda *_, **__: FutureRecordMetadata(
        FutureProduceResult(partition), 0, 1, None, 1, 1, 1
    )
    group.KafkaConsumer.__next__ = lambda _: record

    def send() -> float:
        producer = Producer()
        return fastest(lambda: producer.send("orders", b"x").success(metadata), outbox.pending.clear)

    def consume() -> float:
        best = float("inf")
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            for number, _record in enumerate(Consumer()):
                if number == TIMES:
                    break
            best = min(best, time.perf_counter() - begin)
            outbox.pending.clear()
        return best / TIMES * 1e6

    bare = send(), consume()
    instrument.apply(kafka)
    instrument.apply(group)
    figures = {"Kafka message sent, added": send() - bare[0], "Kafka message consumed, added": consume() - bare[1]}
    instrument.unpatch()
    return figures


def monitor() -> dict[str, float]:
    """What the performance monitor takes of the program's thread, its share of working values in included."""
    from perfagent import get_performance_monitor
    from perfagent.runtime import outbox
    from perfagent.runtime.context import current
    from perfagent.runtime.span import INTERNAL, Scope, Span

    told = get_performance_monitor()

    def block() -> None:
        with told.measure("benchmark.block"):
            pass

    def traced() -> None:
        with told.measure("benchmark.block", trace=True):
            pass

    def nothing() -> None:
        pass

    measured = told.measure("benchmark.function")(nothing)
    empty = fastest(nothing)
    figures = {
        "monitor, value recorded": fastest(lambda: told.record_metric("benchmark.value", 12.5, "ms", "api")) - empty,
        "monitor, block measured": fastest(block) - empty,
        "monitor, function measured, added": fastest(measured) - empty,
        "monitor, unit of work recorded": fastest(lambda: told.record_processing(0.01)) - empty,
    }
    token = current.set(Span(Scope("benchmark"), "root", INTERNAL, None))
    figures["monitor, block measured as a span"] = fastest(traced, outbox.pending.clear) - empty
    current.reset(token)
    return figures


def caches() -> dict[str, float]:
    """A hit in memory, on the program's thread, beside what cachetools' own decorator takes for one."""
    from threading import Lock

    from cachetools import TTLCache
    from cachetools import cached as bare

    from perfagent.cache import Cache, cached

    cache = Cache("benchmark", type="memory")
    kept = cached(ttl=3600, cache=cache)(lambda a, b: a)
    odd = cached(ttl=3600, cache=cache)(lambda a, b: a)
    theirs = bare(TTLCache(1000, 3600), lock=Lock())(lambda a, b: a)

    @cached(ttl=3600, cache=cache)
    async def awaited(a: int, b: str) -> int:
        return a

    async def hits() -> float:
        best = float("inf")
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            for _ in range(TIMES):
                await awaited(1, "x")
            best = min(best, time.perf_counter() - begin)
        return best / TIMES * 1e6

    return {
        "cached, hit in memory": fastest(lambda: kept(1, "x")),
        "cached, hit in memory, a float as argument": fastest(lambda: odd(1.5, "x")),
        "cached, hit in memory, awaited": asyncio.run(hits()),
        "cachetools' cached with TTLCache and a lock, hit": fastest(lambda: theirs(1, "x")),
    }


def resilience() -> dict[str, float]:
    """What a breaker, an error budget and a seen retry cost the call."""
    import tempfile

    import purgatory
    import tenacity

    from perfagent import circuit_breaker
    from perfagent.instruments.tenacity import _judging
    from perfagent.resilience.budgets.budget import Budget

    def call() -> int:
        return 1

    bare = fastest(call)
    guarded = circuit_breaker("benchmark")(call)
    theirs = purgatory.SyncCircuitBreakerFactory()("benchmark")(call)
    retried = tenacity.retry(stop=tenacity.stop_after_attempt(3))(call)
    with tempfile.TemporaryDirectory() as folder:
        budget = Budget("benchmark", 1000, 30, folder)
        figures = {
            "call through a closed circuit breaker, added": fastest(guarded) - bare,
            "the same through purgatory's own, added": fastest(theirs) - bare,
            "error recorded against a budget": fastest(lambda: budget.record(1)),
        }
    retrying = tenacity.Retrying()
    state = tenacity.RetryCallState(retrying, call, (), {})
    state.set_result(1)
    check = retrying._post_retry_check_actions.__func__
    seen = _judging(check)
    # What it adds is lost in the noise of the 15 us that tenacity takes: the one function that does it tells.
    figures["call that tenacity retries, bare"] = fastest(retried)
    figures["call that tenacity retries, added"] = fastest(
        lambda: seen(retrying, state), retrying.iter_state.reset
    ) - fastest(lambda: check(retrying, state), retrying.iter_state.reset)
    return figures


def economics() -> dict[str, float]:
    """What a look-up in a cache pays for being told, by how it is sampled; what an event costs in the background."""
    from perfagent.runtime import economics as watching
    from perfagent.runtime.economics.model import Model

    watched = watching.Watched("redis", "", "benchmark")
    watched.callers = 0
    model = Model(watched)
    keys = [f"user:{number}:profile" for number in range(1000)]
    turns = iter(range(1 << 60))

    def lookup() -> None:
        number = next(turns)
        watched.lookup(keys[number % 1000], True, number * 1_000_000, number * 1_000_000 + 1000)

    every = fastest(lookup, watched.events.clear)
    for key in keys:
        watched.store(key, 0, 0, 100, 60.0)
    best = float("inf")
    for _ in range(ROUNDS):
        for _ in range(TIMES):
            lookup()
        begin, events = time.perf_counter(), len(watched.events)
        model.take()
        best = min(best, (time.perf_counter() - begin) / events * 1e6)
        watched.threshold = watching.SPACE
    watched.threshold = 0
    return {
        "cache look-up of a watched key, told": every,
        "cache look-up of another key, told": fastest(lookup, watched.events.clear),
        "cache look-up, judged (background)": best,
    }


def deprecations() -> dict[str, float]:
    """What the deprecation ledger adds to a repeated warning, by what the program's filters do with it."""
    import warnings

    from perfagent.resilience.deprecations import install, uninstall

    def old() -> None:
        warnings.warn("old is deprecated", DeprecationWarning, stacklevel=2)

    def other() -> None:
        warnings.warn("not about deprecation", RuntimeWarning, stacklevel=2)

    def cost() -> tuple[float, float, float]:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("ignore")
            ignored, others = fastest(old), fastest(other)
            warnings.simplefilter("default")
            return ignored, others, fastest(old)

    bare = cost()
    install()
    measured = cost()
    uninstall()
    names = ("deprecated call, ignored", "other warning, ignored", "deprecated call, shown once")
    return {f"{name}, added": with_us - without for name, with_us, without in zip(names, measured, bare, strict=True)}


def limits() -> dict[str, float]:
    """What a background task pays for giving way, and a trial of the optimizer for its values."""
    from perfagent import Optimizer, throttle
    from perfagent.resilience.limits import Container, ResourceLimits, tasks
    from perfagent.settings.limits import LimitSettings

    nowhere = Container("/nonexistent", "/nonexistent")

    def trials(optimizer: Optimizer) -> float:
        optimizer.parameter("batch_size", 1, 10, 5)
        while optimizer.searching:
            optimizer.suggest().report(1.0)

        def trial() -> None:
            with optimizer.trial():
                pass

        return fastest(trial)

    tasks._limits = ResourceLimits(LimitSettings({}, "/nonexistent"), nowhere)
    figures = {"throttle, no limit": fastest(throttle)}
    tasks._limits = limited = ResourceLimits(LimitSettings({"MAX_MEMORY": "1TB", "MAX_CPU_CORES": "99"}), nowhere)

    def look() -> None:
        limited._due = 0.0
        limited.look()

    figures["throttle, within the limits"] = fastest(throttle)
    figures["look at the resources, once a second (background)"] = fastest(look)
    figures["trial of the optimizer, off"] = trials(Optimizer("off", enabled=False, folder=None))
    figures["trial of the optimizer, best known"] = trials(Optimizer("on", enabled=True, folder=None, trials=5))
    return figures


def queries() -> dict[str, float]:
    """A cached query, found again; and what watching an engine adds to a statement."""
    import sqlalchemy

    from perfagent.data import QueryOptimizer

    engine = sqlalchemy.create_engine("sqlite://")
    statement = sqlalchemy.select(sqlalchemy.literal(1).label("one")).where(sqlalchemy.literal(2) > 1)
    text = sqlalchemy.text("select 1 as one where :two > 1")

    def run() -> None:
        connection.execute(text, {"two": 2}).all()

    with engine.connect() as connection:
        bare = fastest(run)
        optimizer = QueryOptimizer(engine)
        figures = {"statement on a watched engine, added": fastest(run) - bare}
    figures["cached query, found, as a text"] = fastest(lambda: optimizer.cached_query("select 1 as one"))
    figures["cached query, found, as a select"] = fastest(lambda: optimizer.cached_query(statement))
    return figures


def _request() -> dict[str, object]:
    headers = [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"wrk"), (b"accept", b"*/*")]
    return {
        "type": "http",
        "method": "GET",
        "path": "/hello",
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 1234),
        "headers": headers,
    }


def imports() -> dict[str, float]:
    """Milliseconds that importing a piece adds to an interpreter's start."""
    pieces = ("perfagent", "perfagent.launch.start", "perfagent.runtime.pipeline", "perfagent.instruments.load")
    empty = _start("")
    return {f"import {piece}": _start(f"import {piece}") - empty for piece in pieces}


def _start(code: str) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        best = min(best, time.perf_counter() - begin)
    return best * 1e3


if __name__ == "__main__":
    sys.exit(main())
