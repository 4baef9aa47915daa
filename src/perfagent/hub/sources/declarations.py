"""Which sources are declared: `[[source]]` tables, PERFAGENT_SOURCES, and what is built in; each as a plan."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfagent.hub.sources import addresses, kinds
from perfagent.hub.sources.source import PRIORITIES, Plan
from perfagent.settings.monitor import MonitorSettings
from perfagent.settings.sources import SourceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.kinds import Kind

COMMON = ("name", "kind", "priority", "interval", "timeout", "url", "dsn", "command", "call", "enabled")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}")
BUILT_IN = {"system": "system", "perfagent.hub": "hub", "application": "application", "api": "api", "cache": "cache"}
"""Names and kinds."""
INTERVAL = (1.0, 86_400.0)
TIMEOUT = 10.0
RUNS = ("command", "python")
"""Kinds that run what a file says, so that only a file of the hub's own user may say it."""


class Rejected(ValueError):  # noqa: N818
    """A table is off; the text names the key, its value, and what is accepted."""


def plans(hub: Hub) -> tuple[dict[str, Plan], list[str]]:
    """The plans of a hub by name, and what is wrong with tables that are off, a sentence each."""
    settings = SourceSettings(hub.settings.environ, hub.settings.directory)
    monitor = MonitorSettings(hub.settings.environ, hub.settings.directory)
    default = _interval(monitor)
    found: dict[str, Plan] = {}
    problems: list[str] = []
    off: set[tuple[str, str]] = set()
    for table, origin in [*_words(settings.declared), *hub.declared.tables("source")]:
        try:
            if _is_off(table):
                off |= _off(table)
                continue
            plan = plan_of(table, origin, default, hub.settings.environ)
            if plan.name in found:
                raise Rejected(f"name={plan.name!r} is there already, in {found[plan.name].origin}; take another")
        except Rejected as error:
            problems.append(f"{origin}: {_titled(table)}: {error}")
            continue
        found[plan.name] = plan
    for name, which in BUILT_IN.items():
        taken = ("kind", which) in off or any(plan.kind == which for plan in found.values())
        if not taken and (which != "system" or settings.system):
            kind = kinds.KINDS[which]
            found[name] = Plan(name, which, kind.priority, default or kind.interval, TIMEOUT)
    detailed = not monitor.coarse
    return {
        name: replace(plan, detailed=detailed) for name, plan in found.items() if ("name", name) not in off
    }, problems


def _interval(monitor: MonitorSettings) -> float | None:
    """PERFORMANCE_MONITORING_INTERVAL where somebody has set it; None where the kinds' own hold."""
    names = ("PERFORMANCE_MONITORING_INTERVAL", "PERFAGENT_MONITORING_INTERVAL")
    return max(monitor.interval, INTERVAL[0]) if monitor.sets(*names) else None


def plan_of(table: Mapping[str, Any], origin: str, default: float | None, environ: Mapping[str, str]) -> Plan:
    """The plan of one table.

    Args:
        table: its keys and values.
        origin: the file or variable that it is in.
        default: seconds between two collections where it does not say; None for its kind's own.
        environ: what `${NAME}` stands for.

    Raises:
        Rejected: it cannot be.
    """
    address = table.get("url", table.get("dsn", ""))
    if not isinstance(address, str):
        raise Rejected("url is no text; write an address such as postgresql://monitor@db/shop")
    scheme = address.partition("://")[0] if "://" in address else ""
    kind = _kind(table, address, scheme)
    unknown = [key for key in table if key not in (*COMMON, *kind.options)]
    if unknown:
        accepted = ", ".join((*COMMON, *kind.options))
        raise Rejected(
            f"{unknown[0]}={str(table[unknown[0]])[:50]!r} is no key of a source of kind {kind.name}; there are: "
            f"{accepted}"
        )
    if kind.name in RUNS or kind.name in kinds.plugged():
        _check_owner(origin)
    try:
        address = addresses.filled(address, environ)
    except addresses.MissingVariable as error:
        raise Rejected(str(error)) from None
    if kind.needs and not (address if kind.needs == "url" else table.get(kind.needs)):
        raise Rejected(f"{kind.needs} is missing: a source of kind {kind.name} needs it")
    if kind.schemes and scheme.partition("+")[0].lower() not in kind.schemes and "=" not in address:
        raise Rejected(
            f"url={addresses.shown(address)!r} is no address of {kind.title}; accepted: {kind.schemes[0]}://…"
        )
    _check_port(kind, address)
    title = table.get("name") or _name(kind, address)
    if not isinstance(title, str) or not NAME.fullmatch(title):
        raise Rejected(f"name={title!r} is not accepted: up to 100 letters, digits, dots, dashes and underscores")
    priority = table.get("priority", kind.priority)
    if priority not in PRIORITIES:
        raise Rejected(f"priority={priority!r} is none of: {', '.join(PRIORITIES)}")
    interval = _number(table, "interval", default or kind.interval, *INTERVAL)
    timeout = _number(table, "timeout", TIMEOUT, 0.1, 600)
    options = {key: value for key, value in table.items() if key in (*kind.options, "command", "call")}
    return Plan(title, kind.name, priority, interval, timeout, address, options, origin)


