"""Expressions that several dashboards ask."""

from __future__ import annotations

RATE = "[$__rate_interval]"
REQUESTS = "http_server_request_duration_seconds"


def rate(metric: str, labels: str = "<process>", by: str = "") -> str:
    """The sum of a counter's increase per second."""
    return f"sum{_by(by)} (rate({metric}{{{labels}}}{RATE}))"


def quantile(q: float, histogram: str, labels: str = "<process>", by: str = "") -> str:
    """A quantile of a histogram, in its unit."""
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({grouped}) (rate({histogram}_bucket{{{labels}}}{RATE})))"


def mean(histogram: str, labels: str = "<process>", by: str = "") -> str:
    """The mean of a histogram, in its unit."""
    return f"{rate(histogram + '_sum', labels, by)} / ({rate(histogram + '_count', labels, by)} > 0)"


def share(part: str, whole: str) -> str:
    """A part of a whole, 0 where the part has no series; both have the same labels."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def failing(by: str = "", labels: str = "<process>") -> str:
    """The share of requests that were answered with a 5xx."""
    failed = rate(f"{REQUESTS}_count", f'{labels}, http_response_status_code=~"5.."', by)
    return share(failed, rate(f"{REQUESTS}_count", labels, by))


def hit_ratio(by: str = "", labels: str = "<process>") -> str:
    """The share of look-ups in caches that found something: 0 for one that never did, which has no series of hits."""
    hits, misses = (rate(f"<ns>_cache_{what}_total", labels, by) for what in ("hits", "misses"))
    found = f"({hits} or 0 * {misses})"
    return f"{found} / ({found} + ({misses} or 0 * {hits}) > 0)"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
