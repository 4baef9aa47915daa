"""What the engine knows, in the database: a look is one transaction, and a restart goes on where the last one ended."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from perfagent.hub.alert.alert import Alert, Case
from perfagent.hub.alert.engine import KEPT, KEPT_SECONDS
from perfagent.hub.alert.violation import Violation
from perfagent.hub.notify import document
from perfagent.hub.store import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

    from perfagent.hub.alert.cases import Changes
    from perfagent.hub.alert.engine import Engine
    from perfagent.hub.alert.event import Event
    from perfagent.hub.store.store import Store

TRIM = 200  # alerts beyond those that are kept, before the oldest are taken away
_TEXT = pa.string()
_ALERTS = pa.schema(
    [
        (name, _TEXT)
        for name in ("id", "identity", "incident", "watcher", "kind", "rule", "service", "subject", "severity", "state")
    ]
    + [("since", pa.float64()), ("until", pa.float64()), ("content", _TEXT)]
)
_INCIDENTS = pa.schema(
    [(name, _TEXT) for name in ("id", "severity", "state", "title")]
    + [("services", pa.list_(_TEXT)), ("since", pa.float64()), ("until", pa.float64()), ("closed", pa.bool_())]
    + [("content", _TEXT)]
)
_ENTRIES = pa.schema(
    [("incident", _TEXT), ("number", pa.int32()), ("time", pa.float64())]
    + [(name, _TEXT) for name in ("alert", "what", "text", "role", "note")]
)
_EVENTS = pa.schema([("id", _TEXT), ("time", pa.float64()), ("content", _TEXT)])


class Book:
    """Reads and writes the tables of alerts.

    Args:
        store: the hub's own database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._added = TRIM  # so that the first look after a start trims

    def recall(self, engine: Engine, now: float) -> None:
        """Gives an engine what was known when the hub ended, however it did."""
        rows = self._store.rows("alerts/remembered", since=now - KEPT_SECONDS, most=KEPT)
        alerts = [alert_of(row["content"]) for row in rows]
        wanted = {alert.id for alert in alerts}
        incidents = list({alert.incident for alert in alerts})
        cases = [case_of(row["content"]) for row in self._store.rows("alerts/remembered_incidents", ids=incidents)]
        for case in cases:
            case.alerts = [one for one in case.alerts if one in wanted]
            if case.lead not in wanted:
                case.lead = case.alerts[0]
        engine.cases.remember(cases)
        engine.remember(alerts)

    def unhanded(self) -> list[Event]:
        """What people are to be told and nobody has taken."""
        return [document.read(row["content"]) for row in self._store.rows("alerts/unhanded")]

    def write(self, engine: Engine, changes: Changes) -> None:
        """Writes what a look or an action has changed.

        Raises:
            StoreFailed: nothing of it is written.
        """
        alerts = [_alert_row(alert) for alert in changes.alerts.values()]
        cases = [_case_row(engine, case) for case in changes.cases.values() if case.id in engine.cases.known]
        entries = [asdict(one) for one in changes.entries]
        for entry in entries:
            entry["role"] = entry.pop("by")
        events = [{"id": one.id, "time": one.time, "content": document.written(one)} for one in changes.events]
        with self._store.transaction() as cursor:
            _replace(cursor, "alerts", alerts, _ALERTS)
            _replace(cursor, "incidents", cases, _INCIDENTS)
            _insert(cursor, "incident_entries", entries, _ENTRIES)
            _insert(cursor, "alert_events", events, _EVENTS)
            self._added += len(alerts)
            if self._added >= TRIM:
                for text, names in sql.statements("trim_alerts"):
                    cursor.execute(text, {"most": KEPT} if names else {})
                self._added = 0

    def handed(self, events: Iterable[Event]) -> None:
        """Notes that everybody who listens has taken some events."""
        ids = [event.id for event in events]
        if ids:
            with self._store.transaction() as cursor:
                cursor.execute("DELETE FROM alert_events WHERE list_contains(?, id)", [ids])


def _replace(cursor: duckdb.DuckDBPyConnection, table: str, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    if rows:
        cursor.execute(f"DELETE FROM {table} WHERE list_contains(?, id)", [[row["id"] for row in rows]])  # noqa: S608
        _insert(cursor, table, rows, schema)


def _insert(cursor: duckdb.DuckDBPyConnection, table: str, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    if rows:
        incoming = pa.Table.from_pylist(list(rows), schema=schema)  # noqa: F841 - DuckDB finds it by its name
        cursor.execute(f"INSERT INTO {table} BY NAME FROM incoming")


def _alert_row(alert: Alert) -> dict[str, Any]:
    one = alert.violation
    return {
        "id": alert.id, "identity": one.identity, "incident": alert.incident, "watcher": alert.watcher,
        "kind": one.kind, "rule": one.rule, "service": one.service, "subject": one.subject,
        "severity": alert.severity, "state": alert.state,
        "since": one.since, "until": one.until, "content": content(alert),
    }  # fmt: skip


def _case_row(engine: Engine, case: Case) -> dict[str, Any]:
    incident = engine.cases.incident(case)
    ends = [one.until for one in incident.violations]
    return {
        "id": case.id, "severity": incident.severity, "state": engine.cases.state(case), "title": incident.title,
        "services": list(incident.services), "since": incident.since,
        "until": None if None in ends else max(one for one in ends if one is not None),
        "closed": case.over is not None, "content": content(case),
    }  # fmt: skip


def content(value: object) -> str:
    """An alert or an incident as it is written."""
    return orjson.dumps(value).decode()


def alert_of(text: str) -> Alert:
    """An alert that was written."""
    found = orjson.loads(text)
    return Alert(
        **{**_known(Alert, found), "violation": _violation(found["violation"]), "steps": tuple(found["steps"])}
    )


def case_of(text: str) -> Case:
    """An incident that was written."""
    return Case(**_known(Case, orjson.loads(text)))


def _violation(found: dict[str, Any]) -> Violation:
    return Violation(**{**_known(Violation, found), "traces": tuple(found["traces"])})


def _known(of: type, found: dict[str, Any]) -> dict[str, Any]:
    """The fields that a class has: another version may have written further ones."""
    return {one.name: found[one.name] for one in fields(of) if one.name in found}