def _kind(table: Mapping[str, Any], address: str, scheme: str) -> Kind:
    """The kind that a table names, or its address tells."""
    name = table.get("kind") or kinds.of_scheme(scheme) or ("command" if "command" in table else "")
    kind = kinds.found(name) if isinstance(name, str) else None
    if kind is not None:
        return kind
    known = ", ".join([*kinds.KINDS, *kinds.plugged()])
    if not name and address:
        schemes = ", ".join(dict.fromkeys(f"{one.schemes[0]}://" for one in kinds.KINDS.values() if one.schemes))
        raise Rejected(
            f"url={addresses.shown(address)!r} tells no kind; write an address that begins with one of {schemes}, "
            f"or kind, one of {known}"
        )
    raise Rejected(f"kind={name!r} is none of: {known}" if name else f"kind is missing: write one of {known}")


def _titled(table: Mapping[str, Any]) -> str:
    """Which table a problem is about: its name, else its address without a password."""
    address = table.get("url", table.get("dsn", ""))
    told = table.get("name") or (addresses.shown(address) if isinstance(address, str) else "")
    return f"[[source]] {told}".rstrip()


def _words(words: tuple[str, ...]) -> Iterator[tuple[dict[str, str], str]]:
    """The entries of PERFAGENT_SOURCES as tables."""
    for word in words:
        name, equals, rest = word.partition("=")
        if equals and NAME.fullmatch(name):
            yield {"name": name, "url": rest}, "PERFAGENT_SOURCES"
        else:
            yield {"url": word}, "PERFAGENT_SOURCES"


def _name(kind: Kind, address: str) -> str:
    """The name of a source that has none: its kind and its host."""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        host = ""
    return re.sub(r"[^A-Za-z0-9_.\-]", "-", f"{kind.name}-{host}")[:100] if host else kind.name


def _check_port(kind: Kind, address: str) -> None:
    """Refuses a password that reads as a port before drivers tell it in their errors; libpq reads lists of hosts."""
    if kind.name == "postgresql" or "://" not in address:
        return
    try:
        _ = urlsplit(address).port
    except ValueError:
        raise Rejected(
            "url cannot be read: its port is no number; write # / ? @ of a password as %23, %2F, %3F, %40"
        ) from None


def _number(table: Mapping[str, Any], key: str, default: float, low: float, high: float) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise Rejected(f"{key}={value!r} is not accepted: seconds from {low:g} to {high:g}")
    return float(value)


def _is_off(table: Mapping[str, Any]) -> bool:
    enabled = table.get("enabled", True)
    if not isinstance(enabled, bool):
        raise Rejected(f"enabled={enabled!r} is not accepted: true or false")
    return not enabled


def _off(table: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What a table turns off that is not declared by itself: a name, or what is built in of a kind."""
    name = table.get("name", "")
    if not isinstance(name, str):
        raise Rejected(f"name={name!r} is not accepted: up to 100 letters, digits, dots, dashes and underscores")
    return {("name", name), ("kind", str(table.get("kind", "")))}


def _check_owner(origin: str) -> None:
    """Refuses a file that somebody else may write: what it says would run as the hub."""
    if not os.path.isabs(origin) and not os.path.exists(origin):
        return  # a variable
    found = os.stat(origin)
    if found.st_uid not in (os.geteuid(), 0) or found.st_mode & stat.S_IWOTH:
        raise Rejected(f"it runs what {origin} says, which others may write: make it yours, `chmod o-w {origin}`")
