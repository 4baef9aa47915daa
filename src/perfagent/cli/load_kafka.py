"""`perfagent load kafka`: the report of what was published, and of what its consumers did with it."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfagent.cli import figures, output
from perfagent.cli.load import INSTALL, LoadError, Progress, may_load
from perfagent.hub.remote.address import address
from perfagent.hub.remote.errors import BadAddress
from perfagent.load import kafka
from perfagent.load.consumption import caught_up, consumption
from perfagent.load.prometheus import Prometheus, PrometheusError
from perfagent.settings import current

if TYPE_CHECKING:
    import argparse

    from perfagent.load.consumption import Group
    from perfagent.load.kafka import Plan, Published

NEEDED = 3  # kafka-python's major version


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was asked of a test, and whether it holds."""

    text: str
    passed: bool


@dataclass(slots=True)
class Result:
    """A finished test. `waited` is how long the consumers needed after the last event, as far as their metrics tell."""

    plan: Plan
    published: Published
    groups: list[Group]
    waited: float

    def lost(self, group: Group) -> int:
        """How many acknowledged events a group is not done with."""
        return max(self.published.acknowledged - group.done, 0)

    def twice(self, group: Group) -> int:
        """How many events more than acknowledged ones a group is done with."""
        return max(group.done - self.published.acknowledged, 0)

    def throughput(self, group: Group) -> float | None:
        """Events a minute that a group processed: over the time of publishing, and until the last was done with.

        Nobody tells when exactly that was. It was before the metrics that count it were exported, and about the 99th
        percentile of the latency after it was published: the earlier of the two. Who is not done had all of the time.
        """
        published = self.published
        after = self.waited
        if not self.lost(group):
            after = max(group.finished - published.began - published.elapsed, 0.0)
            if group.ages is not None and group.ages.percentiles[2] is not None:
                after = min(after, group.ages.percentiles[2])
        return group.done / (published.elapsed + after) * 60 if published.elapsed else None


def run(asked: argparse.Namespace) -> int:
    """Runs the test and prints its report; returns the exit status.

    Raises:
        LoadError: it cannot be run.
    """
    prometheus = _prometheus(asked.prometheus)
    _check_version()
    plan = kafka.Plan(
        asked.bootstrap,
        asked.topic,
        asked.rate,
        asked.duration,
        asked.partitions,
        asked.acks,
        asked.key,
        asked.arrival,
        asked.seed,
    )
    for server in plan.bootstrap.split(","):
        may_load(server.rpartition(":")[0].strip("[]") or server, asked)
    progress = Progress()
    try:
        prometheus.ask("vector(1)", time.time())  # better now than after all the work
        result = _test(plan, prometheus, asked, progress)
    except (PrometheusError, kafka.BrokerError) as error:
        raise LoadError(str(error), 3) from None
    finally:
        progress.end()
    verdicts = _judge(result, asked)
    if asked.output == "json":
        output.show_json(_json(result, verdicts))
    else:
        output.show(_table(result, verdicts))
    if result.published.interrupted:
        return 130
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _prometheus(url: str) -> Prometheus:
    """Who is asked: by the settings of the hub that reads from it, the address of the command line first."""
    settings = current()
    name = "--prometheus" if url else "PERFAGENT_PROMETHEUS_URL"
    url = url or settings.prometheus_url
    if not url:
        raise LoadError("who tells what was processed? name it with --prometheus or PERFAGENT_PROMETHEUS_URL", 2)
    try:
        found = address(name, url, settings.prometheus_headers, settings.remote_ca_file)
    except BadAddress as error:
        raise LoadError(str(error), 2) from None
    return Prometheus(found.shown, {**found.headers, "Accept-Encoding": "identity"}, found.tls)


def _check_version() -> None:
    from kafka import __version__

    if int(__version__.partition(".")[0]) < NEEDED:
        raise LoadError(f"`perfagent load kafka` needs kafka-python {NEEDED}, here is {__version__}: {INSTALL}", 2)


