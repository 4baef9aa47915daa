"""`perfagent replication-lag`: how far a replica is behind, once or for as long as it runs, for Prometheus too."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

from perfagent.cli import arguments, ending
from perfagent.cli.command import seconds
from perfagent.settings.resilience import ResilienceSettings

if TYPE_CHECKING:
    from perfagent.resilience.replication import ReplicationMonitor

EXAMPLES = """examples:
  REPLICATION_DSN=postgresql://monitor@replica/shop perfagent replication-lag
  perfagent replication-lag --once --fail-above 30

exit status: 0 fine, 1 more than --fail-above, 2 wrong words, 3 the replica does not tell"""


def main(words: list[str]) -> int:
    """Shows the lag; returns the exit status."""
    table = ResilienceSettings.current()
    parser = arguments.parser(
        "replication-lag",
        description="Shows how far a replica of PostgreSQL or MySQL is behind, and serves it to Prometheus.",
        epilog=EXAMPLES,
    )
    parser.add_argument("--dsn", default="", help="its address; REPLICATION_DSN hides it from the list of processes")
    parser.add_argument("--query", default="", help="whose first value is the lag in seconds (REPLICATION_QUERY)")
    parser.add_argument("--once", action="store_true", help="look once, and serve nothing")
    parser.add_argument("--fail-above", type=seconds, help="exit with 1 where --once sees more seconds than these")
    parser.add_argument(
        "--interval", type=seconds, help=f"seconds between two looks (default: {table.replication_interval:g})"
    )
    parser.add_argument("--port", type=int, help=f"port of /metrics (default: {table.replication_port})")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="json is for machines")
    asked = parser.parse_args(words)
    if asked.fail_above is not None and not asked.once:
        parser.error("--fail-above needs --once")
    return _run(asked)


def _run(asked: argparse.Namespace) -> int:
    from perfagent.resilience.replicas import Replica
    from perfagent.resilience.replication import ReplicationMonitor, start_replication_monitor

    table = ResilienceSettings.current()
    try:
        if asked.once:
            replica = Replica(asked.dsn or table.replication_dsn, asked.query or table.replication_query)
            return _once(ReplicationMonitor(replica, 60), asked)
        monitor = start_replication_monitor(
            asked.dsn, query=asked.query, interval=asked.interval, port=asked.port, serve=True
        )
    except (ValueError, ImportError) as error:
        return ending.told(str(error), 2)
    except OSError as error:
        return ending.told(f"port {asked.port} cannot be had ({error.strerror or error}); --port gives another", 2)
    try:
        if monitor.port and asked.output == "table":
            print(f"{monitor.replica.name}: /metrics is served on port {monitor.port}", flush=True)
        while True:
            time.sleep(monitor.interval)
            _show(monitor, asked.output)
    finally:
        monitor.stop()


def _once(monitor: ReplicationMonitor, asked: argparse.Namespace) -> int:
    from perfagent.resilience.replication import ReplicationError, log

    log.disabled = True  # the command itself tells what is wrong
    try:
        lag = monitor.check()
    except ReplicationError as error:
        if asked.output == "json":
            _show(monitor, "json")
        return ending.told(f"{monitor.replica.name} does not tell how far it is behind: {error}", 3)
    finally:
        monitor.replica.close()
    _show(monitor, asked.output)
    return int(asked.fail_above is not None and lag > asked.fail_above)


def _show(monitor: ReplicationMonitor, output: str) -> None:
    name, lag, problem = monitor.replica.name, monitor.lag, monitor.problem
    if output == "json":
        print(json.dumps({"replica": name, "lag_seconds": lag, "problem": problem or None}), flush=True)
    elif lag is None:
        print(f"{name}: {problem or 'not looked at yet'}", flush=True)
    else:
        print(f"{name}: {lag:.3f} s behind", flush=True)
