"""MySQL 8 and MariaDB 10.6, and later: one read-only connection of a user that needs PROCESS and SELECT on
performance_schema.

Metrics are named as the Collector's mysql receiver names them, with what it lacks beside them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from perfagent.hub.receive.statements import normalised
from perfagent.hub.sources import sql
from perfagent.hub.sources.blocking import roots
from perfagent.hub.sources.increments import Increments
from perfagent.hub.sources.mysql_detail import Detail
from perfagent.hub.sources.seen import Blocked, Deadlocks, LongTransaction, PoolUse, Replica
from perfagent.hub.sources.source import Collected, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.source import Plan

    Row = dict[str, Any]

LONG = 60.0  # seconds of a transaction that is told
GRANTS = "GRANT PROCESS, REPLICATION CLIENT ON *.* TO {user}; GRANT SELECT ON performance_schema.* TO {user}"
INDEX_GRANTS = "GRANT SELECT ON mysql.innodb_index_stats TO {user}, and SELECT on the databases that programs use"
NO_RIGHT = (1142, 1143, 1044, 1227)
REPLICA = ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS")
COUNTERS = (
    ("mysql.query.count", "Queries", "{query}", "Statements."),
    ("mysql.query.slow.count", "Slow_queries", "{query}", "Statements beyond long_query_time."),
    ("mysql.connection.count", "Connections", "{connection}", "Attempts to connect."),
    ("mysql.connection.errors", "Aborted_connects", "{error}", "Attempts to connect that failed."),
    ("mysql.commits", "Com_commit", "{transaction}", "Transactions that were committed."),
    ("mysql.rollbacks", "Com_rollback", "{transaction}", "Transactions that were rolled back."),
    ("mysql.row_locks.waits", "Innodb_row_lock_waits", "{wait}", "How often a row's lock was waited for."),
    ("mysql.deadlocks", "Innodb_deadlocks", "{deadlock}", "Deadlocks that were broken."),
    ("mysql.buffer_pool.requests", "Innodb_buffer_pool_read_requests", "{request}", "Pages that were asked for."),
    ("mysql.buffer_pool.reads", "Innodb_buffer_pool_reads", "{request}", "Pages that had to be read from the disk."),
    ("mysql.tmp_disk_tables", "Created_tmp_disk_tables", "{table}", "Temporary tables that did not fit into memory."),
    ("mysql.table.scans", "Select_scan", "{scan}", "Reads of a whole table."),
    ("mysql.joins.unindexed", "Select_full_join", "{join}", "Joins without an index."),
)


class Mysql:
    """The source `mysql`.

    Args:
        plan: its address is a URL; its options are `long_transaction` in seconds and `slow_ms`.
        hub: not needed.
    """

    def __init__(self, plan: Plan, hub: Hub | None) -> None:
        self._plan = plan
        long = plan.options.get("long_transaction", LONG)
        if isinstance(long, bool) or not isinstance(long, (int, float)) or long <= 0:
            raise SourceError(f"long_transaction={long!r} is not accepted: seconds above 0")
        self._long = float(long)
        self._connection: Any = None
        self._about: dict[str, str] = {}
        self._increments: Increments[str] = Increments()
        self._detail = Detail(plan, self.rows)
        self._started = 0.0

    @property
    def _system(self) -> str:
        return "mariadb" if "mariadb" in self._about["version"].lower() else "mysql"

    def close(self) -> None:
        """Ends the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def collect(self) -> Collected:
        """What there is now."""
        try:
            if self._connection is None:
                self._connect()
            return self._collected()
        except BaseException:
            try:
                self.close()
            except Exception:  # noqa: S110 - it is of no use any more
                pass
            raise

    def _connect(self) -> None:
        import pymysql

        url = urlsplit(self._plan.address)
        limit = max(self._plan.timeout / 2, 1)
        try:
            self._connection = pymysql.connect(
                host=url.hostname or "localhost", port=url.port or 3306, user=unquote(url.username or ""),
                password=unquote(url.password or ""), database=url.path.strip("/") or None, autocommit=True,
                connect_timeout=int(limit), read_timeout=limit, write_timeout=limit, charset="utf8mb4",
                program_name="perfagent",
            )  # fmt: skip
        except pymysql.MySQLError as error:
            raise SourceError(f"no connection: {error}; look whether it runs and whether the user may log in") from None
        (self._about,) = self._run(
            "SELECT version() AS version, @@max_connections AS max_connections, "
            "@@performance_schema AS performance_schema, coalesce(database(), '') AS db"
        )
        with self._connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.execute("SET SESSION time_zone = 'SYSTEM'")  # in which information_schema.innodb_trx has its times
            if self._system == "mariadb":
                cursor.execute(f"SET SESSION max_statement_time = {limit:g}")
            else:
                cursor.execute(f"SET SESSION max_execution_time = {int(limit * 1000)}")

    def rows(self, name: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """The rows of a query of ours; the columns are named in lower case."""
        return self._run(sql.query(f"mysql/{name}"), parameters)

    def _run(self, text: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        with self._connection.cursor() as cursor:
            cursor.execute(text, parameters)
            names = [str(column[0]).lower() for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _collected(self) -> Collected:
        url = urlsplit(self._plan.address)
        found = Collected(
            attributes={
                "db.system.name": self._system, "server.address": url.hostname or "localhost",
                "server.port": str(url.port or 3306), "service.version": self._about["version"],
            }
        )  # fmt: skip
        status = {
            str(row["variable_name"]): row["value"] for row in self._run("SHOW GLOBAL STATUS") if row["value"] != ""
        }
        self._status(found, status)
        threads = {row["id"]: row for row in self.rows("threads")}
        self._pool(found, status, threads)
        self._may(found, "locks", lambda: self._locks(found, threads))
        self._may(found, "transactions", lambda: self._transactions(found, threads))
        self._may(found, "replication", lambda: self._replica(found))
        if self._plan.detailed:
            on = str(self._about["performance_schema"]) in ("1", "ON")
            turn = self._detail.turn()
            self._may(found, "statements", lambda: self._detail.statements(found, self._system, on, turn))
            self._may(
                found, "unused indexes", lambda: self._detail.indexes(found, self._system, on, turn), INDEX_GRANTS
            )
        return found

    def _may(self, found: Collected, what: str, tell: Callable[[], None], grants: str = GRANTS) -> None:
        """Tells a part that needs a right, or says which."""
        import pymysql

        try:
            tell()
        except pymysql.MySQLError as error:
            if error.args[:1] not in [(number,) for number in NO_RIGHT]:
                raise
            user = urlsplit(self._plan.address).username or "the user"
            found.notes.append(f"{what} are not told: {grants.format(user=user)}")

    def _status(self, found: Collected, status: dict[str, Any]) -> None:
        uptime = float(status.get("Uptime", 0))
        started = time.time() - uptime
        if abs(started - self._started) > 5:
            if self._started and started > self._started:
                self._increments.forget()
                self._detail.forget()
            self._started = started
        found.counter("mysql.uptime", uptime, "s", "Time since it began.", self._started)
        for name, key, unit, text in COUNTERS:
            if key in status:
                found.counter(name, float(status[key]), unit, text, self._started)
        for command in ("select", "insert", "update", "delete"):
            text = "Statements by what they do."
            value = float(status.get(f"Com_{command}", 0))
            found.counter("mysql.commands", value, "{command}", text, self._started, command=command)
        waited = float(status.get("Innodb_row_lock_time", 0)) / 1000
        found.counter("mysql.row_locks.time", waited, "s", "How long rows' locks were waited for.", self._started)
        waiting = float(status.get("Innodb_row_lock_current_waits", 0))
        found.level("mysql.row_locks.waiting", waiting, "{session}", "Sessions that wait for a row's lock.")
        size = float(status.get("Innodb_page_size", 16_384))
        for state in ("data", "dirty", "free", "total"):
            pages = float(status.get(f"Innodb_buffer_pool_pages_{state}", 0))
            found.level("mysql.buffer_pool.usage", pages * size, "By", "Memory of the buffer pool.", state=state)
        keys = ("Innodb_buffer_pool_read_requests", "Innodb_buffer_pool_reads", "Innodb_deadlocks")
        added, seconds = self._increments.take({"all": tuple(float(status.get(key, 0)) for key in keys)})
        asked, read, deadlocks = added.get("all", (0.0, 0.0, 0.0))
        if asked:
            ratio = max(1 - read / asked, 0.0)
            found.gauge("mysql.buffer_pool.hit_ratio", ratio, "1", "Pages that were in the buffer pool, lately.")
        if deadlocks:
            found.seen.append(
                Deadlocks(
                    source=self._plan.name, time=time.time(), system=self._system, database="", count=int(deadlocks),
                    seconds=seconds,
                )
            )  # fmt: skip

    def _pool(self, found: Collected, status: dict[str, Any], threads: dict[int, Row]) -> None:
        for kind in ("connected", "running", "cached", "created"):
            value = float(status.get(f"Threads_{kind}", 0))
            found.level("mysql.threads", value, "{thread}", "Threads by what they do.", kind=kind)
        limit, used = int(self._about["max_connections"]), int(status.get("Threads_connected", 0))
        found.gauge("mysql.connection.max", limit, "{connection}", "Connections that it allows.")
        found.gauge("mysql.connection.utilization", used / limit, "1", "Share of them that is used.")
        states: dict[str, int] = {}
        for row in threads.values():
            states[row["command"]] = states.get(row["command"], 0) + 1
        waiting = int(status.get("Innodb_row_lock_current_waits", 0))
        found.seen.append(
            PoolUse(
                source=self._plan.name, time=time.time(), system=self._system, used=used, limit=limit, states=states,
                waiting=waiting,
            )
        )  # fmt: skip

    def _locks(self, found: Collected, threads: dict[int, Row]) -> None:
        rows = self.rows(f"locks_{self._system}")
        ends = roots((row["blocked"], row["blocker"]) for row in rows)
        longest = max((float(row["seconds"]) for row in rows), default=0.0)
        found.gauge("mysql.lock.longest_wait", longest, "s", "How long the longest wait for a lock has lasted.")
        last = self._last_statements([row["blocker"] for row in rows if not row["blocking_statement"]])
        nobody: Row = {"user": "", "host": "", "db": "", "command": "", "statement": ""}
        for row in rows:
            waiting, blocking = threads.get(row["blocked"], nobody), threads.get(row["blocker"], nobody)
            idle = blocking["command"] == "Sleep"
            found.seen.append(
                Blocked(
                    source=self._plan.name, time=time.time(), system=self._system, database=waiting["db"],
                    blocker=row["blocker"], blocked=row["blocked"], root=ends[row["blocked"]],
                    seconds=float(row["seconds"]), statement=normalised(row["statement"], "mysql"),
                    blocking_statement=normalised(row["blocking_statement"] or last.get(row["blocker"], ""), "mysql"),
                    blocking_state="idle in transaction" if idle else blocking["command"].lower(),
                    blocking_seconds=float(row["blocking_seconds"]), relation=row["relation"], mode=row["lock_mode"],
                    user=waiting["user"], application=waiting["host"].partition(":")[0],
                    blocking_user=blocking["user"], blocking_application=blocking["host"].partition(":")[0],
                )
            )  # fmt: skip

    def _last_statements(self, threads: list[int]) -> dict[int, str]:
        """What idle sessions ran last, where the performance_schema remembers it."""
        if not threads or str(self._about["performance_schema"]) not in ("1", "ON"):
            return {}
        rows = self.rows("last", {"threads": tuple(threads)})
        return {row["thread"]: row["statement"] or "" for row in rows}

    def _transactions(self, found: Collected, threads: dict[int, Row]) -> None:
        for row in self.rows("transactions", {"seconds": self._long}):
            thread = threads.get(row["pid"])
            if thread is None:
                continue
            idle = thread["command"] == "Sleep"
            found.seen.append(
                LongTransaction(
                    source=self._plan.name, time=time.time(), system=self._system, database=thread["db"],
                    pid=row["pid"], seconds=float(row["seconds"]),
                    idle_seconds=float(thread["seconds"]) if idle else 0.0,
                    state="idle in transaction" if idle else row["state"].lower(),
                    statement=normalised(row["statement"], "mysql"), user=thread["user"],
                    application=thread["host"].partition(":")[0],
                )
            )  # fmt: skip

    def _replica(self, found: Collected) -> None:
        import pymysql

        rows: list[Row] = []
        for statement in REPLICA:
            try:
                rows = self._run(statement)
                break
            except pymysql.MySQLError as error:
                if error.args[:1] != (1064,) or statement == REPLICA[-1]:
                    raise
        for row in rows:
            behind = row.get("seconds_behind_source", row.get("seconds_behind_master"))
            seconds = None if behind is None else float(behind)
            found.gauge("mysql.replica.time_behind_source", seconds, "s", "How far it is behind.")
            found.gauge("replication_lag_seconds", seconds, "s", "How far it is behind.", replica=self._plan.name)
            running = row.get("replica_sql_running", row.get("slave_sql_running"))
            found.seen.append(
                Replica(
                    source=self._plan.name, time=time.time(), system=self._system, name="",
                    state="replicates" if running == "Yes" else "stopped", lag_seconds=seconds,
                )
            )  # fmt: skip
