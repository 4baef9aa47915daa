"""Writes the pages of docs/reference that are made from the code's own tables.

`python -m tools.reference` writes them; with `--check` it writes nothing, and exits with 1 where one is not current.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfagent import middleware, optimizer, settings, vitals
from perfagent.cache import measures
from perfagent.data import measures as data
from perfagent.hub.sources import itself
from perfagent.instruments import executors, pool_waits  # noqa: F401 - declare theirs
from perfagent.monitor import emission
from perfagent.profiler import leaks
from perfagent.resilience import limits, replication
from perfagent.resilience.budgets import budget
from perfagent.resilience.deprecations import ledger
from perfagent.rum import page
from perfagent.runtime import (
    breaker,
    db,
    genai,
    governor,
    http,
    http_client,
    messaging,
    metric,
    profile,
    retries,
    rpc,
    selfmetrics,
)
from perfagent.runtime.cache import Lookups
from perfagent.runtime.economics import report as economies
from perfagent.runtime.prometheus.families import empty
from perfagent.runtime.spool import measures as spooled
from tools import libraries, rest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from perfagent.runtime.metric import Instrument

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
GROUPS = {
    "perfagent.http": "HTTP",
    "perfagent.profile": "Profiled requests",
    "perfagent.middleware": "TimingMiddleware",
    "perfagent.db": "Databases",
    "perfagent.messaging": "Messages",
    "perfagent.rpc": "Remote procedure calls",
    "perfagent.genai": "Language models",
    "perfagent.cache": "Caches of the library, and Redis",
    "perfagent.breaker": "Circuit breakers",
    "perfagent.retry": "Retries",
    "perfagent.budget": "Error budgets",
    "perfagent.replication": "Replication lag",
    "perfagent.rum": "Pages that browsers measure (PERFAGENT_RUM)",
    "perfagent.vitals": "Vital signs",
    "perfagent.leaks": "What memory keeps",
    "perfagent.threading": "Thread pools",
    "perfagent.limits": "Resource limits",
    "perfagent.optimizer": "Optimizer",
    "perfagent.monitor": "Performance monitor",
    "perfagent.deprecations": "Deprecations",
    "perfagent.data": "Files and queries in bulk",
    "perfagent": "The agent itself",
}
TYPES = {"counter": "counter", "updowncounter": "up-down counter", "gauge": "gauge", "histogram": "histogram"}
"""What the registry calls them, and what OpenTelemetry does."""

METRICS = """\
# Metrics

Every metric that perfagent makes by itself. Names, units and attributes are those of OpenTelemetry's semantic
conventions 1.44 where these have them; the rest begins with the namespace, which is `perfagent` unless
`PERFAGENT_NAMESPACE` says otherwise. An attribute is left out where it has no value.

The second name is the one on `/metrics` (`OTEL_METRICS_EXPORTER=prometheus`), and in a Prometheus that takes OTLP.
There attributes are labels with underscores for dots, a histogram is three series that end in `_bucket`, `_sum` and
`_count`, and a gauge has the label `process_pid` where a program has more than one process; everything else is added up
over them.

This page is made from the code by `python -m tools.reference`.
"""


HUB = """\
## The hub

Of the service `perfagent.hub`, each 30 seconds, and on the hub's own `/metrics`.

| metric | type | unit | attributes | what it tells |
|---|---|---|---|---|
"""


def metrics() -> str:
    """The page of all metrics."""
    made = declared()
    parts = [METRICS]
    for scope, title in GROUPS.items():
        rows = [_row(instrument) for instrument in made if instrument.scope.name == scope]
        parts.append(f"## {title}\n\nScope `{scope}`.\n\n| metric | type | unit | attributes | what it tells |")
        parts[-1] += "\n|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    parts.append(HUB + "\n".join(_own(one) for one in itself.METRICS.values()) + "\n")
    parts.append("## Buckets\n\nUpper bounds, included, of the histograms' buckets.\n\n| metric | bounds |\n|---|---|")
    bounds = [(i.name, i.bounds) for i in made if i.kind == metric.HISTOGRAM]
    parts[-1] += "".join(f"\n| `{name}` | {', '.join(f'{bound:g}' for bound in own)} |" for name, own in bounds) + "\n"
    return "\n".join(parts)


def declared() -> Iterable[Instrument]:
    """Every metric in the registry, once everything that declares some has."""
    assert http.server_duration in metric.registry.instruments.values()
    assert http_client.client_duration in metric.registry.instruments.values()
    assert db.duration in metric.registry.instruments.values()
    assert rpc.client_duration in metric.registry.instruments.values()
    assert genai.duration in metric.registry.instruments.values()
    profile.metrics("perfagent")
    middleware.duration()
    messaging.ages()
    Lookups("redis")
    assert data.rows in metric.registry.instruments.values()
    measures.declare()
    emission.declare()
    limits.metrics()
    optimizer.metrics()
    breaker.of("example")
    retries.attempts()
    budget.errors()
    budget.gauges()
    replication.failures()
    replication.gauge()
    ledger.declare()
    page.counts()
    vitals.install(settings.Settings({}), lambda name, callback: None)
    selfmetrics.install({})
    spooled.declare()
    governor.Governor(0.01)
    leaks.declare(_nothing, _nothing)
    economies.declare("perfagent", lambda curve: _nothing, _nothing)
    made = list(metric.registry.instruments.values())
    unknown = {instrument.scope.name for instrument in made} - set(GROUPS)
    assert not unknown, f"{unknown} has no title in GROUPS"
    return made


def _nothing() -> Iterator[tuple[float, dict[str, object]]]:
    return iter(())


def _row(instrument: Instrument) -> str:
    family = empty(instrument.kind, instrument.name, instrument.unit, "")
    name = f"`{instrument.name}`<br>`{family.name}{'_total' if family.type == 'counter' else ''}`"
    attributes = ", ".join(f"`{key}`" for key in instrument.keys) or "none"
    unit = f"`{instrument.unit}`" if instrument.unit else "none"
    return f"| {name} | {TYPES[instrument.kind]} | {unit} | {attributes} | {instrument.description} |"


def _own(one: itself.Metric) -> str:
    name = f"`{one.name}`<br>`{one.name.replace('.', '_')}{'_total' if one.kind == 'counter' else ''}`"
    attributes = ", ".join(f"`{key}`" for key in one.attributes) or "none"
    return f"| {name} | {one.kind} | `{one.unit}` | {attributes} | {one.description} |"


PAGES: dict[str, Callable[[], str]] = {"metrics.md": metrics, "rest.md": rest.page, "libraries.md": libraries.page}


def main(words: list[str]) -> int:
    """Writes or checks every page.

    Args:
        words: `--check`, or nothing.

    Returns:
        The exit status: 1 where `--check` found a page that is not current.
    """
    stale = 0
    for name, make in PAGES.items():
        path, content = FOLDER / name, make()
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        if "--check" in words:
            print(f"docs/reference/{name} is not current: run `python -m tools.reference`", file=sys.stderr)
            stale = 1
        else:
            path.write_text(content, encoding="utf-8")
            print(f"wrote docs/reference/{name}")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
