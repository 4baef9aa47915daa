"""An in-memory cache whose entries expire."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


class TTLCache(Generic[T]):
    """Keeps what was computed for a key for `ttl` seconds, and not more than `size` entries."""

    def __init__(self, *, ttl: float, size: int = 1024) -> None:
        self._ttl = ttl
        self._size = size
        self._entries: dict[Hashable, tuple[float, T]] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of the key, from `compute` if it is missing or too old."""
        now = time.monotonic()
        with self._lock:
            expires, value = self._entries.get(key, (0.0, None))
        if value is not None and now < expires:
            return value
        value = compute()
        with self._lock:
            if len(self._entries) >= self._size:
                self._entries.pop(next(iter(self._entries)))
            self._entries[key] = (now + self._ttl, value)
        return value

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._entries.clear()
