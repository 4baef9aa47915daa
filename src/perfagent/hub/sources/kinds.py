"""The kinds of sources: one line each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Literal

from perfagent.hub.sources.source import Unavailable

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.source import Plan, Priority, Source

GROUP = "perfagent.sources"
"""The entry points that further kinds come from."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of source.

    Args:
        name: what `kind` of a table says.
        module, attribute: what is made with the hub and the plan.
        priority, interval: where a table says nothing; the interval in seconds.
        schemes: of addresses that are of this kind without being told.
        needs: whether a table must have an address or another key, and which.
        options: keys that a table of it may have besides the common ones.
        package: that it needs, as pip calls it.
        imports: the same, as Python does.
        title: for people.
    """

    name: str
    module: str
    attribute: str
    priority: Priority
    interval: float
    title: str
    schemes: tuple[str, ...] = ()
    needs: Literal["", "url", "command", "call"] = ""
    options: tuple[str, ...] = ()
    package: str = ""
    imports: str = ""


KINDS: dict[str, Kind] = {
    one.name: one
    for one in (
        Kind("system", "machine", "Machine", "critical", 15, "this machine", options=("mounts",)),
        Kind("hub", "itself", "Itself", "high", 30, "the hub itself"),
        Kind("application", "stored", "Applications", "normal", 60, "programs that send"),
        Kind("api", "stored", "Endpoints", "normal", 60, "endpoints of programs"),
        Kind("cache", "stored", "Caches", "low", 60, "caches of programs"),
        Kind(
            "postgresql", "postgres", "Postgres", "high", 15, "PostgreSQL", ("postgresql", "postgres"), "url",
            ("long_transaction", "slow_ms"), "psycopg[binary]", "psycopg",
        ),
        Kind(
            "mysql", "mysql", "Mysql", "high", 15, "MySQL or MariaDB", ("mysql", "mariadb"), "url",
            ("long_transaction", "slow_ms"), "PyMySQL", "pymysql",
        ),
        Kind(
            "redis", "redis", "Redis", "high", 15, "Redis", ("redis", "rediss"), "url", ("hot_keys",), "redis",
            "redis",
        ),
        Kind(
            "http", "http", "Http", "high", 30, "an address that must answer", ("http", "https"), "url",
            ("expect", "headers", "method"),
        ),
        Kind(
            "json", "custom", "Json", "normal", 30, "figures at an address", (), "url",
            ("headers", "units", "counters"),
        ),
        Kind(
            "command", "custom", "Command", "normal", 60, "figures of a command", (), "command",
            ("units", "counters"),
        ),
        Kind("python", "custom", "Python", "normal", 30, "figures of a function", (), "call", ("arguments",)),
    )
}  # fmt: skip


STORED = ("hub", "application", "api", "cache")
"""Kinds that read the hub's own store."""


def found(name: str) -> Kind | None:
    """The kind of that name, built in or from an entry point; None where there is none."""
    if name in KINDS:
        return KINDS[name]
    return Kind(name, "custom", "Plugged", "normal", 30, name, options=("arguments",)) if name in plugged() else None


@cache
def plugged() -> dict[str, EntryPoint]:
    """The entry points of packages that bring kinds of their own."""
    return {one.name: one for one in entry_points(group=GROUP)}


def of_scheme(scheme: str) -> str:
    """The kind of an address; "" where it tells none."""
    return next((kind.name for kind in KINDS.values() if scheme.partition("+")[0].lower() in kind.schemes), "")


def make(plan: Plan, hub: Hub) -> Source:
    """The source of a plan.

    Raises:
        Unavailable: its driver is missing; the text has the line for pip.
        SourceError: it cannot be made.
    """
    kind = found(plan.kind)
    assert kind is not None, plan.kind
    if kind.imports:
        try:
            import_module(kind.imports)
        except ImportError:
            raise Unavailable(
                f'it needs {kind.imports}: pip install "{kind.package}", or "perfagent[sources]", and start the hub '
                "again"
            ) from None
    made: Source = getattr(import_module(f"perfagent.hub.sources.{kind.module}"), kind.attribute)(plan, hub)
    return made
