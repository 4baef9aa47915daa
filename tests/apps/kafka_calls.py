"""Every way to send and to receive that kafka-python offers; what the program sees is printed, to be compared.

Keys, values and headers all hold the word "secret", which must not be found in anything exported.
"""

from __future__ import annotations

import inspect
import itertools
import os
import sqlite3
import sys
import threading
from typing import TYPE_CHECKING, Any

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Iterator

BROKER, RUN = os.environ["KAFKA_BROKER"], os.environ["RUN"]
database = sqlite3.connect(":memory:", check_same_thread=False)


def query(mark: str) -> None:
    """A span that tells what is current."""
    database.execute(f"select 1 as {mark}")


def attempt(call: Any) -> str:
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def make_topic(name: str, partitions: int = 1, **settings: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=BROKER)
    topic = {"num_partitions": partitions, "replication_factor": 1, "configs": settings}
    admin.create_topics({name: topic})
    admin.close()


def consumer_of(topic: str, **options: Any) -> KafkaConsumer:
    return KafkaConsumer(
        topic,
        bootstrap_servers=BROKER,
        client_id="reader",
        auto_offset_reset="earliest",
        **{"group_id": f"{topic}-readers", "consumer_timeout_ms": 8000, **options},
    )


def fill(topic: str, number: int) -> None:
    with trace.get_tracer("test").start_as_current_span(f"fill {topic}"):
        producer = KafkaProducer(bootstrap_servers=BROKER, client_id="writer")
        for count in range(number):
            producer.send(topic, b"secret-%d" % count)
        producer.close()


def sending() -> None:
    make_topic(f"{RUN}-sent")
    make_topic(f"{RUN}-small", **{"max.message.bytes": "500"})
    producer = KafkaProducer(bootstrap_servers=[BROKER], client_id="writer", max_request_size=4000)
    own: list[tuple[str, bytes]] = [("secret-header", b"secret")]
    for how, call in {
        "plain": lambda: producer.send(f"{RUN}-sent", b"secret-plain"),
        "headers": lambda: producer.send(f"{RUN}-sent", b"secret-headers", headers=own),
        "positional": lambda: producer.send(f"{RUN}-sent", b"secret-positional", b"secret-key", own),
        "named": lambda: producer.send(topic=f"{RUN}-sent", value=b"secret-named", partition=0, headers=[]),
        "tombstone": lambda: producer.send(f"{RUN}-sent", key=b"secret-key"),
    }.items():
        metadata = call().get(10)
        print(how, metadata.topic, metadata.partition, metadata.offset, own)
    parent = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    producer.send(f"{RUN}-sent", b"secret-forwarded", headers=[parent]).get(10)
    producer.flush()
    for call in (
        lambda: producer.send(f"{RUN}-sent", b"secret", headers=tuple(own)),
        lambda: producer.send(f"{RUN}-sent", b"secret", headers=[1]),
        lambda: producer.send(f"{RUN}-sent", "secret-text"),
        lambda: producer.send(f"{RUN}-sent"),
        lambda: producer.send(f"{RUN}-sent", b"secret" * 1000),
        lambda: producer.send(),
        lambda: producer.send(f"{RUN}-sent", b"secret", nothing=1),
    ):
        print(attempt(call))
    refused = KafkaProducer(bootstrap_servers=BROKER, client_id="refused", enable_idempotence=False)
    print(attempt(lambda: refused.send(f"{RUN}-small", b"secret" * 200).get(10)))
    refused.close()
    heard: list[str] = []
    future = producer.send(f"{RUN}-sent", b"secret-heard")
    print(type(future).__qualname__, future.add_callback(lambda found: heard.append(found.topic)) is future)
    future.get(10)
    producer.close()
    print(heard, attempt(lambda: producer.send(f"{RUN}-sent", b"secret-late")))
    print(inspect.signature(KafkaProducer.send), KafkaProducer.send.__qualname__)
    for record in consumer_of(f"{RUN}-sent", consumer_timeout_ms=2000):
        print(record.value, [header for header in record.headers if header[0] != "traceparent"])


