"""One trace as a tree of bars: when each span ran, how long, and how much of that was its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.cli import figures, output
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from perfagent.cli.answers import Span, WholeTrace
    from perfagent.cli.output import Cell, Part

BAR = 32  # columns that the whole trace takes
DEEPEST = 12  # levels that are drawn indented
EIGHTHS = " ▏▎▍▌▋▊▉"
FOLD = 4  # so many spans after one another that are alike share a row
ALIKE = ("name", "parent_id", "service", "depth", "status")


def draw(trace: WholeTrace, width: int, address: str) -> list[Part]:
    """The parts of the drawing.

    Args:
        trace: as the hub answers it.
        width: of the terminal, in columns.
        address: of the hub, for the link to the page.
    """
    services, count = ", ".join(trace["services"]), len(trace["spans"])
    parts: list[Part] = [
        [
            Mark(trace["name"], "bold"),
            f"  {figures.milliseconds(trace['duration_ms'])}, {count} span{'s' * (count != 1)}",
        ],
        Mark(f"{services}, {figures.clock(trace['started'])}, {address}/#/traces/{trace['trace_id']}", "dim"),
    ]
    if not trace["complete"]:
        parts.append(Mark("not complete: a part of it has not arrived, or was not kept", "warn"))
    bar = max(min(BAR, width // 4), 8)
    table = Table(
        [
            Column("span", wide=True),
            Column("service", wide=True, drop=2),
            Column("", drop=1),
            Column("took", right=True),
            Column("own", right=True),
            Column("", wide=True, drop=3),
        ]
    )
    for run in _folded(trace["spans"]):
        table.rows.append(_row(trace, run, bar))
    parts += ["", table]
    if trace["left_out"]:
        parts.append(Mark(f"{figures.count(trace['left_out'])} more spans are not shown", "warn"))
    parts += _repeated(trace)
    parts += _failures(trace)
    return parts


def _row(trace: WholeTrace, run: list[Span], bar: int) -> tuple[Cell, ...]:
    span = run[0]
    name = "  " * min(span["depth"], DEEPEST) + span["name"] + (f"  x {len(run)}" if len(run) > 1 else "")
    end = max(one["offset_ms"] + one["duration_ms"] for one in run)
    own = sum(one["self_ms"] for one in run)
    wrong = span["status"] == "error"
    share = own / trace["duration_ms"] if trace["duration_ms"] else 0
    return (
        Mark(name, "bad") if wrong else name,
        span["service"],
        Mark(_bar(span["offset_ms"], end, trace["duration_ms"], bar), "bad" if wrong else "good"),
        figures.milliseconds(end - span["offset_ms"] if len(run) > 1 else span["duration_ms"]),
        Mark(figures.milliseconds(own), "bold") if share >= 0.2 else figures.milliseconds(own),
        Mark(_remark(span), "dim"),
    )


def _bar(begin: float, end: float, whole: float, width: int) -> str:
    """The part of the whole that a span took, to an eighth of a column."""
    if whole <= 0:
        return ""
    first = min(max(round(begin / whole * width * 8), 0), width * 8 - 1)
    eighths = min(max(round(end / whole * width * 8), first + 1), width * 8)
    full, rest = divmod(eighths - first // 8 * 8, 8)
    return " " * (first // 8) + "█" * full + EIGHTHS[rest].strip()


def _remark(span: Span) -> str:
    """What tells a span from others of its name: its statement, its address or who ran it."""
    attributes = span["attributes"]
    text = attributes.get("db.query.text") or attributes.get("url.full") or attributes.get("url.path") or ""
    return "  ".join(filter(None, (output.shorten(str(text), 60), _place(span["caller"]))))


def _place(caller: str | None) -> str:
    """File, line and function, of the path the last two parts: where the checkout is does not matter here."""
    path, space, function = (caller or "").partition(" ")
    return "/".join(path.split("/")[-2:]) + space + function.partition(".<locals>")[0]


def _folded(spans: list[Span]) -> list[list[Span]]:
    """The rows: a span each, but `FOLD` or more alike that follow one another as leaves of one parent share a row."""
    parents = {span["parent_id"] for span in spans}
    runs: list[list[Span]] = []
    for span in spans:
        before = runs[-1][0] if runs else None
        if (
            before is not None
            and all(before[key] == span[key] for key in ALIKE)  # type: ignore[literal-required]
            and not parents.intersection((span["span_id"], before["span_id"]))
        ):
            runs[-1].append(span)
        else:
            runs.append([span])
    return [row for run in runs for row in ([run] if len(run) >= FOLD else [[span] for span in run])]


def _repeated(trace: WholeTrace) -> list[Part]:
    if not trace["repeated"]:
        return []
    parts: list[Part] = ["", Mark("repeated queries", "head")]
    for one in trace["repeated"]:
        by = f", by {_place(one['caller'])}" if one["caller"] else ""
        parts.append([Mark(f"{one['times']} times", "warn"), f" {figures.milliseconds(one['total_ms'])} in all{by}"])
        parts.append(f"  {output.shorten(one['text'] or one['summary'], 120)}")
    return parts


def _failures(trace: WholeTrace) -> list[Part]:
    parts: list[Part] = []
    for span in trace["spans"]:
        for event in span["events"]:
            told = event.get("attributes") or {}
            if event.get("name") == "exception":
                text = ": ".join(str(told[key]) for key in ("exception.type", "exception.message") if told.get(key))
                parts.append([Mark("failed  ", "bad"), f"{span['name']}: {text}"])
    for log in trace["logs"]:
        if (log.get("number") or 0) >= 13:
            style = "bad" if log["number"] >= 17 else "warn"
            parts.append(
                [Mark(f"{str(log.get('severity')).lower():<8}", style), f"{log.get('scope')}: {log.get('body')}"]
            )
    return ["", *parts] if parts else []
