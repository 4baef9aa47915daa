"""`perfagent budget check` and `compare`: what was used elsewhere, against budgets or against another run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perfagent.cli import arguments, command, ending, output
from perfagent.cli.budget import EXAMPLES
from perfagent.cli.client import Client, HubError
from perfagent.cli.output import Column, Mark, Table
from perfagent.testing import declared
from perfagent.testing.limits import COUNTS, TIMES, WORDS, BudgetError, shown

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from perfagent.cli.output import Part
    from perfagent.testing.declared import Budgets
    from perfagent.testing.limits import Limits

    Used = dict[str, Limits]
    """What each test or endpoint used, by its name."""

MOST = 200  # endpoints of a hub
SLOWER = 1.5
"""Another run's time may be so many times as long before it is told: machines differ."""
LEAST_SECONDS = 0.02


def main(words: list[str]) -> int:
    """Returns 0, 1 where something is over or became more, 2 where that cannot be told, 3 without a hub."""
    return _compare(words[1:]) if words[0] == "compare" else _check(words[1:])


def _check(words: list[str]) -> int:
    parser = command.parser(
        "budget check",
        "Holds what was used against the budgets of this folder: a report of `perfagent budget --report`, or what a "
        "hub has seen of the endpoints (their 95th percentile for time, the mean of a request for counts).",
        EXAMPLES.partition("\n")[2].partition("\n\n")[0],
    )
    parser.add_argument("report", nargs="?", default="", help="a report; the hub when left out")
    parser.add_argument("--budgets", default="", metavar="FILE", help="recorded budgets, of another name")
    parser.add_argument("--service", default="", help="only the endpoints of this service")
    parser.add_argument("--since", type=command.span, default="1h", metavar="TIME", help="90s, 15m, 1h (default) or 2d")
    asked = parser.parse_args(words)

    try:
        budgets = declared.read(".", asked.budgets)
        used = _of_report(asked.report) if asked.report else {"endpoints": _of_hub(asked, budgets)}
    except BudgetError as error:
        return ending.told(str(error), 2)
    except HubError as error:
        return ending.told(str(error), error.status)
    return _judge(used, budgets, asked.output == "json")


