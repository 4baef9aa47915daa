"""A value as a cache hands it out, and how its computation is remembered while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A value with its time.

    Args:
        value: what was computed; the exception, where that was kept.
        fresh: until when it is good, by `time.monotonic()`.
        expires: until when it may be served while a new one is computed; not less than `fresh`.
        tags: as `key.tag_id` makes them.
        failed: whether it is an exception.
    """

    value: object
    fresh: float
    expires: float
    tags: tuple[bytes, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Stamps:
    """What a store had when a computation began; it takes the result only while it still has the same.

    Args:
        marker: of the key; whoever invalidates the key removes it.
        depends: of the space and of the tags, one after the other; whoever invalidates these changes them.
        grave: of the last invalidation of the key, or STAMP zeros.
    """

    marker: bytes
    depends: bytes
    grave: bytes
