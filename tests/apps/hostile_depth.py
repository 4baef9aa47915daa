"""What the worst programs do to what looks deeper: `hostile_depth.py CASE` prints what a program sees of it."""

import asyncio
import contextlib
import gc
import http.client
import importlib.util
import os
import signal
import sqlite3
import sys
import threading
import time
import types
from typing import ClassVar

SECONDS = float(os.environ.get("HOSTILE_SECONDS", "4"))
"""For how long the agent is to look."""


class Hostile:
    """Whatever is asked of it raises."""

    def _raise(self, *_: object, **__: object) -> "str":
        raise ZeroDivisionError("hostile")

    __str__ = __repr__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __format__ = _raise  # type: ignore
    __lt__ = __int__ = __float__ = __index__ = __bytes__ = __getattr__ = __call__ = _raise  # type: ignore


class Lying:
    """It says that it is a text, and all that anybody could wish."""

    __class__ = str  # type: ignore[assignment]

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"nobody may ask for {name}")

    def __hash__(self) -> int:
        return next(_numbers)

    def __eq__(self, other: object) -> bool:
        return bool(next(_numbers) % 2)

    def __str__(self) -> str:
        return "lying"

    def __len__(self) -> int:
        return 1 << 62

    def __iter__(self) -> object:
        while True:
            yield self


_numbers = iter(range(1, 1 << 60))


class HostileText(str):
    """A text as a cache takes it, which raises when anybody else does."""

    def _raise(self, *_: object) -> "str":
        raise ZeroDivisionError("hostile text")

    __hash__ = __eq__ = __len__ = __getitem__ = __iter__ = __repr__ = _raise  # type: ignore


class ChangingText(str):
    """A text whose hash is another one each time."""

    def __hash__(self) -> int:
        return next(_numbers)


class Untouchable:
    """A proxy of something that is not there yet: whoever touches it makes it, and that is told."""

    touched: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> object:
        self.touched.append(name)
        raise RuntimeError(f"touched too early: {name}")

    def __call__(self, seconds: float) -> None:
        time.sleep(seconds)


proxy = Untouchable()
hostile = Hostile()


