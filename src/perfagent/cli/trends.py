"""`perfagent trends`: what gets better or worse, how surely, and when a limit is reached."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from perfagent.cli import command, figures, output
from perfagent.cli.baseline import shown
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.client import Client

EXAMPLES = """
perfagent trends                                             # of the last day
perfagent trends --hours 168 --service shop
perfagent trends --metric memory_bytes --limit 2e9           # when will it take 2 GB?
perfagent trends --fail-on-degrading                         # in CI or cron: exits with 1
"""
STYLES = {"improving": "good", "degrading": "bad", "stable": "dim", "unknown": "dim"}


def main(words: list[str]) -> int:
    """Prints them; returns 1 where something degrades and --fail-on-degrading is given."""
    parser = command.parser(
        "trends",
        "Shows what gets better or worse, how likely that is true, and when it reaches its limit if it goes on.",
        EXAMPLES,
    )
    parser.add_argument("--service", default="", help="of this service alone")
    parser.add_argument(
        "--hours", type=command.hours, default=24, metavar="N", help="of the last N hours, 1 to 8760 (default: 24)"
    )
    parser.add_argument("--metric", default="", help="this one alone, such as memory_bytes")
    parser.add_argument("--limit", type=_number, metavar="VALUE", help="when --metric reaches this, in its unit")
    parser.add_argument(
        "--fail-on-degrading",
        type=_share,
        nargs="?",
        const=0.9,
        metavar="CONFIDENCE",
        help="exit with 1 where something degrades with that confidence at least, 0 to 1 (default: 0.9)",
    )
    return command.serve(parser, words, _tell)


def _tell(client: Client, asked: Namespace) -> int:
    found = client.get(
        "trends", hours=asked.hours, service=asked.service, metric=asked.metric, limit=asked.limit
    )["items"]  # fmt: skip
    least = asked.fail_on_degrading
    bad = [one for one in found if one["direction"] == "degrading" and least is not None and one["confidence"] >= least]
    if asked.output == "json":
        output.show_json({"items": found})
        return 1 if bad else 0
    rows = Table(
        [
            Column("figure"),
            Column("trend"),
            Column("confidence", right=True),
            Column("from", right=True),
            Column("to", right=True),
            Column("change", right=True),
            Column("", drop=2),
            Column("limit", wide=True, drop=1),
        ]
    )
    for one in found:
        unit = one["unit"]
        rows.rows.append(
            (
                one["metric"],
                Mark(one["direction"], STYLES.get(one["direction"], "")),
                figures.NONE if one["confidence"] is None else f"{one['confidence']:.0%}",
                shown(one["first"], unit),
                shown(one["last"], unit),
                figures.NONE if one["change"] is None else f"{one['change']:+.0%}",
                figures.sparkline(one["values"], 24),
                _limit(one["forecast"], unit),
            )
        )
    note = "stable: moves by less than a tenth; confidence: how likely the trend is right; limits: if it goes on so"
    if any(one["direction"] == "unknown" for one in found):
        note = f"unknown: fewer than 10 points in the range; {note}"
    output.show([rows, "", Mark(note, "dim")])
    return 1 if bad else 0


def _limit(found: dict[str, Any] | None, unit: str) -> str:
    if found is None:
        return ""
    limit = shown(found["limit"], unit)
    if found["reached"] == "already":
        return f"{limit} is reached"
    if found["reached"] == "not":
        chance = f", {found['chance']:.0%} likely" if found["chance"] >= 0.01 else ""
        return f"{limit}: not within {_lasting(found['within_hours'])}{chance}"
    latest = found["latest_hours"]
    until = _lasting(latest) if latest is not None else f"more than {_lasting(found['within_hours'])}"
    return f"{limit} in {_lasting(found['hours'])} (8 of 10: {_lasting(found['earliest_hours'])} to {until})"


def _lasting(hours: float) -> str:
    return figures.lasting(hours * 3600)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) <= 1e15:
        raise ArgumentTypeError(f"{text!r} is no number")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not from 0 to 1")
    return value
