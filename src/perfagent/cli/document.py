"""A report as one HTML file: every text escaped, charts drawn as SVG, no script and nothing loaded from elsewhere."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING

from perfagent import __version__
from perfagent.cli import figures, output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from perfagent.cli.answers import Endpoint, Finding, Overview, Query, Totals, Trace
    from perfagent.cli.client import Client

ROWS = 25
TITLES = {"performance": "Performance", "errors": "Errors", "queries": "Queries"}
CHART = (640, 120)  # its own units; the page scales it
COLUMNS = (0.5, 2.5)  # what the text of a chart leaves free
STYLE = """
:root{color-scheme:light dark;--ink:#1b2330;--soft:#5c6878;--line:#d9dee6;--ground:#fff;--card:#f6f8fa;--mark:#0b62c4;
--bad:#b3261e;--warn:#8a5a00;--good:#1a7f37}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--soft:#9aa7b8;--line:#313b49;--ground:#11161d;--card:#19212b;
--mark:#6cb0ff;--bad:#ff8a80;--warn:#f0c36d;--good:#66d184}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:2rem 1rem;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.7rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}p{margin:.3rem 0}.soft{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.7rem;margin:1.4rem 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}
.card b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr));gap:1rem}
figure{margin:0}figcaption{color:var(--soft);font-size:.87rem}
svg{width:100%;height:auto;display:block;background:var(--card);border:1px solid var(--line);border-radius:.5rem}
svg path.line{fill:none;stroke:var(--mark);stroke-width:2;vector-effect:non-scaling-stroke}
svg path.area{fill:var(--mark);opacity:.15}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;font-size:.87rem;white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
a{color:var(--mark)}
code{font:13px/1.45 ui-monospace,monospace;overflow-wrap:anywhere}
td code{display:block;min-width:13rem}
.bad{color:var(--bad)}.warn{color:var(--warn)}.good{color:var(--good)}
li{margin:.5rem 0}@media print{body{max-width:none;padding:0}}
"""


def _html(text: str) -> str:
    return escape(output.clean(text))


def make(client: Client, kind: str, hours: int, service: str) -> str:
    """The file's text; raises HubError.

    Args:
        client: the hub.
        kind: performance, errors or queries.
        hours: how far back.
        service: one alone; "" for all.
    """
    about = {"hours": hours, "service": service}
    overview: Overview = client.get("overview", **about)
    findings: list[Finding] = client.get("insights", **about)["items"]
    parts = [_head(overview, kind, hours, service), _cards(overview["totals"], overview["before"])]
    if kind == "queries":
        found: list[Query] = client.get("queries", **about, sort="total", limit=ROWS)["items"]
        parts += [_findings([one for one in findings if one["kind"] in ("n_plus_one", "slow_query")])]
        parts += [_section("Queries by total time", _queries(found))]
    elif kind == "errors":
        endpoints: list[Endpoint] = client.get("endpoints", **about, sort="errors", limit=ROWS)["items"]
        traces: list[Trace] = client.get("traces", **about, status="error", limit=ROWS)["items"]
        logs = client.get("logs", **about, severity="error", limit=ROWS)["items"]
        parts += [_charts(overview, ("rate", "errors"))]
        parts += [_findings([one for one in findings if one["kind"] == "errors"])]
        parts += [_section("Endpoints by errors", _endpoints([one for one in endpoints if one["errors"]]))]
        parts += [_section("Latest failed traces", _traces(traces, client.address))]
        parts += [_section("Latest errors logged", _logs(logs))]
    else:
        endpoints = client.get("endpoints", **about, sort="total", limit=ROWS)["items"]
        traces = client.get("traces", **about, sort="slowest", limit=10)["items"]
        parts += [_charts(overview, ("rate", "errors", "p95_ms", "p99_ms", "cpu", "memory_bytes"))]
        parts += [_findings(findings)]
        parts += [_section("Endpoints by total time", _endpoints(endpoints))]
        parts += [_section("Slowest traces", _traces(traces, client.address))]
        parts += [_section("Queries by total time", _queries(overview["queries"]))]
    title = _html(f"{TITLES[kind]} of {service or 'all services'}")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, parts))
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(overview: Overview, kind: str, hours: int, service: str) -> str:
    health = overview["health"]
    style = output.state(health["state"]).style
    score = "" if health["score"] is None else f" ({health['score']:.0f} of 100)"
    until = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(overview["range"]["to"]))
    who = service or ", ".join(overview["services"]) or "no service"
    reasons = "".join(f"<li>{_html(reason)}</li>" for reason in health["reasons"])
    return (
        f"<header>\n<h1>{TITLES[kind]}</h1>\n<p>{_html(who)}: {hours} h until {_html(until)}. "
        f'<b class="{style}">{_html(health["state"])}{score}</b></p>\n'
        f'<p class="soft">made by perfagent {_html(__version__)}</p>\n</header>'
        + (f"\n<ul>{reasons}</ul>" if reasons else "")
    )


def _cards(now: Totals, before: Totals) -> str:
    def card(name: str, value: str, was: str) -> str:
        return f'<div class="card">{name}<b>{_html(value)}</b><span class="soft">before: {_html(was)}</span></div>'

    cells = [
        card("requests", figures.count(now["requests"]), figures.count(before["requests"])),
        card("a second", figures.rate(now["requests_per_second"]), figures.rate(before["requests_per_second"])),
        card("errors", figures.percent(now["error_ratio"]), figures.percent(before["error_ratio"])),
        card("p50", figures.milliseconds(now["p50_ms"]), figures.milliseconds(before["p50_ms"])),
        card("p95", figures.milliseconds(now["p95_ms"]), figures.milliseconds(before["p95_ms"])),
        card("p99", figures.milliseconds(now["p99_ms"]), figures.milliseconds(before["p99_ms"])),
    ]
    return f'<div class="cards">{"".join(cells)}</div>'


SERIES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "rate": ("requests a second", figures.rate),
    "errors": ("errors a second", figures.rate),
    "p95_ms": ("95th percentile of the duration", figures.milliseconds),
    "p99_ms": ("99th percentile of the duration", figures.milliseconds),
    "cpu": ("cores busy", lambda value: figures.NONE if value is None else f"{value:.2f}"),
    "memory_bytes": ("memory", figures.size),
}


def _charts(overview: Overview, names: Iterable[str]) -> str:
    figures = []
    for name in names:
        values = overview["series"].get(name) or []
        known = [value for value in values if value is not None]
        if known:
            title, shown = SERIES[name]
            caption = _html(f"{title}: up to {shown(max(known))}, last {shown(known[-1])}")
            figures.append(f"<figure>{_chart(values, max(known), caption)}<figcaption>{caption}</figcaption></figure>")
    return f'<h2>Over time</h2><div class="charts">{"".join(figures)}</div>' if figures else ""


def _chart(values: Sequence[float | None], top: float, label: str) -> str:
    """A line from 0 to the largest value; broken where nothing is known."""
    width, height = CHART
    step = width / max(len(values) - 1, 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((place * step, height - (value / top if top > 0 else 0) * (height - 8) - 2))
    line, area = [], []
    for run in filter(None, runs):
        if len(run) == 1:  # a lone reading would be a line without length
            run = [(run[0][0] - COLUMNS[0], run[0][1]), (run[0][0] + COLUMNS[0], run[0][1])]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
        line.append(f"M{points}")
        area.append(f"M{run[0][0]:.1f},{height} {points} {run[-1][0]:.1f},{height}Z")
    return (
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'<path class="area" d="{" ".join(area)}"/><path class="line" d="{" ".join(line)}"/></svg>'
    )


def _findings(found: Sequence[Finding]) -> str:
    if not found:
        return '<h2>Findings</h2>\n<p class="good">None.</p>'
    items = "".join(
        f'<li><b class="{output.severity(one["severity"]).style}">{_html(one["severity"])}</b> {_html(one["title"])}'
        f'<br><span class="soft">{_html(one["evidence"])}<br>{_html(one["recommendation"])}</span></li>'
        for one in found
    )
    return f"<h2>Findings</h2>\n<ul>{items}</ul>"


def _section(title: str, table: str) -> str:
    return f"<h2>{title}</h2>\n{table or '<p>None.</p>'}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose headings with a leading `#` hold numbers; the cells are HTML already."""
    numbers = [head.startswith("#") for head in heads]
    head = "".join(
        f'<th scope="col"{" class=n" if number else ""}>{title.lstrip("#")}</th>'
        for title, number in zip(heads, numbers, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if number else ''}>{cell}</td>" for cell, number in zip(row, numbers, strict=True))
        + "</tr>\n"
        for row in rows
    )
    if not body:
        return ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


