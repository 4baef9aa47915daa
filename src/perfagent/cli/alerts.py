"""`perfagent alerts`: what is wrong, what somebody does about it, and what is to be kept quiet."""

from __future__ import annotations

from argparse import ArgumentTypeError
from time import time
from typing import TYPE_CHECKING, Any

from perfagent.cli import alerts_shown, command, figures, output
from perfagent.cli.client import RefusedError, segment
from perfagent.cli.output import Mark

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from perfagent.cli.client import Client

EXAMPLES = """
perfagent alerts                                            # what is active; exits with 1 where something is
perfagent alerts --all --hours 48 --service shop            # what is over, too
perfagent alerts incidents                                  # what belongs together, with its likely cause
perfagent alerts incidents 9c1d0e0e                         # what happened when; the first digits are enough
perfagent alerts ack 5f2b9c1d --note "I look"               # an alert, or all of an incident
perfagent alerts silence 5f2b9c1d --for 2h
perfagent alerts silence --match service=shop --match rule=slow_* --for 1d --note "the report runs"
perfagent alerts silences                                   # and `unsilence ID` ends one
perfagent alerts maintenance begin upgrade --service shop --for 30m --note "new database"
perfagent alerts maintenance end upgrade
"""
ACTS = {
    "ack": "acknowledge",
    "dismiss": "dismiss",
    "escalate": "escalate",
    "reopen": "reopen",
    "resolve": "resolve",
}
ACTIONS = ("list", *ACTS, "silence", "silences", "unsilence", "incidents", "maintenance")
READS = ("list", "silences", "incidents")
UNITS = {"m": 1, "h": 60, "d": 1440}


def main(words: list[str]) -> int:
    """Lists alerts or acts on them; `list` and `incidents` return 1 where something is active."""
    parser = command.parser(
        "alerts",
        "Shows what is wrong, acts on it, and keeps it quiet; exits with 1 where an alert is active.",
        EXAMPLES,
    )
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list", metavar=" | ".join(ACTIONS))
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="ID",
        help="of alerts or incidents, their first digits; of windows BEGIN or END NAME",
    )
    parser.add_argument("--service", default="", help="of this service alone")
    parser.add_argument(
        "--severity",
        choices=("low", "medium", "warning", "high", "critical"),
        default="",
        help="of this severity alone",
    )
    parser.add_argument("--all", action="store_true", help="those that are over, too")
    parser.add_argument(
        "--hours", type=command.hours, default=24, metavar="N", help="of the last N hours, 1 to 8760 (default: 24)"
    )
    parser.add_argument("--limit", type=command.limit, default=50, help="how many are shown, 1 to 1000 (default: 50)")
    acting = parser.add_argument_group("to act")
    acting.add_argument("--note", default="", help="why, for the others")
    acting.add_argument(
        "--for", dest="minutes", type=minutes, metavar="TIME", help="how long, such as 30m, 2h or 1d (a silence: 1h)"
    )
    acting.add_argument(
        "--match", action="append", default=[], type=matcher, metavar="FIELD=TEXT",
        help="what a silence is about: kind, rule, service, subject or severity, with * for any text; several must fit",
    )  # fmt: skip
    asked = parser.parse_args(words)
    _check(parser, asked)
    reads = asked.action in READS or (asked.action == "maintenance" and not asked.targets)
    return command.serve(parser, words, BODIES.get(asked.action, _act), "viewer" if reads else "operator")


def _check(parser: ArgumentParser, asked: Namespace) -> None:
    action, targets = asked.action, asked.targets
    if action in ACTS or action == "unsilence":
        if not targets:
            parser.error(f"{action} wants the ID of an alert; `perfagent alerts` shows them")
    elif action == "silence":
        if bool(targets) == bool(asked.match):
            parser.error("silence wants either the ID of an alert, or --match FIELD=TEXT")
    elif action == "maintenance":
        if targets and (targets[0] not in ("begin", "end") or len(targets) != 2):
            parser.error("maintenance takes nothing, `begin NAME` or `end NAME`")
    elif len(targets) > (1 if action == "incidents" else 0):
        parser.error(f"{action} takes no {targets[-1]!r}; `perfagent alerts --help` shows what there is")
    if asked.match and action != "silence":
        parser.error("--match is for silence")
    if asked.minutes is not None and action not in ("silence", "maintenance"):
        parser.error("--for is for silence and maintenance begin")


def _list(client: Client, asked: Namespace) -> int:
    found = client.get(
        "alerts", service=asked.service, severity=asked.severity, hours=asked.hours, limit=asked.limit,
        active_only=None if asked.all else "true",
    )["items"]  # fmt: skip
    return _shown(asked, found, alerts_shown.alerts(found, all_of_them=asked.all))


def _incidents(client: Client, asked: Namespace) -> int:
    if asked.targets:
        identity = _identity(client, "incidents", asked.targets[0])
        one: dict[str, Any] = client.get(f"incidents/{identity}")
        if asked.output == "json":
            output.show_json(one)
        else:
            output.show(alerts_shown.incident(one))
        return 1 if one["until"] is None else 0
    found = client.get(
        "incidents", service=asked.service, severity=asked.severity, hours=asked.hours, limit=asked.limit,
        active_only=None if asked.all else "true",
    )["items"]  # fmt: skip
    return _shown(asked, found, alerts_shown.incidents(found, all_of_them=asked.all))


