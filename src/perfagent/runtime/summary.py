"""What a process did, in a few lines at its exit: for a user whose telemetry goes nowhere yet."""

from __future__ import annotations

from perfagent import settings
from perfagent.runtime import metric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 8  # of each kind
HINT = (
    'nothing is sent: pip install "perfagent[hub]" to see traces and history in a page of your own, '
    "or set OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318"
)
HINT_WITHOUT_HUB = (
    "nothing is sent: PERFAGENT_HUB=off; leave it out to see traces and history in a page of your own, "
    "or set OTEL_EXPORTER_OTLP_ENDPOINT, such as http://localhost:4318"
)


def lines() -> list[str]:
    """The summary, or nothing where the process neither answered a request nor asked a database or a server."""
    found = []
    for title, name in (
        ("requests", "http.server.request.duration"),
        ("queries", "db.client.operation.duration"),
        ("calls", "http.client.request.duration"),
    ):
        rows = sorted(_rows(name), reverse=True)
        if rows:
            found.append(f"  {title:<44}{'count':>8}{'mean':>10}{'max':>10}")
            found += [
                f"    {label:<42}{count:>8}{_time(total / count):>10}{_time(worst):>10}"
                for total, label, count, worst in rows[:ROWS]
            ]
            if len(rows) > ROWS:
                found.append(f"    and {len(rows) - ROWS} more")
    found += _deprecated()
    hint = HINT_WITHOUT_HUB if settings.current().hub == "off" else HINT
    return [*found, f"  {hint}"] if found else []


def _deprecated() -> list[str]:
    """How often the program's own lines called what is deprecated, and the line that did most; libraries' are noise."""
    lines: dict[str, float] = {}
    for instrument in metric.registry.instruments.values():
        if instrument.name == "perfagent.deprecation.calls":
            for series in instrument.collect():
                told = series.attributes
                if told.get("deprecation.own") == "true":
                    where = f"{told.get('code.file.path')}:{told.get('code.line.number')} calls {told['function']}"
                    lines[where] = lines.get(where, 0) + series.value
    if not lines:
        return []
    most = max(lines, key=lambda where: lines[where])
    return [f"  deprecated: {sum(lines.values()):.0f} calls from {len(lines)} lines, the most from {most}"[:200]]


def _rows(name: str) -> Iterator[tuple[float, str, int, float]]:
    """Total seconds, label, count and longest of each series of a metric of durations."""
    for instrument in metric.registry.instruments.values():
        if instrument.name == name:
            for series in instrument.collect():
                if isinstance(series, metric.HistogramSeries) and series.count:
                    yield series.value, _label(series.attributes)[:42], series.count, series.largest


def _label(attributes: object) -> str:
    assert isinstance(attributes, dict)
    parts = (
        "http.request.method",
        "http.route",
        "server.address" if "http.route" not in attributes and "db.system.name" not in attributes else "",
        "http.response.status_code",
        "db.operation.name",
        "db.collection.name",
        "error.type" if "http.response.status_code" not in attributes else "",
    )
    return " ".join(str(attributes[part]) for part in parts if part in attributes)


def _time(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
