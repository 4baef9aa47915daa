"""Every way to send and to receive that aiokafka offers; what the program sees is printed, to be compared.

Keys, values and headers all hold the word "secret", which must not be found in anything exported.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sqlite3
import sys
from typing import Any

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from opentelemetry import trace

BROKER, RUN = os.environ["KAFKA_BROKER"], os.environ["RUN"]
PARENT = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
tracer = trace.get_tracer("test")
database = sqlite3.connect(":memory:", check_same_thread=False)


def query(mark: str) -> None:
    """A span that tells what is current."""
    database.execute(f"select 1 as {mark}")


async def attempt(call: Any) -> str:
    try:
        return repr(await call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def make_topic(name: str, **settings: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=BROKER)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs=settings)])
    while (found := (await admin.describe_topics([name]))[0])["error_code"] or found["partitions"][0]["leader"] < 0:
        await asyncio.sleep(0.05)  # aiokafka logs what it cannot send yet, which is no difference of ours
    await admin.close()
    return name


def producer_of(**more: Any) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=BROKER, client_id="writer", **more)


def consumer_of(topic: str, group: str = "readers", **more: Any) -> AIOKafkaConsumer:
    options = {"group_id": f"{topic}-{group}", "auto_offset_reset": "earliest", "client_id": "reader", **more}
    return AIOKafkaConsumer(topic, bootstrap_servers=BROKER, **options)


async def fill(topic: str, number: int) -> None:
    with tracer.start_as_current_span(f"fill {topic}"):
        async with producer_of() as producer:
            for count in range(number):
                await producer.send_and_wait(topic, b"secret-%d" % count)


async def sending() -> None:
    topic, small = await make_topic(f"{RUN}-sent"), await make_topic(f"{RUN}-small", **{"max.message.bytes": "500"})
    own: list[tuple[str, bytes]] = [("secret-header", b"secret")]
    producer = producer_of()
    await producer.start()
    for call in (
        lambda: producer.send_and_wait(topic, b"secret-plain"),
        lambda: producer.send_and_wait(topic, b"secret-headers", headers=own),
        lambda: producer.send_and_wait(topic, b"secret-positions", b"secret-key", 0, None, own),
        lambda: producer.send_and_wait(topic=topic, key=b"secret-key"),
        lambda: producer.send_and_wait(topic, b"secret-forwarded", headers=[PARENT]),
    ):
        found: Any = await call()
        print(type(found).__name__, found.partition, found.offset, own)
    for call in (
        lambda: producer.send(topic),
        lambda: producer.send(topic, "secret-text"),
        lambda: producer.send(topic, b"secret", headers=[1]),
        lambda: producer.send(topic, b"secret", headers=tuple(own)),
        lambda: producer.send(),
        lambda: producer.send(topic, b"secret", nothing=1),
        lambda: producer.send(topic, b"secret" * 1_000_000),
    ):
        print((await attempt(call)).partition(" is ")[0])
    print((await attempt(lambda: producer.send_and_wait(small, b"secret" * 200))).partition(":")[0])
    future = await producer.send(topic, b"secret-future")
    print(type(future).__name__, (await future).offset)
    batch = producer.create_batch()
    for _ in range(3):
        batch.append(key=None, value=b"secret-batch", timestamp=None)
    print((await (await producer.send_batch(batch, topic, partition=0))).offset)
    await producer.stop()
    print(inspect.signature(AIOKafkaProducer.send), inspect.iscoroutinefunction(AIOKafkaConsumer.getone))
    async with consumer_of(topic) as consumer:
        for _ in range(9):
            record = await consumer.getone()
            print(record.value, record.key, [header for header in record.headers if header[0] != "traceparent"])


async def looping() -> None:
    topic = await make_topic(f"{RUN}-looped")
    await fill(topic, 9)
    query("before")

    async def other(number: int) -> None:
        query(f"task_{number}")

    async with consumer_of(topic) as consumer:
        async for record in consumer:
            await asyncio.create_task(other(record.offset))
            query(f"body_{record.offset}")
            if record.offset == 2:
                break
        query("after_break")
    query("after_stop")
    async with consumer_of(topic, "others") as consumer:
        with tracer.start_as_current_span("request", kind=trace.SpanKind.SERVER):
            print((await consumer.getone()).offset)
            query("in_request")
        with tracer.start_as_current_span("ambient"):
            print((await consumer.getone()).offset)
            query("in_ambient")
        print((await consumer.getone()).offset)
        query("getone_2")
        found: list[Any] = []
        while len(found) < 6:
            for records in (await consumer.getmany(timeout_ms=5000)).values():
                found += records
        query("after_batch")
        print([record.offset for record in found], await consumer.getmany(timeout_ms=0))
    print(await attempt(consumer.getone), await attempt(lambda: consumer.getmany(max_records=-1)))


if __name__ == "__main__":
    print(aiokafka.__version__)
    asyncio.run({"sending": sending, "looping": looping}[sys.argv[1]]())
