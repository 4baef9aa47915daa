"""`perfagent report`: what some hours were like, as JSON, CSV or one HTML file to send around."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from perfagent.cli import command

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.client import Client

EXAMPLES = """
perfagent report                                                # the last day as JSON, to standard output
perfagent report --type errors --hours 8 --format csv --to errors.csv
perfagent report --type performance --hours 168 --format html --to week.html
perfagent report --type queries --service shop --format html --to queries.html
"""


def main(words: list[str]) -> int:
    """Writes a report; returns 0."""
    parser = command.parser(
        "report",
        "Writes what some hours were like. The HTML is one file with everything in it, and no script.",
        EXAMPLES,
        formats=(),
    )
    parser.add_argument("--type", choices=("performance", "errors", "queries"), default="performance")
    parser.add_argument("--hours", type=command.hours, default=24, help="how far back, from 1 to 8760 (default: 24)")
    parser.add_argument("--service", default="", help="this one alone")
    parser.add_argument(
        "--format", choices=("json", "csv", "html"), help="json when left out, or what FILE's name ends with"
    )
    parser.add_argument("--to", default="-", metavar="FILE", help="where it goes; - for standard output (default)")
    return command.serve(parser, words, _write)


def _write(client: Client, asked: Namespace) -> int:
    ending = os.path.splitext(asked.to)[1].lstrip(".").lower()
    form = asked.format or (ending if ending in ("json", "csv", "html") else "json")
    if form == "html":
        from perfagent.cli import document

        text = document.make(client, asked.type, asked.hours, asked.service)
    elif form == "csv":
        text = client.text("reports", type=asked.type, hours=asked.hours, service=asked.service, format="csv")
    else:
        found = client.get("reports", type=asked.type, hours=asked.hours, service=asked.service, format="json")
        text = json.dumps(found, indent=2) + "\n"
    if asked.to == "-":
        sys.stdout.buffer.write(text.encode())
        return 0
    with open(asked.to, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    print(f"{asked.to}: {len(text.encode()):,} bytes of {form}", file=sys.stderr)
    return 0
