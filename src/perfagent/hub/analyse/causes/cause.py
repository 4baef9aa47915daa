"""What a likely cause is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = (
    "slow_query", "lock", "n_plus_one", "cache", "slow_dependency", "failing_dependency", "pool",
    "blocked_loop", "cpu", "gc", "memory_leak", "errors", "slow_code",
)  # fmt: skip


@dataclass(slots=True)
class Cause:
    """One likely cause of what is wrong now.

    Args:
        kind: one of KINDS.
        service: in which it is.
        subject: what it is: a statement, a dependency, an endpoint, a pool, a cache, a process or an exception.
        title: the cause in a sentence, such as "SELECT orders became 14 times slower".
        score: 0..1, how likely it is behind what is seen; what the list is sorted by.
        evidence: why, a sentence each, the strongest first.
        steps: what to do, in this order.
        effort: "low", "medium" or "high".
        link: where the page shows it.
        traces: requests that show it, 32 hexadecimal digits each.
        place: where in the program it is called from, "file:line function"; "" where unknown.
        services: others that feel it, and its own.
        endpoints: the requests that feel it, the one that loses most first.
        requests_per_day: how many requests it touches, at the rate of now.
        seconds_per_day: how much longer they take in all.
        failures_per_day: how many of them fail by it.
        since: when it began, seconds since the epoch; None where it may have been so all along.
        effect_of: the title of the cause that explains this one; "" where none does.
        shown: the process, statement or the like by its identity, for those who look closer.
    """

    kind: str
    service: str
    subject: str
    title: str
    score: float
    evidence: list[str] = field(default_factory=list)
    steps: tuple[str, ...] = ()
    effort: str = "medium"
    link: str = ""
    traces: list[str] = field(default_factory=list)
    place: str = ""
    services: list[str] = field(default_factory=list)
    endpoints: list[str] = field(default_factory=list)
    requests_per_day: float = 0.0
    seconds_per_day: float = 0.0
    failures_per_day: float = 0.0
    since: float | None = None
    effect_of: str = ""
    shown: int | None = None

    def answer(self) -> dict[str, Any]:
        """As the interface gives it."""
        told = asdict(self)
        del told["shown"]
        return told
