"""Redis and Valkey: INFO, the slow log, and, where it is asked for, hot keys; one connection, nothing is written.

Metrics are named as the Collector's redis receiver names them.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfagent.hub.sources.increments import Increments
from perfagent.hub.sources.options import flag
from perfagent.hub.sources.seen import HotKey, MemoryUse, PoolUse, Replica, SlowStatement
from perfagent.hub.sources.source import Collected, SourceError

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.source import Plan

    Info = dict[str, Any]

SYSTEM = "redis"
SLOWEST = 128  # entries of the slow log that are read
SAMPLED = 100  # keys that a look at hot ones takes, two commands each
HOT = 0.1  # share of the uses of the sample, from which on a key is told
OURS = (b"INFO", b"SLOWLOG", b"OBJECT FREQ", b"MEMORY USAGE", b"RANDOMKEY", b"CLIENT SET")
_NUMBER = re.compile(r"\d+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}", re.IGNORECASE)
GAUGES = (
    ("redis.memory.used", "used_memory", "By", "Memory that is used."),
    ("redis.memory.peak", "used_memory_peak", "By", "The most that was used."),
    ("redis.memory.rss", "used_memory_rss", "By", "Memory that its process has."),
    ("redis.memory.lua", "used_memory_lua", "By", "Memory of scripts."),
    ("redis.memory.fragmentation_ratio", "mem_fragmentation_ratio", "1", "Memory of the process, times what is used."),
    ("redis.maxmemory", "maxmemory", "By", "The most memory that it may use; 0 for no limit."),
    ("redis.clients.connected", "connected_clients", "{client}", "Connections of clients."),
    ("redis.clients.blocked", "blocked_clients", "{client}", "Clients that wait, as in BLPOP."),
    ("redis.clients.max", "maxclients", "{client}", "Connections that it allows."),
    ("redis.slaves.connected", "connected_slaves", "{replica}", "Replicas that are connected."),
    ("redis.rdb.changes_since_last_save", "rdb_changes_since_last_save", "{change}", "Changes that no file has yet."),
)
COUNTERS = (
    ("redis.commands.processed", "total_commands_processed", "{command}", "Commands."),
    ("redis.connections.received", "total_connections_received", "{connection}", "Connections that were accepted."),
    ("redis.connections.rejected", "rejected_connections", "{connection}", "Connections beyond the limit."),
    ("redis.keyspace.hits", "keyspace_hits", "{event}", "Look-ups that found something."),
    ("redis.keyspace.misses", "keyspace_misses", "{event}", "Look-ups that found nothing."),
    ("redis.keys.evicted", "evicted_keys", "{key}", "Keys that had to go for want of memory."),
    ("redis.keys.expired", "expired_keys", "{event}", "Keys whose time was over."),
    ("redis.net.input", "total_net_input_bytes", "By", "Bytes that came in."),
    ("redis.net.output", "total_net_output_bytes", "By", "Bytes that went out."),
)


class Redis:
    """The source `redis`.

    Args:
        plan: its option `hot_keys` samples keys at each fourth collection; it needs a policy of `maxmemory-policy` that
            counts uses (…-lfu).
        hub: not needed.
    """

    def __init__(self, plan: Plan, hub: Hub | None) -> None:
        self._plan = plan
        self._hot = flag(plan, "hot_keys")
        self._client: Any = None
        self._increments: Increments[str] = Increments()
        self._slowest: int | None = None  # the last entry of the slow log that was told
        self._started = 0.0
        self._turn = 0
        self._keys: list[HotKey] = []

    def close(self) -> None:
        """Ends the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def collect(self) -> Collected:
        """What there is now."""
        import redis

        if self._client is None:
            limit = max(self._plan.timeout / 2, 0.5)
            self._client = redis.Redis.from_url(
                self._plan.address, socket_timeout=limit, socket_connect_timeout=limit, single_connection_client=False,
                client_name="perfagent", max_connections=1, retry_on_timeout=False, decode_responses=False,
            )  # fmt: skip
        try:
            return self._collected(self._client)
        except redis.AuthenticationError as error:
            self.close()
            raise SourceError(
                f"it refuses the password: {error}; give one as in redis://:${{REDIS_PASSWORD}}@cache"
            ) from None
        except redis.ResponseError as error:
            self.close()
            raise SourceError(f"it refuses: {error}; the user needs +info +slowlog|get +ping") from None
        except redis.RedisError as error:
            self.close()
            raise SourceError(f"no answer: {error}; look whether it runs") from None

    def _collected(self, client: Any) -> Collected:
        info: Info = client.info()
        url = urlsplit(self._plan.address)
        found = Collected(
            attributes={
                "db.system.name": SYSTEM, "server.address": url.hostname or "localhost",
                "server.port": str(url.port or 6379), "service.version": str(info.get("redis_version", "")),
            }
        )  # fmt: skip
        now = time.time()
        started = now - float(info.get("uptime_in_seconds", 0))
        if abs(started - self._started) > 5:
            self._started, self._slowest = started, self._slowest if self._started == 0 else None
        for name, key, unit, text in GAUGES:
            if key in info:
                found.gauge(name, info[key], unit, text)
        for name, key, unit, text in COUNTERS:
            if key in info:
                found.counter(name, info[key], unit, text, self._started)
        found.counter("redis.uptime", info.get("uptime_in_seconds"), "s", "Time since it began.", self._started)
        for name, told in info.items():
            if re.fullmatch(r"db\d+", str(name)) and isinstance(told, dict):
                found.level("redis.db.keys", told.get("keys"), "{key}", "Keys of a database.", db=str(name)[2:])
                text = "Keys of a database whose time will be over."
                found.level("redis.db.expires", told.get("expires"), "{key}", text, db=str(name)[2:])
        self._use(found, info, now)
        self._slow(found, client, now)
        self._replicas(found, info, now)
        if self._hot and self._plan.detailed:
            self._hot_keys(found, client, info, now)
        return found

    def _use(self, found: Collected, info: Info, now: float) -> None:
        keys = ("keyspace_hits", "keyspace_misses", "evicted_keys", "expired_keys")
        added, seconds = self._increments.take({"all": tuple(float(info.get(key, 0)) for key in keys)})
        hits, misses, evicted, expired = added.get("all", (0.0, 0.0, 0.0, 0.0))
        ratio = hits / (hits + misses) if hits + misses else None
        found.gauge("redis.keyspace.hit_ratio", ratio, "1", "Share of look-ups that found something, lately.")
        limit = int(info.get("maxmemory", 0)) or None
        used = int(info.get("used_memory", 0))
        if limit:
            found.gauge("redis.memory.utilization", used / limit, "1", "Share of the memory that it may use.")
        if seconds:
            fragmentation = info.get("mem_fragmentation_ratio")
            found.seen.append(
                MemoryUse(
                    source=self._plan.name, time=now, system=SYSTEM, used=used, limit=limit,
                    policy=str(info.get("maxmemory_policy", "")), evicted=int(evicted), expired=int(expired),
                    hit_ratio=ratio, fragmentation=float(fragmentation) if fragmentation is not None else None,
                )
            )  # fmt: skip
        if "maxclients" in info:
            found.seen.append(
                PoolUse(
                    source=self._plan.name, time=now, system=SYSTEM, used=int(info.get("connected_clients", 0)),
                    limit=int(info["maxclients"]), waiting=int(info.get("blocked_clients", 0)),
                )
            )  # fmt: skip

    def _slow(self, found: Collected, client: Any, now: float) -> None:
        """What is new in the slow log, by command; the values of arguments are left out."""
        before = self._slowest
        entries = client.slowlog_get(1)
        newest = max((entry["id"] for entry in entries), default=-1)
        if before is not None and newest > before:
            entries = client.slowlog_get(min(newest - before, SLOWEST))
        self._slowest = max(newest, before if before is not None else -1)
        if before is None:
            return
        fresh = [entry for entry in entries if entry["id"] > before and entry.get("client_name") != b"perfagent"]
        fresh = [entry for entry in fresh if not entry["command"].upper().startswith(OURS)]
        found.level("redis.slowlog.fresh", len(fresh), "{command}", "Commands that are new in the slow log.")
        groups: dict[str, list[float]] = {}
        for entry in fresh:
            groups.setdefault(_shown(entry["command"]), []).append(entry["duration"] / 1000)
        for statement, durations in sorted(groups.items(), key=lambda pair: -sum(pair[1]))[:20]:
            found.seen.append(
                SlowStatement(
                    source=self._plan.name, time=now, system=SYSTEM, database="", statement=statement,
                    calls=len(durations), mean_ms=sum(durations) / len(durations), total_ms=sum(durations),
                    seconds=self._plan.interval, max_ms=max(durations), max_is_of_all=False,
                )
            )  # fmt: skip

    def _replicas(self, found: Collected, info: Info, now: float) -> None:
        if info.get("role") != "slave":
            return
        up = info.get("master_link_status") == "up"
        behind = (
            None if not up else max(int(info.get("master_repl_offset", 0)) - int(info.get("slave_repl_offset", 0)), 0)
        )
        seconds = (
            float(info.get("master_last_io_seconds_ago", 0))
            if up
            else float(info.get("master_link_down_since_seconds", 0))
        )
        found.gauge("redis.replication.last_io", seconds, "s", "Since it heard of its primary.")
        found.seen.append(
            Replica(
                source=self._plan.name, time=now, system=SYSTEM, name="", state="up" if up else "down",
                lag_seconds=None if up else seconds, lag_bytes=behind,
            )
        )  # fmt: skip

    def _hot_keys(self, found: Collected, client: Any, info: Info, now: float) -> None:
        """Keys that a random sample uses most, by how often each was used; every fourth time."""
        if not str(info.get("maxmemory_policy", "")).endswith("lfu"):
            found.notes.append(
                "hot keys are not told: Redis counts uses only with a maxmemory-policy such as allkeys-lfu "
                f"(it is {info.get('maxmemory_policy')})"
            )
            return
        if self._turn % 4 == 0:
            self._keys = self._sampled(client, now)
        self._turn += 1
        found.seen += self._keys

    def _sampled(self, client: Any, now: float) -> list[HotKey]:
        names = {name for name in (client.randomkey() for _ in range(SAMPLED)) if name is not None}
        groups: dict[str, list[tuple[int, bytes]]] = {}
        for name in names:
            used = client.object("freq", name) or 0
            groups.setdefault(_pattern(name), []).append((int(used), name))
        whole = sum(used for group in groups.values() for used, _ in group) or 1
        found = []
        for pattern, group in groups.items():
            share = sum(used for used, _ in group) / whole
            if share >= HOT:
                size = client.memory_usage(max(group)[1])
                found.append(
                    HotKey(
                        source=self._plan.name, time=now, system=SYSTEM, key=pattern, share=share, keys=len(group),
                        bytes=size,
                    )
                )  # fmt: skip
        return sorted(found, key=lambda one: -one.share)[:20]


def _pattern(name: bytes) -> str:
    return _NUMBER.sub("?", name.decode("utf-8", "replace"))[:200]


def _shown(command: bytes | str) -> str:
    """The command with `?` for each argument but the first key, whose numbers are `?`."""
    text = command.decode("utf-8", "replace") if isinstance(command, bytes) else command
    name, *arguments = text.split(" ")
    name = name.upper()
    if name in ("EVAL", "EVALSHA", "AUTH", "HELLO", "CONFIG", "ACL", "DEBUG", "SCRIPT", "FCALL") or not arguments:
        return f"{name} ?" if arguments else name
    return f"{name} {_NUMBER.sub('?', arguments[0])[:100]}{' ?' if len(arguments) > 1 else ''}"