def _of_report(path: str) -> dict[str, Used]:
    """What a report or a file of recorded budgets tells."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except ValueError as error:
        raise BudgetError(f"{path} is no JSON: {error}") from None
    if isinstance(document, dict) and isinstance(document.get("tests"), dict):  # times have headroom: no figures
        kept = declared.read_recorded(path)
        return {
            kind: {name: {key: limits[key] for key in COUNTS if key in limits} for name, limits in names.items()}
            for kind, names in kept.items()
        }
    try:
        tests = {test["test"]: dict(test["measured"]) for test in document["tests"]}
        return {"tests": tests, "endpoints": {name: dict(used) for name, used in document["endpoints"].items()}}
    except (KeyError, TypeError, AttributeError):
        raise BudgetError(f"{path} is no report of `perfagent budget --report`") from None


def _of_hub(asked: Namespace, budgets: Budgets) -> Used:
    """What a hub has seen of the endpoints that have a budget."""
    client = Client.find(asked.url, asked.token, asked.timeout)
    listed = client.get("endpoints", service=asked.service, from_=asked.since, sort="requests", limit=MOST)
    if not listed["items"]:
        whose = f"of {asked.service!r} " if asked.service else ""
        raise BudgetError(f"no endpoint {whose}was seen in that time; `perfagent status` lists what reports to the hub")
    found: Used = {}
    for one in listed["items"]:
        if budgets.of_endpoint(one["name"]):
            found[one["name"]] = _seen(client.get(f"endpoints/{one['operation']}", from_=asked.since))
    return found


def _seen(told: dict[str, Any]) -> Limits:
    queries = [one["calls_per_request"] for one in told["queries"]]
    calls = {"cache": 0.0, "calls": 0.0}
    for one in told["calls"]:
        calls["cache" if one["category"] == "cache" else "calls"] += one["calls_per_request"]
    return {
        "requests": told["endpoint"]["requests"],
        "queries": sum(queries),
        "duplicate_queries": sum(max(each - 1, 0) for each in queries),
        "calls": calls["calls"],
        "cache_calls": calls["cache"],
        "time": (told["endpoint"]["p95_ms"] or 0.0) / 1e3,
    }


def _judge(used: dict[str, Used], budgets: Budgets, as_json: bool) -> int:
    over: list[dict[str, Any]] = []
    checked = 0
    for kind, names in used.items():
        for name, figures in names.items():
            limits = budgets.of_endpoint(name) if kind == "endpoints" else budgets.of_test(name, {})
            checked += bool(limits)
            for key, limit in limits.items():
                measured = figures.get(key)
                if measured is not None and measured > limit * (1 + 1e-9):
                    over.append({"of": kind[:-1], "name": name, "figure": key, "limit": limit, "measured": measured})
    if as_json:
        output.show_json({"checked": checked, "over": over})
    else:
        output.show(_told(over, checked))
    return 1 if over else 0


def _told(over: list[dict[str, Any]], checked: int) -> Iterator[Part]:
    if over:
        columns = [Column("test or endpoint", wide=True), Column("figure"), Column("used", right=True)]
        table = Table([*columns, Column("budget", right=True)])
        for one in over:
            used, limit = _shown(one["figure"], one["measured"]), shown(one["figure"], one["limit"])
            table.rows.append((one["name"], WORDS[one["figure"]], Mark(used, "bad"), limit))
        yield table
    if not checked:
        yield "nothing that was used has a budget: [budgets] of perfagent.toml, or `perfagent budget record`"
        return
    names = len({one["name"] for one in over})
    yield Mark(f"{checked} with a budget, {names} over", "bad" if names else "good")


def _shown(key: str, value: float) -> str:
    """A figure; a mean number of queries may be 1.5."""
    return f"{value:.1f}" if key in COUNTS and value != int(value) else shown(key, value)


def _compare(words: list[str]) -> int:
    parser = arguments.parser(
        "budget compare",
        "Compares two reports of `perfagent budget --report`, or files of `perfagent budget record`: exits with 1 "
        f"where a count became more. Times are told where they are {SLOWER:g} times as long, and fail nothing.",
        EXAMPLES,
    )
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="json is for machines")
    asked = parser.parse_args(words)

    try:
        before, after = _of_report(asked.before), _of_report(asked.after)
    except BudgetError as error:
        return ending.told(str(error), 2)
    found = list(_changes(before, after))
    if asked.output == "json":
        output.show_json({"changes": found})
    else:
        output.show(_drawn(found))
    return 1 if any(one["worse"] and one["figure"] in COUNTS for one in found) else 0


def _changes(before: dict[str, Used], after: dict[str, Used]) -> Iterator[dict[str, Any]]:
    for kind in ("tests", "endpoints"):
        for name, now in after.get(kind, {}).items():
            then = before.get(kind, {}).get(name)
            for key in (*COUNTS, *TIMES) if then is not None else ():
                if key in now and then is not None and key in then and _differs(key, then[key], now[key]):
                    figures = {"figure": key, "before": then[key], "after": now[key], "worse": now[key] > then[key]}
                    yield {"of": kind[:-1], "name": name, **figures}


def _differs(key: str, then: float, now: float) -> bool:
    if key in COUNTS:
        return then != now
    less, more = sorted((then, now))
    return more - less > LEAST_SECONDS and more > less * SLOWER


def _drawn(found: list[dict[str, Any]]) -> Iterator[Part]:
    if not found:
        yield Mark("nothing became more", "good")
        return
    columns = [Column("test or endpoint", wide=True), Column("figure"), Column("before", right=True)]
    table = Table([*columns, Column("after", right=True)])
    for one in sorted(found, key=lambda one: (not one["worse"], one["name"])):
        key = one["figure"]
        row = (one["name"], WORDS[key], shown(key, one["before"]))
        table.rows.append((*row, Mark(shown(key, one["after"]), "bad" if one["worse"] else "good")))
    yield table
