"""confluent-kafka: one message sent, with its share of the deliveries that are asked for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.brokers import running_kafka as server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["calls", "server"]


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A message that the producer takes; now and then the deliveries of those before."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": address, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
    count = 0

    def send() -> None:
        nonlocal count
        producer.produce("benchmark", b"value")
        count += 1
        if not count % 100:
            producer.poll(0)

    yield send
    producer.flush(30)
