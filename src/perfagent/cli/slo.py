"""`perfagent slo`: the objectives, what is left of each error budget, and what spent it."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from perfagent.cli import command, figures, output
from perfagent.cli.client import segment

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.client import Client

EXAMPLES = """
perfagent slo                              # every objective; exits with 1 where a budget is spent
perfagent slo list --service shop
perfagent slo show shop-availability       # what spent it: when, which endpoints, which errors
perfagent slo list --output json           # for a deployment script: no release while a budget is spent
"""
STATES = {"ok": "good", "burning": "warn", "spent": "bad", "idle": "dim"}
WINDOWS = ("5m", "1h", "6h", "1d", "3d")


def main(words: list[str]) -> int:
    """Lists the objectives or shows one; returns 1 where a budget is spent."""
    parser = command.parser(
        "slo", "Shows objectives and their error budgets; exits with 1 where one is spent.", EXAMPLES
    )
    parser.add_argument("action", nargs="?", choices=("list", "show"), default="list", help="list (default) or show")
    parser.add_argument("name", nargs="?", default="", help="of the objective to show")
    parser.add_argument("--service", default="", help="list those of this one alone")

    def body(client: Client, asked: Namespace) -> int:
        if asked.action == "show":
            if not asked.name:
                parser.error("show needs the name of an objective; `perfagent slo list` tells them")
            return _show(client, asked)
        if asked.name:
            parser.error(f"list takes no name; `perfagent slo show {asked.name}` shows one")
        return _list(client, asked)

    return command.serve(parser, words, body)


def _list(client: Client, asked: Namespace) -> int:
    found = client.get("objectives", service=asked.service, limit=1000)
    items: list[dict[str, Any]] = found["items"]
    status = 1 if any(one["state"] == "spent" for one in items) else 0
    if asked.output == "json":
        output.show_json({"spent": bool(status), "objectives": items, "problems": found["problems"]})
        return status
    table = output.Table(
        [
            output.Column("objective", wide=True),
            output.Column("state"),
            output.Column("target", right=True),
            output.Column("attained", right=True),
            output.Column("budget left", right=True),
            output.Column("requests left", right=True, drop=2),
            output.Column("burn 1h", right=True, drop=1),
            output.Column("burn 1d", right=True, drop=3),
            output.Column("gone", right=True, drop=4),
        ]
    )
    for one in items:
        burns = one["burn_rates"]
        table.rows.append(
            (
                one["name"],
                output.Mark(one["state"], STATES[one["state"]]),
                f"{one['objective']:g} %",
                _percent(one["attained_percent"], 3),
                _percent(one["budget_remaining_percent"]),
                figures.count(one["budget_requests_left"]),
                _burn(burns.get("1h")),
                _burn(burns.get("1d")),
                _until(one),
            )
        )
    none = "no objective is declared: [[slo]] in perfagent.toml, or PERFAGENT_SLO=shop:99.9"
    output.show([*([table] if items else [none]), *(output.Mark(text, "warn") for text in found["problems"])])
    return status


def _show(client: Client, asked: Namespace) -> int:
    one: dict[str, Any] = client.get(f"objectives/{segment(asked.name)}")
    status = 1 if one["state"] == "spent" else 0
    if asked.output == "json":
        output.show_json(one)
        return status
    good = "do not fail" if one["threshold_ms"] is None else f"take at most {one['threshold_ms']:g} ms"
    where = f"{one['service']} {one['route']}".strip()
    known = figures.lasting(one["known_days"] * 86_400)
    burns = ", ".join(f"{name} {_burn(one['burn_rates'].get(name))}" for name in WINDOWS)
    parts: list[output.Part] = [
        [output.Mark(one["name"], "bold"), "  ", output.Mark(one["state"], STATES[one["state"]])],
        f"{one['objective']:g} % of the requests to {where} {good}, over {one['window_days']} days; "
        f"from {one['origin']}, counted by {one['basis']}",
        f"attained {_percent(one['attained_percent'], 3)}: {figures.count(one['bad'])} bad of "
        f"{figures.count(one['requests'])} requests, in the {known} that are known",
        _left(one),
        f"burn rates: {burns}",
        f"gone: {_until(one)} ({one['forecast']['basis']})",
    ]
    parts += [
        output.Mark(
            f"{each['alert']}: burns {each['burn_rate']:.3g} times as fast as allowed ({each['window']}), the limit is "
            f"{each['limit']:.3g}",
            "bad" if each["severity"] == "critical" else "warn",
        )
        for each in one["firing"]
    ]
    output.show([*parts, *_spent(one)])
    return status


def _left(one: dict[str, Any]) -> str:
    """How much of the budget is left, or by how much it is overspent."""
    allowed = f"{figures.count(one['budget_requests'])} requests"
    if (one["budget_requests_left"] or 0) < 0:
        return f"budget overspent: {figures.count(one['bad'])} bad requests, where {allowed} may be"
    return (
        f"budget left {_percent(one['budget_remaining_percent'])}: {figures.count(one['budget_requests_left'])} of "
        f"{allowed}, {_minutes(one['budget_minutes_left'])} of {_minutes(one['budget_minutes'])}"
    )


def _spent(one: dict[str, Any]) -> list[output.Part]:
    """What spent the budget: endpoints, failures and hours."""
    parts: list[output.Part] = []
    if one["endpoints"]:
        table = output.Table(
            [
                output.Column("endpoint", wide=True),
                output.Column("bad", right=True),
                output.Column("requests", right=True),
                output.Column("of the budget", right=True),
                output.Column("answered", drop=1),
            ]
        )
        for each in one["endpoints"][:10]:
            codes = ", ".join(f"{code['code']}: {figures.count(code['bad'])}" for code in each["codes"])
            endpoint = f"{each['method']} {each['route']}".strip() or "(no route)"
            row = (endpoint, figures.count(each["bad"]), figures.count(each["requests"]))
            table.rows.append((*row, _percent(each["spent_percent"]), codes))
        parts += ["", table]
    if one["causes"]:
        table = output.Table([output.Column("failure", wide=True), output.Column("requests", right=True)])
        for each in one["causes"][:5]:
            place = f" in {each['place']}" if each["place"] else ""
            table.rows.append((f"{each['error']}{place}: {each['message']}", figures.count(each["requests"])))
        parts += ["", table]
    if one["events"]:
        table = output.Table(
            [
                output.Column("spent most", wide=True),
                output.Column("bad", right=True),
                output.Column("of the budget", right=True),
            ]
        )
        for each in one["events"][:10]:
            hours = (each["until"] - each["since"]) / 3600
            when = f"{figures.ago(each['since'])}, for {max(hours, 1):.0f} h"
            table.rows.append((when, figures.count(each["bad"]), _percent(each["spent_percent"])))
        parts += ["", table]
    return parts


def _percent(value: float | None, digits: int = 1) -> str:
    return figures.NONE if value is None else f"{value:.{digits}f} %"


def _burn(value: float | None) -> str:
    return figures.NONE if value is None else f"{value:.2g}"


def _minutes(value: float | None) -> str:
    return figures.NONE if value is None else f"{value:.0f} min" if abs(value) < 600 else f"{value / 60:.0f} h"


def _until(one: dict[str, Any]) -> str:
    """When the budget is gone, as days from now."""
    at = one["forecast"]["at"]
    if at is None:
        return "spent" if one["state"] == "spent" else figures.NONE
    hours = max((at - time()) / 3600, 0.0)
    return f"in {hours:.0f} h" if hours < 72 else f"in {hours / 24:.0f} d"
