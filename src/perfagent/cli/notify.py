"""`perfagent notify`: who is told of alerts: whether that works, what was told, and a message to try it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.cli import command, figures, output
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.cli.client import Client
    from perfagent.cli.output import Cell

FAILED = 1  # exit status
EXAMPLES = """
perfagent notify                          # every channel; exits with 1 where one takes no messages
perfagent notify test ops                 # sends a message that says that it is a test
perfagent notify log                      # what was told to whom, the latest first
perfagent notify log ops --state failed   # what one channel could not be told
"""
ACTIONS = ("list", "test", "log")
STATES = ("waiting", "delivered", "folded", "failed", "quiet")
LONGEST = 60.0  # seconds that a test waits, at least: the receiver may be slow
STYLES = {"healthy": "good", "failing": "bad", "off": "bad", "delivered": "good", "failed": "bad", "waiting": "warn"}


def main(words: list[str]) -> int:
    """Shows channels or deliveries, or tests a channel; returns 1 where a channel does not take messages."""
    parser = command.parser("notify", "Tells who is told of alerts, and whether that works.", EXAMPLES)
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list", metavar=" | ".join(ACTIONS))
    parser.add_argument("channel", nargs="?", default="", help="its name; for test, and to see its deliveries alone")
    parser.add_argument("--state", choices=STATES, default="", help="of the deliveries that are shown")
    parser.add_argument("--limit", type=command.limit, default=50, help="most deliveries (default: 50)")
    asked = parser.parse_args(words)
    if asked.action == "test" and not asked.channel:
        parser.error("test wants the name of a channel; `perfagent notify list` shows them")
    if asked.action == "list" and asked.channel:
        parser.error(f"list takes no {asked.channel!r}; `perfagent notify log {asked.channel}` shows its deliveries")
    run = {"list": _list, "test": _test, "log": _log}[asked.action]
    return command.serve(parser, words, run, "admin" if asked.action == "test" else "viewer")


def _list(client: Client, asked: Namespace) -> int:
    found: list[dict[str, Any]] = client.get("channels", limit=1000)["items"]
    bad = [one for one in found if one["health"] in ("failing", "off")]
    if asked.output == "json":
        output.show_json({"channels": found})
        return FAILED if bad else 0
    if not found:
        output.show(["No channel is declared: [[channel]] in perfagent.toml, or PERFAGENT_ALERT_CHANNELS, names one."])
        return 0
    table = Table(
        [
            Column("channel"),
            Column("kind", drop=3),
            Column("goes to", wide=True, drop=2),
            Column("health"),
            Column("from", drop=4),
            Column("waiting", right=True, drop=1),
            Column("delivered", right=True),
        ]
    )
    for one in found:
        table.rows.append(
            (
                one["name"], one["kind"], one["target"], _styled(one["health"]), one["severity"] or "",
                str(one["waiting"]), figures.ago(one["last_delivered"]) if one["last_delivered"] else "never",
            )
        )  # fmt: skip
    # Below the table, where none of it is cut: its end says what to do.
    output.show([table, *(Mark(_wrong(one), "warn") for one in found if one["error"])])
    return FAILED if bad else 0


def _test(client: Client, asked: Namespace) -> int:
    client.timeout = max(client.timeout, LONGEST)
    found = client.post("channels/test", {"channel": asked.channel})
    if asked.output == "json":
        output.show_json(found)
    elif found["delivered"]:
        output.show([f"{asked.channel} has taken the message, in {found['seconds']:.1f} s."])
    else:
        output.show([[Mark(f"{asked.channel} has not taken the message: ", "bad"), found["error"]]])
    return 0 if found["delivered"] else FAILED


def _log(client: Client, asked: Namespace) -> int:
    found: list[dict[str, Any]] = client.get("deliveries", channel=asked.channel, state=asked.state, limit=asked.limit)[
        "items"
    ]
    if asked.output == "json":
        output.show_json({"deliveries": found})
        return 0
    if not found:
        output.show(["Nothing was told yet." if not (asked.channel or asked.state) else "There is no such delivery."])
        return 0
    table = Table(
        [
            Column("when", right=True),
            Column("channel"),
            Column("state"),
            Column("message", wide=True),
            Column("attempts", right=True, drop=2),
            Column("after", right=True, drop=1),
            Column("what was wrong", wide=True, drop=3),
        ]
    )
    for one in found:
        after = "" if one["latency_seconds"] is None else f"{one['latency_seconds']:.1f} s"
        table.rows.append(
            (
                figures.ago(one["happened"]), one["channel"], _styled(one["state"]), one["title"],
                str(one["attempts"]), after, one["error"],
            )
        )  # fmt: skip
    output.show([table])
    return 0


def _wrong(one: dict[str, Any]) -> str:
    """What is wrong with a channel; that of a declaration that is off begins with its file and its name."""
    return str(one["error"]) if one["health"] == "off" else f"{one['name']}: {one['error']}"


def _styled(word: str) -> Cell:
    return Mark(word, STYLES.get(word, "dim"))
