"""dramatiq: one message, sent to a broker in memory, so that the instrument of a broker's client has no part in it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

server = None


@contextlib.contextmanager
def calls(address: None) -> Iterator[Callable[[], object]]:
    """A message that nobody works on."""
    import dramatiq
    from dramatiq.brokers.stub import StubBroker

    broker = StubBroker()
    dramatiq.set_broker(broker)
    actor = dramatiq.actor(len)

    def send() -> None:
        actor.send("message")
        broker.queues["default"].get_nowait()

    yield send