def _shown(asked: Namespace, found: list[dict[str, Any]], parts: list[output.Part]) -> int:
    active = sum(one["state"] in ("firing", "acknowledged", "escalated") for one in found)
    if asked.output == "json":
        output.show_json({"items": found, "active": active})
    else:
        output.show(parts)
    return 1 if active else 0


def _act(client: Client, asked: Namespace) -> int:
    done = []
    for target in asked.targets:
        body = {"id": _identity(client, "alerts", target), "action": ACTS[asked.action]}
        done.append(client.post("alerts", {**body, **({"note": asked.note} if asked.note else {})}))
    if asked.output == "json":
        output.show_json({"items": done})
    else:
        output.show([Mark(f"{one['id']} is {one['state']}", "good") for one in done])
    return 0


def _silence(client: Client, asked: Namespace) -> int:
    wanted: list[dict[str, Any]] = [{"id": _identity(client, "alerts", target)} for target in asked.targets]
    if asked.match:
        wanted = [{"matchers": dict(asked.match)}]
    body: dict[str, Any] = {"action": "silence", "duration_minutes": asked.minutes or 60}
    if asked.note:
        body["note"] = asked.note
    done = [client.post("alerts", {**body, **one}) for one in wanted]
    if asked.output == "json":
        output.show_json({"items": done})
    else:
        until = figures.clock(time() + body["duration_minutes"] * 60)
        names = [one["silence"][: alerts_shown.DIGITS] for one in done]
        output.show([Mark(f"silence {name} is on until {until}", "good") for name in names])
    return 0


def _silences(client: Client, asked: Namespace) -> int:
    found = [one for one in client.get("alerts/silences", limit=asked.limit)["items"] if asked.all or one["active"]]
    if asked.output == "json":
        output.show_json({"items": found})
    else:
        output.show(alerts_shown.silences(found))
    return 0


def _unsilence(client: Client, asked: Namespace) -> int:
    for target in asked.targets:
        known = [one["id"] for one in client.get("alerts/silences", limit=1000)["items"] if one["active"]]
        client.change("DELETE", f"alerts/silences/{segment(_one(target, known, 'silence that is on'))}", {})
    if asked.output == "json":
        output.show_json({"ended": asked.targets})
    else:
        output.show([Mark(f"silence {target} has ended", "good") for target in asked.targets])
    return 0


def _maintenance(client: Client, asked: Namespace) -> int:
    if not asked.targets:
        found = client.get("maintenance", limit=asked.limit)["items"]
        if asked.output == "json":
            output.show_json({"items": found})
        else:
            output.show(alerts_shown.windows(found))
        return 0
    action, name = asked.targets
    if action == "begin":
        body = {"name": name, "services": asked.service.split(",") if asked.service else [], "reason": asked.note}
        done = client.post("maintenance", {**body, **({"duration_minutes": asked.minutes} if asked.minutes else {})})
    else:
        done = client.change("DELETE", f"maintenance/{segment(name)}", {})
    if asked.output == "json":
        output.show_json(done)
    else:
        output.show(alerts_shown.windows([done]))
    return 0


def _identity(client: Client, path: str, start: str) -> str:
    """The whole identity of what begins with some digits, an alert's or an incident's; raises RefusedError."""
    if len(start) == 16:
        return segment(start)
    paths = ("incidents",) if path == "incidents" else ("alerts", "incidents")
    known = [one["id"] for each in paths for one in client.get(each, hours=8760, limit=1000)["items"]]
    return _one(start, known, "alert or incident" if path == "alerts" else "incident")


def _one(start: str, known: list[str], what: str) -> str:
    found = [identity for identity in known if start and identity.startswith(start)]
    if len(found) != 1:
        many = f"{len(found)} begin with {start!r}; give more digits" if found else f"no {what} begins with {start!r}"
        raise RefusedError(404, f"{many}; `perfagent alerts --all` and `perfagent alerts incidents --all` show them")
    return found[0]


def minutes(text: str) -> int:
    """A time such as 30m, 2h or 1d as minutes, for argparse."""
    number = text[:-1]
    if text[-1:] not in UNITS or not number.isascii() or not number.isdigit() or not 0 < int(number) < 10_000:
        raise ArgumentTypeError(f"{text!r} is no time such as 30m, 2h or 1d")
    return int(number) * UNITS[text[-1]]


def matcher(text: str) -> tuple[str, str]:
    """A field and what it must be, for argparse."""
    field, sign, pattern = text.partition("=")
    if field not in ("kind", "rule", "service", "subject", "severity") or not sign or not pattern:
        raise ArgumentTypeError(f"{text!r} is not FIELD=TEXT with kind, rule, service, subject or severity")
    return field, pattern


BODIES = {
    "list": _list,
    "incidents": _incidents,
    "silence": _silence,
    "silences": _silences,
    "unsilence": _unsilence,
    "maintenance": _maintenance,
}