def looping() -> None:
    make_topic(f"{RUN}-looped")
    fill(f"{RUN}-looped", 12)
    consumer = consumer_of(f"{RUN}-looped")
    query("before")
    for record in consumer:
        query(f"body_{record.offset}")
        if record.offset == 1:
            break
    query("after_break")
    try:
        for record in consumer:
            raise ValueError(record.offset)
    except ValueError as error:
        print("raised", error)
    query("after_error")

    def records() -> Iterator[Any]:
        for record in consumer:  # noqa: UP028 - `yield from` would close the consumer
            yield record

    for record in records():
        query(f"generator_{record.offset}")
        break
    query("after_generator")
    print([record.offset for record in itertools.islice(consumer, 2)])
    query("after_slice")
    with trace.get_tracer("test").start_as_current_span("ambient"):
        for record in consumer:
            query(f"ambient_{record.offset}")
            break
    query("after_ambient")
    iterator = iter(consumer)
    print(iterator.bootstrap_connected(), iter(iterator) is iterator)
    query(f"held_{next(iterator).offset}")
    query(f"held_{next(iterator).offset}")
    query(f"direct_{next(consumer).offset}")
    other = threading.Thread(target=lambda held: query(f"thread_{next(held).offset}"), args=(iterator,))
    other.start()
    other.join()
    consumer.close()
    del iterator
    query("after_close")
    print(attempt(lambda: next(consumer)), [*consumer])
    print(inspect.signature(KafkaConsumer.poll), KafkaConsumer.__next__.__qualname__)


def closing() -> None:
    """A loop whose body closes the consumer, one whose iterator outlives it, and `yield from`, which closes it."""
    make_topic(f"{RUN}-closed")
    fill(f"{RUN}-closed", 2)
    consumer = consumer_of(f"{RUN}-closed")
    for record in consumer:
        query(f"body_{record.offset}")
        consumer.close()
        query("closed")
    consumer = consumer_of(f"{RUN}-closed", enable_auto_commit=False)
    iterator = iter(consumer)
    query(f"held_{next(iterator).offset}")
    consumer.close()
    query("after_close")
    print(attempt(lambda: next(iterator)))
    consumer = consumer_of(f"{RUN}-closed", group_id="other-readers")

    def records() -> Iterator[Any]:
        yield from consumer

    for record in records():
        query(f"generator_{record.offset}")
        break
    query("after_generator")
    print(attempt(lambda: next(consumer)))


class Own(KafkaConsumer):
    """A consumer of the program's own."""

    def __next__(self) -> Any:
        return super().__next__()


def inherited() -> None:
    make_topic(f"{RUN}-inherited")
    fill(f"{RUN}-inherited", 2)
    consumer = Own(f"{RUN}-inherited", bootstrap_servers=BROKER, auto_offset_reset="earliest", consumer_timeout_ms=8000)
    for record in consumer:
        query(f"own_{record.offset}")
        if record.offset == 1:
            break
    consumer.close()


def polling() -> None:
    make_topic(f"{RUN}-polled", 2)
    make_topic(f"{RUN}-other")
    producer = KafkaProducer(bootstrap_servers=BROKER)
    with trace.get_tracer("test").start_as_current_span("fill"):
        for number in range(5):
            producer.send(f"{RUN}-polled", b"secret", partition=number % 2)
        producer.send(f"{RUN}-other", b"secret")
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=BROKER, auto_offset_reset="earliest", client_id="poller")
    for parts in ([(f"{RUN}-polled", 0), (f"{RUN}-polled", 1)], [(f"{RUN}-other", 0)]):
        consumer.assign([TopicPartition(*part) for part in parts])
        consumer.seek_to_beginning()
        print(type(consumer.poll(timeout_ms=0)).__name__)
        wanted = 5 if parts[0][0] == f"{RUN}-polled" else 1
        while wanted > 0:
            batch = consumer.poll(timeout_ms=5000)
            for records in batch.values():
                wanted -= len(records)
                query("one_batch")
        print(parts, wanted, attempt(lambda: consumer.poll(-1)))
    consumer.close()
    print(attempt(consumer.poll).partition(":")[2])


if __name__ == "__main__":
    print(kafka.__version__)
    {
        "sending": sending,
        "looping": looping,
        "closing": closing,
        "inherited": inherited,
        "polling": polling,
    }[sys.argv[1]]()
