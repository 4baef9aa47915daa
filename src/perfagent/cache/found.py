"""What a store had for a key: an entry whose value is not yet read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfagent.cache.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Found:
    """An entry in a store.

    Args:
        envelope: the entry.
        expires: until when it may be served, by `time.monotonic()`.
        store: the name of the tier.
    """

    envelope: Envelope
    expires: float
    store: str
