"""How often a client may ask: bounds for reading, changing, failed logins and open streams."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from time import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from perfagent.hub.api.errors import Refused


@dataclass(frozen=True, slots=True)
class Rates:
    """How often is often, in the notation of the library `limits`.

    Args:
        reads: a view of the page asks five times at most; 100 a second are thirty people who click.
        changes: commands, alert actions, thresholds.
        client: metrics that browsers and programs post to the interface.
        failures: requests with a wrong token, cookie or link. One with a right token never counts.
        streams: streams that a client opens, of which 20 may be open at once.
    """

    reads: str = "6000/minute"
    changes: str = "300/minute"
    client: str = "6000/minute"
    failures: str = "60/minute"
    streams: str = "60/minute"


class Limits:
    """Counts requests by kind and client, in memory."""

    def __init__(self, rates: Rates) -> None:
        self._items: dict[str, RateLimitItem] = {kind: parse(getattr(rates, kind)) for kind in rates.__slots__}
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, kind: str, client: str) -> None:
        """Counts one request; raises Refused with 429 where it is one too many.

        Args:
            kind: a field of Rates.
            client: who asks: the address, for the role is known by it or not at all.
        """
        item = self._items[kind]
        if self._limiter.hit(item, kind, client):
            return
        wait = max(1, ceil(self._limiter.get_window_stats(item, kind, client).reset_time - time()))
        raise Refused(
            429,
            "too_many_requests",
            f"more than {item.amount} {kind} a {item.GRANULARITY.name} from {client}; come back in {wait} s",
            headers={"Retry-After": str(wait)},
        )
