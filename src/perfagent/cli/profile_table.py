"""A profile as people read it: a table of its columns, and of the differences between two."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from perfagent.cli import figures, output
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from perfagent.cli.output import Part
    from perfagent.profiler.comparison import Difference
    from perfagent.profiler.tree import Reading


def _percent(value: float) -> str:
    return f"{value:.0f} %" if value >= 10 or not value else f"{value:.1f} %"


def _size_rate(value: float) -> str:
    return f"{figures.size(value)}/s"


def _seconds(value: float) -> str:
    return figures.milliseconds(value * 1000)


def _number(value: float) -> str:
    return figures.count(value) if value >= 10 or value == int(value) else f"{value:.1f}"


ROWS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("cpu_percent", "CPU of a core", _percent),
    ("rss_bytes", "memory (RSS)", figures.size),
    ("pss_bytes", "memory (PSS)", figures.size),
    ("uss_bytes", "memory (USS)", figures.size),
    ("processes", "processes", _number),
    ("threads", "threads", _number),
    ("descriptors", "file descriptors", _number),
    ("read_bytes_per_second", "all reads", _size_rate),
    ("written_bytes_per_second", "all writes", _size_rate),
    ("disk_read_bytes_per_second", "disk reads", _size_rate),
    ("disk_written_bytes_per_second", "disk writes", _size_rate),
    ("voluntary_switches_per_second", "switches, voluntary", figures.rate),
    ("involuntary_switches_per_second", "switches, involuntary", figures.rate),
)


def line(duration: float, cpu: float | None, reading: Reading) -> str:
    """The last reading in a few words."""
    told = [figures.lasting(duration) if duration >= 120 else f"{duration:.1f} s"]
    if cpu is not None:
        told.append(f"CPU {_percent(cpu)}")
    told.append(f"memory {figures.size(reading.rss)}")
    told += [f"{reading.processes} processes", f"{reading.threads} threads"]
    return "perfagent: " + ", ".join(told)


def show(document: dict[str, Any], command: str, stream: TextIO) -> None:
    """Prints the summary of a profile."""
    table = Table(
        [
            Column("", wide=True),
            *(Column(title, right=True) for title in ("min", "mean", "p95", "max")),
            Column("growth a minute", right=True, drop=1),
        ]
    )
    summary = document["summary"]
    for name, title, shown in ROWS:
        one = summary.get(name)
        if one is None:
            continue
        rise = one["growth_per_minute"]
        told = figures.NONE if rise is None else ("-" if rise < 0 else "+") + shown(abs(rise))
        table.rows.append((title, *(shown(one[key]) for key in ("min", "mean", "p95", "max")), told))
    own = document["own_cost"]
    cost = f"{_seconds(own['cpu_seconds'])} of CPU time, {own['percent_of_one_core']:.1f} % of a core"
    count = len(document["samples"]["time_seconds"])
    ended = document["exit_status"]
    parts: list[Part] = [
        [Mark(output.cut(command, 120), "bold"), f"  process {document['pid']}"],
        f"{_seconds(document['duration_seconds'])}, {_seconds(document['totals']['cpu_seconds'])} of CPU time, "
        f"most memory {figures.size(document['peak_rss_bytes'] or None)}"
        + ("" if ended is None else f", exit status {ended}"),
        *([table] if table.rows else []),
        Mark(f"{count} readings; perfagent itself took {cost}", "dim"),
        *(Mark(note, "warn") for note in document["notes"]),
    ]
    text = output.render(parts, output.terminal_width(), colour=stream.isatty())
    unicode = "utf" in (getattr(stream, "encoding", None) or "utf-8").lower()
    stream.write(text if unicode else text.translate(output.PLAIN))
    stream.flush()


def _shown(value: float, unit: str) -> str:
    shown = {"s": _seconds, "B": figures.size, "%": _percent}.get(unit, _number)
    return shown(value)


def show_differences(found: Sequence[Difference], tolerance: float) -> None:
    """Prints two profiles side by side."""
    table = Table([Column("", wide=True), *(Column(title, right=True) for title in ("before", "after", "change"))])
    for one in found:
        change = figures.NONE if one.change is None else f"{one.change:+.0%}"
        mark = Mark(change, "bad" if one.worse else "good" if (one.change or 0) * 100 < -tolerance else "")
        table.rows.append((one.name, _shown(one.before, one.unit), _shown(one.after, one.unit), mark))
    worse = [one.name for one in found if one.worse]
    verdict = (
        Mark(f"worse by more than {tolerance:g} %: {', '.join(worse)}", "bad")
        if worse
        else Mark(f"nothing is worse by more than {tolerance:g} %", "good")
    )
    output.show([table, verdict])


def show_differences_json(found: Sequence[Difference], tolerance: float) -> None:
    """Prints them for machines."""
    output.show_json(
        {
            "tolerance_percent": tolerance,
            "worse": any(one.worse for one in found),
            "figures": [asdict(one) for one in found],
        }
    )
