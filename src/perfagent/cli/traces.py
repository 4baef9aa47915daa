"""`perfagent traces`: searches traces, and draws one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.cli import command, figures, output
from perfagent.cli.client import segment
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.answers import Trace
    from perfagent.cli.client import Client
    from perfagent.cli.output import Part

EXAMPLES = """
perfagent traces                                        # the latest of the last hour
perfagent traces --sort slowest --since 1d --limit 10   # the slowest of a day
perfagent traces --service shop --route /checkout --status error
perfagent traces --min-ms 500 --attribute http.route=/search --attribute db.system.name=sqlite
perfagent traces 4bf92f3577b34da6a3ce929d0e0e4736       # one as a waterfall: self time and repeated queries
perfagent traces --sort slowest --limit 1 --output json | jq -r '.items[0].trace_id'
"""


def main(words: list[str]) -> int:
    """Prints what was found; returns 0, or 2 where the hub knows no such trace."""
    parser = command.parser("traces", "Searches traces, or draws one as a waterfall.", EXAMPLES)
    parser.add_argument("trace", nargs="?", default="", help="the id of one to draw, 32 hexadecimal digits")
    search = parser.add_argument_group("which traces")
    search.add_argument("--service", default="", help="that pass through this service")
    search.add_argument("--route", default="", help="of this endpoint, such as /checkout")
    search.add_argument("--min-ms", type=float, metavar="MS", help="that took at least so long")
    search.add_argument("--max-ms", type=float, metavar="MS", help="that took at most so long")
    search.add_argument("--status", choices=("ok", "error"), help="that went well, or did not")
    search.add_argument("--code", type=int, help="answered with this HTTP status, such as 502")
    search.add_argument(
        "--attribute",
        action="append",
        metavar="KEY=VALUE",
        help="that have a span with it; up to five, all of one span",
    )
    search.add_argument("--text", default="", metavar="TEXT", help="with this text in a span's name or statement")
    search.add_argument("--since", type=command.span, default="1h", metavar="TIME", help="90s, 15m, 1h (default) or 2d")
    search.add_argument("--sort", choices=("recent", "slowest"), default="recent", help="which come first")
    search.add_argument("--limit", type=command.limit, default=20, help="how many, 1 to 1000 (default: 20)")
    return command.serve(parser, words, _tell)


def _tell(client: Client, asked: Namespace) -> int:
    if asked.trace:
        from perfagent.cli import waterfall

        whole = client.get(f"traces/{segment(asked.trace.lower())}")
        if asked.output == "json":
            output.show_json(whole)
        else:
            output.show(waterfall.draw(whole, output.terminal_width(), client.address))
        return 0
    found = client.get(
        "traces",
        service=asked.service,
        route=asked.route,
        min_ms=asked.min_ms,
        max_ms=asked.max_ms,
        status=asked.status,
        code=asked.code,
        attribute=asked.attribute,
        q=asked.text,
        from_=asked.since,
        sort=asked.sort,
        limit=asked.limit,
    )
    if asked.output == "json":
        output.show_json(found)
    else:
        output.show(_list(found["items"], more=bool(found.get("next"))))
    return 0


def _list(traces: list[Trace], *, more: bool) -> list[Part]:
    if not traces:
        return ["No such trace. --since looks further back, `perfagent status` tells what there is."]
    table = Table(
        [
            Column("trace", drop=1),
            Column("started"),
            Column("service", wide=True, drop=4),
            Column("name", wide=True),
            Column("took", right=True),
            Column("spans", right=True, drop=3),
            Column("status", right=True, drop=2),
        ]
    )
    for one in traces:
        code = str(one["status_code"] or "")
        table.rows.append(
            (
                one["trace_id"],
                figures.clock(one["started"]),
                one["service"],
                one["name"],
                figures.milliseconds(one["duration_ms"]),
                figures.count(one["spans"]),
                Mark(code or "error", "bad") if one["error"] else code,
            )
        )
    closing = "more with --limit; " if more else ""
    return [table, Mark(f"{closing}`perfagent traces ID` draws one", "dim")]