def _test(plan: Plan, prometheus: Prometheus, asked: argparse.Namespace, progress: Progress) -> Result:
    def published_so_far(so_far: Published, seconds: float) -> None:
        failed = f", {figures.count(so_far.errors.total())} failed" if so_far.errors else ""
        progress.tell(
            f"{seconds:.0f} of {plan.duration:g} s: {figures.count(so_far.acknowledged)} of "
            f"{figures.count(so_far.due)} acknowledged{failed}, mean {_time(so_far.latency.mean)}"
        )

    def done_so_far(done: int, seconds: float) -> None:
        wanted = figures.count(published.acknowledged)
        progress.tell(f"waiting for the consumers, {seconds:.0f} s: {figures.count(done)} of {wanted} processed")

    publisher = kafka.Publisher(plan, published_so_far)
    interrupted = False

    def stop(*_: object) -> None:
        nonlocal interrupted
        interrupted = publisher.stopped = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        published = publisher.run()
        interrupted = False  # a second one ends the waiting
        groups, waited = caught_up(
            lambda until: consumption(prometheus, plan.topic, current().namespace, published.began, until, asked.group),
            max(published.acknowledged, published.logged or 0),  # what others published is processed in between
            asked.wait,
            done_so_far,
            lambda: interrupted,
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    published.interrupted = published.interrupted or interrupted
    return Result(plan, published, groups, waited)


def _judge(result: Result, asked: argparse.Namespace) -> list[Verdict]:
    published = result.published
    wanted = figures.count(published.acknowledged)
    found = []
    if published.errors or not published.acknowledged:
        failed = ", ".join(f"{count} {kind}" for kind, count in published.errors.most_common()) or "none was published"
        found.append(Verdict(f"every event is acknowledged by the broker: {failed}", passed=False))
    if not result.groups:
        missing = f"all {wanted} are missing: Prometheus knows no consumer of {result.plan.topic!r} in this time"
        found.append(Verdict(f"every event is processed: {missing}", passed=False))
    for group in result.groups:
        whose = f" by {group.name}" if group.name and len(result.groups) > 1 else ""
        lost, rate = result.lost(group), result.throughput(group)
        told = f"{figures.count(lost)} of {wanted} are missing" if lost else f"all {wanted}"
        found.append(Verdict(f"every event is processed{whose}: {told}", not lost))
        minimum = f"at least {figures.count(asked.min_rate)} events/min{whose}"
        found.append(Verdict(f"{minimum}: {figures.count(rate)}", rate is not None and rate >= asked.min_rate))
        mean = group.ages.mean if group.ages else group.processing
        limit = f"mean latency below {_time(asked.max_latency)}{whose}"
        found.append(Verdict(f"{limit}: {_time(mean)}", mean is not None and mean < asked.max_latency))
    return found


def _time(seconds: float | None) -> str:
    return figures.milliseconds(None if seconds is None else seconds * 1e3)


def _json(result: Result, verdicts: list[Verdict]) -> dict[str, Any]:
    plan, published = result.plan, result.published
    return {
        "topic": plan.topic,
        "asked": {"rate": plan.rate, "duration": plan.duration, "arrival": plan.arrival, "acks": plan.acks},
        "published": {
            "due": published.due,
            "acknowledged": published.acknowledged,
            "errors": dict(published.errors),
            "logged": published.logged,
            "per_minute": published.rate * 60,
            "elapsed": published.elapsed,
            "latency": published.latency.summary(),
            "generator": {"lag": published.lag.summary(), "late": published.late},
        },
        "consumed": [_group_json(result, group) for group in result.groups],
        "waited": result.waited,
        "verdicts": [{"text": verdict.text, "passed": verdict.passed} for verdict in verdicts],
        "passed": all(verdict.passed for verdict in verdicts),
        "interrupted": published.interrupted,
    }


def _group_json(result: Result, group: Group) -> dict[str, Any]:
    ages = group.ages
    return {
        "group": group.name,
        "received": group.received,
        "processed": group.processed,
        "lost": result.lost(group),
        "more_than_published": result.twice(group),
        "per_minute": result.throughput(group),
        "processing_mean_ms": None if group.processing is None else group.processing * 1e3,
        "latency": None
        if ages is None
        else {
            "covers": ages.covers,
            "count": ages.count,
            "mean_ms": ages.mean * 1e3,
            **{
                f"p{percent}_ms": None if value is None else value * 1e3
                for percent, value in zip((50, 95, 99), ages.percentiles, strict=True)
            },
        },
    }


def _table(result: Result, verdicts: list[Verdict]) -> list[output.Part]:
    plan, published = result.plan, result.published
    names = ("mean", "p50", "p95", "p99")
    parts: list[output.Part] = [
        f"{figures.count(published.due)} events to {plan.topic} at {plan.rate:g}/s ({plan.arrival}) for "
        f"{published.elapsed:.1f} s; the consumers were waited for {result.waited:.1f} s",
        "",
    ]
    heads = [output.Column("events", right=True), output.Column("a minute", right=True)]
    counts = output.Table([output.Column("who tells", wide=True), output.Column("what"), *heads])
    counts.rows.append(
        ("the producer", "acknowledged", figures.count(published.acknowledged), figures.count(published.rate * 60))
    )
    if published.logged is not None:
        counts.rows.append(("the broker", "appended to the topic", figures.count(published.logged), ""))
    ages = output.Table([output.Column("latency", wide=True), *(output.Column(name, right=True) for name in names)])
    told = published.latency.summary()
    ages.rows.append(("due to acknowledged", *(figures.milliseconds(told[f"{name}_ms"]) for name in names)))
    for group in result.groups:
        who = f"Prometheus, {group.name or 'no group'}"
        what = "processed" if group.processed else "received"
        counts.rows.append((who, what, figures.count(group.done), figures.count(result.throughput(group))))
        if group.ages:
            shown = (group.ages.mean, *group.ages.percentiles)
            ages.rows.append((f"{group.ages.covers}, {group.name or 'no group'}", *map(_time, shown)))
        if group.processing is not None:
            ages.rows.append((f"processing alone, {group.name or 'no group'}", _time(group.processing), "", "", ""))
    parts += [counts, "", ages]
    parts += [output.Mark(line, "warn") for line in _disagreements(result)]
    parts.append("")
    for verdict in verdicts:
        word = output.Mark("pass", "good") if verdict.passed else output.Mark("FAIL", "bad")
        parts.append([word, f"  {verdict.text}"])
    if published.interrupted:
        parts.append(output.Mark("interrupted: this is of what was published until then", "warn"))
    return parts


def _disagreements(result: Result) -> list[str]:
    """Where those who tell do not say the same, and what that may mean."""
    plan, published = result.plan, result.published
    found = []
    if published.late > published.due / 100:
        found.append(
            f"the generator itself fell behind: {figures.count(published.late)} events were handed on more than "
            f"{kafka.SLACK * 1e3:.0f} ms late"
        )
    if published.logged is not None and published.logged != published.acknowledged:
        more = published.logged - published.acknowledged
        found.append(
            f"the topic has grown by {abs(more)} {'more' if more > 0 else 'fewer'} than were acknowledged: somebody "
            "else publishes to it, or events were sent twice or lost on the way back"
        )
    for group in result.groups:
        if twice := result.twice(group):
            found.append(
                f"{group.name or 'no group'} processed {twice} more than were published: somebody else publishes, "
                "events were left over from before, or were processed twice"
            )
        if group.processed and group.received and group.received != group.processed:
            found.append(f"{group.name or 'no group'} received {group.received} and processed {group.processed}")
        if group.ages is None:
            found.append(
                f"{group.name or 'no group'} does not tell how old events were: its latency is processing alone"
            )
    if published.due < plan.rate * plan.duration * 0.95 and plan.arrival == "constant" and not published.interrupted:
        found.append(f"only {published.due} of {plan.rate * plan.duration:.0f} events were published")
    return found
