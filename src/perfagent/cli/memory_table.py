"""Memory reports as people read them: the lines that hold most, and those that grew most."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from perfagent.cli import figures, output
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from perfagent.cli.output import Part
    from perfagent.profiler.sites import Growth

OTHERS = 5  # lines of libraries that are shown where there are enough of the program's own


def show(report: dict[str, Any], top: int, stream: TextIO) -> None:
    """Prints a report of one run."""
    parts: list[Part] = [
        [Mark(output.cut(" ".join(report["program"]), 100), "bold"), f"  {figures.lasting(report['seconds'])}"],
        f"held at the end {figures.size(report['held_bytes'])}, at the peak {figures.size(report['peak_bytes'])}; "
        "what Python allocated, not the libraries that allocate by themselves",
    ]
    if not report["final"]:
        parts.append(Mark("it ended without telling; this is what it held when its memory last grew", "warn"))
    if report["peak_sites"] and report["peak_sites_bytes"] > report["held_bytes"] * 1.1:
        seen = report["peak_sites_bytes"] / max(report["peak_bytes"], 1)
        told = "" if seen > 0.97 else f" (looked at when it was {figures.percent(seen)} of it)"
        parts += ["", Mark(f"lines that held most near the peak{told}", "bold"), _table(report["peak_sites"], top)]
    elif report["final"] and report["peak_bytes"] > max(report["held_bytes"] * 1.5, report["held_bytes"] + 1e6):
        parts.append(Mark("the peak was over before it could be looked at", "warn"))
    parts += ["", Mark("lines that held most at the end", "bold"), _table(report["sites"], top)]
    text = output.render(parts, output.terminal_width(), colour=stream.isatty())
    unicode = "utf" in (getattr(stream, "encoding", None) or "utf-8").lower()
    stream.write(text if unicode else text.translate(output.PLAIN))
    stream.flush()


def _table(sites: Sequence[dict[str, Any]], top: int) -> Table:
    table = Table(
        [
            Column("line", wide=True),
            Column("size", right=True),
            Column("share", right=True, drop=1),
            Column("blocks", right=True),
            Column("in", wide=True, drop=2),
        ]
    )
    total = sum(one["size"] for one in sites) or 1
    own = [one for one in sites if one["own"]]
    others = [one for one in sites if not one["own"]]
    shown = own[:top]
    shown += others[: max(top - len(shown), min(OTHERS, top))]
    for one in shown:
        table.rows.append(
            (
                Mark(_place(one["file"], one["line"]), "bold" if one["own"] else "dim"),
                figures.size(one["size"]),
                figures.percent(one["size"] / total),
                figures.count(one["count"]),
                one["through"],
            )
        )
    return table


def _place(file: str, line: int) -> str:
    return f"{file}:{line}" if line else file


def show_growth(before: dict[str, Any], after: dict[str, Any], found: Sequence[Growth], top: int) -> None:
    """Prints what grew between two reports."""
    table = Table(
        [
            Column("line", wide=True),
            Column("more", right=True),
            Column("before", right=True, drop=1),
            Column("after", right=True, drop=1),
            Column("blocks", right=True),
            Column("in", wide=True, drop=2),
        ]
    )
    grown = [one for one in found if one.size > 0]
    own = [one for one in grown if one.own][:top]
    for one in own + [one for one in grown if not one.own][: max(top - len(own), min(OTHERS, top))]:
        table.rows.append(
            (
                Mark(_place(one.file, one.line), "bold" if one.own else "dim"),
                Mark(f"+{figures.size(one.size)}", "bad" if one.own else ""),
                figures.size(one.before),
                figures.size(one.after),
                f"{one.blocks:+,}",
                one.through,
            )
        )
    held = f"{figures.size(before['held_bytes'])} before, {figures.size(after['held_bytes'])} after"
    output.show([held, table] if table.rows else [held, Mark("no line holds more than before", "good")])


def show_growth_json(before: dict[str, Any], after: dict[str, Any], found: Sequence[Growth]) -> None:
    """Prints it for machines."""
    lines = [{**asdict(one), "growth": one.size} for one in found]
    output.show_json({"before_bytes": before["held_bytes"], "after_bytes": after["held_bytes"], "sites": lines})
