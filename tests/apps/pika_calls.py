"""Every way to publish and to consume that pika offers; what the program sees is printed, to be compared.

Bodies and headers all hold the word "secret", which must not be found in anything exported.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sqlite3
import sys
from typing import Any

import pika
from opentelemetry import trace
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.blocking_connection import BlockingChannel

BROKER, RUN = os.environ["RABBITMQ"], os.environ["RUN"]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
tracer = trace.get_tracer("test")
database = sqlite3.connect(":memory:", check_same_thread=False)


def query(mark: str) -> None:
    """A span that tells what is current."""
    database.execute(f"select 1 as {mark}")


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}".partition(";")[0]


def others(properties: Any) -> Any:
    return {key: value for key, value in (properties.headers or {}).items() if key not in ("traceparent", "tracestate")}


def publishing() -> None:
    connection = pika.BlockingConnection(pika.URLParameters(BROKER))
    channel = connection.channel()
    queue = f"{RUN}-sent"
    channel.queue_declare(queue)
    channel.exchange_declare(f"{RUN}-shop", "topic")
    channel.queue_bind(queue, f"{RUN}-shop", "orders.#")
    own = pika.BasicProperties(headers={"secret": "secret"}, content_type="text/plain")
    forwarded = pika.BasicProperties(headers={"traceparent": PARENT})
    for call in (
        lambda: channel.basic_publish("", queue, b"secret-plain"),
        lambda: channel.basic_publish(exchange="", routing_key=queue, body="secret-text", properties=own),
        lambda: channel.basic_publish(f"{RUN}-shop", "orders.new", b"secret-topic", own, True),
        lambda: channel.basic_publish("", queue, b"secret-forwarded", forwarded),
        lambda: channel.basic_publish(),
        lambda: channel.basic_publish("", queue, 5),
    ):
        print(attempt(call), own, forwarded)
    channel.confirm_delivery()
    print(attempt(lambda: channel.basic_publish("", f"{RUN}-nowhere", b"secret", mandatory=True)))
    reply = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", reply, b"secret-reply")
    for _ in range(4):
        method, properties, body = channel.basic_get(queue, True)
        print(method.routing_key, body, others(properties), properties.content_type)
        query("after_get")
    print(channel.basic_get(queue))
    channel.close()
    print(attempt(lambda: channel.basic_publish("", queue, b"secret")))
    print(inspect.signature(BlockingChannel.basic_publish), inspect.isgeneratorfunction(BlockingChannel.consume))
    connection.close()


def fill(channel: Any, queue: str, number: int) -> None:
    channel.queue_declare(queue)
    with tracer.start_as_current_span(f"fill {queue}"):
        for count in range(number):
            channel.basic_publish("", queue, b"secret-%d" % count)


def consuming() -> None:
    connection = pika.BlockingConnection(pika.URLParameters(BROKER))
    channel = connection.channel()
    fill(channel, f"{RUN}-called", 3)

    def heard(inner: Any, method: Any, properties: Any, body: bytes) -> None:
        print(type(inner).__name__, type(method).__name__, others(properties), body)
        query(f"called_{method.delivery_tag}")
        inner.basic_ack(method.delivery_tag)
        if method.delivery_tag == 3:
            inner.stop_consuming()

    print(heard.__name__, channel.basic_consume(f"{RUN}-called", heard, consumer_tag="tag"))
    channel.start_consuming()
    query("after_called")

    def angry(*_: Any) -> None:
        raise LookupError("nobody knows 'secret'")

    fill(channel, f"{RUN}-angry", 1)
    channel.basic_consume(queue=f"{RUN}-angry", on_message_callback=angry, auto_ack=True)
    print(attempt(lambda: connection.process_data_events(5)))
    query("after_angry")
    fill(channel, f"{RUN}-looped", 3)
    for method, _properties, body in channel.consume(f"{RUN}-looped", auto_ack=True):
        print(method.delivery_tag, body)
        query(f"looped_{body[-1] - 48}")
        if body.endswith(b"1"):
            break
    query("after_loop")
    with tracer.start_as_current_span("ambient"):
        for method, _properties, _body in channel.consume(f"{RUN}-looped", auto_ack=True, inactivity_timeout=0.05):
            if method is None:
                query("idle")
                break
            query("in_ambient")
    print(channel.cancel())
    print(attempt(lambda: channel.basic_consume(f"{RUN}-looped", None)))
    connection.close()


def asynchronous() -> None:
    """An adapter with callbacks for everything."""
    queue, loop = f"{RUN}-async", asyncio.new_event_loop()

    def opened(channel: Any) -> None:
        channel.queue_declare(queue, callback=lambda _frame: publish(channel))

    def publish(channel: Any) -> None:
        with tracer.start_as_current_span("publishing"):
            channel.basic_publish("", queue, b"secret", pika.BasicProperties(headers={"secret": "secret"}))
            channel.basic_publish("", queue, b"secret")
        channel.basic_get(queue, lambda *message: got(*message), auto_ack=True)

    def got(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        print("got", type(method).__name__, others(properties), body)
        query("got")
        channel.basic_consume(queue, consumed, auto_ack=True)

    def consumed(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        print("consumed", type(method).__name__, others(properties), body)
        query("consumed")
        channel.connection.close()

    AsyncioConnection(
        pika.URLParameters(BROKER),
        on_open_callback=lambda connection: connection.channel(on_open_callback=opened),
        on_close_callback=lambda _connection, _reason: loop.stop(),
        custom_ioloop=loop,
    )
    loop.run_forever()
    query("after_async")


if __name__ == "__main__":
    print(pika.__version__)
    {"publishing": publishing, "consuming": consuming, "asynchronous": asynchronous}[sys.argv[1]]()
