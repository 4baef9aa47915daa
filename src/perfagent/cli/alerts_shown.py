"""Alerts, incidents, silences and windows as tables for people."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from perfagent.cli import figures, output
from perfagent.cli.output import Column, Mark, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.cli.output import Part

DIGITS = 8  # of an identity: enough to tell some thousand apart
STATES = {"firing": "bad", "escalated": "bad", "acknowledged": "warn", "dismissed": "dim", "resolved": "good"}

Item = dict[str, Any]


def alerts(found: Sequence[Item], *, all_of_them: bool = False) -> list[Part]:
    """A table of alerts, or a word that there are none."""
    if not found:
        return [Mark("No alert." if all_of_them else "No active alert.", "good")]
    table = Table(
        [
            Column("id"),
            Column("severity"),
            Column("state"),
            Column("since", right=True),
            Column("lasted", right=True, drop=3),
            Column("service", wide=True),
            Column("what", wide=True),
            Column("incident", drop=2),
            Column("who", wide=True, drop=1),
        ]
    )
    for one in found:
        table.rows.append(
            (
                one["id"][:DIGITS],
                output.severity(one["severity"]),
                _state(one),
                figures.clock(one["since"]),
                figures.lasting((one["until"] or time()) - one["since"]),
                one["service"] or "(machine)",
                _what(one),
                one["incident"][:DIGITS],
                f"{one['by'] or ''} {one['note'] or ''}".strip(),
            )
        )
    return [table]


def incidents(found: Sequence[Item], *, all_of_them: bool = False) -> list[Part]:
    """A table of incidents, or a word that there are none."""
    if not found:
        return [Mark("No incident." if all_of_them else "No active incident.", "good")]
    table = Table(
        [
            Column("id"),
            Column("severity"),
            Column("state"),
            Column("since", right=True),
            Column("lasted", right=True, drop=2),
            Column("alerts", right=True),
            Column("what", wide=True),
            Column("cause", wide=True, drop=1),
        ]
    )
    for one in found:
        table.rows.append(
            (
                one["id"][:DIGITS],
                output.severity(one["severity"]),
                Mark(one["state"], STATES[one["state"]]),
                figures.clock(one["since"]),
                figures.lasting((one["until"] or time()) - one["since"]),
                str(one["alerts"]),
                one["title"],
                one["cause"],
            )
        )
    return [table]


def incident(one: Item) -> list[Part]:
    """One incident with its alerts and its timeline."""
    parts: list[Part] = [
        [
            Mark(one["title"], "bold"),
            "  ",
            output.severity(one["severity"]),
            "  ",
            Mark(one["state"], STATES[one["state"]]),
        ],
    ]
    if one["cause"]:
        parts.append(one["cause"])
    first = one["items"][0]["advice"] if one["items"] else ""
    if first:
        parts.append([Mark("next step: ", "bold"), first])
    parts += ["", *alerts(one["items"], all_of_them=True), ""]
    table = Table([Column("when", right=True), Column("what happened", wide=True), Column("who", wide=True, drop=1)])
    for entry in one["timeline"]:
        who = f"{entry['by'] or ''} {entry['note'] or ''}".strip()
        table.rows.append((figures.clock(entry["time"]), entry["text"], who))
    return [*parts, table]


def silences(found: Sequence[Item]) -> list[Part]:
    """A table of silences, or a word that there are none."""
    if not found:
        return [Mark("No silence is on.", "dim")]
    table = Table(
        [
            Column("id"),
            Column("state"),
            Column("until", right=True),
            Column("what", wide=True),
            Column("who", drop=2),
            Column("note", wide=True, drop=1),
        ]
    )
    for one in found:
        matched = " ".join(f"{key}={value}" for key, value in one["matchers"].items())
        state = Mark("on", "warn") if one["active"] else Mark("over", "dim")
        table.rows.append((one["id"][:DIGITS], state, figures.clock(one["end"]), matched, one["by"], one["note"]))
    return [table]


def windows(found: Sequence[Item]) -> list[Part]:
    """A table of maintenance windows, or a word that there are none."""
    if not found:
        return [
            Mark(
                "No maintenance window: [[maintenance]] declares one, `perfagent alerts maintenance begin` too.", "dim"
            )
        ]
    table = Table(
        [
            Column("name", wide=True),
            Column("state"),
            Column("when", wide=True),
            Column("services", wide=True),
            Column("reason", wide=True, drop=1),
            Column("from", wide=True, drop=2),
        ]
    )
    now = time()
    for one in found:
        state = Mark("on", "warn") if one["active"] else "off"
        when = one["weekly"]
        if one["begin"] is not None:
            state = state if one["active"] or one["begin"] > now else Mark("over", "dim")
            when = f"{figures.clock(one['begin'])} - {figures.clock(one['end']) if one['end'] else 'until it is ended'}"
        services = ", ".join(one["services"]) or "all"
        table.rows.append((one["name"], state, when, services, one["reason"], one["origin"] or one["by"]))
    return [table]


def _what(one: Item) -> str:
    """What an alert says; that of a finding is its evidence, which names no endpoint without its title."""
    return f"{one['title']}: {one['text']}" if one["kind"] == "finding" else str(one["text"])


def _state(one: Item) -> Mark:
    word = f"{one['state']}, muted" if one["muted"] and one["until"] is None else one["state"]
    return Mark(word, "dim" if one["muted"] else STATES[one["state"]])
