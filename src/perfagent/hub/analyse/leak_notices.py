"""Words for what a program keeps more and more of: what holds it, where it comes from, who leaves it behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.analyse import words
from perfagent.hub.analyse.finding import Facts, Finding, Notice, severity

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "perfagent.memory_leak."
AN_HOUR = (0.0, 1e6, 50e6, 500e6)  # bytes
PACE = "entries_per_hour"
"""The figure that only findings with a holder have."""


def worded(one: Notice, facts: Facts) -> Finding:
    """The finding about one container, or one type, that grows."""
    told = {name.removeprefix(PREFIX): value for name, value in one.attributes.items() if name.startswith(PREFIX)}
    holder, kind, type_ = (str(told.get(name) or "") for name in ("holder", "kind", "type"))
    numbers = {name: _number(told.get(name)) for name in ("entries", "gained", PACE, "bytes_per_hour")}
    own = kind != "type"
    what = f"{type_} objects" if "." in type_ else type_ or "entries"
    title = f"{holder} of {one.service} keeps every one of its {what}" if own and type_ else f"{holder} grows"
    title = title if own else f"objects of {holder} pile up in {one.service}"
    instance = str(told.get("instance") or "")
    do, steps = _advice(one, told, holder, own)
    return Finding(
        "memory_growth", "anomaly", severity(numbers["bytes_per_hour"], AN_HOUR) or "low", title,
        "; ".join(_evidence(one, told, facts)),
        f"about {words.size(numbers['bytes_per_hour'])} more each hour until a limit ends the process", do,
        0.9 if told.get("site") or told.get("filled") else 0.8, one.service,
        f"#/processes/{instance}" if instance else "#/processes", numbers, subject=one.subject, place=one.place,
        stack=str(one.attributes.get("code.stacktrace") or "")[:20_000], steps=steps,
    )  # fmt: skip


def told_of(notices: Iterable[Notice], since: float) -> set[str]:
    """The services of which is known what grows."""
    return {one.service for one in notices if one.kind == "memory_leak" and one.last_seen >= since}


def _evidence(one: Notice, told: dict[str, object], facts: Facts) -> list[str]:
    found = [one.text]
    endpoint, entries = told.get("endpoint"), _number(told.get("entries_per_request"))
    if endpoint and entries:
        size = entries * _number(told.get("bytes_per_entry"))
        requests = words.count(_number(told.get("requests")))
        left = f"{entries:.2f}".rstrip("0").rstrip(".")
        found.append(f"{endpoint} leaves {left} behind a request, {words.size(size)} ({requests} requests looked at)")
    elif endpoint:
        found.append(f"most likely by {endpoint}: it grew most while requests of it ran")
    grown = [each for each in facts.processes if each.service == one.service and each.memory is not None]
    for each in grown[:1]:
        first, last = each.memory or (0.0, 0.0)
        found.append(
            f"the process' memory went from {words.size(first)} to {words.size(last)} in {each.memory_hours:.1f} h"
        )
    return found


def _advice(one: Notice, told: dict[str, object], holder: str, own: bool) -> tuple[str, tuple[str, ...]]:
    assigned, filled = (str(told.get(name) or "") for name in ("assigned", "filled"))
    if not own:
        return (
            "find what holds them: the process' page shows the way to some of them",
            (
                f"see what holds {holder}: `perfagent memory --type {holder}`, or the process' page",
                "end what holds them when they are no longer needed",
            ),
        )
    puts = f" ({words.place(filled)} puts them in)" if filled else ""
    steps = [
        f"go to {one.place}: it makes what is kept" if one.place else f"find what fills {holder}",
        f"take an entry out when it is no longer needed{puts}, or give {holder} a bound: an LRU or TTL cache, "
        "deque(maxlen=…), weakref.WeakSet for listeners",
    ]
    if assigned:
        steps.append(f"{holder} is made at {words.place(assigned)}")
    steps.append("the growth chart of the process' page tells whether it has ended")
    return f"take entries out of {holder} when they are no longer needed{puts}, or give it a bound", tuple(steps)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
