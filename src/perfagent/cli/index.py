"""`perfagent index`: which indexes a database lacks and which it has in vain; and making one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfagent.cli import arguments, ending, index_report, output

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from perfagent.data.indexes.advice import Statement

FOUND, WRONG, SILENT = 1, 2, 3  # exit statuses
URL = "postgresql://user@host/database, mysql://… or sqlite:///file.db (PERFAGENT_DATABASE_URL, DATABASE_URL)"
EXAMPLES = """\
examples:
  perfagent index analyze postgresql://shop@localhost/shop
  perfagent index analyze --statements slow.sql --fail        # PERFAGENT_DATABASE_URL names the database
  perfagent index analyze sqlite:///shop.db --hub             # the statements that a hub recorded
  perfagent index create orders customer_id created_at:desc   # shows the statement; --yes runs it
  perfagent index create customers 'lower(email)' --unique --yes

exit status: 0 fine, 1 advice found and --fail given, or an index that could not be made; 2 wrong words,
3 the database or the hub does not answer
"""


def main(words: list[str]) -> int:
    """Analyses or creates; returns the exit status."""
    parser = arguments.parser(
        "index",
        description="Tells which indexes a database lacks and which it has in vain, and makes one.",
        epilog=EXAMPLES,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="analyze | create")
    _analyze_options(_action(actions, "analyze", "tell what is missing, unused, duplicate or invalid; changes nothing"))
    _create_options(_action(actions, "create", "show the statement that makes an index, and run it with --yes"))
    asked = parser.parse_args(words)
    return _run(asked)


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, description: str
) -> argparse.ArgumentParser:
    found = arguments.action(actions, name, description, EXAMPLES)
    found.add_argument("--output", choices=("table", "json"), default="table", help="json is for machines")
    return found


def _analyze_options(found: argparse.ArgumentParser) -> None:
    found.add_argument("url", nargs="?", default="", metavar="URL", help=URL)
    source = found.add_mutually_exclusive_group()
    source.add_argument("--statements", metavar="FILE", help="SQL separated by `;`; - for standard input")
    source.add_argument("--hub", action="store_true", help="the statements that your hub recorded in the last 24 hours")
    found.add_argument("--service", default="", help="with --hub: those of this service alone")
    found.add_argument(
        "--factor", type=float, default=2.0, help="how many times less a statement must cost (default: 2)"
    )
    found.add_argument("--min-rows", type=float, default=1000, help="smaller tables need no index (default: 1000)")
    found.add_argument(
        "--min-saved", type=float, default=1.0, metavar="SECONDS", help="what an index must save a day (default: 1)"
    )
    found.add_argument(
        "--unused-after",
        type=float,
        default=7.0,
        metavar="DAYS",
        help="how long the statistics must count before an index is called unused (default: 7)",
    )
    found.add_argument("--limit", type=int, default=200, help="most statements of the database's record (default: 200)")
    found.add_argument("--fail", action="store_true", help="exit with 1 where there is advice")


def _create_options(found: argparse.ArgumentParser) -> None:
    found.add_argument("table", metavar="TABLE", help="table or schema.table")
    found.add_argument("columns", nargs="+", metavar="COLUMN", help="name, name:desc, lower(name) or upper(name)")
    found.add_argument("--url", default="", help=URL)
    found.add_argument("--unique", action="store_true", help="refuse duplicates")
    found.add_argument("--where", default="", metavar="CONDITION", help="of a partial index, such as 'paid IS NULL'")
    found.add_argument("--method", default="", help="such as gin or hash; the database's default when left out")
    found.add_argument("--name", default="", help="of the index; from table and columns when left out")
    found.add_argument("--yes", action="store_true", help="run the statement")


def _run(asked: Namespace) -> int:
    from perfagent.data.indexes.connect import UnreachableError

    try:
        return _analyze(asked) if asked.action == "analyze" else _create(asked)
    except (ValueError, ImportError) as error:
        return ending.told(str(error), WRONG)
    except UnreachableError as error:
        return ending.told(str(error), SILENT)


def _analyze(asked: Namespace) -> int:
    from perfagent.data.indexes.advise import advise_indexes
    from perfagent.data.indexes.limits import Limits

    limits = Limits(asked.factor, asked.min_rows, asked.min_saved * 1000, asked.unused_after, asked.limit)
    if asked.service and not asked.hub:
        raise ValueError("--service needs --hub, whose services it names")
    statements: str | Sequence[Statement] | None = None
    if asked.statements is not None:
        statements = sys.stdin.read() if asked.statements == "-" else Path(asked.statements).read_text(errors="replace")
    elif asked.hub:
        from perfagent.cli.client import HubError

        try:
            statements = _of_hub(asked)
        except HubError as error:
            return ending.told(str(error), error.status)
    report = advise_indexes(asked.url, statements, limits)
    if asked.output == "json":
        output.show_json(report.as_dict())
    else:
        output.show(index_report.parts(report))
    return FOUND if asked.fail and report.advice else 0


def _of_hub(asked: Namespace) -> list[Statement]:
    """What the hub recorded in the last 24 hours on databases of this kind."""
    from perfagent.cli.client import Client
    from perfagent.data.indexes.advice import Statement
    from perfagent.data.indexes.advise import named
    from perfagent.data.indexes.connect import parsed

    kind = parsed(named(asked.url)).get_backend_name()
    client = Client.find()
    found = []
    for system in ("mysql", "mariadb") if kind == "mysql" else (kind,):
        rows = client.get(
            "queries", system=system, service=asked.service, from_="-24h", sort="total", limit=min(asked.limit, 1000)
        )["items"]
        found += [Statement(one["text"], one["calls"], one["mean_ms"], one["rows_per_call"]) for one in rows]
    return found


def _create(asked: Namespace) -> int:
    from perfagent.data.indexes.connect import UnreachableError
    from perfagent.data.indexes.create import make_index, new_index

    new = new_index(
        asked.table,
        asked.columns,
        asked.url,
        unique=asked.unique,
        where=asked.where,
        method=asked.method,
        name=asked.name,
    )
    status, state = 0, "there already" if new.exists else "shown"
    if asked.output == "table":
        output.show(index_report.shown(new, runs=asked.yes))
    if asked.yes and not new.exists:
        try:
            make_index(new, asked.url, lambda line: print(f"  {line}", file=sys.stderr, flush=True))
            state = "made"
        except UnreachableError as error:
            status, state = ending.told(f"{new.index} was not made: {error}", FOUND), "failed"
    if asked.output == "json":
        output.show_json(index_report.as_dict(new, state))
    elif state == "made":
        print(f"{new.index} is made")
    return status
