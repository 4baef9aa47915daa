"""Every way to send and to receive that confluent-kafka offers; what the program sees is printed, to be compared.

Keys, values and headers all hold the word "secret", which must not be found in anything exported.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sqlite3
import sys
import weakref
from typing import Any

import confluent_kafka
from confluent_kafka import Consumer, DeserializingConsumer, KafkaException, Producer, SerializingProducer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.serialization import StringDeserializer, StringSerializer
from opentelemetry import trace

BROKER, RUN = os.environ["KAFKA_BROKER"], os.environ["RUN"]
tracer = trace.get_tracer("test")
database = sqlite3.connect(":memory:", check_same_thread=False)


def query(mark: str) -> None:
    """A span that tells what is current."""
    database.execute(f"select 1 as {mark}")


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def make_topic(name: str, **settings: str) -> str:
    admin = AdminClient({"bootstrap.servers": BROKER})
    for future in admin.create_topics([NewTopic(name, 1, 1, config=settings)]).values():
        future.result(30)
    return name


def producer_of(kind: Any = Producer, **more: Any) -> Any:
    return kind({"bootstrap.servers": BROKER, "client.id": "writer", "linger.ms": 0, **more})


def consumer_of(topic: str, kind: Any = Consumer, group: str = "readers", **more: Any) -> Any:
    options = {"bootstrap.servers": BROKER, "group.id": f"{topic}-{group}", "auto.offset.reset": "earliest"}
    consumer = kind({**options, "client.id": "reader", **more})
    consumer.subscribe([topic])
    return consumer


def next_of(consumer: Any) -> Any:
    while True:
        message = consumer.poll(10)
        if message is None:
            raise SystemExit("no message came")
        if message.error() is None:
            return message


def fill(topic: str, number: int) -> None:
    with tracer.start_as_current_span(f"fill {topic}"):
        producer = producer_of()
        for count in range(number):
            producer.produce(topic, b"secret-%d" % count)
        producer.flush(20)


def sending() -> None:
    topic, small = make_topic(f"{RUN}-sent"), make_topic(f"{RUN}-small", **{"max.message.bytes": "500"})
    heard: list[Any] = []

    def hear(error: Any, message: Any) -> None:
        heard.append((error and error.name(), message.topic(), message.offset(), message.value()))

    producer = producer_of(on_delivery=lambda error, message: heard.append(("default", message.offset())))
    own: dict[str, bytes] = {"secret-header": b"secret"}
    pairs = [("secret-header", b"secret")]
    for call in (
        lambda: producer.produce(topic, b"secret-plain"),
        lambda: producer.produce(topic, b"secret-dict", headers=own, on_delivery=hear),
        lambda: producer.produce(topic, b"secret-list", b"secret-key", headers=pairs, callback=hear),
        lambda: producer.produce(topic, b"secret-positions", None, 0, hear, None, 0, pairs),
        lambda: producer.produce(topic=topic, key=b"secret-key"),
        lambda: producer.produce(topic, b"secret-forwarded", headers={"traceparent": PARENT}),
        lambda: producer.produce(topic, "secret", headers=1),
        lambda: producer.produce(topic, 5),
        lambda: producer.produce(),
        lambda: producer.produce(topic, b"secret", nothing=1),
        lambda: producer.produce(topic, "secret", headers=[1]),
        lambda: producer.produce(topic, b"secret" * 1_000_000),
        lambda: producer.produce(topic, b"secret", None, 0, hear, callback=hear),
    ):
        print(attempt(call), producer.flush(20))
    print(own, pairs, heard)
    producer.produce(small, b"secret" * 200, on_delivery=hear)
    producer.flush(20)
    print(heard[-1][0])

    def angry(error: Any, message: Any) -> None:
        raise LookupError(message.offset())

    producer.produce(topic, b"secret-angry", on_delivery=angry)
    print(attempt(lambda: producer.flush(20)), len(producer), bool(producer))
    quiet = producer_of(**{"delivery.report.only.error": True, "client.id": "quiet"})
    quiet.produce(topic, b"secret-quiet")
    print(quiet.flush(20))
    careless = producer_of(**{"client.id": "careless"})
    careless.produce(topic, b"secret-careless")
    consumer = consumer_of(topic)
    for _ in range(9):
        message = next_of(consumer)
        others = [header for header in message.headers() or () if header[0] not in ("traceparent", "tracestate")]
        print(message.value(), message.key(), others)
    consumer.close()


PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Own(Producer):
    """A producer of the program's own."""

    def __init__(self, config: Any) -> None:
        self.made = "own"
        super().__init__(config)

    def produce(self, *args: Any, **options: Any) -> Any:
        return super().produce(*args, **options)


