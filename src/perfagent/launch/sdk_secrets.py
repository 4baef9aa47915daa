"""What the contrib instrumentors record and the lean pipeline does not: queries of URLs, literals in SQL, secrets in
exceptions. Taken out as a span ends, before any exporter sees it.
"""

# mypy: allow-subclassing-any
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import Event, SpanProcessor

from perfagent.runtime import failure, guard, scrub
from perfagent.runtime.sql import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.settings import Settings

ADDRESSES = ("url.full", "http.url", "http.target")
STATEMENTS = ("db.query.text", "db.statement")
SAID = ("exception.message", "exception.stacktrace")


class Secrets(SpanProcessor):
    """Replaces them in each span.

    Args:
        settings: whether queries are kept.
    """

    def __init__(self, settings: Settings) -> None:
        self.keeps_queries = settings.capture_query

    def _on_ending(self, span: Any) -> None:
        try:
            self._clean(span)
        except Exception:
            guard.failed("secrets")

    def _clean(self, span: Any) -> None:
        found = span._attributes._dict  # what the API gives is closed by now
        for key in ADDRESSES:
            if isinstance(found.get(key), str):
                found[key] = _shown(found[key], self.keeps_queries)
        if not self.keeps_queries and found.get("url.query"):
            found["url.query"] = scrub.REDACTED
        system = str(found.get("db.system.name") or found.get("db.system") or "")
        for key in STATEMENTS:
            if isinstance(found.get(key), str) and system not in WITHOUT_SQL:
                mysql = system in ("mysql", "mariadb")
                told = describe(found[key], double_quotes_are_strings=mysql, backslash_escapes=system != "sqlite")
                found[key] = told.text
        events = span._events
        for _ in range(len(events)):
            event = events._dq.popleft()
            events._dq.append(_scrubbed(event, bool(system)) if event.name == "exception" else event)
        status = span._status
        if status.description:
            quotes = bool(system) or any(_quotes(event.attributes or {}) for event in events)
            said = failure.shown(status.description) if quotes else scrub.text(status.description)
            span._status = type(status)(status.status_code, said)


QUOTING = frozenset(
    (
        "psycopg",
        "psycopg2",
        "sqlite3",
        "pymysql",
        "MySQLdb",
        "asyncpg",
        "sqlalchemy",
        "redis",
        "pymongo",
        "kafka",
        "duckdb",
    )
)
WITHOUT_SQL = ("redis", "mongodb", "elasticsearch", "memcached")
"""Whose instrumentors record no values, or `?` for them."""


def _shown(address: str, with_query: bool) -> str:
    """An address without user name, password, fragment and, unless asked for, query."""
    location, _, query = address.partition("#")[0].partition("?")
    scheme, mark, rest = location.partition("://")
    if mark:
        authority, slash, path = rest.partition("/")
        location = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    return f"{location}?{query}" if with_query and query else location


def _quotes(pairs: Mapping[str, Any]) -> bool:
    """Whether an exception is a database's or broker's, whose messages quote rows and keys."""
    return str(pairs.get("exception.type", "")).partition(".")[0] in QUOTING


def _scrubbed(event: Event, of_database: bool) -> Event:
    pairs = dict(event.attributes or {})
    if of_database or _quotes(pairs):
        kind, message = str(pairs.get("exception.type", "")), failure.shown(str(pairs.get("exception.message", "")))
        frames = [
            line for line in str(pairs.get("exception.stacktrace", "")).splitlines() if line.startswith("  File ")
        ]
        pairs |= {"exception.message": message, "exception.stacktrace": "\n".join((*frames, f"{kind}: {message}"))}
    for key in SAID:
        if isinstance(pairs.get(key), str):
            pairs[key] = scrub.text(str(pairs[key]))
    return Event(event.name, pairs, event.timestamp)
