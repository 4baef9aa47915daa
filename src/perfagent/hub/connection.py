"""A connection to the hub: bounded in what it may hold besides bodies, and closed where its sender falls silent."""

# mypy: allow-subclassing-any
from __future__ import annotations

import logging
import resource
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

HEAD = 65_536
"""Bytes of a request besides its body: its line, its headers, its trailers. The parser itself has no limit."""
FRAMES = 16
"""Bytes that a chunked body may have around each of its own; a chunk of one byte has five."""
SILENCE = 30.0  # seconds until the head of a request must be there, and between two pieces of its body
LONGEST = 120.0  # seconds until all of a request must be there: what came of it takes room meanwhile
DESCRIPTORS = 16_384  # connections and files at most; where the system's limits allow
REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

log = logging.getLogger("perfagent.hub")


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with limits: without them one sender of endless headers takes all memory."""

    _around = 0  # bytes of the request that are no body
    _begun = _heard = 0.0
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begins to watch."""
        super().connection_made(transport)
        self._begun = self._heard = self.loop.time()
        self._clock = self.loop.call_later(SILENCE, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends watching."""
        if self._clock is not None:
            self._clock.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on, unless the request has too much around its body."""
        self._around += len(data)
        super().data_received(data)
        if self._around > HEAD and not self.transport.is_closing():
            if self._waits_for_head():
                self.transport.write(REFUSAL)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begins to count anew."""
        self._around = 0
        self._begun = self._heard = self.loop.time()
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Takes a piece of the body off what is around it."""
        self._around -= (1 + FRAMES) * len(body)
        self._heard = self.loop.time()
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Gives the sender its time for the next request."""
        self._begun = self._heard = self.loop.time()
        super().on_response_complete()

    def _waits_for_head(self) -> bool:
        return self.cycle is None or bool(self.cycle.response_complete)

    def _look(self) -> None:
        """Closes the connection where its sender had its time; an answer under way, such as a stream, has its own."""
        now = self.loop.time()
        reads = self._waits_for_head() or (self.cycle.more_body and not self.flow.read_paused)
        if reads and (now - self._heard >= SILENCE or now - self._begun >= LONGEST):
            self.transport.close()
        else:
            self._clock = self.loop.call_later(SILENCE / 4, self._look)


def allow_many() -> None:
    """Raises the limit of open files, of which each connection is one: many shells have 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:  # macOS allows fewer than it says
            log.info("at most %d files can be open: %s", soft, error)
