"""`perfagent load http`: the report of a test against a URL."""

from __future__ import annotations

import asyncio
import re
import signal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfagent.cli import figures, output
from perfagent.cli.load import LoadError, Progress, may_load
from perfagent.load import expectations, http

if TYPE_CHECKING:
    import argparse

    from perfagent.load.expectations import Expectation
    from perfagent.load.http import Outcome, Plan
    from perfagent.load.latencies import Latencies

FORMAT = "perfagent.load.http/1"
"""What `perfagent compare` knows it by."""
NOBODY = {"connection refused", "no connection", "certificate refused"}


def run(asked: argparse.Namespace) -> int:
    """Runs the test and prints its report; returns the exit status.

    Raises:
        LoadError: it cannot be run.
    """
    plan, expected = _plan(asked)
    may_load(urlsplit(plan.url).hostname or "", asked)
    outcome = asyncio.run(_run(plan, Progress()))
    if outcome.due and not outcome.answered and set(outcome.errors) <= NOBODY:
        kind = next(iter(outcome.errors))
        raise LoadError(f"nobody answers at {plan.url}: {kind} ({outcome.errors.total()} times)", 3)
    passed = [(one, outcome.figure(one.figure), one.holds(outcome.figure(one.figure))) for one in expected]
    if asked.output == "json":
        output.show_json(_json(plan, outcome, passed))
    else:
        output.show(_table(plan, outcome, passed))
    if outcome.interrupted:
        return 130
    return 0 if all(held for _one, _value, held in passed) else 1


def _plan(asked: argparse.Namespace) -> tuple[Plan, list[Expectation]]:
    try:
        parts = urlsplit(asked.url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise LoadError(f"{asked.url!r} is no address such as http://localhost:8000/path", 2)
    headers = []
    for line in asked.header:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not line.isprintable():
            raise LoadError(f"{line!r} is no header such as 'Accept: text/html'", 2)
        headers.append((name.strip(), value.strip()))
    try:
        expected = [expectations.parse(text) for text in asked.expect]
    except ValueError as error:
        raise LoadError(str(error), 2) from None
    body = _body(asked.body)
    method = asked.method.upper()
    if not re.fullmatch(r"[A-Z-]+", method):
        raise LoadError(f"{asked.method!r} is no method such as GET", 2)
    plan = http.Plan(
        asked.url,
        asked.rate,
        asked.duration,
        "POST" if method == "GET" and body is not None else method,
        tuple(headers),
        body,
        asked.connections,
        asked.timeout,
        asked.arrival,
        asked.seed,
        not asked.insecure,
    )
    return plan, expected


def _body(text: str | None) -> bytes | None:
    if text is None or not text.startswith("@"):
        return None if text is None else text.encode()
    try:
        with open(text[1:], "rb") as file:
            return file.read()
    except OSError as error:
        raise LoadError(f"{text[1:]}: {error.strerror}", 2) from None


async def _run(plan: Plan, progress: Progress) -> Outcome:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def tell(outcome: Outcome, seconds: float) -> None:
        failed = f", {figures.count(outcome.failed)} failed" if outcome.failed else ""
        late = " (the generator is behind)" if outcome.behind else ""
        progress.tell(
            f"{seconds:.0f} of {plan.duration:g} s: {figures.count(outcome.answered)} of "
            f"{figures.count(outcome.due)} answered{failed}, "
            f"p99 {figures.milliseconds(_ms(outcome.response.percentile(99)))}{late}"
        )

    try:
        return await http.run(plan, tell, stop)
    finally:
        progress.end()


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


Passed = list[tuple["Expectation", "float | None", bool]]


def _json(plan: Plan, outcome: Outcome, passed: Passed) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "url": plan.url,
        "method": plan.method,
        "asked": {
            "rate": plan.rate,
            "duration": plan.duration,
            "arrival": plan.arrival,
            "connections": plan.connections,
        },
        "due": outcome.due,
        "answered": outcome.answered,
        "failed": outcome.failed,
        "rate": outcome.rate,
        "elapsed": outcome.elapsed,
        "response_time": outcome.response.summary(),
        "service_time": outcome.service.summary(),
        "statuses": {str(status): count for status, count in sorted(outcome.statuses.items())},
        "errors": dict(outcome.errors),
        "received_bytes": outcome.received,
        "generator": {"lag": outcome.lag.summary(), "late": outcome.late, "behind": outcome.behind},
        "expectations": [{"text": one.text, "value": value, "passed": held} for one, value, held in passed],
        "seconds": [
            {"second": second, "buckets": sorted(counts.items()), "failed": outcome.failures[second]}
            for second, counts in sorted(outcome.seconds.items())
        ],
        "passed": all(held for _one, _value, held in passed),
        "interrupted": outcome.interrupted,
    }


def _table(plan: Plan, outcome: Outcome, passed: Passed) -> list[output.Part]:
    parts: list[output.Part] = [
        f"{plan.method} {plan.url}",
        f"{figures.count(outcome.due)} requests at {plan.rate:g}/s ({plan.arrival}) on up to {plan.connections} "
        f"connections; {figures.count(outcome.answered)} answered, {figures.rate(outcome.rate)}",
        "",
    ]
    names = ("mean", "p50", "p90", "p95", "p99", "p99.9", "max")
    table = output.Table([output.Column("", wide=True), *(output.Column(name, right=True) for name in names)])
    rows: tuple[tuple[str, Latencies], ...] = (
        ("response time (since due)", outcome.response),
        ("service time (since sent)", outcome.service),
        ("generator's lag", outcome.lag),
    )
    for title, latencies in rows:
        told = latencies.summary()
        table.rows.append((title, *(figures.milliseconds(told[f"{name}_ms"]) for name in names)))
    parts += [table, ""]
    counts = output.Table(
        [output.Column("answer"), output.Column("requests", right=True), output.Column("", right=True)]
    )
    for status, count in sorted(outcome.statuses.items()):
        style = "bad" if status >= 400 else ""
        counts.rows.append((output.Mark(str(status), style), figures.count(count), _share(count, outcome)))
    for kind, count in outcome.errors.most_common():
        counts.rows.append((output.Mark(kind, "bad"), figures.count(count), _share(count, outcome)))
    parts.append(counts)
    if outcome.behind:
        text = (
            f"the generator itself fell behind: {figures.count(outcome.late)} requests were sent more than "
            f"{http.SLACK * 1e3:.0f} ms late, so these figures say less of the server: ask for a lower rate"
        )
        parts += ["", output.Mark(text, "warn")]
    if outcome.interrupted:
        parts += ["", output.Mark("interrupted: this is of what was sent until then", "warn")]
    if passed:
        parts.append("")
    for one, value, held in passed:
        word = output.Mark("pass", "good") if held else output.Mark("FAIL", "bad")
        parts.append([word, f"  {one.text} (is {_shown(one.figure, value)})"])
    return parts


def _share(count: int, outcome: Outcome) -> str:
    return figures.percent(count / outcome.due if outcome.due else None)


def _shown(figure: str, value: float | None) -> str:
    if figure == "errors":
        return figures.percent(value)
    return figures.rate(value) if figure == "rate" else figures.milliseconds(_ms(value))
