"""What a program never finishes: coroutines that die with their event loop, and memory without a garbage collector."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import RunText
    from tests.otlp import Receiver

LOOP = """
    import asyncio, gc

    def abandon(main):
        loop = asyncio.new_event_loop()
        tasks = loop.run_until_complete(main())
        gc.collect()
        for task in tasks:
            task._log_destroy_pending = False
        del task
        tasks.clear()
        loop.close()
        del loop
        gc.collect()
"""
REQUEST = """
    from starlette.applications import Starlette
    from starlette.routing import Route

    async def never(request):
        await asyncio.Future()

    async def main():
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"baggage", b"a=1")], "query_string": b""}
        tasks = [asyncio.ensure_future(Starlette(routes=[Route("/", never)])(scope, None, None))]
        await asyncio.sleep(0.05)
        return tasks

    abandon(main)
"""
STATEMENT = """
    from perfagent.instruments.clickhouse_connect import instrument
    from perfagent.instruments.dbapi import Driver
    from perfagent.runtime.db import database

    async def command(client, cmd):
        await asyncio.Future()

    driver = Driver(instrument, lambda client: database("clickhouse"), lambda error: "")
    command = driver.call_async(lambda client, args, options: args[0], inner=True)(command)

    async def main():
        tasks = [asyncio.ensure_future(command(None, "SELECT 1"))]
        await asyncio.sleep(0)
        return tasks

    abandon(main)
"""


CANCELLED = """
    import asyncio, tornado.httpserver, tornado.testing, tornado.web

    class Cancelled(tornado.web.RequestHandler):
        async def get(self):
            asyncio.current_task().cancel()
            await asyncio.Future()

    async def main():
        socket, port = tornado.testing.bind_unused_port()
        server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Cancelled)]))
        server.add_socket(socket)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n")
        await reader.read(1000)

    try:
        asyncio.run(asyncio.wait_for(main(), 1))
    except TimeoutError:
        pass
"""
FREED = """
    import gc, weakref
    from perfagent.instruments.kafka_python import instrument
    from perfagent.runtime import outbox
    from perfagent.runtime.messaging import Client, ProcessSpan
    from perfagent.runtime.rpc import RpcSpan
    from perfagent.runtime.span import CONSUMER, SERVER

    gc.disable()
    outbox.pending.clear()
    for make in (
        lambda: ProcessSpan(instrument.scope, CONSUMER, None, Client("kafka"), "topic"),
        lambda: RpcSpan(instrument.scope, SERVER, None, "/shop.Shop/Buy", ""),
    ):
        span = make()
        assert span.entry is span
        freed = weakref.ref(span)
        span.finish()
        span.deliver(True)
        outbox.pending.remove(span)
        del span
        assert freed() is None, gc.get_referrers(freed())
"""


@pytest.mark.parametrize("text", [REQUEST, STATEMENT], ids=["request", "statement"])
def test_a_coroutine_that_dies_with_its_loop_says_nothing_of_us(
    run_text: RunText, receiver: Receiver, text: str
) -> None:
    """It is closed in the context of whoever frees it, where our variables have no value to go back to."""
    program = run_text(LOOP + text)
    assert "Exception ignored" not in program.stderr, program.stderr
    (span,) = receiver.wait_for_spans(1)
    assert span.kind in ("SERVER", "CLIENT")


def test_a_cancelled_handler_of_tornado_ends_its_span(run_text: RunText, receiver: Receiver) -> None:
    run_text(CANCELLED)
    (span,) = receiver.wait_for_spans(1, where=lambda span: span.kind == "SERVER")
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"


def test_messages_and_calls_are_freed_without_the_garbage_collector() -> None:
    """A program may have turned it off. In a process of its own, for nobody else may deliver the spans."""
    environ = {**os.environ, "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, "-c", dedent(FREED)], check=True, env=environ, timeout=60)


def test_a_stream_of_grpc_that_is_given_up_ends_its_handler_at_once() -> None:
    from perfagent.instruments import grpc_aio_server

    told: list[str] = []

    async def handler(request: object, context: object) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            told.append("handler")

    async def main() -> None:
        responses = grpc_aio_server._asynchronous_stream(handler, lambda context: None)(None, None)
        assert await anext(responses) == 1
        await responses.aclose()
        told.append("caller")

    asyncio.run(main())
    assert told == ["handler", "caller"]


BACKGROUND = """
    import asyncio, contextvars, sqlite3
    from multiprocessing.pool import ThreadPool
    import httpx

    def query(name):
        sqlite3.connect(":memory:").execute(f"SELECT 1 AS {name}").fetchall()

    async def background():
        query("within")
        await answered.wait()
        await asyncio.sleep(0)
        query("afterwards")

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            self.task = asyncio.create_task(background())
            await asyncio.sleep(0)
            return httpx.Response(200)

    async def main():
        global answered
        answered, transport = asyncio.Event(), Transport()
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get("http://shop.example/")
        answered.set()
        await transport.task

    asyncio.run(main())
"""


def test_a_task_that_is_started_in_a_call_keeps_still_for_no_longer_than_the_call(
    run_text: RunText, receiver: Receiver
) -> None:
    run_text(BACKGROUND)
    texts = [span.attributes.get("db.query.text") for span in receiver.spans]
    assert sorted(map(str, texts)) == ["None", "SELECT ? AS afterwards"]
