"""PostgreSQL 12 and later: one read-only connection of a role that needs pg_monitor and nothing else.

Metrics are named as the Collector's postgresql receiver names them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfagent.hub.receive.statements import normalised
from perfagent.hub.sources import postgres_detail, sql
from perfagent.hub.sources.blocking import roots
from perfagent.hub.sources.increments import Increments
from perfagent.hub.sources.seen import Blocked, Deadlocks, LongTransaction, PoolUse, Replica
from perfagent.hub.sources.source import Collected, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.source import Plan

    Row = dict[str, Any]

SYSTEM = "postgresql"
CONNECT = 5  # seconds
LONG = 60.0  # seconds of a transaction that is told
DATABASE = "postgresql__database__name"
ROLE = "GRANT pg_monitor TO {user}"


class Postgres:
    """The source `postgresql`.

    Args:
        plan: its address is a URL or words of libpq; its options are `long_transaction` in seconds and `slow_ms`.
        hub: not needed.
    """

    def __init__(self, plan: Plan, hub: Hub | None) -> None:
        self._plan = plan
        self._connection: Any = None
        self._about: Row = {}
        self._deadlocks: Increments[str] = Increments()
        self._detail = postgres_detail.Detail(plan, self.rows)
        long = plan.options.get("long_transaction", LONG)
        if isinstance(long, bool) or not isinstance(long, (int, float)) or long <= 0:
            raise SourceError(f"long_transaction={long!r} is not accepted: seconds above 0")
        self._long = float(long)

    def close(self) -> None:
        """Ends the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def collect(self) -> Collected:
        """What there is now."""
        try:
            if self._connection is None or self._connection.closed:
                self._connect()
            return self._collected()
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        try:
            self.close()
        except Exception:  # noqa: S110 - it is of no use any more
            pass

    def _connect(self) -> None:
        import psycopg

        address = self._plan.address
        scheme, separator, rest = address.partition("://")
        if separator:  # SQLAlchemy names a driver after a plus
            address = f"{scheme.partition('+')[0]}://{rest}"
        limit = int(max(min(self._plan.timeout / 2, 5.0), 0.5) * 1000)
        # As parameters of the start and not by SET: a pooler hands a connection on to programs with what was SET in it.
        options = {"default_transaction_read_only": "on", "statement_timeout": limit, "lock_timeout": 1000}
        try:
            given = psycopg.conninfo.conninfo_to_dict(address).get("options") or ""
            self._connection = psycopg.connect(
                address, autocommit=True, connect_timeout=CONNECT, application_name="perfagent", prepare_threshold=None,
                options=" ".join([str(given), *(f"-c {name}={value}" for name, value in options.items())]).strip(),
            )  # fmt: skip
        except psycopg.OperationalError as error:
            if "startup parameter" in str(error):
                raise SourceError("a pooler answers there: give the address of the server itself") from None
            raise SourceError(f"no connection: {error}; look whether it runs and whether the role may log in") from None

    def rows(self, name: str, parameters: Mapping[str, object] | None = None, /, **parts: str) -> list[Row]:
        """The rows of a query of ours.

        Args:
            name: of its file.
            parameters: values for its `%(names)s`.
            parts: text for its `{names}`.
        """
        text = sql.query(f"{SYSTEM}/{name}")
        for key, value in parts.items():
            text = text.replace(f"{{{key}}}", value)
        with self._connection.cursor() as cursor:
            cursor.execute(text, parameters)
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _look(self) -> None:
        """What may change while a connection lasts: a replica takes over, a role is granted more."""
        before = self._about
        (self._about,) = self.rows("about")
        if before.get("started") != self._about["started"]:
            self._deadlocks.forget()
            self._detail.forget()

    def _collected(self) -> Collected:
        self._look()
        about, found = self._about, Collected()
        found.attributes = self._resource()
        if not about["may_all"]:
            user = urlsplit(self._plan.address).username or "the role"
            found.notes.append(f"the role may not see all: {ROLE.format(user=user)}")
        self._backends(found)
        self._databases(found)
        self._locks(found)
        self._transactions(found)
        self._replicas(found)
        if self._plan.detailed:
            self._details(found)
        return found

    def _details(self, found: Collected) -> None:
        """What costs more; where the server is too busy for it, the rest is told all the same."""
        import psycopg

        try:
            self._detail.collect(found, self._about)
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
            found.notes.append(f"statements, tables and indexes took too long and are not told: {error}")

    def _resource(self) -> dict[str, str]:
        info = self._connection.info
        return {
            "db.system.name": SYSTEM,
            "server.address": str(info.host or "localhost"),
            "server.port": str(info.port),
            "service.version": str(self._about["version_name"]).split()[0],
        }

    def _backends(self, found: Collected) -> None:
        states: dict[str, int] = {}
        databases: dict[str, int] = {}
        waiting = 0
        for row in self.rows("backends"):
            states[row["state"]] = states.get(row["state"], 0) + row["backends"]
            databases[row["database"]] = databases.get(row["database"], 0) + row["backends"]
            waiting += row["waiting"]
        text = "Connections of clients."
        for database, count in databases.items():
            found.level("postgresql.backends", count, "{connection}", text, **{DATABASE: database})
        for state, count in states.items():
            name = "postgresql.connection.count"
            found.level(name, count, "{connection}", "The same by state.", postgresql__connection__state=state)
        limit, used = self._about["max_connections"], sum(states.values())
        found.gauge("postgresql.connection.max", limit, "{connection}", "Connections that it allows.")
        found.gauge("postgresql.connection.utilization", used / limit, "1", "Share of them that is used.")
        found.level("postgresql.connection.waiting", waiting, "{connection}", "Connections that wait for a lock.")
        found.seen.append(
            PoolUse(
                source=self._plan.name, time=time.time(), system=SYSTEM, used=used, limit=limit, states=states,
                waiting=waiting,
            )
        )  # fmt: skip

    def _databases(self, found: Collected) -> None:
        totals: dict[str, tuple[float, ...]] = {}
        for row in self.rows("databases"):
            name, since = row["database"], row["since"] or 0.0
            for metric, key, unit, text in (
                ("postgresql.commits", "xact_commit", "{transaction}", "Transactions that were committed."),
                ("postgresql.rollbacks", "xact_rollback", "{transaction}", "Transactions that were rolled back."),
                ("postgresql.deadlocks", "deadlocks", "{deadlock}", "Deadlocks that were broken."),
                ("postgresql.blks_hit", "blks_hit", "{block}", "Blocks that were in the buffers."),
                ("postgresql.blks_read", "blks_read", "{block}", "Blocks that were read."),
                ("postgresql.tup_returned", "tup_returned", "{row}", "Rows that scans read."),
                ("postgresql.tup_fetched", "tup_fetched", "{row}", "Rows that were fetched by indexes."),
                ("postgresql.tup_inserted", "tup_inserted", "{row}", "Rows that were inserted."),
                ("postgresql.tup_updated", "tup_updated", "{row}", "Rows that were updated."),
                ("postgresql.tup_deleted", "tup_deleted", "{row}", "Rows that were deleted."),
                ("postgresql.temp_files", "temp_files", "{file}", "Files of sorts that did not fit into memory."),
                ("postgresql.temp_bytes", "temp_bytes", "By", "Their size."),
            ):
                found.counter(metric, row[key], unit, text, since, **{DATABASE: name})
            found.level("postgresql.db_size", row["bytes"], "By", "Size of a database.", **{DATABASE: name})
            totals[name] = (row["deadlocks"], row["blks_hit"], row["blks_read"])
        added, seconds = self._deadlocks.take(totals)
        for name, (deadlocks, hit, read) in added.items():
            if hit + read:
                text = "Share of the blocks since the collection before that were in the buffers."
                found.gauge("postgresql.buffer.hit_ratio", hit / (hit + read), "1", text, **{DATABASE: name})
            if deadlocks:
                found.seen.append(
                    Deadlocks(
                        source=self._plan.name, time=time.time(), system=SYSTEM, database=name, count=int(deadlocks),
                        seconds=seconds,
                    )
                )  # fmt: skip

    def _locks(self, found: Collected) -> None:
        # A background worker has no query, and the moment is told some milliseconds after the wait begins.
        since = "coalesce(waiting.query_start, waiting.xact_start, clock_timestamp())"
        if self._about["version"] >= 140_000:
            since = since.replace("(", "(wanted.waitstart, ", 1)
        rows = self.rows("locks", since=since)
        ends = roots((row["blocked"], row["blocker"]) for row in rows)
        text = "Sessions that wait for a lock of another one."
        found.level("postgresql.lock.waits", len({row["blocked"] for row in rows}), "{session}", text)
        longest = max((row["seconds"] for row in rows), default=0.0)
        found.gauge("postgresql.lock.longest_wait", longest, "s", "How long the longest of them has waited.")
        now = time.time()
        for row in rows:
            statements = {key: normalised(row[key] or "", SYSTEM) for key in ("statement", "blocking_statement")}
            told = {**row, **statements, "seconds": max(row["seconds"], 0.0)}
            found.seen.append(
                Blocked(source=self._plan.name, time=now, system=SYSTEM, root=ends[row["blocked"]], **told)
            )

    def _transactions(self, found: Collected) -> None:
        rows = self.rows("transactions", {"seconds": self._long})
        longest = max((row["seconds"] for row in rows), default=0.0)
        text = "How long the longest transaction has lasted, from long_transaction on."
        found.gauge("postgresql.transaction.longest", longest, "s", text)
        for row in rows:
            found.seen.append(
                LongTransaction(
                    source=self._plan.name, time=time.time(), system=SYSTEM, database=row["database"] or "",
                    pid=row["pid"], seconds=row["seconds"], idle_seconds=row["idle"], state=row["state"],
                    statement=normalised(row["query"] or "", SYSTEM), user=row["user"] or "",
                    application=row["application"] or "",
                )
            )  # fmt: skip

    def _replicas(self, found: Collected) -> None:
        if self._about["is_replica"]:
            rows = [{"name": "", **row} for row in self.rows("replica")]
        else:
            rows = self.rows("replicas")
        for row in rows:
            text = "How far a replica is behind."
            found.gauge("postgresql.wal.lag", row["seconds"], "s", text, replication_client=row["name"])
            found.level("postgresql.replication.data_delay", row["bytes"], "By", text, replication_client=row["name"])
            found.gauge("replication_lag_seconds", row["seconds"], "s", text, replica=row["name"] or self._plan.name)
            found.seen.append(
                Replica(
                    source=self._plan.name, time=time.time(), system=SYSTEM, name=row["name"], state=row["state"] or "",
                    lag_seconds=row["seconds"], lag_bytes=row["bytes"],
                )
            )  # fmt: skip