def keys() -> None:
    """Keys and values of Django's caches and of Redis that raise, lie, cannot be hashed, are proxies or are large."""
    import django
    from django.conf import settings

    settings.configure(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
    django.setup()
    import warnings

    from django.core.cache import cache

    warnings.simplefilter("ignore")
    large, value = "k" * 200_000, "v" * 100_000_000
    odd = [
        ["a", "list"],
        {"a": 1},
        ("user", 1),
        Lying(),
        HostileText("user:1"),
        ChangingText("user:2"),
        1.5,
        None,
        True,
    ]
    odd += [b"bytes", bytearray(b"array"), memoryview(bytearray(b"view")), object, len, 1 << 200, float("nan")]
    for key in odd:
        for _ in range(3):
            try:
                cache.set(key, [Hostile()], 60)
                print(type(cache.get(key)), cache.get(key, version=2), cache.delete(key))
            except Exception as error:
                print(type(error).__name__, error)
    cache.set(large, value)
    print(cache.get(large) is None, cache.delete(large))
    if len(sys.argv) > 2:
        import redis

        client = redis.Redis(port=int(sys.argv[2]), db=int(os.environ["HOSTILE_DB"]))
        client.flushdb()
        for key in (
            HostileText("user:1"),
            ChangingText("user:2"),
            b"bytes",
            memoryview(bytearray(b"view")),
            1.5,
            17,
            1 << 200,
        ):
            for _ in range(3):
                try:
                    print(
                        client.set(key, b"v", ex=60), client.get(key), client.mget([key, "no"]), client.expire(key, 9)
                    )
                    print(client.hset("h", key, "v"), client.hget("h", key), client.delete(key))
                except Exception as error:
                    print(type(error).__name__, error)
        print(client.set(value[: 1 << 24], value, ex=60), client.delete(value[: 1 << 24]))
    time.sleep(SECONDS)


def proxies() -> None:
    """Globals and modules that do something when they are touched, next to a cache and in a blocked loop."""
    import django
    from django.conf import settings

    spec = importlib.util.find_spec("this")
    loader = importlib.util.LazyLoader(spec.loader)
    spec.loader = loader
    lazy = importlib.util.module_from_spec(spec)
    sys.modules["this"] = lazy
    loader.exec_module(lazy)
    sys.modules["hostile_module"] = Hostile()  # type: ignore[assignment]
    sys.modules["untouchable_module"] = proxy  # type: ignore[assignment]
    settings.configure(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
    django.setup()
    from django.core.cache import cache

    for number in range(50):
        cache.set(f"user:{number}", number)
        cache.get(f"user:{number}")

    async def block() -> None:
        for _ in range(3):
            await asyncio.sleep(0.1)
            proxy(0.3)

    asyncio.run(block())
    time.sleep(SECONDS)
    print(proxy.touched, object.__getattribute__(lazy, "__class__").__name__)


def frames() -> None:
    """Code in globals that raise, with names that nobody can write, on a loop, in threads and below queries."""

    class Globals(dict):
        def get(self, *_: object) -> object:
            raise ZeroDivisionError("hostile globals")

        __contains__ = __iter__ = get  # type: ignore[assignment]

    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("create table numbers (number)")
    connection.executemany("insert into numbers values (?)", [(number,) for number in range(2000)])
    text = "def work(run, seconds):\n    for _ in range(3): run()\n    sleep(seconds)\n"
    made = []
    for names in (Globals(), {}, {"__name__": Hostile()}, {"__name__": None}, {"__name__": Lying()}):
        dict.__setitem__(names, "sleep", time.sleep)
        for file in ("<string>", "/nowhere/\udcff/caf\udce9.py", "/nowhere/" + "x" * 100_000 + ".py", ""):
            code = compile(text, file, "exec")
            (inner,) = [one for one in code.co_consts if isinstance(one, types.CodeType)]
            inner = inner.replace(co_name="caf\ud800", co_firstlineno=1 << 30)
            if hasattr(inner, "co_qualname"):
                inner = inner.replace(co_qualname="caf\ud800")
            made.append(types.FunctionType(inner, names))
    for function in made:
        function(lambda: connection.execute("select number from numbers").fetchall(), 0)

    async def block() -> None:
        for function in made[::3]:
            await asyncio.sleep(0.01)
            function(lambda: None, 0.15)

    asyncio.run(block())
    threads = [threading.Thread(target=function, args=(lambda: None, 1)) for function in made]
    for number, thread in enumerate(threads):
        thread.name = ("thread \ud800", "x" * 10_000_000, "", HostileText("hostile"))[number % 4]
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(SECONDS / 2)
    print(len(made))


def habits() -> None:  # noqa: C901
    """What habits are looked for by: time-outs, responses, tasks, threads and targets that are none."""
    import httpx
    import requests

    for extensions in ({"timeout": 5}, {"timeout": Hostile()}, {"timeout": {"read": Hostile()}}, {}):
        client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, text="well")))
        print(client.send(httpx.Request("GET", "http://nowhere.invalid/", extensions=extensions)).text)

        async def ask(extensions: dict[str, object] = extensions) -> str:
            transport = httpx.MockTransport(lambda request: httpx.Response(200, text="well"))
            async with httpx.AsyncClient(transport=transport) as client:
                return (await client.send(httpx.Request("GET", "http://nowhere.invalid/", extensions=extensions))).text

        print(asyncio.run(ask()))

    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    class Nameless(http.client.HTTPConnection):
        __module__ = None  # type: ignore[assignment]

    connection = Nameless("127.0.0.1", server.server_port, timeout=5)
    connection.request("GET", "/")
    print(connection.getresponse().read())
    for timeout in (None, Hostile(), (Hostile(), None), Lying(), (1, Hostile())):
        try:
            print(requests.get(f"http://127.0.0.1:{server.server_port}/", timeout=timeout).text)
        except Exception as error:
            print(type(error).__name__, str(error)[:60])
    server.shutdown()

    async def tell() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        for context in (None, 17, Hostile(), {}, {"message": Hostile()}, {"message": Lying(), "task": Hostile()}):
            loop.call_exception_handler(context)  # type: ignore[arg-type]
        for number in range(20_000):
            loop.call_exception_handler({"message": f"Unclosed {number}"})
        for task in (Hostile(), Lying(), proxy, object()):
            loop.call_exception_handler({"message": "Task was destroyed but it is pending!", "task": task})

    asyncio.run(tell())

    class partial:  # noqa: N801
        @property
        def func(self) -> object:
            return self

        def __call__(self) -> None:
            time.sleep(SECONDS)

    class Target(Hostile):
        __name__ = "target"

        def __call__(self) -> None:  # type: ignore[override]
            time.sleep(SECONDS)

    class Slotted(threading.Thread):
        def __getattribute__(self, name: str) -> object:
            if name == "__dict__":
                raise ZeroDivisionError("hostile thread")
            return super().__getattribute__(name)

    for kind in (partial, Target):
        for _ in range(3):
            threading.Thread(target=kind(), daemon=True).start()
    for _ in range(3):
        Slotted(target=time.sleep, args=(SECONDS,), daemon=True).start()
    for _ in range(int(SECONDS * 20)):
        threading.Thread(target=Target(), daemon=True).start()
        threading.Thread(target=partial(), daemon=True).start()
        time.sleep(0.05)
    print(proxy.touched)


