"""`perfagent dashboard`: what the page's first view shows, for a terminal or a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.cli import command, figures, output
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from perfagent.cli.answers import Change, Endpoint, Finding, Overview, Query
    from perfagent.cli.client import Client
    from perfagent.cli.output import Cell, Line, Part

EXAMPLES = """
perfagent dashboard                              # the last hour
perfagent dashboard --hours 24 --service shop    # a day of one service
perfagent dashboard --hours 24 --output json | jq .totals.p95_ms
"""
SPARK = 40  # columns


def main(words: list[str]) -> int:
    """Prints the summary of some hours; returns 0."""
    parser = command.parser(
        "dashboard", "Summary of some hours: rate, errors, durations, what is slow, what was found.", EXAMPLES
    )
    parser.add_argument("--hours", type=command.hours, default=1, help="how far back, from 1 to 8760 (default: 1)")
    parser.add_argument("--service", default="", help="this one alone")
    return command.serve(parser, words, _tell)


def _tell(client: Client, asked: Namespace) -> int:
    overview: Overview = client.get("overview", hours=asked.hours, service=asked.service)
    if asked.output == "json":
        output.show_json(overview)
    else:
        output.show(summary(overview, client.page, asked.hours))
    return 0


def summary(overview: Overview, page: str, hours: int) -> list[Part]:
    """The parts of the dashboard."""
    health, totals = overview["health"], overview["totals"]
    score = "" if health["score"] is None else f" {health['score']:.0f} of 100"
    services = ", ".join(overview["services"]) or "nothing has arrived"
    parts: list[Part] = [
        [output.state(health["state"]), score, f"  the last {hours} h of {services}"],
        *(Mark(f"  {reason}", "dim") for reason in health["reasons"]),
        "",
    ]
    if not totals["requests"]:
        if not overview["findings"]:
            told = "No request in that time. Start a program with `perfagent run python app.py`, or widen --hours."
            return [*parts, told]
        parts.append("No request in that time: what is there serves nobody.")
    else:
        parts += [*_signals(overview), "", *slowest(overview["slowest"]), "", *queries(overview["queries"])]
        parts += _changes(overview["changes"])
    found = findings(overview["findings"], more=_more(overview, page, hours))
    return [*parts, "", *found, "", [Mark("page  ", "dim"), page]]


def _more(overview: Overview, page: str, hours: int) -> str:
    """How many findings the overview leaves out, and where they are; "" where it leaves out none."""
    left = overview.get("findings_total", 0) - len(overview["findings"])
    return f"{left} more: {page}#/overview?findings=all&from=-{hours}h" if left > 0 else ""


def _signals(overview: Overview) -> list[Part]:
    totals, before, series, full = overview["totals"], overview["before"], overview["series"], overview["saturation"]
    table = Table(
        [
            Column("signal"),
            Column("now", right=True),
            Column("before", right=True, drop=1),
            Column("over time", drop=2),
            Column("most", right=True, drop=3),
        ]
    )

    def row(name: str, now: Cell, before: Cell, key: str, shown: Callable[[float | None], str]) -> None:
        values = series.get(key) or []
        most = max((one for one in values if one is not None), default=None)
        table.rows.append((name, now, before, figures.sparkline(values, SPARK), shown(most) if values else ""))

    row("requests", figures.rate(totals["requests_per_second"]), figures.rate(before["requests_per_second"]), "rate",
        figures.rate)  # fmt: skip
    row("errors", output.failing(totals["error_ratio"]), output.failing(before["error_ratio"]), "errors", figures.rate)
    for name, key in ("p50", "p50_ms"), ("p95", "p95_ms"), ("p99", "p99_ms"):
        row(name, figures.milliseconds(totals[key]), figures.milliseconds(before[key]), key, figures.milliseconds)  # type: ignore[literal-required]
    row("cpu", _cores(full.get("cpu_ratio")), "", "cpu", _cores)
    row("memory", figures.size(full.get("memory_bytes")), "", "memory_bytes", figures.size)
    row("loop lag p99", figures.milliseconds(full.get("lag_p99_ms")), "", "lag_p99_ms", figures.milliseconds)
    return [table]


def _cores(value: float | None) -> str:
    return figures.NONE if value is None else f"{value:.2f} cores"


def slowest(endpoints: Sequence[Endpoint], *, live: bool = False) -> list[Part]:
    """A table of endpoints; with a rate where it is of this moment, else with how many requests there were."""
    drawn = not live and any(len(one["spark"]) > 3 for one in endpoints)  # a bar or two tell nothing
    table = Table(
        [
            Column("endpoint", wide=True),
            Column("service", wide=True, drop=3),
            Column("rate" if live else "requests", right=True, drop=1),
            Column("errors", right=True),
            Column("p50", right=True, drop=2),
            Column("p95", right=True),
            Column("p99", right=True, drop=5),
            Column("of the time", right=True, drop=4),
            Column("over time" if drawn else "", drop=6),
        ]
    )
    for one in endpoints:
        table.rows.append(
            (
                one["name"],
                one["service"],
                figures.rate(one["requests_per_second"]) if live else figures.count(one["requests"]),
                output.failing(one["error_ratio"]),
                figures.milliseconds(one["p50_ms"]),
                figures.milliseconds(one["p95_ms"]),
                figures.milliseconds(one["p99_ms"]),
                figures.percent(one["share"]),
                figures.sparkline(one["spark"], SPARK // 2) if drawn else "",
            )
        )
    return [table]


def queries(found: Sequence[Query]) -> list[Part]:
    """A table of queries; none where there are none."""
    if not found:
        return []
    table = Table(
        [
            Column("query", wide=True),
            Column("service", wide=True, drop=4),
            Column("calls", right=True, drop=1),
            Column("in a trace", right=True, drop=3),
            Column("mean", right=True, drop=2),
            Column("total", right=True),
        ]
    )
    for one in found:
        repeated = figures.count(one["repeated"])
        table.rows.append(
            (
                output.shorten(one["text"] or one["summary"], 70),
                one["service"],
                figures.count(one["calls"]),
                Mark(repeated, "warn") if (one["repeated"] or 0) >= 5 else repeated,
                figures.milliseconds(one["mean_ms"]),
                figures.milliseconds(one["total_ms"]),
            )
        )
    return [table]


def _changes(changes: dict[str, list[Change]]) -> list[Part]:
    parts: list[Part] = []
    for key, title in ("hour", "changed since the hour before"), ("start", "changed since the last start"):
        if changes.get(key):
            parts += ["", Mark(title, "head"), *(f"  {one['text']}" for one in changes[key])]
    return parts


def findings(found: Sequence[Finding], address: str = "", more: str = "") -> list[Line]:
    """The findings, each with its evidence and, where `address` tells the page's, its own address there.

    Args:
        found: what is shown.
        address: the page's.
        more: a line for those that are not among them.
    """
    if not found:
        return [Mark("nothing was found", "good")]
    lines: list[Line] = [Mark("findings", "head")]
    for one in found:
        lines.append([output.severity(one["severity"], 9), one["title"], Mark(f"  {one['impact']}", "dim")])
        lines += [Mark(f"{'':<9}{told}", "dim") for told in (one["evidence"], one["recommendation"]) if told]
        if address and one["link"]:
            lines.append(f"{'':<9}{address}/{one['link']}")
    return [*lines, more] if more else lines
