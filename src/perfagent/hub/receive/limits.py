"""What the hub takes of a sender: how much, how long, how old; and the account of what it did not take."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfagent.hub.store.rows import Batch

if TYPE_CHECKING:
    from perfagent.settings import Settings

DAY = 86_400_000_000_000
HOUR = 3_600_000_000_000
LARGEST = 4_194_304
"""Bytes of a span or a log record: one that holds all that is kept of it has fewer, and a larger one stops the loop."""
TOO_LARGE = f"larger than {LARGEST} bytes"
LARGEST_POINT = 262_144
"""Bytes of a metric point: 30,000 buckets."""
SENDERS = 10_000
"""Senders whose rate is remembered; the one that was silent longest is forgotten first, and begins anew."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one item may hold; more is cut off and counted in `otel.dropped_attributes_count`.

    Args:
        body: bytes of a request, unpacked.
        rate: items a second of one sender; twice as many at once.
        retention: ns; older items would be deleted at once and are refused.
        count: attributes of a span, a log record, a point, an event or a link.
        key: characters of an attribute's name, and of other names.
        value: characters of a text; a list or a map has as many as its JSON.
        events: events of a span, and links as many.
        buckets: of all exponential histograms of a request, for 60 bytes can name 2,000 buckets.
    """

    body: int = 67_108_864
    rate: int = 100_000
    retention: int = 48 * HOUR
    count: int = 128
    key: int = 512
    value: int = 32_768
    events: int = 128
    buckets: int = 4_000_000

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings ask for."""
        return cls(settings.hub_body, settings.hub_rate, settings.retention_hours * HOUR)


class Malformed(ValueError):  # noqa: N818 - an answer, as those of body.py
    """A request that no second attempt makes better; its text says where and why."""


class Rate:
    """Items that each sender may still store at this moment: a bucket that fills at `rate` a second.

    Args:
        rate: items a second; the bucket holds those of two seconds, for an agent sends what gathered meanwhile.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._senders: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when that was

    def take(self, sender: str, items: int) -> int:
        """How many of the items may come in; they are taken off."""
        now = time.monotonic()
        left, since = self._senders.get(sender, (2.0 * self._rate, now))
        left = min(2.0 * self._rate, left + (now - since) * self._rate)
        taken = min(items, int(left))
        self._senders[sender] = (left - taken, now)
        self._senders.move_to_end(sender)
        if len(self._senders) > SENDERS:
            self._senders.popitem(last=False)
        return taken

    def give_back(self, sender: str, items: int) -> None:
        """Undoes `take` for items that were not stored and that the sender will send again."""
        if sender in self._senders:
            left, since = self._senders[sender]
            self._senders[sender] = (left + items, since)


class Receipt:
    """The account of one request: its batch, what of it was refused or cut, and what it took of its sender's rate.

    Args:
        noun: what its items are called: spans, log records, points.
        size: bytes of the request, unpacked.
        limits: what applies.
        rate: who counts the senders' items.
        now: ns since the epoch.
    """

    __slots__ = (
        "_noun",
        "_rate",
        "_refused",
        "_taken",
        "batch",
        "buckets",
        "cut",
        "earliest",
        "latest",
        "limits",
        "now",
    )

    def __init__(self, noun: str, size: int, limits: Limits, rate: Rate, now: int | None = None) -> None:
        self.batch = Batch(bytes=size)
        self.limits = limits
        self.now = time.time_ns() if now is None else now
        self.earliest, self.latest = self.now - limits.retention, self.now + DAY
        self.cut = 0  # attributes left out, texts and names shortened
        self.buckets = limits.buckets  # what is left of them
        self._noun = noun
        self._rate = rate
        self._refused: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()

    def allow(self, sender: str, items: int) -> int:
        """How many of the sender's next items its rate lets in; the others are refused."""
        taken = self._rate.take(sender, items)
        self._taken[sender] += taken
        if taken < items:
            self._refused[f"over the rate of {self.limits.rate} items/s of one sender (PERFAGENT_HUB_RATE)"] += (
                items - taken
            )
        return taken

    def refuse(self, reason: str, items: int = 1) -> None:
        """Counts what is left out; `reason` completes "3 spans refused: 3 …"."""
        self._refused[reason] += items

    def misses(self, moment: int) -> bool:
        """Whether a moment lies outside of what is kept; counts the item as refused if so."""
        if self.earliest <= moment <= self.latest:
            return False
        if moment == 0:
            self.refuse("without a time")
        elif moment > self.latest:
            self.refuse("more than a day in the future (is a clock wrong, or a time not in nanoseconds?)")
        else:
            hours = self.limits.retention // HOUR
            self.refuse(f"older than the {hours} h that are kept (PERFAGENT_RETENTION_HOURS)")
        return True

    def close(self) -> Batch:
        """The batch with its count of refusals and the reason for the sender."""
        parts: list[str] = []
        self.batch.rejected = self._refused.total()
        if self._refused:
            told = ", ".join(f"{count} {reason}" for reason, count in self._refused.most_common(5))
            parts.append(f"{self.batch.rejected} {self._noun} refused: {told}")
        if self.cut:
            parts.append(
                f"{self.cut} attributes or texts cut: an item keeps {self.limits.count} attributes, "
                f"a name {self.limits.key} characters, a value {self.limits.value}"
            )
        self.batch.reason = "; ".join(parts)
        return self.batch

    def undo(self) -> None:
        """Gives the sender its items back: they were not stored, and will come again."""
        for sender, items in self._taken.items():
            self._rate.give_back(sender, items)
