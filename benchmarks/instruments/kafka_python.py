"""kafka-python: one message, sent and acknowledged."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a Kafka broker: `python -m tools.stack build kafka` makes it."""
    from tools.stack.broker import Broker

    with tempfile.TemporaryDirectory() as directory, Broker(Path(directory)) as broker:
        yield broker.bootstrap


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A message to one topic."""
    import kafka

    producer = kafka.KafkaProducer(bootstrap_servers=address)
    yield lambda: producer.send("benchmark", b"hello").get(10)
    producer.close()
