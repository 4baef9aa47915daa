"""What the worst programs do: `hostile.py CASE [NUMBER]` prints what a program sees of it, bare or under an agent."""

import asyncio
import hashlib
import logging
import resource
import sqlite3
import sys
from pathlib import Path

SECRETS = 100_000_000  # characters of what is large


def urls(number: int) -> None:
    """So many requests, each with a path of its own."""
    asyncio.run(_ask((f"/u{n}".encode(), ()) for n in range(number)))


def routes(number: int) -> None:
    """So many requests to one route, each with a path of its own."""
    asyncio.run(_ask((f"/item/{n}".encode(), ()) for n in range(number)))


def statements(number: int) -> None:
    """So many statements, each with a text of its own: their names differ, not only their literals."""
    cursor = sqlite3.connect(":memory:").cursor()
    total = 0
    for n in range(number):
        (value,) = cursor.execute(f"select {n} as column_{n}").fetchone()
        total += value
    print(total)


def attributes(number: int) -> None:
    """So many attribute sets of one counter, and of one histogram."""
    from opentelemetry import metrics

    meter = metrics.get_meter("hostile")
    counter, histogram = meter.create_counter("distinct"), meter.create_histogram("durations")
    for n in range(number):
        counter.add(1, {"user": n})
        histogram.record(n, {"user": f"user {n}"})
    print(number)


def keys(number: int) -> None:
    """So many names of an attribute, of one counter and of one histogram, and of spans."""
    from opentelemetry import metrics, trace

    meter = metrics.get_meter("hostile")
    counter, histogram = meter.create_counter("distinct"), meter.create_histogram("durations")
    tracer = trace.get_tracer("hostile")
    for n in range(number):
        counter.add(1, {f"user.{n}": True})
        histogram.record(n, {f"of.user.{n}": 1, "kind": "known"})
        tracer.start_span("work", attributes={f"by.user.{n}": 1}).end()
    print(number)


def parameters(number: int) -> None:
    """One statement with so many values, by place and by name, and one route with so many in its query string."""
    cursor = sqlite3.connect(":memory:").cursor()
    total = 0
    for n in range(number):
        if n % 2:
            (value,) = cursor.execute("select length(?)", (f"value {n}",)).fetchone()
        else:
            (value,) = cursor.execute("select length(:text)", {"text": f"value {n}"}).fetchone()
        total += value
    print(total)
    asyncio.run(_ask((b"/item/1", (), b"of=%d" % n) for n in range(number)))


def large(_number: int) -> None:
    """100 MB where a program has a parameter, a statement, a header, a path, a message, an attribute, an error."""
    from opentelemetry import trace

    text = "x" * SECRETS
    connection = sqlite3.connect(":memory:")
    cursor = connection.cursor()
    print(cursor.execute("select length(?)", (text,)).fetchone())
    print(cursor.execute("select length(?)", (text.encode(),)).fetchone())
    statement = "select 'a' as a, '" + text + "'"
    try:
        print(len(cursor.execute(statement).fetchone()[1]))
    except sqlite3.Error as error:
        print(error)
    try:
        cursor.execute("select " + "f(" * 100_000)
    except sqlite3.Error as error:
        print(error)
    asyncio.run(_ask([(b"/item/" + text.encode(), ())]))
    asyncio.run(_ask([(b"/item/1", ((b"x-large", text.encode()), (b"traceparent", text.encode())))]))
    with trace.get_tracer("hostile").start_as_current_span(text[:1_000_000]) as span:
        span.set_attribute("large", text)
        span.set_attribute(text, 1)
        span.add_event(text, {"large": text})
        span.record_exception(ValueError(text))
    logging.getLogger("hostile").warning("%s", text)
    try:
        raise RuntimeError(text)
    except RuntimeError:
        logging.getLogger("hostile").exception("with an error")


class Hostile:
    """Whatever is asked of it raises."""

    def _raise(self, *_: object) -> "str":
        raise ZeroDivisionError("hostile")

    __str__ = __repr__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __format__ = _raise  # type: ignore
    __lt__ = __int__ = __float__ = __index__ = __bytes__ = _raise  # type: ignore


class HostileClass(Hostile):
    """It even raises when it is asked what it is, as `isinstance` does."""

    @property
    def __class__(self) -> type:
        raise ZeroDivisionError("hostile class")


