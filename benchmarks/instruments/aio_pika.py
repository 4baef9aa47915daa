"""aio-pika: one message published, unconfirmed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.brokers import running_rabbitmq as server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["calls", "server"]


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], Awaitable[object]]]:
    """A message to a queue of bounded length; the first call connects."""
    import aio_pika

    exchanges: list[Any] = []

    async def publish() -> object:
        if not exchanges:
            connection = await aio_pika.connect(address)
            channel = await connection.channel(publisher_confirms=False)
            await channel.declare_queue("benchmark", arguments={"x-max-length": 10})
            exchanges.append(channel.default_exchange)
        return await exchanges[0].publish(aio_pika.Message(b"value"), "benchmark")

    yield publish
