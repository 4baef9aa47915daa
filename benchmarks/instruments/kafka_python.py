"""kafka-python: one message, sent and acknowledged."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.brokers import running_kafka as server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


__all__ = ["calls", "server"]


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A message to one topic."""
    import kafka

    producer = kafka.KafkaProducer(bootstrap_servers=address)
    yield lambda: producer.send("benchmark", b"hello").get(10)
    producer.close()