def kinds() -> None:
    """Types, subclasses, the library's own ones, and what C objects refuse."""
    topic = make_topic(f"{RUN}-kinds")
    plain, own = producer_of(), producer_of(Own)
    serializing = producer_of(SerializingProducer, **{"value.serializer": StringSerializer()})
    consumer = consumer_of(topic, DeserializingConsumer, **{"value.deserializer": StringDeserializer()})
    print(type(plain) is Producer, isinstance(own, Producer), issubclass(SerializingProducer, Producer))
    print(repr(Producer), Producer.__doc__ == confluent_kafka.Producer.__doc__, Producer.__name__, own.made)
    for one in (plain, consumer_of(topic, group="unused")):
        for call in (lambda: pickle.dumps(one), lambda: weakref.ref(one), lambda: setattr(one, "own", 1)):  # noqa: B023
            print(attempt(call).partition(":")[0])
        print(hasattr(one, "__dict__"), bool(one))
    print([attempt(call) for call in (Producer, lambda: Producer({"nothing.known": 1}), lambda: Producer(5))])
    with tracer.start_as_current_span("kinds"):
        own.produce(topic, b"own secret")
        own.flush(20)
        serializing.produce(topic, value="serialized secret")
        serializing.flush(20)
    for _ in range(2):
        print(next_of(consumer).value())
        query("deserialized")
    consumer.close()
    print(plain.produce_batch(topic, [{"value": b"secret"}, {"value": b"secret"}]), plain.flush(20))


def polling() -> None:
    topic = make_topic(f"{RUN}-polled")
    fill(topic, 10)
    consumer = consumer_of(topic)
    query("before")
    for number in range(3):
        print(next_of(consumer).offset())
        query(f"body_{number}")
    print(consumer.poll(0.0) is not None)
    consumer.close()
    query("after_close")
    print(attempt(lambda: consumer.poll(0)))
    consumer = consumer_of(topic)  # the group's other member
    print(next_of(consumer).offset())
    del consumer
    query("after_letting_go")
    consumer = consumer_of(topic, group="others")
    with tracer.start_as_current_span("ambient"):
        next_of(consumer)
        query("in_ambient")
    query("after_ambient")
    found = consumer.consume(4, 10)
    while len(found) < 4:
        found += consumer.consume(4 - len(found), 10)
    query("after_batch")
    print([message.offset() for message in found], consumer.consume(0, 0))
    with tracer.start_as_current_span("request", kind=trace.SpanKind.SERVER):
        next_of(consumer)
        query("in_request")
    print(attempt(lambda: consumer.consume(-1)))
    consumer.close()


def awaiting() -> None:
    from confluent_kafka.aio import AIOConsumer, AIOProducer

    topic = make_topic(f"{RUN}-awaited")
    fill(topic, 3)

    async def main() -> None:
        options = {"bootstrap.servers": BROKER, "group.id": f"{topic}-readers", "auto.offset.reset": "earliest"}
        consumer = AIOConsumer(options)
        await consumer.subscribe([topic])
        for number in range(2):
            message = None
            while message is None:
                message = await consumer.poll(5)
            print(message.offset())
            query(f"awaited_{number}")
        messages: list[Any] = []
        while not messages:
            messages = await consumer.consume(1, 5)
        query("after_consume")
        await consumer.close()
        producer = AIOProducer({"bootstrap.servers": BROKER})
        with tracer.start_as_current_span("sending"):
            future = await producer.produce(topic, b"secret")
            await producer.flush()
            print((await future).offset())
        await producer.close()

    asyncio.run(main())


if __name__ == "__main__":
    print(confluent_kafka.__version__, issubclass(KafkaException, Exception))
    {"sending": sending, "kinds": kinds, "polling": polling, "awaiting": awaiting}[sys.argv[1]]()
