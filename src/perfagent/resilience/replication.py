"""How far a database replica is behind its primary: asked on a schedule, told as a metric and on a port of its own."""

from __future__ import annotations

import logging
import os
import threading
from time import monotonic
from typing import TYPE_CHECKING

from perfagent.resilience.replicas import Replica, ReplicationError
from perfagent.runtime.context import RemoteContext, current
from perfagent.runtime.metric import COUNTER, GAUGE, registry
from perfagent.runtime.prometheus.server import Reply, Server
from perfagent.runtime.span import CLIENT, Scope
from perfagent.settings.resilience import ResilienceSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfagent.runtime.metric import Instrument

__all__ = ["ReplicationError", "ReplicationMonitor", "start_replication_monitor"]

TEXT = "text/plain; version=0.0.4; charset=utf-8"
LAG, FAILURES = "replication_lag_seconds", "replication_check_failures_total"
HELP = {
    LAG: "How far a replica is behind its primary.",
    FAILURES: "Looks at a replica that did not tell how far it is behind.",
}
GRACE = 10.0  # seconds beyond three intervals after which a lag is too old to be told

log = logging.getLogger("perfagent.replication")
_scope = Scope("perfagent.replication")
_monitors: list[ReplicationMonitor] = []


def start_replication_monitor(
    dsn: str = "",
    *,
    query: str = "",
    interval: float | None = None,
    port: int | None = None,
    host: str = "",
    name: str = "",
    serve: bool = True,
) -> ReplicationMonitor:
    """Starts to look at a replica, in a thread; what is left out comes from the `REPLICATION_*` settings.

    Args:
        dsn: such as "postgresql://monitor:secret@replica:5432/shop" or "mysql://…"; it is never shown.
        query: whose first value is the lag in seconds; PostgreSQL's or MySQL's own when left out.
        interval: seconds between two looks.
        port: of a small server that answers /metrics for Prometheus; 0 takes a free one.
        host: address that it listens on.
        name: the label `replica`; the address of the server when left out.
        serve: whether there is such a server; the metric is in the program's own in any case.

    Returns:
        The monitor, which runs until `stop`.

    Raises:
        ValueError: the address is missing or none of PostgreSQL or MySQL, or a number is out of range.
        ImportError: there is no driver for that database.
        OSError: the port that the caller gave cannot be had; one of the settings is told in a line, and left alone.
    """
    table = ResilienceSettings.current()
    seconds = table.replication_interval if interval is None else interval
    if not isinstance(seconds, (int, float)) or not 0.05 <= seconds <= 86_400:
        raise ValueError(f"interval={interval!r} is not accepted: seconds from 0.05 to 86400, e.g. interval=10")
    if port is not None and (not isinstance(port, int) or not 0 <= port <= 65_535):
        raise ValueError(f"port={port!r} is not accepted: a whole number from 0 to 65535, e.g. port=8004")
    replica = Replica(dsn or table.replication_dsn, query or table.replication_query, name)
    monitor = ReplicationMonitor(replica, float(seconds))
    if serve:
        at = host or table.replication_host
        try:
            monitor.serve(at, table.replication_port if port is None else port)
        except OSError as error:
            if port is not None:
                raise
            table.report(
                f"REPLICATION_METRICS_PORT={table.replication_port} cannot be had on {at} ({error.strerror or error}); "
                "going on without it"
            )
    monitor.start()
    return monitor


