"""Which span a running frame works for, as it is seen from another thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agent import agent_env
from tests.program import clean_environment
from tests.pythons import find, found

if TYPE_CHECKING:
    from tests.conftest import RunProgram, RunText
    from tests.otlp import Receiver

HEAD = """
import asyncio, gc, sys, threading, time, weakref
from concurrent.futures import ThreadPoolExecutor
from wsgiref.handlers import SimpleHandler
from perfagent.instruments import asgi
from perfagent.runtime import carriers
from perfagent.runtime.span import Scope

scope = Scope("test")

def seen_from_outside(sleep=time.sleep):
    '''What another thread finds for the frame that calls this, by the name of the request.'''
    told, thread = [], threading.get_ident()
    def look():
        span = carriers.span_of(sys._current_frames()[thread])
        told.append(None if span is None or span.entry is None else span.entry.path)
    looking = threading.Thread(target=look)
    looking.start(); looking.join()
    return told[0]

async def request(path, application):
    async def app(scope, receive, send):
        await application()
    async def nothing(*_):
        pass
    await asgi.call(scope, app, {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"x")]}, nothing,
                    nothing)
"""


def run(run_text: RunText, text: str, **env: str) -> list[str]:
    return run_text(HEAD + text, **env).stdout.splitlines()


def test_a_thread_is_seen_to_work_for_the_request_of_its_wsgi_application(run_text: RunText) -> None:
    assert run(run_text, """
import io
def app(environ, start_response):
    print(seen_from_outside())
    start_response("200 OK", [])
    def body():
        print(seen_from_outside())
        yield b""
    return body()
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/sync", "SERVER_NAME": "x", "SERVER_PORT": "1",
           "wsgi.url_scheme": "http"}
SimpleHandler(io.BytesIO(), io.BytesIO(), io.StringIO(), environ).run(app)
print(seen_from_outside())
""") == ["/sync", "/sync", "None"]  # fmt: skip


IN_ASYNCIO = """
async def handler():
    print("handler", seen_from_outside())
    async def child():
        await asyncio.sleep(0)
        print("child", seen_from_outside())
    await asyncio.create_task(child())
    await asyncio.gather(child(), child())
    loop = asyncio.get_running_loop()
    print("executor", await loop.run_in_executor(None, seen_from_outside))
    print("thread", await asyncio.to_thread(seen_from_outside))
    called = loop.create_future()
    loop.call_soon(lambda: called.set_result(seen_from_outside()))
    print("callback", await called)

async def main():
    await asyncio.gather(request("/one", handler))
    print("after", seen_from_outside())

asyncio.run(main())
"""
EXPECTED = [
    "handler /one", "child /one", "child /one", "child /one", "executor /one", "thread /one", "callback /one",
    "after None",
]  # fmt: skip


def test_tasks_callbacks_and_pools_are_seen_to_work_for_the_request_that_they_belong_to(run_text: RunText) -> None:
    assert run(run_text, IN_ASYNCIO) == EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize("version", found())
def test_it_is_the_same_in_every_python(version: str, run_program: RunProgram, receiver: Receiver) -> None:
    text = HEAD + IN_ASYNCIO
    program = run_program(
        *("python", "-m", "perfagent", "run", "--", str(find(version)), "-c", text),
        env=clean_environment(agent_env(receiver)),
    )
    assert program.check().splitlines() == EXPECTED


def test_two_requests_at_a_time_in_one_loop_are_told_apart(run_text: RunText) -> None:
    assert run(run_text, """
async def handler(path):
    for _ in range(3):
        assert seen_from_outside() == path
        await asyncio.sleep(0.001)
        await asyncio.create_task(nested(path))
async def nested(path):
    await asyncio.sleep(0.001)
    assert seen_from_outside() == path, (seen_from_outside(), path)
async def main():
    await asyncio.gather(*(request(path, lambda path=path: handler(path)) for path in ("/one", "/two", "/three")))
asyncio.run(main())
print("same")
""") == ["same"]  # fmt: skip


def test_to_be_looked_at_keeps_nothing_alive(run_text: RunText) -> None:
    assert run(run_text, """
gc.disable()
class Thing: pass
class Failure(Exception): pass
gone = []
async def handler():
    thing = Thing()
    gone.append(weakref.ref(thing))
    assert seen_from_outside() == "/thing"
    await asyncio.sleep(0)
    assert seen_from_outside() == "/thing"
    raise Failure(thing)

async def main():
    try:
        await request("/thing", handler)
    except Failure as error:
        gone.append(weakref.ref(error))

asyncio.run(main())
print([reference() for reference in gone])
""") == ["[None, None]"]  # fmt: skip


def test_an_exception_that_is_handled_while_it_is_looked_at_goes_at_once(run_text: RunText) -> None:
    """What a frame before Python 3.13 answers with is kept by the frame, which the exception in there refers to."""
    assert run(run_text, """
gc.disable()
class Failure(Exception): pass
gone = []
failed = asgi._failed
def failing(span, error):
    assert seen_from_outside() == "/thing"
    failed(span, error)
asgi._failed = failing
async def handler():
    raise Failure()
async def main():
    try:
        await request("/thing", handler)
    except Failure as error:
        gone.append(weakref.ref(error))
asyncio.run(main())
print(gone[0]())
""") == ["None"]  # fmt: skip


def test_a_thread_that_outlives_its_request_works_for_nobody_after_a_while(run_text: RunText) -> None:
    assert run(run_text, """
from perfagent.runtime import context
told = []
async def handler():
    def work():
        told.append(seen_from_outside())
        ended.wait()
        carriers.now = context.now = lambda: time.monotonic_ns() + 10 * context.LATE
        told.append(seen_from_outside())
    thread = threading.Thread(target=work)
    thread.start()
    threads.append(thread)
threads, ended = [], threading.Event()
asyncio.run(request("/short", handler))
ended.set()
threads[0].join()
print(told)
""") == ["['/short', None]"]  # fmt: skip
