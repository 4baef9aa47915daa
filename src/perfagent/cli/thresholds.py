"""`perfagent thresholds`: the limits of a hub: shown, changed, and suggested by what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.cli import command, output
from perfagent.cli.client import HubError
from perfagent.cli.output import Column, Mark, Table
from perfagent.hub.analyse.thresholds import DEFAULTS, unknown
from perfagent.hub.conditions.showing import shown

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.client import Client
    from perfagent.cli.output import Part

EXAMPLES = """
perfagent thresholds                                              # all of them
perfagent thresholds set error_rate_percent warning=2 critical=5
perfagent thresholds set error_rate_percent warning=8 --service reports
perfagent thresholds set response_time_p95_ms dynamic=on          # the warning follows what is usual at that hour
perfagent thresholds disable deprecated_calls_per_minute
perfagent thresholds reset error_rate_percent                     # as the setting, or by default
perfagent thresholds suggest --hours 24                           # limits that the past suggests
"""
ACTIONS = ("list", "set", "enable", "disable", "reset", "suggest")
FIELDS = ("warning", "critical", "violations", "cooldown", "dynamic", "quantile", "factor", "enabled")
SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


def main(words: list[str]) -> int:
    """Shows or changes limits; returns 0, or 2 where a change is refused."""
    parser = command.parser("thresholds", "Shows and changes the limits that a hub's alerts are made of.", EXAMPLES)
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list", metavar=" | ".join(ACTIONS))
    parser.add_argument("name", nargs="?", help="of the threshold")
    parser.add_argument(
        "changes", nargs="*", metavar="FIELD=VALUE",
        help="for set: warning, critical (none for no limit), violations, cooldown (minutes), dynamic (on or off), "
        "quantile, factor",
    )  # fmt: skip
    parser.add_argument("--service", default="", help="for this service alone")
    parser.add_argument("--hours", type=command.hours, default=168, metavar="N", help="of the past, for suggest")
    parser.set_defaults(timeout=30)  # a suggestion takes up to 20 s
    asked = parser.parse_args(words)
    if asked.action in ("set", "enable", "disable", "reset") and not asked.name:
        parser.error(f"{asked.action} wants the name of a threshold; `perfagent thresholds list` shows them")
    if asked.changes and asked.action != "set":
        parser.error(f"{asked.action} takes no {asked.changes[0]!r}; `set` does")
    if asked.action == "set" and not asked.changes:
        parser.error(f"set wants what to change, such as warning=2; fields: {', '.join(FIELDS)}")
    role = "viewer" if asked.action in ("list", "suggest") else "admin"
    return command.serve(parser, words, _run, role)


def _run(client: Client, asked: Namespace) -> int:
    if asked.name is not None and asked.name not in DEFAULTS:
        raise wrong(unknown(asked.name))
    if asked.action == "suggest":
        return _suggest(client, asked)
    if asked.action == "list":
        found = client.get("thresholds")["items"]
        found = [one for one in found if asked.name in (None, one["name"])]
        if asked.output == "json":
            output.show_json({"items": found})
        else:
            output.show([_table(found)])
        return 0
    item: dict[str, Any] = {"name": asked.name, **_changes(asked)}
    if asked.service:
        item["service"] = asked.service
    items = client.change("PUT", "thresholds", {"items": [item]})["items"]
    (one,) = (each for each in items if each["name"] == asked.name)
    if asked.output == "json":
        output.show_json(one)
    else:
        output.show([_table([one])])
    return 0


def _changes(asked: Namespace) -> dict[str, Any]:
    if asked.action == "reset":
        return {"reset": True}
    if asked.action in ("enable", "disable"):
        return {"enabled": asked.action == "enable"}
    return change(asked.name, asked.changes)


def change(name: str, words: list[str]) -> dict[str, Any]:
    """The fields that words such as `warning=2` change, as the interface takes them; raises HubError.

    Args:
        name: of the threshold.
        words: FIELD=VALUE.
    """
    if name not in DEFAULTS:
        raise wrong(unknown(name))
    found: dict[str, Any] = {}
    for word in words:
        field, sign, text = word.partition("=")
        if not sign or field not in FIELDS:
            raise wrong(f"{word!r} changes nothing: give FIELD=VALUE, such as warning=2; fields: {', '.join(FIELDS)}")
        if field in ("dynamic", "enabled"):
            if text.lower() not in SWITCH:
                raise wrong(f"{word!r} is not accepted: {field} is on or off")
            found[field] = SWITCH[text.lower()]
        elif field in ("warning", "critical") and text.lower() in ("none", "null", ""):
            found[field] = None
        else:
            found[{"cooldown": "cooldown_minutes"}.get(field, field)] = _number(word, field, text)
    return found


def _number(word: str, field: str, text: str) -> float:
    if field == "cooldown":
        factor = {"m": 1, "h": 60, "d": 1440}.get(text[-1:], 0)
        text, times = (text[:-1], factor) if factor else (text, 1)
    else:
        text, times = text.removesuffix("%").removesuffix("ms"), 1
    try:
        value = float(text) * times
    except ValueError:
        raise wrong(f"{word!r} is not accepted: {text!r} is no number") from None
    return int(value) if field in ("violations", "cooldown") and value == int(value) else value


def wrong(message: str) -> HubError:
    """An error of who asks; its exit status is 2."""
    error = HubError(message)
    error.status = 2
    return error


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table(
        [
            Column("threshold"),
            Column("warning", right=True),
            Column("critical", right=True),
            Column("in a row", right=True, drop=2),
            Column("cooldown", right=True, drop=3),
            Column("state"),
            Column("what is measured", wide=True, drop=1),
        ]
    )
    for one in found:
        state = [word for word, holds in (("off", not one["enabled"]), ("dynamic", one["dynamic"]),
                                          ("changed", one["changed"])) if holds]  # fmt: skip
        row = _cells(one, one["unit"], one["comparison"])
        style = "dim" if not one["enabled"] else "bold" if one["changed"] else ""
        name = Mark(one["name"], style) if style else one["name"]
        if one["dynamic"] and one["bounds"]:
            low, high = (shown(limit, one["unit"]) for limit in one["bounds"])
            state[state.index("dynamic")] = f"dynamic, {low} to {high}"
        table.rows.append((name, *row, ", ".join(state), one["measure"]))
        for own in one["services"]:
            off = "" if own["enabled"] else "off"
            table.rows.append((f"  {own['service']}", *_cells(own, one["unit"], one["comparison"]), off, ""))
    return table


def _cells(one: dict[str, Any], unit: str, comparison: str) -> tuple[str, str, str, str]:
    sign = {"greater": "> ", "less": "< ", "equal": "= "}[comparison]
    limits = [sign + shown(one[key], unit) if one[key] is not None else "" for key in ("warning", "critical")]
    return limits[0], limits[1], f"{max(one['violations'], 1)} min", f"{one['cooldown_minutes']} min"


def _suggest(client: Client, asked: Namespace) -> int:
    answer = client.get("thresholds/suggested", hours=min(asked.hours, 168), service=asked.service)
    found = [one for one in answer["items"] if asked.name in (None, one["name"])]
    if asked.output == "json":
        output.show_json({**answer, "items": found})
        return 0
    if not found:
        output.show([Mark("Nothing can be suggested yet: there is less than an hour of any figure.", "dim")])
        return 0
    table = Table(
        [
            Column("threshold"),
            Column("now", right=True),
            Column("fired", right=True),
            Column("suggested", right=True),
            Column("would fire", right=True),
            Column("minutes", right=True, drop=1),
            Column("set it by", wide=True, drop=2),
        ]
    )
    parts: list[Part] = [table]
    for one in found:
        limits = ("suggested_warning", "suggested_critical")
        words = [f"{key.removeprefix('suggested_')}={one[key]:g}" for key in limits if one[key] is not None]
        table.rows.append(
            (
                one["name"],
                _pair(one["warning"], one["critical"], one["unit"]),
                f"{one['fired']}x",
                _pair(one["suggested_warning"], one["suggested_critical"], one["unit"]),
                f"{one['suggested_fired']}x",
                str(one["minutes"]),
                f"perfagent thresholds set {one['name']} {' '.join(words)}",
            )
        )
    output.show(parts)
    return 0


def _pair(warning: float | None, critical: float | None, unit: str) -> str:
    return " / ".join(shown(limit, unit) if limit is not None else "none" for limit in (warning, critical))