class ReplicationMonitor:
    """Looks at a replica on a schedule.

    Args:
        replica: what is looked at.
        interval: seconds between two looks.
    """

    def __init__(self, replica: Replica, interval: float) -> None:
        self.replica = replica
        self.interval = interval
        self.lag: float | None = None
        """Seconds that the replica was behind at the last look; None where that did not tell."""
        self.problem = ""
        """Why the last look did not tell; "" where it did."""
        self._looked = 0.0
        self._failures = failures().of({"replica": replica.name})
        self._failures.record(0)
        self._failed = 0
        self._server: Server | None = None
        self._stopping = threading.Event()
        self._looking = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that /metrics is served on; 0 where it is not."""
        return 0 if self._server is None or not self._server.listening else self._server.port

    def serve(self, host: str, port: int) -> None:
        """Serves /metrics and /health; raises OSError where the port cannot be had."""
        server = Server(host, port, self._answer)
        server.listen()
        self._server = server

    def start(self) -> None:
        """Starts the thread, which looks at once."""
        gauge()
        _monitors.append(self)
        self._thread = threading.Thread(target=self._run, name="perfagent-replication", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, the server and the connection."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(5)
        if self._server is not None:
            self._server.halt()
            self._server.close()
        if self in _monitors:
            _monitors.remove(self)
        self.replica.close()

    def check(self) -> float:
        """Looks now.

        Returns:
            Seconds that the replica is behind; 0 for a PostgreSQL that is no replica.

        Raises:
            ReplicationError: it does not tell; the text says why, without a password.
        """
        with self._looking:
            token = current.set(_silence)  # its own queries are no business of the program's traces
            try:
                self.lag = self.replica.lag()
            except ReplicationError as error:
                self.lag = None
                self._failed += 1
                self._failures.record(1)
                self._tell(str(error))
                raise
            finally:
                current.reset(token)
            self._looked = monotonic()
            self._tell("")
            return self.lag

    def fresh(self) -> float | None:
        """The lag as far as it is still true."""
        lag = self.lag
        return lag if lag is not None and monotonic() - self._looked < 3 * self.interval + GRACE else None

    def _tell(self, problem: str) -> None:
        if bool(problem) != bool(self.problem):
            if problem:
                log.warning("replica %s does not tell how far it is behind: %s", self.replica.name, problem)
            else:
                log.warning("replica %s tells again how far it is behind", self.replica.name)
        self.problem = problem

    def _run(self) -> None:
        due = monotonic()
        while not self._stopping.is_set():
            try:
                self.check()
            except ReplicationError:
                pass
            due = max(due + self.interval, monotonic())  # a look that took longer than that does not make them pile up
            self._stopping.wait(max(due - monotonic(), 0.01))

    def _answer(self, path: str, _headers: dict[str, str]) -> Reply:
        if path == "/health":
            well = self.fresh() is not None
            return Reply(
                200 if well else 503, "text/plain; charset=utf-8", b"ok\n" if well else b"the lag is unknown\n"
            )
        if path != "/metrics":
            return Reply(404, "text/plain; charset=utf-8", b"there are /metrics, /health\n")
        label = self.replica.name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        values = {LAG: ("gauge", self.fresh()), FAILURES: ("counter", self._failed)}
        lines = []
        for metric, (kind, value) in values.items():
            lines += [f"# HELP {metric} {HELP[metric]}", f"# TYPE {metric} {kind}"]
            if value is not None:
                lines.append(f'{metric}{{replica="{label}"}} {value}')
        return Reply(200, TEXT, ("\n".join(lines) + "\n").encode())

    def forget(self) -> None:
        """In a forked child: thread, port and connection are the parent's."""
        self.replica.forget()
        if self._server is not None:
            self._server.reset()
        self.lag = None


class _Silence(RemoteContext):
    """Stands for a client span, below which instruments make none."""

    __slots__ = ()
    kind = CLIENT


_silence = _Silence(b"\0" * 16, b"\0" * 8, 0)


def failures() -> Instrument:
    """`replication_check_failures_total`."""
    return registry.make(_scope, COUNTER, FAILURES, "{failure}", HELP[FAILURES], keys=("replica",))


def gauge() -> Instrument:
    """`replication_lag_seconds`, of every replica that is looked at."""
    return registry.make(_scope, GAUGE, LAG, "s", HELP[LAG], callback=_lags, keys=("replica",))


def _lags() -> Iterable[tuple[float, Mapping[str, object]]]:
    for monitor in list(_monitors):
        lag = monitor.fresh()
        if lag is not None:
            yield lag, {"replica": monitor.replica.name}


def _in_child() -> None:
    for monitor in _monitors:
        monitor.forget()
    _monitors.clear()


os.register_at_fork(after_in_child=_in_child)