class HostileError(Exception):
    """An error that cannot be shown."""

    def __str__(self) -> str:
        raise ZeroDivisionError("hostile")

    __repr__ = __str__


def unprintable(_number: int) -> None:
    """Parameters, errors, attributes and messages that raise when they are looked at."""
    from opentelemetry import metrics, trace

    class Key(str):
        __hash__ = None  # type: ignore

    cursor = sqlite3.connect(":memory:").cursor()
    for parameters in ((Hostile(),), {"a": HostileClass()}, Hostile(), [HostileError()]):
        try:
            cursor.execute("select :a", parameters)
        except BaseException as error:
            print(type(error).__name__, str(error)[:80].partition(" 0x")[0])
    connection = sqlite3.connect(":memory:")

    def fail() -> None:
        raise HostileError

    connection.create_function("fail", 0, fail)
    try:
        connection.execute("select fail()")
    except sqlite3.Error as error:
        print(error)
    tracer = trace.get_tracer("hostile")
    loop: list[object] = []
    loop.append(loop)
    nested: dict[str, object] = {}
    nested["self"] = nested
    values = (Hostile(), HostileClass(), HostileError(), [Hostile()], {"a": Hostile()}, loop, nested, 1 << 200)
    for value in (*values, float("nan")):
        with tracer.start_as_current_span("span") as span:
            span.set_attribute("value", value)  # type: ignore[arg-type]
            span.set_attributes({"value": value})  # type: ignore[dict-item]
            span.add_event("event", {"value": value})  # type: ignore[dict-item]
            metrics.get_meter("hostile").create_counter("odd").add(1, {"value": value})  # type: ignore[dict-item]
    with tracer.start_as_current_span("span") as span:
        span.set_attribute(Key("key"), "value")
        span.set_attribute(Hostile(), "value")  # type: ignore[arg-type]
    for error in (HostileError(), HostileError(Hostile()), UnnamedError()):
        try:
            with tracer.start_as_current_span("span"):
                raise error
        except HostileError as seen:
            print(seen is error)
        except UnnamedError as seen:
            print(seen is error)
    logging.raiseExceptions = False
    logging.getLogger("hostile").warning("%s", Hostile())
    logging.getLogger("hostile").warning(HostileError())
    logging.getLogger("hostile").warning("extra", extra={"value": Hostile()})
    asyncio.run(_ask([(b"/raise", ())]))


class UnnamedError(Exception):
    """An error whose class has lost what names it."""

    __module__ = None  # type: ignore[assignment]


def undecodable(_number: int) -> None:
    """Bytes and characters that are no UTF-8, everywhere."""
    from opentelemetry import baggage, trace

    odd = b"\xff\xfe\x00\xc3(\xed\xa0\x80".decode("utf-8", "surrogateescape")
    cursor = sqlite3.connect(":memory:").cursor()
    for statement in (f"select '{odd}'", f'select 1 as "{odd}"', "select '\ud800'", "select 1 \x00", "\ufffe"):
        try:
            print(cursor.execute(statement).fetchone())
        except Exception as error:
            print(type(error).__name__)
    raw = bytes(range(256))
    headers = [(b"user-agent", raw), (b"host", raw), (b"traceparent", raw), (b"tracestate", raw), (b"baggage", raw)]
    headers += [(raw, raw), (b"content-length", raw), (b"x-forwarded-for", raw)]
    asyncio.run(_ask([(b"/item/" + raw, headers), (raw, headers)]))
    with trace.get_tracer(odd).start_as_current_span(odd) as span:
        span.set_attribute(odd, odd)
        span.set_attribute("bytes", raw)
        span.add_event(odd, {odd: odd})
        span.set_status(trace.StatusCode.ERROR, odd)
        baggage.set_baggage(odd, odd)
    logging.getLogger(odd).warning(odd)
    try:
        raise type(odd.replace("\x00", ""), (Exception,), {})(odd)
    except Exception:
        logging.getLogger("hostile").exception("failed")