def _work(seconds: float) -> None:
    """A program that goes on: queries, a cache, a loop that is blocked, tasks that wait, a thread that works."""
    import functools

    @functools.lru_cache(100)
    def double(number: int) -> int:
        return 2 * number

    connection = sqlite3.connect(":memory:")
    connection.execute("create table if not exists numbers (number)")

    async def main() -> int:
        waiting = [asyncio.ensure_future(asyncio.sleep(0.05)) for _ in range(20)]
        time.sleep(0.12)
        await asyncio.gather(*waiting)
        return connection.execute("select count(*) from numbers where number > ?", (1,)).fetchone()[0]

    end = _REAL[0]() + seconds
    found = set()
    while _REAL[0]() < end:
        found.add((asyncio.run(main()), double(21), sum(range(200_000))))
    print(found)


_REAL = (time.monotonic,)  # where freezegun does not find it


def _afterwards() -> None:
    """A line that blocks a loop, and that nobody has seen before."""

    async def main() -> None:
        await asyncio.sleep(0.6)
        time.sleep(1.5)  # this line

    asyncio.run(main())  # which ends with it, as that of a job does
    time.sleep(1)


def tasks() -> None:
    """Thousands of tasks, cancelled, of classes that raise and lie, deep in calls of themselves."""

    class Odd(asyncio.Task):  # type: ignore[type-arg]
        def _raise(self, *_: object, **__: object) -> "str":
            raise ZeroDivisionError("hostile task")

        get_coro = get_context = get_name = get_stack = __repr__ = __str__ = _raise  # type: ignore[assignment]

    async def wait(deep: int) -> None:
        if deep:
            await wait(deep - 1)
        else:
            await asyncio.sleep(60)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coro, **options: Odd(coro, loop=loop, **options))
        ended = 0
        for deep in (0, 5, 100):
            made = [loop.create_task(wait(deep)) for _ in range(2000)]
            await asyncio.sleep(SECONDS / 8)
            for task in made:
                task.cancel()
            found = await asyncio.gather(*made, return_exceptions=True)
            ended += sum(isinstance(one, asyncio.CancelledError) for one in found)
        print(ended)

    asyncio.run(main())
    _afterwards()


