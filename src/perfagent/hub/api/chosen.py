"""A question for a metric: which series it is about, how they are grouped, and what is computed of each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import orjson

from perfagent.hub.api.calls import passed
from perfagent.hub.api.points import distributions, figures, quantiles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfagent.hub.api.ranges import Range
    from perfagent.hub.store.rows import Row
    from perfagent.hub.store.store import Store

Stat = Literal["rate", "sum", "avg", "min", "max", "last", "count", "p50", "p90", "p95", "p99"]
PERCENTILES = tuple(stat for stat in get_args(Stat) if stat.startswith("p"))
_HISTOGRAM = ("p95", "p50", "p90", "p99", "avg", "min", "max", "rate", "count", "sum")
_LEVEL = ("avg", "min", "max", "last", "sum", "count", "p50", "p90", "p95", "p99")
# What may be asked of a kind, the first being what is answered to one who does not say.
STATS: dict[str, tuple[Stat, ...]] = {
    "gauge": _LEVEL,  # type: ignore[dict-item]
    "counter": ("rate", "sum", "last", "count"),
    "updown": _LEVEL,  # type: ignore[dict-item]
    "histogram": _HISTOGRAM,  # type: ignore[dict-item]
    "exponential": _HISTOGRAM,  # type: ignore[dict-item]
    "summary": ("avg", "rate", "count", "sum"),
}
MOST_SERIES = 10_000  # that a question reads; the newest ones
MOST_GROUPS = 1000
MOST_SHOWN = 50  # lines that a chart can tell apart, and more


@dataclass(frozen=True, slots=True)
class Choice:
    """The series that a question is about.

    Args:
        like: the newest of them, for kind and unit.
        groups: for each series' id the group that it is in.
        attributes: what each group is of.
        left_out: groups beyond MOST_GROUPS.
    """

    like: Row
    groups: dict[int, int]
    attributes: list[dict[str, str]]
    left_out: int


def choose(
    store: Store, name: str, service: str | None, wanted: Sequence[tuple[str, str]], by: Sequence[str]
) -> Choice | None:
    """The series of a metric that have the wanted attributes, grouped by others; None where there is no such metric.

    Args:
        wanted: attributes and their values, as text.
        by: attributes of the points or, where those have none of that name, of their process.
    """
    rows = store.rows("metrics/series", name=name, service=service, resource=None, limit=MOST_SERIES)
    if not rows:
        return None
    like = rows[0]
    groups: dict[int, int] = {}
    known: dict[tuple[str, ...], int] = {}
    left_out: set[tuple[str, ...]] = set()
    for row in rows:
        if (row["kind"], row["unit"]) != (like["kind"], like["unit"]):
            continue  # another metric of the same name; they cannot be added up
        value = _reader(row)
        if any(value(key) != text for key, text in wanted):
            continue
        values = tuple(value(key) for key in by)
        if values not in known and len(known) >= MOST_GROUPS:
            left_out.add(values)
            continue
        groups[row["id"]] = known.setdefault(values, len(known))
    attributes = [dict(zip(by, values, strict=True)) for values in known]
    return Choice(like, groups, attributes, len(left_out))


def _reader(row: Row) -> Callable[[str], str]:
    attributes = orjson.loads(row["attributes"])
    process: dict[str, Any] | None = None

    def value(key: str) -> str:
        nonlocal process
        if key in attributes:
            return _text(attributes[key])
        if key in ("service.name", "service"):
            return str(row["service"])
        if key == "service.instance.id":
            return str(row["instance"])
        if process is None:
            process = orjson.loads(row["process"])
        return _text(process.get(key, ""))

    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def compute(store: Store, within: Range, choice: Choice, stat: Stat) -> dict[str, Any]:
    """What the groups are over time: `stat`, `unit`, `series` (the largest first) and `left_out`."""
    times = within.times()
    found: dict[int, dict[int, float | None]]
    if stat in PERCENTILES and choice.like["kind"] in ("gauge", "sum"):
        found = quantiles(store, within, choice.groups, int(stat[1:]) / 100) if choice.groups else {}
    elif stat in PERCENTILES:
        share = int(stat[1:]) / 100
        found = {
            group: {time: _quantile(one.quantile_ms(share)) for time, one in steps.items()}
            for group, steps in (distributions(store, within, choice.groups) if choice.groups else {}).items()
        }
    else:
        found = {
            group: {
                time: _figure(row, choice.like, stat, passed(time, within.step, within.end))
                for time, row in steps.items()
            }
            for group, steps in (figures(store, within, choice.groups) if choice.groups else {}).items()
        }
    lines: list[dict[str, Any]] = [
        {"attributes": choice.attributes[group], "values": [steps.get(time) for time in times]}
        for group, steps in found.items()
        if any(value is not None for value in steps.values())
    ]
    lines.sort(key=lambda line: -max(abs(value) for value in line["values"] if value is not None))
    unit = {"count": "1", "rate": f"{_counted(choice.like)}/s"}.get(stat, choice.like["unit"])
    left_out = choice.left_out + max(0, len(lines) - MOST_SHOWN)
    return {"stat": stat, "unit": unit, "series": lines[:MOST_SHOWN], "left_out": left_out}


def _quantile(milli: float | None) -> float | None:
    return None if milli is None else milli / 1000  # a Histogram takes its values for seconds


def _counted(like: Row) -> str:
    return str(like["unit"]) if like["kind"] == "sum" else "1"


def _figure(row: Row, like: Row, stat: Stat, seconds: float) -> float | None:
    """One figure of a group in a step."""
    histogram, level = like["kind"] in ("histogram", "exponential", "summary"), like["kind"] == "sum"
    value: float | None
    if stat == "count":
        value = row["count"] if histogram else row["points"]
    elif stat == "rate":
        value = row["count"] if histogram else row["delta"]
        value = None if value is None else value / seconds
    elif stat == "sum":
        value = row["total"] if histogram else row["delta"] if like["monotonic"] else row["mean_summed"]
    elif stat == "avg":
        if histogram:
            value = row["total"] / row["count"] if row["count"] else None
        else:
            value = row["mean_summed"] if level else row["mean"]
    elif stat == "last":
        value = row["last_summed"] if level else row["last"]
    else:
        value = row["smallest"] if stat == "min" else row["largest"]
    return value
