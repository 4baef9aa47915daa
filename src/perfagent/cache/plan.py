"""How a value is kept: for how long, under which tags, and who computes it."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """What a decorator or a call asks for; times in seconds.

    Args:
        ttl: for how long a value is good.
        stale: for how long after that it is served while a new one is computed.
        negative: the ttl of None and of `errors`; 0 keeps neither, None treats None like any value.
        errors: exceptions that are kept like values, for `negative` seconds.
        jitter: share of the ttl that may be missing at its end.
        single: whether one computation at a time runs for a key in this process.
        across: whether one runs among all processes that share the store.
        lease: after which time without a sign of life another process takes over.
        asynchronous: whether the function is awaited.
    """

    ttl: float
    stale: float = 0.0
    negative: float | None = None
    errors: tuple[type[Exception], ...] = ()
    jitter: float = 0.0
    single: bool = True
    across: bool = False
    lease: float = 10.0
    asynchronous: bool = False

    def time_of(self, value: object, error: Exception | None) -> float | None:
        """The ttl of what a computation came to; None where that is not kept."""
        if error is not None:
            return self.negative or None if isinstance(error, self.errors) else None
        if value is None and self.negative is not None:
            return self.negative or None
        return self.ttl * (1 - self.jitter * random.random()) if self.jitter else self.ttl  # noqa: S311