def exhausted() -> None:
    """No memory is left while the agent looks, again and again; then there is some."""
    import resource

    _work(0.3)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20), limits[1]))
    end, failed = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        hoard: list[bytearray] = []
        for size in (1 << 20, 1 << 18):  # which the system has back as soon as they are let go
            try:
                while True:
                    hoard.append(bytearray(size))
            except MemoryError:
                failed += 1
        time.sleep(0.05)
        hoard.clear()
    resource.setrlimit(resource.RLIMIT_AS, limits)
    print(failed > 3)
    _afterwards()


def jumping() -> None:
    """The wall clock is set an hour forwards and two hours back while everything goes on."""
    _work(SECONDS / 4)
    for seconds in (3600, -3600, 0):
        with open(os.environ["CLOCK_JUMP"], "w") as file:
            file.write(str(seconds))
        _work(SECONDS / 4)
    _afterwards()


def distinct() -> None:
    """So many keys of a cache and parameters of one statement, each another one, in one request."""
    import django
    from django.conf import settings
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    number = int(sys.argv[2])
    settings.configure(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
    django.setup()
    from django.core.cache import cache

    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("create table numbers (number)")
    connection.executemany("insert into numbers values (?)", [(one,) for one in range(1100)])

    def ask(request: object) -> PlainTextResponse:
        found = 0
        for one in range(number):
            if cache.get(f"user:{one}:profile") is None:
                cache.set(f"user:{one}:profile", one)
            found += connection.execute("select ? + 1", (one,)).fetchone()[0]
            if one % 10_000 == 0:
                connection.execute("select number from numbers where number > ?", (-one,)).fetchmany(1)
        return PlainTextResponse(str(found))

    client = TestClient(Starlette(routes=[Route("/ask", ask)]))
    print(client.get("/ask").text)


def replaced() -> None:
    """The functions that an agent might rely on are other ones from here on: some fail, some lie."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("replaced")

    _work(0.3)
    real = time.monotonic
    time.monotonic = time.perf_counter = lambda: 1e9 + 3 * real()
    time.monotonic_ns = time.perf_counter_ns = time.time_ns = lambda: 0
    time.time = lambda: -1e18
    time.thread_time_ns = time.process_time_ns = lambda: 0
    gc.callbacks.clear()
    gc.get_objects = gc.get_referrers = fail  # type: ignore[assignment]
    sys._current_frames = fail  # type: ignore[assignment]
    sys.setswitchinterval(1e-6)
    threading.Thread = threading.Timer = Hostile  # type: ignore[assignment,misc]
    threading.enumerate = fail  # type: ignore[assignment]
    asyncio.all_tasks = fail  # type: ignore[assignment]
    asyncio.Task = Hostile  # type: ignore[assignment,misc]
    for number in (signal.SIGALRM, signal.SIGPROF, signal.SIGVTALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGURG):
        signal.signal(number, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    sys.stderr.flush()
    _work(SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.setswitchinterval(0.005)
    _afterwards()


def frozen() -> None:
    """Time stands still, as tests have it, twice, in the past and in the future; then it goes on."""
    import warnings

    warnings.simplefilter("ignore")
    from freezegun import freeze_time

    _work(0.3)
    for moment in ("2012-01-14 12:00:01", "2100-01-01"):
        with freeze_time(moment, real_asyncio=True) as clock:
            print(time.time(), time.time_ns(), time.monotonic())
            _work(SECONDS / 4)
            clock.tick(1_000_000)
            print(time.time(), time.monotonic_ns())
            _work(SECONDS / 4)
        _work(SECONDS / 4)
    _afterwards()


def shallow() -> None:
    """So few calls may be below one another that the agent's own have no room."""
    _work(0.3)
    found = []
    for limit in (40, 50, 60, 80, 120):
        sys.setrecursionlimit(limit)
        end = time.monotonic() + SECONDS / 5
        while time.monotonic() < end:
            found.append(sum(range(100_000)))
            time.sleep(0.01)
    sys.setrecursionlimit(1000)
    print(set(found))
    _afterwards()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        globals()[sys.argv[1]]()
    print("the end")
