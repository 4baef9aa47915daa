"""PyMongo's pools: the library itself tells when a connection is checked out, and after how long."""

from __future__ import annotations

from pymongo import monitoring

from perfagent.instruments.pools import Waits
from perfagent.runtime import guard
from perfagent.runtime.clock import now
from perfagent.runtime.encoded import MOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.instruments.base import Instrument


def listen(instrument: Instrument) -> None:
    """Hears of the pools of all clients that are made from now on."""
    monitoring.register(Listener(instrument))


class Listener(monitoring.ConnectionPoolListener):  # type: ignore[misc]
    """Called on the thread and in the task that wants a connection.

    Args:
        instrument: what is switched off with it.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.waits: dict[object, Waits] = {}
        self.new: set[tuple[object, int]] = set()
        """Connections that were made for who asks, and not waited for."""

    def pool_created(self, event: Any) -> None:
        """Notes how large it may get."""
        host, port = event.address
        most = event.options.get("maxPoolSize", 100) or 0
        if len(self.waits) < MOST:
            self.waits[event.address] = Waits(f"{host}:{port}" if port else str(host), "pymongo", most)

    def connection_created(self, event: Any) -> None:
        """Notes that it is new."""
        if len(self.new) < MOST:
            self.new.add((event.address, event.connection_id))

    def connection_checked_out(self, event: Any) -> None:
        """Somebody has one."""
        waits = self.waits.get(event.address)
        if waits is None or not self.instrument.patched:
            return
        try:
            key = event.address, event.connection_id
            is_new = key in self.new
            self.new.discard(key)
            ended = now()
            waits.over(ended - int(event.duration * 1e9), ended, not is_new)
        except Exception:
            guard.failed("pools")

    def connection_check_out_failed(self, event: Any) -> None:
        """Somebody has got none."""
        waits = self.waits.get(event.address)
        if waits is not None and event.reason == "timeout" and self.instrument.patched:
            waits.refuse("timed out")

    def connection_closed(self, event: Any) -> None:
        """Forgets it."""
        self.new.discard((event.address, event.connection_id))

    def connection_check_out_started(self, event: Any) -> None:
        """Tells nothing that its end does not."""

    def connection_checked_in(self, event: Any) -> None:
        """Tells nothing."""

    def connection_ready(self, event: Any) -> None:
        """Tells nothing."""

    def pool_ready(self, event: Any) -> None:
        """Tells nothing."""

    def pool_cleared(self, event: Any) -> None:
        """Tells nothing."""

    def pool_closed(self, event: Any) -> None:
        """Tells nothing: a pool at the same address goes by the same name."""
