"""`perfagent rules test`: how often rules and thresholds would have fired in a hub's past, next to how they are."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfagent.cli import command, figures, output
from perfagent.cli.client import segment
from perfagent.cli.output import Column, Mark, Table
from perfagent.cli.thresholds import change, wrong
from perfagent.hub.conditions.rule import BadRule, read
from perfagent.hub.conditions.showing import shown

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.client import Client
    from perfagent.cli.output import Part

EXAMPLES = """
perfagent rules test                                                   # every rule of the hub, over the last 7 days
perfagent rules test "p95(http.server.request.duration) > 300ms" --for 5m
perfagent rules test --rule slow-payments --for 10m                    # one that there is, changed
perfagent rules test --file perfagent.toml --since 2d                  # before it is put to use
perfagent rules test --threshold error_rate_percent warning=2 --max-per-day 1
"""
MOST_HOURS = 168
LISTED = 10  # firings that are shown of a single rule
TRIED = "tried"  # the name of a condition on the command line


def main(words: list[str]) -> int:
    """Shows what would have fired; returns 1 where something would have fired more often than --max-per-day."""
    parser = command.parser(
        "rules test",
        "Replays the stored past: how often rules would have fired, when, for how long, and for whom. Changes nothing.",
        EXAMPLES,
    )
    parser.add_argument("when", nargs="?", help="a condition to try")
    parser.add_argument(
        "--rule", metavar="NAME", action="append", default=[], help="a rule of the hub; may be repeated"
    )
    parser.add_argument("--file", type=Path, help="a TOML file whose [[rule]] tables are tried")
    parser.add_argument(
        "--threshold", nargs="+", metavar=("NAME", "FIELD=VALUE"), action="append", default=[],
        help="a threshold with changed limits; may be repeated",
    )  # fmt: skip
    parser.add_argument("--for", dest="lasting", metavar="TIME", help="in place of the rule's own, such as 5m")
    parser.add_argument("--service", action="append", default=[], help="only this service, or pattern; may be repeated")
    parser.add_argument("--since", type=_hours, default=MOST_HOURS, metavar="TIME", help="how far back (default: 7d)")
    parser.add_argument(
        "--max-per-day", type=float, metavar="N", help="exit with 1 where one fires more often than that"
    )
    parser.set_defaults(timeout=30)  # a replay takes up to 20 s
    return command.serve(parser, words, _test)


def _hours(text: str) -> int:
    """A time that has passed, in whole hours, for argparse."""
    told = command.span(text)
    hours = int(told[1:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[told[-1]] / 3600
    if not 0 < hours <= MOST_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r} is more than 7d, for which minutes are kept")
    return max(1, -int(-hours // 1))


def _test(client: Client, asked: Namespace) -> int:
    questions = _questions(client, asked)
    problems = [] if asked.file or asked.when or asked.threshold else client.get("rules")["problems"]
    results: list[dict[str, Any]] = []
    answer: dict[str, Any] = {"begin": None, "end": None, "days": 0.0}
    for number, question in enumerate(questions, 1):
        _progress(number, len(questions))
        answer = client.post("rules/test", {"hours": asked.since, **question})
        results += answer["results"]
    _progress(0, 0)
    often = [one for one in results if asked.max_per_day is not None and one["tried"]["per_day"] > asked.max_per_day]
    if asked.output == "json":
        output.show_json({**{key: answer[key] for key in ("begin", "end", "days")}, "results": results})
    else:
        output.show([*_shown(results, answer["days"], {one["name"] for one in often}), *_off(problems)])
    if often:
        told = ", ".join(one["name"] for one in often)
        print(f"perfagent: more than {asked.max_per_day:g} a day: {told}", file=sys.stderr)
    return 1 if often else 0


def _questions(client: Client, asked: Namespace) -> list[dict[str, Any]]:
    """One question for each rule, so that none of them takes long."""
    proposed: list[dict[str, Any]] = []
    changes = {key: value for key, value in (("for", asked.lasting), ("services", asked.service)) if value}
    if asked.file is not None:
        proposed += [{**one, **changes} for one in _of_file(asked.file)]
    names = list(asked.rule)
    if asked.when is not None and not names:
        proposed.append(_checked({"name": TRIED, "when": asked.when, **changes}, ""))
    elif names and (asked.when is not None or changes):
        for name in names:
            kept = client.get(f"rules/{segment(name)}")
            kept.pop("origin")
            own = {"when": asked.when} if asked.when is not None else {}
            proposed.append(_checked({**kept, **own, **changes}, ""))
        names = []
    thresholds = [[{"name": one[0], **change(one[0], one[1:])}] for one in asked.threshold]
    if not (proposed or names or thresholds):
        names = [one["name"] for one in client.get("rules")["items"]]
    return [
        *({"names": [name]} for name in names),
        *({"rules": [one]} for one in proposed),
        *({"thresholds": one} for one in thresholds),
    ]


def _of_file(path: Path) -> list[dict[str, Any]]:
    try:
        content = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise wrong(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise wrong(f"{path} is no text in UTF-8, as TOML wants it") from None
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise wrong(f"{path} is no valid TOML: {error}") from None
    tables = document.get("rule", document.get("tool", {}).get("perfagent", {}).get("rule", []))
    if not isinstance(tables, list) or not tables:
        raise wrong(f"{path} has no [[rule]] table; docs/how-to/rules.md shows one")
    return [_checked(table, f"{path}: rule {number}") for number, table in enumerate(tables, 1)]


def _checked(fields: dict[str, Any], place: str) -> dict[str, Any]:
    """A rule as the interface takes it."""
    try:
        return read(fields, place).document()
    except BadRule as error:
        raise wrong(str(error)) from None


def _progress(number: int, of: int) -> None:
    """Says how far it has come, where a person waits at a terminal."""
    if sys.stderr.isatty() and (of > 1 or not of):
        text = f"replays {number} of {of} …" if of else ""
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _shown(results: list[dict[str, Any]], days: float, often: set[str]) -> list[Part]:
    if not results:
        return [Mark("There is no rule; docs/how-to/rules.md shows how to make one.", "dim")]
    table = Table(
        [
            Column("rule", wide=True),
            Column("fired", right=True),
            Column("a day", right=True),
            Column("now a day", right=True),
            Column("minutes", right=True, drop=1),
            Column("longest", right=True, drop=2),
            Column("worst", right=True, drop=3),
            Column("for whom", wide=True, drop=4),
        ]
    )
    parts: list[Part] = []
    for one in results:
        tried, now = one["tried"], one["now"]
        style = "bad" if one["name"] in often else "good" if not tried["fired"] else "bold"
        whom = ", ".join(f"{service} {count}x" for service, count in tried["services"].items())
        table.rows.append(
            (
                Mark(one["name"], style),
                str(tried["fired"]),
                _number(tried["per_day"]),
                _number(now["per_day"]) if now is not None else "",
                str(tried["minutes"]),
                f"{tried['longest']} min" if tried["fired"] else "",
                shown(tried["worst"], tried["unit"]) if tried["worst"] is not None else "",
                whom,
            )
        )
        if tried["note"]:
            parts.append(Mark(f"{one['name']}: {tried['note']}", "warn"))
    single = results[0]["tried"]["firings"] if len(results) == 1 else []
    if single:
        parts.append(_firings(single, results[0]["tried"]["unit"]))
    length = f"{days:.1f} days" if days >= 1 else f"{days * 24:.1f} h" if days >= 1 / 12 else f"{days * 1440:.0f} min"
    return [table, *parts, Mark(f"{length} were replayed; `a day` is before alerts are put together", "dim")]


def _off(problems: list[str]) -> list[Part]:
    """What is wrong with rules that are off, which nothing replays."""
    return [Mark(line, "warn") for problem in problems for line in problem.splitlines()]


def _firings(firings: list[dict[str, Any]], unit: str) -> Table:
    table = Table(
        [
            Column("when"),
            Column("for", right=True),
            Column("severity", drop=1),
            Column("whom", wide=True),
            Column("worst", right=True),
            Column("limit", right=True, drop=2),
        ]
    )
    for one in firings[:LISTED]:
        whom = " ".join(part for part in (one["service"], one["subject"]) if part)
        cells = [shown(one[key], unit) if one[key] is not None else "" for key in ("worst", "limit")]
        table.rows.append((figures.clock(one["since"]), f"{one['minutes']} min", one["severity"], whom, *cells))
    return table


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
