"""Live values by Server-Sent Events: one computation for all who watch, and a bounded queue for each of them.

Nothing is computed while nobody watches. Who reads too slowly is told so and let go: a browser's EventSource comes back
by itself and gets what it missed of the last minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from time import monotonic, time
from typing import TYPE_CHECKING

import orjson
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.security import caller
from perfagent.hub.api.snapshot import Snapshot, snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from perfagent.hub.api.security import Receive, Scope, Send
    from perfagent.hub.hub import Hub
    from perfagent.hub.store.intake import Counts

log = logging.getLogger("perfagent.hub")

EVERY = 2.0  # seconds between two snapshots
STORED_EVERY = 1.0  # seconds between two `stored` events, at least
HEARTBEAT = 15.0  # seconds; proxies close what is silent for 30 to 60
MOST = 20  # streams at once
QUEUED = 64  # events that wait for one reader: about 20 s of them
KEPT = 32  # snapshots that one who comes back may have missed: a minute
STUCK = 30.0  # seconds that a reader may leave what was sent unread, beyond what its socket holds
RETRY = 2000  # ms after which a browser comes back

router = APIRouter(tags=["live"])


class Stream:
    """One reader's queue."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.ended = ""
        self._news = asyncio.Event()

    def put(self, event: bytes) -> None:
        """Adds an event; ends the stream where the reader is QUEUED of them behind."""
        if self.ended:
            return
        if len(self.waiting) < QUEUED:
            self.waiting.append(event)
            self._news.set()
        else:
            self.end("slow")

    def end(self, reason: str) -> None:
        """Drops what waits, and lets the reader know why it is the end."""
        if not self.ended:
            self.ended = reason
            self.waiting.clear()
            self.waiting.append(_event("ended", {"reason": reason}))
            self._news.set()

    async def events(self) -> AsyncIterator[bytes]:
        """What to send, until the end."""
        yield f"retry: {RETRY}\n\n".encode()
        while True:
            while self.waiting:
                yield self.waiting.popleft()
            if self.ended:
                return
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), HEARTBEAT)
            except asyncio.TimeoutError:
                yield b": still here\n\n"


class Live:
    """The streams of a hub and the task that feeds them.

    Args:
        hub: whose values they are.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._streams: set[Stream] = set()
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._number = int(time())  # a hub that starts anew goes on with higher numbers
        self._stored_at = 0.0
        self._counts: Counts | None = None
        self._watched = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._unheed: Callable[[], None] | None = None

    @property
    def subscribers(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    async def start(self) -> None:
        """Begins to feed; on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = self._hub.intake.on_commit(self._committed)
        if self._hub.remote is not None:
            loop = self._loop
            self._hub.remote.on_news(lambda: loop.call_soon_threadsafe(self._news))
        self._unheed = self._hub.alerts.on_change(self._alerts_changed)
        self._task = asyncio.create_task(self._feed())

    def stop(self) -> None:
        """Ends every stream, from any thread, so that the server need not wait for them."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end_streams)

    async def end(self) -> None:
        """Ends every stream and the task."""
        self._end_streams()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._unheed is not None:
            self._unheed()
            self._unheed = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def open(self, last: int | None) -> Stream:
        """A new stream, with the snapshots after number `last`; raises Refused where MOST are open."""
        if len(self._streams) >= MOST:
            message = f"{MOST} streams are open already; close one, or ask for snapshots by GET overview"
            raise Refused(429, "too_many_requests", message, headers={"Retry-After": "5"})
        stream = Stream()
        missed = [event for number, event in self._kept if last is not None and last < number]
        for event in missed or [event for _, event in list(self._kept)[-1:] if self._streams]:
            stream.put(event)
        self._streams.add(stream)
        self._watched.set()
        return stream

    def close(self, stream: Stream) -> None:
        """Forgets a stream."""
        self._streams.discard(stream)
        if not self._streams:
            self._watched.clear()

    def _end_streams(self) -> None:
        for stream in tuple(self._streams):
            stream.end("shutdown")

    def _send(self, event: bytes) -> None:
        for stream in tuple(self._streams):
            stream.put(event)

    def _committed(self, counts: Counts) -> None:
        if self._streams and monotonic() - self._stored_at >= STORED_EVERY:
            self._stored_at = monotonic()
            self._send(_event("stored", {"spans": counts.spans, "logs": counts.logs, "points": counts.points}))

    def _news(self) -> None:
        """Something new was read from elsewhere."""
        self._committed(self._hub.intake.stored())

    def _alerts_changed(self) -> None:
        """An alert has changed; in some thread."""
        if self._streams and self._loop is not None:
            counts = self._hub.alerts.kept.rows("alerts/counts")[0]
            self._loop.call_soon_threadsafe(self._send, _event("alerts", counts))

    async def _feed(self) -> None:
        while True:
            await self._watched.wait()
            began = monotonic()
            try:
                values = await run_in_threadpool(snapshot, self._hub)
            except Exception:
                log.exception("no snapshot for those who watch")
            else:
                self._number += 1
                event = _event("snapshot", values, self._number)
                self._kept.append((self._number, event))
                self._send(event)
            await asyncio.sleep(max(0.1, EVERY - (monotonic() - began)))


def _event(name: str, data: object, number: int | None = None) -> bytes:
    head = f"event: {name}\n" if number is None else f"event: {name}\nid: {number}\n"
    return head.encode() + b"data: " + orjson.dumps(data) + b"\n\n"


@router.get(
    "/realtime",
    response_class=Response,
    responses={
        200: {
            "description": "A stream of events: `snapshot` each 2 s, `stored` after commits, at most once a second, "
            "`alerts` when one has changed, with how many alerts and incidents are active, `ended` before the hub "
            "closes it; a comment each 15 s. Their data is JSON; here is that of a snapshot.",
            "content": {"text/event-stream": {"schema": Snapshot.model_json_schema()}},
        },
        **refuses(429),
    },
)
async def realtime(request: Request) -> Response:
    """Live values as Server-Sent Events; with `Last-Event-ID`, those of the last minute that were missed."""
    live: Live = request.app.state.live
    request.app.state.limits.count("streams", caller(request).client)
    last = request.headers.get("last-event-id", "")
    stream = live.open(int(last) if last.isdecimal() and len(last) < 19 else None)

    return EventStream(live, stream)


class EventStream(Response):
    """The answer to one who watches; its place is free again whatever becomes of the connection.

    Args:
        live: who feeds the stream.
        stream: the reader's queue.
    """

    def __init__(self, live: Live, stream: Stream) -> None:
        super().__init__(None, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.headers["Content-Type"] = "text/event-stream; charset=utf-8"
        del self.headers["Content-Length"]
        self._live, self._stream = live, stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends events until the end, the reader's leaving, or STUCK seconds in which it reads nothing."""
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._live.close(self._stream)
            self._stream.end("left")  # a cancellation alone may get lost in wait_for (CPython 86296, before 3.12)
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for event in self._stream.events():
            await asyncio.wait_for(send({"type": "http.response.body", "body": event, "more_body": True}), STUCK)
        await asyncio.wait_for(send({"type": "http.response.body", "body": b""}), STUCK)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
