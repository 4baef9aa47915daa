"""What a reader should know, found in the sums of what an agent exported."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .vitals import deprecated_calls, hit_ratios, loop_lag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .tally import Endpoint, Tally

# The same text so often in one request is no coincidence: pages with a handful of different lookups stay below it.
N_PLUS_ONE = 5
# Below so many requests, a percentile says more about chance than about the endpoint.
ENOUGH = 5

# An event loop that comes this late, in seconds, is felt by everybody who waits for it.
STANDSTILL = 0.05


class Finding(NamedTuple):
    """One thing found: its kind, a sentence, and how the sentence is known."""

    kind: str
    what: str
    evidence: str


def find(tally: Tally) -> list[Finding]:
    """All findings, the ones that hurt most first."""
    with tally.lock:
        return [
            *_slowest(tally),
            *_repeated_queries(tally),
            *_errors(tally),
            *_slow_calls(tally),
            *_blocked_loop(tally),
            *_deprecations(tally),
            *_caches(tally),
            *_losses(tally),
        ]


def milliseconds(seconds: float) -> str:
    """A time for people, with two or three significant figures."""
    value = seconds * 1000
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def shorten(text: str, width: int) -> str:
    """A query's text that fits: what it reads from matters more than the columns, so these go first."""
    if len(text) > width and text.upper().startswith("SELECT ") and " FROM " in text.upper():
        text = "SELECT … " + text[text.upper().index(" FROM ") + 1 :]
    return text if len(text) <= width else text[: width - 1] + "…"


def _slowest(tally: Tally) -> Iterator[Finding]:
    enough = {name: one for name, one in tally.endpoints.items() if one.calls >= ENOUGH} or tally.endpoints
    if enough:
        name, endpoint = max(enough.items(), key=lambda item: item[1].percentile(95))
        times = f"p95 {milliseconds(endpoint.percentile(95))}, p50 {milliseconds(endpoint.percentile(50))}"
        yield Finding("slowest", f"{name}: {times}, {_where(endpoint)}", f"{endpoint.calls} requests")


def _where(endpoint: Endpoint) -> str:
    parts = {
        "in queries": endpoint.in_queries,
        "in outgoing calls": endpoint.in_calls,
        "in the program itself": endpoint.total - endpoint.in_queries - endpoint.in_calls,
    }
    most = max(parts, key=lambda part: parts[part])
    return f"{parts[most] / endpoint.total:.0%} of it {most}"


def _repeated_queries(tally: Tally) -> Iterator[Finding]:
    repeated = [(key, times) for key, times in tally.repetitions().items() if max(times) >= N_PLUS_ONE]
    for (endpoint, text), times in sorted(repeated, key=lambda item: -sum(item[1])):
        mean = sum(times) / len(times)
        yield Finding(
            "N+1",
            f"{endpoint} ran the same query up to {max(times)} times in one request, {mean:.1f} on average",
            shorten(text, 100),
        )


def _errors(tally: Tally) -> Iterator[Finding]:
    for (endpoint, cause), times in tally.failures().most_common():
        yield Finding(
            "errors", f"{endpoint} failed with {cause}", f"{times} of {tally.endpoints[endpoint].calls} requests"
        )


def _slow_calls(tally: Tally) -> Iterator[Finding]:
    for name, timing in tally.calls.items():
        times = f"p95 {milliseconds(timing.percentile(95))}, p50 {milliseconds(timing.percentile(50))}"
        yield Finding("outgoing", f"{name}: {times}", f"{timing.calls} calls, {timing.errors} failed")


def _blocked_loop(tally: Tally) -> Iterator[Finding]:
    lag = loop_lag(tally)
    if lag is not None and lag >= STANDSTILL:
        yield Finding(
            "event loop",
            f"it stood still for up to {milliseconds(lag)}",
            "something computes or waits in an async function",
        )


def _deprecations(tally: Tally) -> Iterator[Finding]:
    for what, calls in deprecated_calls(tally).items():
        yield Finding("deprecated", what, f"{calls:.0f} calls")


def _caches(tally: Tally) -> Iterator[Finding]:
    for cache, (hits, misses) in hit_ratios(tally).items():
        yield Finding("cache", f"{cache}: {hits / (hits + misses):.0%} hits", f"{hits:.0f} hits, {misses:.0f} misses")


def _losses(tally: Tally) -> Iterator[Finding]:
    for metric in tally.totals.names():
        lost = tally.totals.total(metric).value
        if "dropped" in metric and lost:
            yield Finding("lost", f"the agent dropped {lost:.0f} items", metric)