def _endpoints(found: Sequence[Endpoint]) -> str:
    return _table(
        ("endpoint", "service", "#requests", "#errors", "#p50", "#p95", "#p99", "#of the time"),
        (
            (
                f"<code>{_html(one['name'])}</code>",
                _html(one["service"]),
                figures.count(one["requests"]),
                _failing(one["error_ratio"]),
                figures.milliseconds(one["p50_ms"]),
                figures.milliseconds(one["p95_ms"]),
                figures.milliseconds(one["p99_ms"]),
                _html(figures.percent(one["share"])),
            )
            for one in found
        ),
    )


def _failing(ratio: float | None) -> str:
    cell = output.failing(ratio)
    return f'<span class="{cell.style}">{_html(cell.text)}</span>' if isinstance(cell, output.Mark) else _html(cell)


def _queries(found: Sequence[Query]) -> str:
    return _table(
        ("query", "service", "#calls", "#most in a trace", "#mean", "#p95", "#total"),
        (
            (
                f"<code>{_html(one['text'] or one['summary'])}</code>",
                _html(one["service"]),
                figures.count(one["calls"]),
                figures.count(one["repeated"]),
                figures.milliseconds(one["mean_ms"]),
                figures.milliseconds(one["p95_ms"]),
                figures.milliseconds(one["total_ms"]),
            )
            for one in found
        ),
    )


def _traces(found: Sequence[Trace], address: str) -> str:
    return _table(
        ("trace", "started", "service", "#took", "#spans", "#status"),
        (
            (
                f'<a href="{_html(address)}/#/traces/{_html(one["trace_id"])}">{_html(one["name"])}</a>',
                _html(figures.clock(one["started"])),
                _html(one["service"]),
                figures.milliseconds(one["duration_ms"]),
                figures.count(one["spans"]),
                f'<span class="{"bad" if one["error"] else ""}">{_html(str(one["status_code"] or ""))}</span>',
            )
            for one in found
        ),
    )


def _logs(found: Sequence[dict[str, object]]) -> str:
    return _table(
        ("time", "service", "logger", "message"),
        (
            (
                _html(figures.clock(float(str(one["time"])))),
                _html(str(one["service"])),
                _html(str(one["scope"])),
                _html(str(one["body"])),
            )
            for one in found
        ),
    )
