"""`perfagent compare`: what got slower, larger or worse from one version or run to the next, and how sure that is."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfagent.cli import command, comparable, compare_shown, ending, output
from perfagent.cli.client import Client
from perfagent.cli.comparable import NotComparableError
from perfagent.hub.analyse.comparison import ASPECTS, GATED, answer, compare
from perfagent.hub.analyse.side import Side

if TYPE_CHECKING:
    from argparse import Namespace

EXAMPLES = """
perfagent compare                                                # since the last start, with as long before it
perfagent compare 2.3.0 2.4.0 --service shop                     # two versions (service.version)
perfagent compare "before last hour" "last hour"
perfagent compare 2026-11-27T10:00..11:00 2026-11-28T10:00..11:00 --most 5
perfagent compare --save main.json "last 10 minutes"             # on one machine or branch …
perfagent compare main.json "last 10 minutes" --output markdown  # … and in CI on another, for the pull request
perfagent compare exported-monday exported-tuesday               # folders of `perfagent hub export`
perfagent compare before.json after.json                         # of `perfagent profile --json`, or `load http`
"""


def main(words: list[str]) -> int:
    """Compares; returns 0, 1 where something got worse, 2 where nothing can be compared."""
    parser = command.parser(
        "compare",
        "Compares two versions, starts, instances, ranges of time or recorded runs: latencies, memory, CPU, errors, "
        "caches, and how often statements run in a request. Exits with 1 where one of --fail-on is worse, certainly "
        "and by more than --tolerance.",
        EXAMPLES,
        formats=("table", "json", "markdown"),
    )
    parser.add_argument(
        "sides",
        nargs="*",
        metavar="SIDE",
        help="A and B: versions, service@version, instances, ranges of time, `start`, baseline:NAME, or files",
    )
    parser.add_argument("--service", default="", help="of this service alone")
    parser.add_argument("--most", type=command.limit, default=10, metavar="N", help="rows that are shown (default: 10)")
    parser.add_argument(
        "--tolerance", type=_percent, default=0.10, metavar="PERCENT", help="how much worse is accepted (default: 10)"
    )
    parser.add_argument(
        "--fail-on",
        type=_aspects,
        default=list(GATED),
        metavar="ASPECT,…",
        help=f"what makes it exit with 1: {', '.join(ASPECTS)} (default: {','.join(GATED)})",
    )
    parser.add_argument(
        "--warm-up", type=command.span, metavar="TIME", help="left out of each side's begin, such as 2m"
    )
    parser.add_argument("--save", default="", metavar="FILE", help="keep one side there, for a later comparison")
    asked = parser.parse_args(words)
    if asked.save and len(asked.sides) != 1:
        parser.error("--save keeps one side: name one")
    if not asked.save and len(asked.sides) not in (0, 2):
        parser.error(f"two sides are compared, {len(asked.sides)} given; none stands for `before-start` and `start`")
    asked.sides = asked.sides or ["before-start", "start"]
    if all(comparable.is_file(text) for text in asked.sides):
        return _guarded(None, asked)
    return command.serve(parser, words, lambda client, _: _guarded(client, asked))


def _guarded(client: Client | None, asked: Namespace) -> int:
    try:
        return _save(client, asked) if asked.save else _tell(client, asked)
    except NotComparableError as error:
        return ending.told(str(error), 2)


def _save(client: Client | None, asked: Namespace) -> int:
    document = _side(client, asked, asked.sides[0]).document()
    text = json.dumps(document, separators=(",", ":"))
    Path(asked.save).write_text(text + "\n", encoding="utf-8")
    print(f"{asked.save}: {document['label']}, {len(text):,} bytes", file=sys.stderr)
    return 0


def _tell(client: Client | None, asked: Namespace) -> int:
    found = _compared(client, asked)
    if asked.output == "json":
        output.show_json(found)
    elif asked.output == "markdown":
        sys.stdout.write(compare_shown.markdown(found, asked.most, asked.fail_on))
    else:
        output.show(compare_shown.table(found, asked.most, asked.fail_on))
    return {"worse": 1, "nothing": 2}.get(found["verdict"], 0)


def _compared(client: Client | None, asked: Namespace) -> dict[str, Any]:
    skipped = _seconds(asked.warm_up)
    if client is not None and not any(comparable.is_file(text) for text in asked.sides):
        before, after = map(comparable.words, asked.sides)
        found: dict[str, Any] = client.get(
            "compare",
            before=before,
            after=after,
            service=asked.service,
            tolerance=asked.tolerance,
            fail_on=asked.fail_on,
            warm_up=skipped,
        )
        return found
    one, two = (_side(client, asked, text).without_first(skipped) for text in asked.sides)
    return answer(one, two, compare(one, two, asked.tolerance), asked.tolerance, asked.fail_on)


def _side(client: Client | None, asked: Namespace, text: str) -> Side:
    if comparable.is_file(text):
        side = comparable.read(text)
        return side.only(asked.service) if asked.service else side
    assert client is not None
    return Side.of_document(client.get("compare/side", of=comparable.words(text), service=asked.service))


def _seconds(span: str | None) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    return float(span[1:-1]) * units[span[-1]] if span else 0.0


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise ArgumentTypeError(f"{text!r} is not from 0 to 1000 per cent")
    return value / 100


def _aspects(text: str) -> list[str]:
    found = [part.strip() for part in text.split(",") if part.strip()]
    for part in found:
        if part not in ASPECTS:
            raise ArgumentTypeError(f"{part!r} is none of {', '.join(ASPECTS)}")
    if not found:
        raise ArgumentTypeError(f"name at least one of {', '.join(ASPECTS)}")
    return found
