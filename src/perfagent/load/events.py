"""Synthetic access events: what the log of a shop's web server holds, reproducible by a seed."""

from __future__ import annotations

import json
import random
from bisect import bisect
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Path, share of the traffic, median duration in ms, median size in bytes.
PAGES = (
    ("/", 20, 12, 18_000),
    ("/products", 24, 35, 42_000),
    ("/products/{id}", 30, 18, 24_000),
    ("/search", 11, 80, 31_000),
    ("/cart", 7, 9, 4_000),
    ("/cart/items", 4, 14, 600),
    ("/checkout", 2, 140, 2_200),
    ("/health", 2, 1, 15),
)
POSTED = {"/cart/items", "/checkout"}
STATUSES = ((200, 930), (304, 35), (404, 20), (400, 6), (500, 6), (503, 3))  # in thousandths
CLIENTS = 5000  # of whom few do much: their numbers follow Zipf's law
SPREAD = 0.6  # of the logarithm of durations and sizes


class AccessLog:
    """An endless access log.

    Args:
        seed: the same one gives the same events.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._pages = list(accumulate(share for _path, share, *_ in PAGES))
        self._statuses = list(accumulate(share for _status, share in STATUSES))
        self._clients = list(accumulate(1 / rank for rank in range(1, CLIENTS + 1)))

    def event(self, moment: float) -> dict[str, object]:
        """The next event.

        Args:
            moment: when it happened, in seconds since the epoch.
        """
        source = self._random
        path, _share, duration, size = PAGES[self._pick(self._pages)]
        status = STATUSES[self._pick(self._statuses)][0]
        client = self._pick(self._clients)
        if status >= 500:
            duration *= 8  # what fails has waited for something
        return {
            "ts": round(moment, 6),
            "method": "POST" if path in POSTED else "GET",
            "path": path.replace("{id}", str(source.randrange(1, 400))),
            "status": status,
            "duration_ms": round(duration * source.lognormvariate(0, SPREAD), 2),
            "bytes": 0 if status == 304 else int(size * source.lognormvariate(0, SPREAD)),
            "client": f"10.{client >> 16 & 255}.{client >> 8 & 255}.{client & 255}",
        }

    def _pick(self, shares: Sequence[float]) -> int:
        return bisect(shares, self._random.random() * shares[-1])


def encode(event: dict[str, object]) -> bytes:
    """An event as it is published: JSON."""
    return json.dumps(event, separators=(",", ":")).encode()