def recursion(_number: int) -> None:
    """Statements, spans, requests and log records at the depth where the interpreter has none left."""
    from opentelemetry import trace

    tracer, cursor = trace.get_tracer("hostile"), sqlite3.connect(":memory:").cursor()

    def dive(act: object) -> None:
        act()  # type: ignore[operator]
        dive(act)

    def spanned() -> None:
        with tracer.start_as_current_span("deep"):
            pass

    deep = (lambda: cursor.execute("select 1"), spanned, lambda: logging.getLogger("deep").error("deep"))
    for act in deep:
        for limit in range(100, 160):
            sys.setrecursionlimit(limit + 60)
            try:
                dive(act)
            except RecursionError:
                continue
            finally:
                sys.setrecursionlimit(1000)
            print("no end")
    print(trace.get_current_span().get_span_context().is_valid)
    print(cursor.execute("select 'after'").fetchone())


def contexts(_number: int) -> None:
    """Headers that carry a context, and should not be believed."""
    good = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    parents = [b"", b"00", b"\xff" * 55, good + b"0", b"ff" + good[2:], b"-" * 60_000, good.upper(), good[:-2] + b"zz"]
    parents += [b"00-" + b"0" * 32 + b"-" + b"b" * 16 + b"-01", good.replace(b"a", "é".encode())[:55], good]
    states = [
        b"a=b," * 20_000,
        b"=" * 60_000,
        b"\x00\xff\n\r",
        b"a=" + b"\x80" * 500,
        b",".join([b"k%d=v" % n for n in range(5000)]),
    ]
    bags = [b"k%d=v" % n + b";p=q" * 10 for n in range(200)]
    headers = [((b"traceparent", parent), (b"tracestate", state)) for parent in parents for state in states]
    headers += [((b"baggage", b",".join(bags * times)),) for times in (1, 10, 100)]
    headers += [tuple((b"baggage", bag) for bag in bags * 20), tuple((b"traceparent", good) for _ in range(5000))]
    headers += [((b"baggage", b"%" * 60_000),), ((b"baggage", b"a=%zz,=,;;;,\xff=\xff"),)]
    asyncio.run(_ask((b"/item/1", header) for header in headers))


def cancelled(number: int) -> None:
    """So many requests at once, all cancelled, some before they began; then one that has no parent left over."""

    async def main() -> None:
        tasks = [asyncio.create_task(_one(b"/sleep", ())) for _ in range(number)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        print(sum(isinstance(one, asyncio.CancelledError) for one in found))
        print((await _one(b"/item/after", ()))[0])

    asyncio.run(main())


def exhausted(_number: int) -> None:
    """Takes memory until there is none left, goes on asking meanwhile, gives it back and is well again."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (120 << 20),) * 2)
    hoard, failed = [], 0
    cursor = sqlite3.connect(":memory:").cursor()
    for _ in range(4000):
        try:
            hoard.append(bytearray(1 << 20))
        except MemoryError:
            failed += 1
            try:
                cursor.execute("select 1").fetchone()
            except MemoryError:
                pass
            if failed % 50 == 0:
                hoard.clear()
    hoard.clear()
    print(failed > 0, cursor.execute("select 'after'").fetchone())


async def _ask(asked: object) -> None:
    """Asks the application below in this process, and prints what all the answers come to."""
    digest = hashlib.sha256()
    for request in asked:  # type: ignore[attr-defined]
        digest.update(repr(await _one(*request)).encode())
    print(digest.hexdigest())


_app: object = None


async def _one(path: bytes, headers: object, query: bytes = b"") -> tuple[int, bytes]:
    global _app
    if _app is None:
        _app = _make()
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": path.decode("latin-1"), "raw_path": path, "query_string": query, "root_path": "",
        "headers": list(headers), "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {},
    }  # fmt: skip
    answer: list[object] = [0, b""]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            answer[0] = message["status"]
        else:
            answer[1] = message.get("body", b"")

    try:
        await _app(scope, receive, send)  # type: ignore[operator]
    except HostileError:
        answer[0] = -1
    return tuple(answer)  # type: ignore[return-value]


def _make() -> object:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def item(request: object) -> PlainTextResponse:
        return PlainTextResponse(str(len(request.path_params["number"])))  # type: ignore[attr-defined]

    async def wait(request: object) -> PlainTextResponse:
        sqlite3.connect(":memory:").execute("select 1")
        await asyncio.sleep(60)
        return PlainTextResponse("awake")

    async def fail(request: object) -> PlainTextResponse:
        raise HostileError(Hostile())

    return Starlette(routes=[Route("/item/{number:path}", item), Route("/sleep", wait), Route("/raise", fail)])


if __name__ == "__main__":
    logging.lastResort = None
    globals()[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print("the end")
