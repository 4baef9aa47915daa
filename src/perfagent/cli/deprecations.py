"""`perfagent deprecations`: the lines that call what will be gone one day, those to change first at the top."""

from __future__ import annotations

import json
import os
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from perfagent.cli import command, figures, output
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.answers import Deprecation
    from perfagent.cli.client import Client
    from perfagent.cli.output import Part

EXAMPLES = """
perfagent deprecations                                       # what ran in the last 24 hours
perfagent deprecations --service shop --hours 168 --own      # of one service, lines of its own code alone
perfagent deprecations --max 0 --own                         # in CI, after the tests: none is allowed
perfagent deprecations --output json > known.json            # what there is today …
perfagent deprecations --fail-on-new known.json              # … and in CI: fail when there is another one
"""

Known = set[tuple[str, str, str, str]]


def main(words: list[str]) -> int:
    """Prints them; returns 1 where there are more than --max, or one that --fail-on-new does not know."""
    parser = command.parser("deprecations", "Shows the lines that call what is deprecated.", EXAMPLES)
    parser.add_argument("--service", default="", help="of this service alone")
    parser.add_argument(
        "--hours", type=command.hours, default=24, metavar="N", help="of the last N hours, 1 to 8760 (default: 24)"
    )
    parser.add_argument("--own", action="store_true", help="lines of the program's own code alone")
    parser.add_argument("--limit", type=command.limit, default=50, help="how many are shown, 1 to 1000 (default: 50)")
    judge = parser.add_argument_group("for CI")
    judge.add_argument("--max", type=_number, metavar="N", help="exit with 1 where there are more than N lines")
    judge.add_argument(
        "--fail-on-new", type=_known, metavar="FILE", help="exit with 1 where there is a line that this output has not"
    )
    return command.serve(parser, words, _tell)


def _tell(client: Client, asked: Namespace) -> int:
    found = _all(client, asked)
    new = [one for one in found if asked.fail_on_new is not None and _identity(one) not in asked.fail_on_new]
    many = asked.max is not None and len(found) > asked.max
    if asked.output == "json":
        output.show_json({"items": found, "new": new} if asked.fail_on_new is not None else {"items": found})
    else:
        output.show(_list(found, asked, new, many=many))
    return 1 if new or many else 0


def _all(client: Client, asked: Namespace) -> list[Deprecation]:
    found: list[Deprecation] = []
    cursor = ""
    while True:
        page = client.get(
            "deprecations",
            service=asked.service,
            hours=asked.hours,
            limit=1000,
            **({"cursor": cursor} if cursor else {}),
        )
        found += [one for one in page["items"] if one["own"] or not asked.own]
        cursor = page.get("next") or ""
        if not cursor:
            return found


def _list(found: list[Deprecation], asked: Namespace, new: list[Deprecation], *, many: bool) -> list[Part]:
    if not found:
        return [Mark(f"No deprecated call in the last {asked.hours} h.", "good")]
    table = Table(
        [
            Column("line to change", wide=True),
            Column("deprecated", wide=True),
            Column("calls", right=True),
            Column("library", drop=4),
            Column("first", drop=3),
            Column("last", drop=2),
            Column("service", wide=True, drop=5),
            Column("advice", wide=True, drop=1),
        ]
    )
    marked = {_identity(one) for one in new}
    for one in found[: asked.limit]:
        style = "bad" if _identity(one) in marked else "bold" if one["own"] else "dim"
        table.rows.append(
            (
                Mark(_place(one), style),
                one["what"],
                figures.count(one["calls"]),
                f"{one['library']} {one['version'] or ''}".rstrip() if one["library"] else "",
                figures.clock(one["first_seen"]),
                figures.clock(one["last_seen"]),
                one["service"],
                one["message"] or "",
            )
        )
    own = sum(one["own"] for one in found)
    told = f"{own} of your own lines, {len(found) - own} of libraries; {len(found)} in all"
    parts: list[Part] = [table, Mark(told + ("; more with --limit" if len(found) > asked.limit else ""), "dim")]
    if new:
        parts.append(Mark(f"{len(new)} of them {'is' if len(new) == 1 else 'are'} new", "bad"))
    if many:
        parts.append(Mark(f"{len(found)} lines, --max allows {asked.max}", "bad"))
    return parts


def _place(one: Deprecation) -> str:
    """File and line, from here where the file is below; of a library the line that Python blames."""
    if not one["file"]:
        return one["warned_at"] or "(unknown)"
    file = one["file"]
    here = os.getcwd() + os.sep
    return f"{file.removeprefix(here)}:{one['line']}" if one["line"] else file


def _identity(one: Deprecation) -> tuple[str, str, str, str]:
    """What stays the same when lines move: service, function, file and the function that the line is in."""
    place = one["file"] or (one["warned_at"] or "").rpartition(":")[0]
    return one["service"], one["what"], place.rpartition("/")[2], one["function"] or ""


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def _known(text: str) -> Known:
    """What an earlier `--output json` has, for argparse."""
    try:
        found = json.loads(Path(text).read_text(encoding="utf-8"))
        return {_identity(one) for one in found["items"]}
    except OSError as error:
        raise ArgumentTypeError(f"{text}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ArgumentTypeError(
            f"{text} is no output of `perfagent deprecations --output json`; such as `> known.json` takes it"
        ) from None
