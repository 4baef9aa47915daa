"""aiokafka: one message of a batch, sent and acknowledged."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.brokers import running_kafka as server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["calls", "server"]


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], Awaitable[object]]]:
    """A message that the producer takes; the first call connects."""
    from aiokafka import AIOKafkaProducer

    producers: list[Any] = []

    async def send() -> object:
        if not producers:
            producers.append(AIOKafkaProducer(bootstrap_servers=address, linger_ms=5))
            await producers[0].start()
        return await producers[0].send("benchmark", b"value")

    yield send
