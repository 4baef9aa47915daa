"""What was seen of the keys of one shape since the last report."""

from __future__ import annotations

from perfagent.runtime.economics.curve import FACTORS

COLD, EXPIRED, EVICTED, DROPPED = "cold", "expired", "evicted", "dropped"


class Tally:
    """Counts of one shape. Look-ups and sets are of all keys; what follows of a key's history is of the watched ones,
    multiplied by what each of them stands for.
    """

    __slots__ = (
        "bytes", "duplicates", "fill_seconds", "fills", "gets", "hits", "lookup_seconds", "misses", "peak", "set_bytes",
        "set_seconds", "sets", "ttl_hits", "ttl_seconds", "ttls", "unread", "wasted_seconds",
    )  # fmt: skip

    def __init__(self) -> None:
        self.gets = 0.0
        self.hits = 0.0
        self.sets = 0.0
        self.lookup_seconds = 0.0
        self.set_seconds = 0.0
        self.bytes = 0.0  # that look-ups found
        self.set_bytes = 0.0
        self.fills = 0.0
        """Misses that a set of the same key followed."""
        self.fill_seconds = 0.0
        """From the end of such a miss to the beginning of its set."""
        self.duplicates = 0.0
        """Fills of a key that somebody else had filled since the miss."""
        self.wasted_seconds = 0.0
        """Of these."""
        self.peak = 0
        """Most that missed a key at a time, before one of them had set it."""
        self.unread = 0.0
        """Sets of a key whose value before nobody had read."""
        self.misses = dict.fromkeys((COLD, EXPIRED, EVICTED, DROPPED), 0.0)
        self.ttls = 0.0
        self.ttl_seconds = 0.0
        self.ttl_hits = [0.0] * len(FACTORS)
        """Look-ups that would be hits with FACTORS times the time to live."""

    @property
    def cost(self) -> float | None:
        """Seconds that a miss takes the program, on average; None where none was filled."""
        return self.fill_seconds / self.fills if self.fills else None

    @property
    def saved(self) -> float | None:
        """Seconds that the cache has saved: its hits at the price of a miss, without its own look-ups and sets."""
        cost = self.cost
        return None if cost is None else self.hits * cost - self.lookup_seconds - self.set_seconds

    @property
    def ttl(self) -> float | None:
        """Mean time to live of what was set, s; None where nothing was set with one."""
        return self.ttl_seconds / self.ttls if self.ttls else None

    def add(self, other: Tally) -> None:
        """Adds what another one has."""
        for name in self.__slots__:
            mine, others = getattr(self, name), getattr(other, name)
            if name == "peak":
                self.peak = max(mine, others)
            elif name == "misses":
                for cause, number in others.items():
                    mine[cause] += number
            elif name == "ttl_hits":
                self.ttl_hits = [one + more for one, more in zip(mine, others, strict=True)]
            else:
                setattr(self, name, mine + others)
