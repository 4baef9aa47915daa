"""Every way to publish and to consume that aio-pika offers; what the program sees is printed, to be compared.

Bodies and headers all hold the word "secret", which must not be found in anything exported.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sqlite3
import sys
import warnings
from typing import Any

import aio_pika
from opentelemetry import trace

BROKER, RUN = os.environ["RABBITMQ"], os.environ["RUN"]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
tracer = trace.get_tracer("test")
database = sqlite3.connect(":memory:", check_same_thread=False)


def query(mark: str) -> None:
    """A span that tells what is current."""
    database.execute(f"select 1 as {mark}")


async def attempt(call: Any) -> str:
    try:
        return type(await call()).__name__
    except Exception as error:
        return f"{type(error).__name__}: {error}".partition(";")[0]


def others(message: Any) -> Any:
    return {key: value for key, value in message.headers.items() if key not in ("traceparent", "tracestate")}


async def publishing() -> None:
    async with await aio_pika.connect(BROKER) as connection:
        channel = await connection.channel(on_return_raises=True)
        queue = await channel.declare_queue(f"{RUN}-sent")
        shop = await channel.declare_exchange(f"{RUN}-shop", "topic")
        await queue.bind(shop, "orders.#")
        default = channel.default_exchange
        own = aio_pika.Message(b"secret-own", headers={"secret": "secret"}, content_type="text/plain")
        forwarded = aio_pika.Message(b"secret-forwarded", headers={"traceparent": PARENT})
        for call in (
            lambda: default.publish(aio_pika.Message(b"secret-plain"), queue.name),
            lambda: default.publish(own, routing_key=queue.name),
            lambda: shop.publish(own, "orders.new"),
            lambda: default.publish(forwarded, queue.name),
            lambda: default.publish(own, f"{RUN}-nowhere"),
            lambda: default.publish(own),
            lambda: default.publish(own, "x" * 300),
        ):
            print(await attempt(call), own.headers, forwarded.headers)
        for _ in range(4):
            message = await queue.get(no_ack=True)
            query("after_get")
            print(message.routing_key, message.body, others(message), message.content_type)
        print(await queue.get(fail=False), await attempt(queue.get))
        print(inspect.signature(aio_pika.Exchange.publish), inspect.iscoroutinefunction(aio_pika.Queue.consume))


async def fill(channel: Any, name: str, number: int) -> Any:
    queue = await channel.declare_queue(name)
    with tracer.start_as_current_span(f"fill {name}"):
        for count in range(number):
            await channel.default_exchange.publish(aio_pika.Message(b"secret-%d" % count), name)
    return queue


async def consuming() -> None:
    async with await aio_pika.connect_robust(BROKER) as connection:
        channel = await connection.channel()
        done = asyncio.Event()

        async def heard(message: Any) -> None:
            async with message.process():
                print(type(message).__name__, others(message), message.body)
                query(f"called_{message.body[-1] - 48}")
                await asyncio.sleep(0)
                if message.body.endswith(b"1"):
                    done.set()
                    raise LookupError("nobody knows 'secret'")

        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: print("loop:", context["exception"]))
        queue = await fill(channel, f"{RUN}-called", 2)
        tag = await queue.consume(heard)
        await done.wait()
        await queue.cancel(tag)
        query("after_called")

        def plain(message: Any) -> None:
            query("plain")
            plain_done.set()

        plain_done = asyncio.Event()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            queue = await fill(channel, f"{RUN}-plain", 1)
            tag = await queue.consume(plain, no_ack=True)
            await plain_done.wait()
            await queue.cancel(tag)
        print([(warning.category.__name__, str(warning.message).partition("<")[0]) for warning in caught])
        queue = await fill(channel, f"{RUN}-looped", 2)

        async def reading() -> None:
            async with queue.iterator(no_ack=True) as messages:
                async for message in messages:
                    print(message.body)
                    query(f"looped_{message.body[-1] - 48}")
                    if message.body.endswith(b"1"):
                        break
            query("after_iterator")

        await asyncio.create_task(reading())
        queue = await fill(channel, f"{RUN}-direct", 1)
        with tracer.start_as_current_span("ambient"):
            async for message in queue:
                async with message.process():
                    query(f"direct_{message.body[-1] - 48}")
                    break
        query("after_ambient")


if __name__ == "__main__":
    print(aio_pika.__version__)
    asyncio.run({"publishing": publishing, "consuming": consuming}[sys.argv[1]]())
