"""Gathers what findings, health and changes are made of, for one range."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from perfagent.hub.analyse import changes, finding, notice_findings, thresholds
from perfagent.hub.analyse.calls import REQUESTS, Calls, requests
from perfagent.hub.analyse.chance import trend
from perfagent.hub.analyse.errors import Cause, causes, failure
from perfagent.hub.analyse.health import Health, Signs, judge
from perfagent.hub.analyse.request_findings import SLOW_ENDPOINT
from perfagent.hub.api import calls as reading
from perfagent.hub.api import minutes, vitals
from perfagent.hub.api.caches import figures
from perfagent.hub.api.deprecations import ledger
from perfagent.hub.api.economics import economies
from perfagent.hub.api.ranges import Range
from perfagent.hub.api.samples import breakdowns, repeated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfagent.hub.hub import Hub
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

SETTING = "thresholds_setting"  # the document that holds what the setting says, for every reader of the store
HOUR = 3600.0
LEAST_AFTER_START = 60.0  # s, before which nothing can be said of a start
MOST_AFTER_START = 24 * HOUR
ERRORS_READ = 1000  # failed spans, the newest
EXPLAINED = 5  # slow endpoints whose time is broken down
EACH = 40  # requests of each
WARM_UP = 600.0  # s after its start in which a process' memory grows anyway


def limits(store: Store) -> thresholds.Thresholds:
    """The thresholds as they are now: the defaults, changed by the setting, changed at run time."""
    now, document = set_limits(store), store.document("thresholds")
    for name, fields in document.items() if isinstance(document, dict) else ():
        try:
            now = thresholds.changed(now, {name: fields})
        except ValueError:  # half of it was changed at run time, and the setting has crossed that since
            continue
    return now


def set_limits(store: Store) -> thresholds.Thresholds:
    """The thresholds before anybody changed them at run time: the defaults, changed by the setting."""
    document = store.document(SETTING)
    return thresholds.changed(thresholds.DEFAULTS, document) if isinstance(document, dict) else thresholds.DEFAULTS


def take_setting(hub: Hub) -> None:
    """Keeps what PERFAGENT_ALERT_THRESHOLDS says in the store; one that is off is reported, and the defaults serve."""
    try:
        changes = thresholds.parse(hub.settings.hub_thresholds)
    except ValueError as error:
        hub.settings.report(f"PERFAGENT_ALERT_THRESHOLDS: {error}; going on with the defaults")
        changes = {}
    if changes != (hub.store.document(SETTING) or {}):
        hub.store.keep(SETTING, changes)


def processes(store: Store, service: str | None) -> list[Row]:
    """The processes that ever reported, the newest first, 1000 at most."""
    return store.rows("vitals/resources", service=service)


def since_hour(
    store: Store, end: float, service: str | None, read: tuple[Range, Sequence[Calls]] | None = None
) -> list[changes.Change]:
    """What changed in the last hour from the hour before.

    Args:
        read: a range and its calls, which are read already: they may be those of the hour.
    """
    return _compare(store, Range(end - 2 * HOUR, end - HOUR), Range(end - HOUR, end), service, read)


def since_start(store: Store, end: float, service: str | None, known: Sequence[Row]) -> list[changes.Change]:
    """What changed since the last start of a process, from as long before it."""
    start = changes.last_start([_process(row) for row in known], end)
    if start is None or end - start < LEAST_AFTER_START:
        return []
    long = min(end - start, MOST_AFTER_START)
    return _compare(store, Range(start - long, start), Range(start, start + long), service)


def _compare(
    store: Store,
    before: Range,
    after: Range,
    service: str | None,
    read: tuple[Range, Sequence[Calls]] | None = None,
) -> list[changes.Change]:
    if not store.reaches(before.begin, after.end):
        return []
    sides = []
    for one in (before, after):
        known = read is not None and (read[0].begin, read[0].end) == (one.begin, one.end)
        called = read[1] if read is not None and known else reading.by_operation(store, one, service)
        if not called:
            return []
        sides.append(changes.Side({calls.operation: calls for calls in called}, reading.seconds(one)))
    if not changes.compare(sides[0], sides[1], {}, after.begin):
        return []  # sampling weakens evidence, it never adds any: no need to know how much was sampled out
    rows = store.rows("calls/weights", begin_ns=before.begin_ns, end_ns=after.end_ns)
    return changes.compare(sides[0], sides[1], {row["operation"]: row["weight"] for row in rows}, after.begin)


def releases(known: Sequence[Row], begin: float, end: float) -> list[changes.Change]:
    """Versions and restarts in a range."""
    return changes.releases([_process(row) for row in known], begin, end)


def _process(row: Row) -> changes.Process:
    return changes.Process(row["service"], row["instance"], row["version"], row["first_seen"] / 1e9)


@dataclass(slots=True)
class Read:
    """What was read of a range already.

    Args:
        called: all operations that were called in it.
        readings, histograms: its vital signs.
        known: the processes.
        changed: what changed in the last hour.
        sampled: the part of the range whose spans are sampled.
    """

    within: Range
    service: str | None
    called: Sequence[Calls]
    readings: vitals.Vitals
    histograms: vitals.Histograms
    known: Sequence[Row]
    changed: Sequence[changes.Change]
    sampled: Range


IN_USE = 3
"""Steps of a range in which a cache was asked: what libraries look up while they are imported is no use of a cache."""


def gather(store: Store, read: Read, whole: finding.Facts | None = None) -> finding.Facts:
    """The facts of a range.

    Args:
        whole: those of a longer range with the same end, for one without what only explains: breakdowns, first failures
            and deprecations, half of the time.
    """
    brief = whole is not None
    within, service, sampled = read.within, read.service, read.sampled
    slow = [
        one.operation
        for one in read.called
        if one.category in REQUESTS and (one.durations.quantile(0.95) or 0) >= SLOW_ENDPOINT[0]
    ][:EXPLAINED]
    breakdown = breakdowns(store, sampled, slow, EACH) if slow and not brief else None
    repeating = _repeated(store, sampled, read.called)
    called = {one.operation: one for one in read.called}
    fails = any(one.durations.errors for one in read.called)
    failed = _causes(store, sampled, service) if fails and not brief else None
    caches = figures(store, within, service)
    deprecated = [] if brief else ledger(store, within, service)
    return finding.Facts(
        seconds=reading.seconds(within),
        calls=read.called,
        breakdowns=breakdown if breakdown else {},
        repeated=repeating,
        causes=failed if failed else [],
        processes=_processes(read),
        died=_died(store, within, service),
        notices=_notices(store, within, service),
        end=within.end,
        economies=economies(store, within, service),
        caches=[cache for cache, ratios in caches if sum(ratio is not None for ratio in ratios) >= IN_USE],
        deprecated=[
            finding.Deprecated(
                one["service"],
                one["what"],
                one["library"] or "",
                f"{one['file']}:{one['line']}" if one["file"] else "",
                one["calls"],
            )
            for one in deprecated
            if one["own"]  # what a library calls is for its authors; the view has it
        ],
        changes=read.changed,
        retried=_retried(store, sampled, called) if _inner_fail(read.called) else [],
        pools=_pools(store, within, service) if whole is None else whole.pools,
    )


def _inner_fail(called: Sequence[Calls]) -> bool:
    """Whether so much fails within requests that some of it may have been tried again: 2 times in 3 requests."""
    return any(one.category not in REQUESTS and one.durations.errors >= 6 for one in called)


def _retried(store: Store, sampled: Range, called: Mapping[int, Calls]) -> list[finding.Retried]:
    return [
        finding.Retried(
            called[row["endpoint"]], called[row["operation"]], row["requests"], row["tries"], row["failed"],
            row["total"], row["trace_id"],
        )
        for row in store.rows("samples/retried", begin_ns=sampled.begin_ns, end_ns=sampled.end_ns)
        if row["endpoint"] in called and row["operation"] in called
    ]  # fmt: skip


def _notices(store: Store, within: Range, service: str | None) -> list[finding.Notice]:
    """Those that were seen at the end of the range, for others are over; and plans, which explain older findings."""
    lately = max(within.begin_ns, within.end_ns - round(notice_findings.LATELY * 1e9))
    rows = store.rows(
        "processes/notices", begin_ns=within.begin_ns, lately_ns=lately, end_ns=within.end_ns, service=service
    )
    found = []
    for row in rows:
        told = {name: _plain(value) for name, value in json.loads(row["attributes"]).items()}
        subject = told.get("perfagent.notice.subject")
        if isinstance(subject, str):
            kind, seen = row["event"].removeprefix("perfagent."), int(row["seen"])
            first, last = row["first_seen"] / 1e9, row["last_seen"] / 1e9
            found.append(
                finding.Notice(kind, row["service"], subject, row["body"], told, row["trace_id"], first, last, seen)
            )
    return found


MOST = 1e18  # of any figure of a notice


def _plain(value: object) -> str | float | None:
    """A value of a notice that sentences and sums can be made of: whoever may send may send anything."""
    if not isinstance(value, str | int | float):
        return None
    try:
        return value if abs(float(value)) <= MOST else None  # nor what is no number
    except ValueError:
        return value


def _died(store: Store, within: Range, service: str | None) -> list[finding.Died]:
    found = []
    for row in store.rows("processes/died", begin_ns=within.begin_ns, end_ns=within.end_ns, service=service):
        told = json.loads(row["attributes"])
        requests = told.get("perfagent.process.requests") or [""]
        found.append(
            finding.Died(
                str(told.get("service.name") or row["service"]),
                row["time"] / 1e9,
                row["body"],
                str(requests[0]) if isinstance(requests, list) else "",
                bool(told.get("perfagent.process.out_of_memory")),
                row["trace_id"],
            )
        )
    return found


FULL_FOR = 300.0  # s that a pool's use is averaged over


def _pools(store: Store, within: Range, service: str | None) -> list[finding.Pool]:
    """How full pools were at the end of a range."""
    end = floor(within.end / 60) * 60
    found = []
    for row in store.rows("alerts/levels", since=end - FULL_FOR, until=end + 60, service=service):
        shares = [one / 100 for one in row["database_pool_percent"] if one is not None]
        if shares:
            found.append(finding.Pool(row["service"], sum(shares) / len(shares), max(shares)))
    return found


def _causes(store: Store, within: Range, service: str | None) -> list[Cause]:
    rows = store.rows(
        "samples/errors", begin_ns=within.begin_ns, end_ns=within.end_ns, service=service, most=ERRORS_READ
    )
    return causes(map(failure, rows))


def _repeated(store: Store, within: Range, called: Sequence[Calls]) -> list[finding.Repeated]:
    if not any(one.category in ("db", "cache", "http", "rpc") for one in called):
        return []
    by_id = {one.operation: one for one in called}
    rows = [row for row in repeated(store, within) if row["endpoint"] in by_id and row["operation"] in by_id]
    if not rows:
        return []
    callers = {
        row["operation"]: row
        for row in store.rows(
            "samples/caller",
            begin_ns=within.begin_ns,
            end_ns=within.end_ns,
            operations=list({row["operation"] for row in rows}),
        )
    }
    return [
        finding.Repeated(
            by_id[row["endpoint"]],
            by_id[row["operation"]],
            row["requests"],
            row["seen"],
            row["mean_times"],
            row["most_times"],
            row["total"] / row["duration"] if row["duration"] else 0.0,
            callers.get(row["operation"], {}).get("caller"),
            row["trace_id"],
            callers.get(row["operation"], {}).get("loop"),
        )
        for row in rows
    ]


def _processes(read: Read) -> list[finding.Process]:
    names = {row["id"]: row for row in read.known}
    readings = read.readings
    found: dict[int, finding.Process] = {}

    def of(resource: int) -> finding.Process:
        row = names.get(resource)
        if resource not in found:
            found[resource] = finding.Process(row["service"] if row else "", row["instance"] if row else "")
        return found[resource]

    for (name, resource), histogram in read.histograms.by_process.items():
        process = of(resource)
        if name == vitals.LAG:
            process.lag_p99_ms = histogram.quantile_ms(0.99)
            process.lag_longest_ms = None if histogram.largest is None else histogram.largest * 1000
            process.lag_calls = histogram.count
        else:
            process.gc_p99_ms = histogram.quantile_ms(0.99)
            process.gc_share = histogram.total / reading.seconds(read.within)
    for resource, cores in readings.cpu().items():
        values = [value for value in cores if value is not None]
        if len(values) >= 5:
            of(resource).cpu = sum(values) / len(values)
    for name, field in ((vitals.DROPPED, "dropped"), (vitals.INTERNAL_ERRORS, "internal_errors")):
        for resource, deltas in readings.deltas.get(name, {}).items():
            setattr(of(resource), field, sum(delta or 0.0 for delta in deltas))
    for resource, levels in readings.values.get(vitals.MEMORY, {}).items():
        process = of(resource)
        process.memory, process.memory_hours = _growth(readings.times, levels)
    return [one for one in found.values() if one.instance]


def _growth(times: Sequence[int], levels: Sequence[float | None]) -> tuple[tuple[float, float] | None, float]:
    """First and last level of a process whose memory grows by a fifth and 50 MB at least, steadily, once it is warm."""
    points = [(time, level) for time, level in zip(times, levels, strict=True) if level is not None]
    points = [point for point in points if point[0] >= points[0][0] + WARM_UP]
    if len(points) < 20:
        return None, 0.0
    third = len(points) // 3
    if sum(level for _, level in points[-third:]) < 1.1 * sum(level for _, level in points[:third]):
        return None, 0.0  # most processes: no need to compare all pairs of points
    line = trend([float(time) for time, _ in points], [level for _, level in points])
    long = points[-1][0] - points[0][0]
    first, last = line.intercept, line.intercept + line.slope * long
    if line.p < 0.001 and last - first >= 50e6 and last >= 1.2 * first:
        return (first, last), long / HOUR
    return None, 0.0


LATEST = 300.0  # s that further figures of health are of


def lately(store: Store, end: float, service: str | None, known: thresholds.Thresholds) -> dict[str, float]:
    """The figures of thresholds in the last minutes, the mean of each, of the service where it is worst."""
    found: dict[str, float] = {}
    for (name, _), (_, values) in minutes.measured(store, Range(end - LATEST, end), service, known).items():
        told = [one for one in values if one is not None]
        if not told:
            continue
        mean = sum(told) / len(told)
        worse = min if known[name].comparison == "less" else max
        found[name] = worse(found.get(name, mean), mean)
    return found


def health(
    called: Sequence[Calls],
    readings: vitals.Vitals,
    lag_p99_ms: float | None,
    set_limits: thresholds.Thresholds,
    figures: Mapping[str, float],
) -> Health:
    """The health of a range."""
    return judge(
        Signs(
            requests(called),
            cpu=busiest(readings),
            memory=memory_share(readings),
            lag_p99_ms=lag_p99_ms,
            dropped=readings.total(vitals.DROPPED),
            figures=figures,
        ),
        set_limits,
    )


LATELY = 3  # steps, the current one included: what saturation is now


def busiest(readings: vitals.Vitals) -> float | None:
    """The CPU of the busiest process lately, 1 for one core."""
    latest = [[value for value in cores[-LATELY:] if value is not None] for cores in readings.cpu().values()]
    return max((sum(values) / len(values) for values in latest if values), default=None)


def memory_limit(readings: vitals.Vitals) -> float | None:
    """The lowest memory limit that any process told."""
    levels = [
        value
        for name in vitals.LIMITS
        for values in readings.values.get(name, {}).values()
        for value in values[-LATELY:]
        if value
    ]
    return min(levels, default=None)


def memory_share(readings: vitals.Vitals) -> float | None:
    """The memory of the largest process lately of the limit; None without one."""
    limit = memory_limit(readings)
    levels = [
        value
        for values in readings.values.get(vitals.MEMORY, {}).values()
        for value in values[-LATELY:]
        if value is not None
    ]
    return max(levels) / limit if limit and levels else None
