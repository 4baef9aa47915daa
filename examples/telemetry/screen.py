"""The sums of what an agent exported, as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from .findings import milliseconds, shorten
from .vitals import vital_signs

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .findings import Finding
    from .tally import Tally


def summary(tally: Tally, seconds: float, width: int) -> RenderableType:
    """Everything in one look: totals, endpoints, queries, errors and vital signs, the most costly first."""
    with tally.lock:
        parts: list[RenderableType] = [
            headline(tally, seconds),
            _endpoints(tally, seconds, width),
            _queries(tally, width),
        ]
        if tally.errors:
            parts.append(_failures(tally))
        signs = list(vital_signs(tally))
        if signs:
            parts.append(Text("   ".join(f"{name}: {reading}" for name, reading in signs)))
        return Group(*parts)


def conclusion(findings: list[Finding]) -> RenderableType:
    """The findings, one below the other."""
    table = _table("What it found")
    table.add_column("", style="bold", no_wrap=True)
    table.add_column("")
    for finding in findings:
        table.add_row(finding.kind, Text.assemble(finding.what, "\n", (finding.evidence, "dim")))
    table.show_header = False
    return table


def headline(tally: Tally, seconds: float) -> Text:
    """One line: what arrived in so many seconds, and from whom."""
    by = f"by {tally.agent}" if tally.agent else "nothing yet"
    return Text.assemble(
        (f"{seconds:.0f} s  ", "bold"),
        f"{tally.requests:,} requests, {tally.requests / max(seconds, 1):.0f}/s, ",
        (f"{tally.errors} failed", "red" if tally.errors else ""),
        f"   {tally.spans:,} spans, {tally.points:,} metric points, {tally.records:,} log records",
        f" in {tally.exports} exports {by}",
    )


def _endpoints(tally: Tally, seconds: float, width: int) -> Table:
    # Texts get what the seven numbers, of at most 10 characters each, leave over.
    table = _table("Endpoints", "req/s", "errors", "p50", "p95", "p99", "queries", "calls out")
    table.columns[0].max_width = max(20, width - 62)
    for name, endpoint in sorted(tally.endpoints.items(), key=lambda item: -item[1].total):
        table.add_row(
            name,
            f"{endpoint.calls / max(seconds, 1):.1f}",
            Text(str(endpoint.errors), "red") if endpoint.errors else "",
            *(milliseconds(endpoint.percentile(percent)) for percent in (50, 95, 99)),
            *(f"{part / endpoint.total:.0%}" if part else "" for part in (endpoint.in_queries, endpoint.in_calls)),
        )
    return table


def _queries(tally: Tally, width: int) -> Table:
    table = _table("Queries", "calls", "a request", "total", "mean", "called by")
    table.columns[-1].justify = "left"
    table.columns[-1].overflow = "ellipsis"
    text_width = max(20, (width - 46) * 3 // 5)
    table.columns[-1].max_width = max(12, width - 46 - text_width)
    repetitions = tally.repetitions()
    costly = sorted(tally.queries.items(), key=lambda item: -item[1].total)[:10]
    for text, query in costly:
        requests = sum(len(times) for (_, other), times in repetitions.items() if other == text)
        caller, more = query.callers.most_common(1)[0][0], len(query.callers) - 1
        table.add_row(
            shorten(text, text_width),
            f"{query.calls:,}",
            f"{query.calls / max(requests, 1):.1f}",
            milliseconds(query.total),
            milliseconds(query.total / query.calls),
            f"{caller} +{more}" if more else caller,
        )
    return table


def _failures(tally: Tally) -> Table:
    table = _table("Errors", "times")
    table.add_column("by")
    for (endpoint, cause), times in tally.failures().most_common(6):
        table.add_row(endpoint, str(times), cause)
    return table


def _table(title: str, *numbers: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title_justify="left", header_style="bold cyan"
    )
    if numbers:
        table.add_column(title, overflow="ellipsis", no_wrap=True)
    else:
        table.title, table.title_style = title, "bold cyan"
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table
