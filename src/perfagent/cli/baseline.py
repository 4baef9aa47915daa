"""`perfagent baseline`: keeps what is normal under a name, and compares the last hour with it."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from perfagent.cli import arguments, command, compare_shown, figures, output
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.client import Client
    from perfagent.cli.output import Part

EXAMPLES = """
perfagent baseline establish                                   # the last 60 minutes, of all services
perfagent baseline establish --minutes 1440 --name before-release --service shop
perfagent baseline list
perfagent baseline show --name before-release --service shop   # in CI: exits with 1 where something is worse
perfagent compare baseline:before-release "last hour"          # row by row
"""
STYLES = {"worse": "bad", "better": "good", "unclear": "warn", "same": "dim", "unknown": "dim"}


def main(words: list[str]) -> int:
    """Keeps, lists or shows; `show` returns 1 where something is worse than the baseline."""
    parser = command.parser(
        "baseline",
        "Keeps what is normal for 7 days under a name, by the hour of the day where it is long enough, and compares "
        "the last hour with it.",
        EXAMPLES,
    )
    parser.add_argument(
        "action", nargs="?", choices=("show", "establish", "list"), default="show", help="show when left out"
    )
    parser.add_argument("--service", default="", help="of this service; of all together when left out")
    parser.add_argument("--name", type=_name, help="which one (show: the newest; establish: `baseline`)")
    parser.add_argument(
        "--minutes", type=_minutes, default=60, metavar="N", help="establish: of the last N minutes (default: 60)"
    )
    parser.add_argument(
        "--tolerance", type=_percent, default=0.15, metavar="PERCENT", help="how much worse is accepted (default: 15)"
    )
    parser.add_argument("--most", type=command.limit, default=10, metavar="N", help="rows of endpoints and the like")
    asked = parser.parse_args(words)
    role = "operator" if asked.action == "establish" else "viewer"
    return command.serve(parser, words, _ACTIONS[asked.action], role)


def _establish(client: Client, asked: Namespace) -> int:
    wanted = {"duration_minutes": asked.minutes, "service": asked.service or None, "name": asked.name or "baseline"}
    found = client.post("baseline", wanted)
    if asked.output == "json":
        output.show_json(found)
    else:
        whose = found["service"] or "all services"
        output.show(
            [
                Mark(f"{found['name']}: {found['minutes']} minutes of {whose} are the baseline now.", "good"),
                f"It is good until {figures.clock(found['expires'])}.",
            ]
        )
    return 0


def _list(client: Client, asked: Namespace) -> int:
    items = client.get("baselines")["items"]
    if asked.output == "json":
        output.show_json({"items": items})
        return 0
    if not items:
        output.show(["No baseline is kept; `perfagent baseline establish` makes one of the last hour."])
        return 0
    rows = Table(
        [Column("name"), Column("service"), Column("established"), Column("minutes", right=True), Column("good until")]
    )
    for one in items:
        rows.rows.append(
            (
                one["name"],
                one["service"] or "(all)",
                figures.clock(one["established"]),
                figures.count(one["minutes"]),
                figures.clock(one["expires"]),
            )
        )
    output.show([rows])
    return 0


def _show(client: Client, asked: Namespace) -> int:
    found = client.get("baseline", service=asked.service, name=asked.name, tolerance=asked.tolerance)
    if asked.output == "json":
        output.show_json(found)
    else:
        output.show(_parts(found, asked.most))
    worse = [one for one in (*found["figures"], *found["differences"]) if one["verdict"] == "worse"]
    return 1 if worse else 0


def _parts(found: dict[str, Any], most: int) -> list[Part]:
    whose = found["service"] or "all services"
    course = "the same hours of the day" if found["seasonal"] else "all of it"
    parts: list[Part] = [
        f"{found['name']} of {whose}: {found['minutes']} minutes, established {figures.clock(found['established'])}; "
        f"the last hour against {course}",
        "",
    ]
    rows = Table(
        [
            Column("figure"),
            Column("normally", right=True),
            Column("9 of 10 between", right=True, drop=2),
            Column("now", right=True),
            Column("change", right=True),
            Column("certainty", right=True, drop=1),
            Column(""),
        ]
    )
    for one in found["figures"]:
        unit = one["unit"]
        between = "-" if one["low"] is None else f"{shown(one['low'], unit)} to {shown(one['high'], unit)}"
        rows.rows.append(
            (
                one["metric"],
                shown(one["baseline"], unit),
                between,
                shown(one["now"], unit),
                compare_shown.change(one["change"], unit="ms"),
                compare_shown.certainty(one["certainty"]),
                Mark(one["verdict"], STYLES[one["verdict"]]),
            )
        )
    parts.append(rows)
    differing = [one for one in found["differences"] if one["verdict"] in ("worse", "better", "unclear")]
    if differing:
        parts.append("")
        for one in differing[:most]:
            told = (
                f"{one['name'] or one['kind']}: {one['figure']} {compare_shown.value(one['before'], one['unit'])} → "
                f"{compare_shown.value(one['after'], one['unit'])} ({compare_shown.change(one['change'], one['unit'])})"
            )
            parts.append([Mark(f"{one['verdict']:<8}", STYLES[one["verdict"]]), output.cut(told, 200)])
    note = f"{found['tested']} figures of endpoints, statements and the like were tested, besides those above"
    return [*parts, "", Mark(note, "dim")]


def shown(value: float | None, unit: str) -> str:
    """A figure of a whole service, in its unit."""
    if value is None:
        return figures.NONE
    texts = {"By": figures.size, "ms": figures.milliseconds, "1/s": figures.rate}
    return texts[unit](value) if unit in texts else f"{value:.2f}{unit}"


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ArgumentTypeError(f"{text!r} is no name: letters, digits, dots, dashes and underscores, 64 at most")
    return text


def _minutes(text: str) -> int:
    return arguments.whole(text, 60, 43_200, "is not from 60 to 43200 minutes")


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise ArgumentTypeError(f"{text!r} is not from 0 to 1000 per cent")
    return value / 100


_ACTIONS = {"show": _show, "establish": _establish, "list": _list}
