"""Fills the window: what somebody looks at first, the newest of it first, and never faster than Prometheus answers."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from perfagent.hub.remote.coverage import MINUTE, Coverage, pieces
from perfagent.hub.remote.errors import RemoteError
from perfagent.hub.store.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfagent.hub.remote.prometheus import Stretch

STEPS, MOST_STEPS = 30, 240  # of a piece at first, and at most
QUICK = 1.0  # seconds that a piece may take for the next one to be larger
KEPT = 120.0  # seconds for which a range is filled after somebody has asked for it last
FRESH = 300  # seconds of which minutes may still be read anew, one by one
SKIPPED = 300.0  # seconds for which a piece that is too much is passed over
AGAIN = 5.0  # seconds after which a piece that failed is tried again
FARTHEST = 400 * 86_400  # seconds that a range may reach back
log = logging.getLogger("perfagent.hub")


@dataclass(slots=True)
class Ask:
    """A range that somebody wants, in steps of so many seconds."""

    begin: int
    end: int
    step: int
    asked: float
    stays: bool = False  # whether it is wanted until it is there, though nobody asks again


@dataclass(slots=True, eq=False)
class Topic:
    """One thing that is filled: calls, vital signs, or one metric.

    Args:
        name: for messages.
        fetch: reads a stretch from Prometheus and puts it into the window.
        coverage: what is there.
        asks: what is wanted of it.
        steps: of the next piece.
        failing: why the last piece could not be had; "" where it could.
        not_before: when it may be tried again, by the monotonic clock.
        skipped: the begins of pieces that are too much, however small, and until when they are passed over.
    """

    name: str
    fetch: Callable[[Stretch], None]
    coverage: Coverage = field(default_factory=Coverage)
    asks: list[Ask] = field(default_factory=list)
    steps: int = STEPS
    failing: str = ""
    not_before: float = 0.0
    skipped: dict[int, float] = field(default_factory=dict)

    def lacks(self, begin: int, end: int, step: int) -> bool:
        """Whether something of a range is still to come."""
        return bool(self.coverage.missing(begin, end, step))


class Filler:
    """The thread that fills.

    Args:
        rests: seconds for which the remote is left alone.
    """

    def __init__(self, rests: Callable[[], float]) -> None:
        self._rests = rests
        self._topics: list[Topic] = []
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="filler", daemon=True)

    def start(self) -> None:
        """Begins to fill, where that has not begun."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Ends after the piece under way; the client ends that."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(2)

    def add(self, topic: Topic) -> None:
        """Takes a topic on."""
        with self._changed:
            self._topics.append(topic)

    def remove(self, topic: Topic) -> None:
        """Gives a topic up."""
        with self._changed:
            self._topics.remove(topic)

    def want(self, topic: Topic, begin: float, end: float, step: int, *, stays: bool = False) -> tuple[int, int, int]:
        """Asks for a range of a topic; returns it in whole minutes that are over, and the step that it gets.

        Args:
            begin, end: seconds since the epoch.
            step: seconds of the chart's steps; minutes are as fine as it gets.
            stays: whether it is wanted until it is there.
        """
        now = time.time()
        high = int(min(end, now)) // MINUTE * MINUTE
        low = min(int(max(begin, now - FARTHEST)) // MINUTE * MINUTE, high)
        step = max(step // MINUTE * MINUTE, MINUTE)
        with self._changed:
            if topic.lacks(low, high, step):
                topic.asks = [one for one in topic.asks if (one.begin, one.end, one.step) != (low, high, step)]
                topic.asks.insert(0, Ask(low, high, step, time.monotonic(), stays))
                del topic.asks[20:]
                self._changed.notify_all()
        return low, high, step

    def is_wanted(self, topic: Topic, begin: float, end: float, step: int) -> bool:
        """Whether somebody has asked for about that range already."""
        near = 2 * MINUTE
        with self._changed:
            return any(
                ask.step == step and abs(ask.begin - begin) < near and abs(ask.end - end) < near for ask in topic.asks
            )

    def done(self, topic: Topic, stretch: Stretch) -> None:
        """Notes a stretch that somebody else has put into the window."""
        with self._changed:
            topic.coverage.add(stretch)

    def again(self, topic: Topic, begin: int, end: int) -> None:
        """Forgets that a stretch is there, so that it is filled anew when it is wanted."""
        with self._changed:
            topic.coverage.drop(begin, end)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._ended:
                    return
                work = self._next()
                if work is None:
                    self._changed.wait(self._pause())
                    continue
            self._fill(*work)

    def _pause(self) -> float | None:
        """Seconds until something may be tried again; None where nobody wants anything."""
        if not any(topic.asks for topic in self._topics):
            return None
        return max(0.2, min(self._rests() + 0.05, AGAIN))

    def _next(self) -> tuple[Topic, Stretch] | None:
        """The piece that was asked for last, and is missing."""
        if self._rests():
            return None
        for topic, ask in sorted(self._wanted(), key=lambda pair: -pair[1].asked):
            missing = topic.coverage.missing(ask.begin, ask.end, ask.step)
            for low, high in missing:
                for piece in _pieces(ask, low, high, topic.steps):
                    if topic.skipped.get(piece.begin, 0.0) < time.monotonic():
                        return topic, piece
            if not missing:
                topic.asks.remove(ask)
        return None

    def _wanted(self) -> Iterator[tuple[Topic, Ask]]:
        now = time.monotonic()
        for topic in self._topics:
            topic.asks = [ask for ask in topic.asks if ask.stays or now - ask.asked < KEPT]
            if topic.not_before <= now:
                yield from ((topic, ask) for ask in topic.asks)

    def _fill(self, topic: Topic, stretch: Stretch) -> None:
        began = time.monotonic()
        try:
            topic.fetch(stretch)
        except RemoteError as error:
            self._failed(topic, stretch, error)
        except StoreFailed as error:
            topic.failing, topic.not_before = str(error), time.monotonic() + AGAIN
        except Exception:
            log.exception("%s could not be filled", topic.name)
            topic.failing = f"a failure of the hub itself, see hub.log; {topic.name} is incomplete"
            topic.not_before = time.monotonic() + AGAIN
        else:
            topic.failing = ""
            with self._changed:
                topic.coverage.add(stretch)
                if time.monotonic() - began < QUICK:
                    topic.steps = min(topic.steps * 2, MOST_STEPS)

    def _failed(self, topic: Topic, stretch: Stretch, error: RemoteError) -> None:
        if error.is_too_much and stretch.steps > 1:
            topic.steps = max(1, stretch.steps // 2)
            return
        if str(error) != topic.failing and error.outcome != "resting":
            log.warning("%s: %s", topic.name, error)
        topic.failing, topic.not_before = str(error), time.monotonic() + AGAIN
        if error.is_too_much:  # and it cannot be asked for in smaller pieces: what follows shall not wait for it
            topic.skipped[stretch.begin] = time.monotonic() + SKIPPED


def _pieces(ask: Ask, low: int, high: int, most: int) -> Iterator[Stretch]:
    """What is missing of a range, in pieces that do not go beyond its begin or its end."""
    settled = int(time.time()) - FRESH
    edges = sorted({low, high, *(edge for edge in (ask.begin, ask.end) if low < edge < high)})
    for begin, end in reversed(list(pairwise(edges))):
        yield from pieces(begin, end, ask.step, most, settled)
