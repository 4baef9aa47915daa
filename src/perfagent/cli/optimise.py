"""`perfagent optimise`: the optimisation rules, what they advised and did, and how to have it put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.cli import command, figures, output
from perfagent.cli.client import segment

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.client import Client

EXAMPLES = """
perfagent optimise                               # the rules, and whether the hub advises or acts
perfagent optimise actions                       # what was advised and done, and what came of it
perfagent optimise undo 5f2b9c1d0e0e4736         # put back what an action has done
perfagent optimise mode act                      # let the hub act by its rules; advise and off are the others
perfagent optimise mode act --rule high-memory   # only by this one
"""
EFFECTS = {"helped": "good", "harmed": "bad", "no_effect": "dim", "unknown": "dim"}
MODES = ("advise", "act", "off")


def main(words: list[str]) -> int:
    """Shows or changes optimisation rules; returns the exit status."""
    parser = command.parser("optimise", "Shows what optimisation rules advise or do, and what came of it.", EXAMPLES)
    parser.add_argument(
        "action",
        nargs="?",
        choices=("list", "actions", "undo", "mode"),
        default="list",
        help="what to do (default: list)",
    )
    parser.add_argument("what", nargs="?", default="", help="undo: the id of an action; mode: advise, act or off")
    parser.add_argument("--rule", default="", help="of this rule alone")
    parser.add_argument("--service", default="", help="actions: those for this service alone")
    parser.add_argument("--limit", type=command.limit, default=20, help="actions: most of them (default: 20)")

    def body(client: Client, asked: Namespace) -> int:
        if asked.action == "undo":
            if not asked.what:
                parser.error("undo needs the id of an action; `perfagent optimise actions` tells them")
            return _undo(client, asked)
        if asked.action == "mode":
            if asked.what and asked.what not in MODES:
                parser.error(f"{asked.what!r} is no mode; there are: {', '.join(MODES)}")
            return _mode(client, asked) if asked.what else _list(client, asked)
        if asked.what:
            parser.error(f"{asked.action} takes no further word: {asked.what!r}")
        return _actions(client, asked) if asked.action == "actions" else _list(client, asked)

    role = {"undo": "operator", "mode": "admin"}.get(parser.parse_args(words).action, "viewer")
    return command.serve(parser, words, body, role)


def _list(client: Client, asked: Namespace) -> int:
    found = client.get("optimisations")
    items: list[dict[str, Any]] = [one for one in found["items"] if asked.rule in ("", one["name"])]
    if asked.output == "json":
        output.show_json({**found, "items": items})
        return 0
    table = output.Table(
        [
            output.Column("rule"),
            output.Column("mode"),
            output.Column("actions", wide=True),
            output.Column("cooldown", right=True, drop=2),
            output.Column("when", wide=True, drop=1),
        ]
    )
    for one in items:
        mode = one["mode"] if one["enabled"] else "off"
        held = ", ".join(f"on hold for {hold['service']}" for hold in one["holds"])
        shown = output.Mark(held or mode, "warn" if held or mode == "act" else "dim" if mode == "off" else "")
        table.rows.append(
            (one["name"], shown, ", ".join(one["actions"]), f"{one['cooldown_minutes']} min", one["when"])
        )
    told = {
        "advise": "the hub tells what it would do",
        "act": "the hub does what a rule says",
        "off": "no rule is looked at",
    }
    mode = output.Mark(found["mode"], "warn" if found["mode"] == "act" else "bold")
    problems = [output.Mark(line, "warn") for text in found["problems"] for line in text.splitlines()]
    output.show([["mode: ", mode, f" ({told[found['mode']]}); zone: {found['zone']}"], "", table, *problems])
    return 0


def _actions(client: Client, asked: Namespace) -> int:
    found = client.get("optimisations/actions", rule=asked.rule, service=asked.service, limit=asked.limit)
    items: list[dict[str, Any]] = found["items"]
    if asked.output == "json":
        output.show_json({"actions": items})
        return 0
    if not items:
        output.show(["nothing was advised or done yet"])
        return 0
    parts: list[output.Part] = []
    for one in items:
        effect = one["effect"]
        line: list[output.Cell] = [
            output.Mark(one["id"], "bold"),
            f"  {figures.ago(one['time'])}  {one['rule']} in {one['service']}: {one['action']}, {one['state']}",
        ]
        if effect:
            line += [", ", output.Mark(effect.replace("_", " "), EFFECTS[effect])]
        parts.append(line)
        parts += [f"    {text}" for text in one["text"].splitlines()]
        if effect:
            change = f"{one['before']:.4g} → {one['after']:.4g}, " if one["before"] is not None else ""
            parts.append(output.Mark(f"    {change}{one['basis']}", "dim"))
        if one["reason"]:
            parts.append(output.Mark(f"    {one['reason']}", "dim"))
    output.show(parts)
    return 0


def _undo(client: Client, asked: Namespace) -> int:
    one = client.change("POST", f"optimisations/actions/{segment(asked.what)}/undo", {})
    if asked.output == "json":
        output.show_json(one)
    else:
        output.show([f"{one['action']} for {one['service']} is being put back, with the next report of its processes"])
    return 0


def _mode(client: Client, asked: Namespace) -> int:
    content = {"items": [{"name": asked.rule, "mode": asked.what}]} if asked.rule else {"mode": asked.what}
    client.change("PUT", "optimisations", content)
    return _list(client, asked)
