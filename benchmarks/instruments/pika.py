"""pika: one message published."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.brokers import running_rabbitmq as server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["calls", "server"]


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A message to a queue of bounded length, unconfirmed."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(address))
    channel = connection.channel()
    channel.queue_declare("benchmark", arguments={"x-max-length": 10})
    yield lambda: channel.basic_publish("", "benchmark", b"value")
    connection.close()
