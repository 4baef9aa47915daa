"""Redis: one span for each command or pipeline of the sync, asyncio, cluster and Sentinel clients; hits and misses.

No key and no value is in a span: it holds a command's name and its number of arguments. What a client sends by itself
when it connects, and messages that come by subscription, are not operations of the program; nor is what Celery, RQ and
Dramatiq ask their broker for by themselves, outside of any request or task. Keys are told to the economics of caches,
which tells only what many of them have in common (`redis_keys`).
A command pays 1.3 us for it on its own thread, measured around an empty call.
"""

from __future__ import annotations

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, ResponseError, WatchError
from redis.exceptions import TimeoutError as RedisTimeoutError

from perfagent import settings
from perfagent.instruments.base import Instrument
from perfagent.instruments.redis_commands import (
    HIT,
    LOOKUPS,
    MISS,
    ONE,
    SHOWN_COMMANDS,
    RedisDatabase,
    found,
)
from perfagent.runtime import guard
from perfagent.runtime.cache import Lookups
from perfagent.runtime.clock import now
from perfagent.runtime.context import current, restore
from perfagent.runtime.db import Database, QuerySpan
from perfagent.runtime.encoded import MOST
from perfagent.runtime.plumbing import plumbing
from perfagent.runtime.span import CLIENT, Scope, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import ModuleType
    from typing import Any

    from perfagent.runtime.context import RemoteContext

_scope: Scope
_lookups: Lookups | None = None
_databases: dict[tuple[str, str, int], RedisDatabase] = {}
_tell: Callable[[Database, Sequence[Any], Any, int, int], None]
"""What is told of the keys of a command; loaded where caches are watched."""

# Errors whose text is the client's or the network's own and tells nothing of keys and values.
_HARMLESS = (RedisConnectionError, RedisTimeoutError, DataError, OSError)

# Prefixes that a client before 8, which has no `status_code`, leaves in an error's text or turns into a type.
_PREFIXES = frozenset(
    ("BUSY", "BUSYGROUP", "BUSYKEY", "INPROG", "MISCONF", "NOGROUP", "NOPROTO", "NOREPLICAS", "NOTBUSY", "UNBLOCKED",
     "UNKILLABLE", "WRONGTYPE")
)  # fmt: skip
_PREFIX_OF_TYPE = {
    "AskError": "ASK", "ClusterCrossSlotError": "CROSSSLOT", "ClusterDownError": "CLUSTERDOWN",
    "ExecAbortError": "EXECABORT", "MasterDownError": "MASTERDOWN", "MovedError": "MOVED",
    "NoPermissionError": "NOPERM", "NoScriptError": "NOSCRIPT", "OutOfMemoryError": "OOM", "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}  # fmt: skip


class Redis(Instrument):
    """Patches where every command of a client passes."""

    name = "redis"
    distribution = "redis"
    versions = ("4.3.2", "10")
    records = "a span a command or pipeline, sync and asyncio; hits and misses"

    def patch(self, module: ModuleType) -> None:
        """Patches the clients of `redis` or of `redis.asyncio`."""
        global _scope, _answered, _count, _tell
        _scope = self.scope
        if settings.current().cache_economics:
            from perfagent.instruments.redis_keys import tell

            _answered, _count, _tell = _judged_and_told, _counted_and_told, tell
        asynchronous = module.__name__ == "redis.asyncio"
        command = _command_async if asynchronous else _command
        pipeline = _pipeline_async if asynchronous else _pipeline
        self.replace(module.client.Redis, "execute_command", command)
        self.replace(module.client.Pipeline, "immediate_execute_command", command)
        self.replace(module.client.Pipeline, "execute", pipeline)
        self.replace(module.cluster.RedisCluster, "execute_command", command)
        self.replace(module.cluster.ClusterPipeline, "execute", pipeline)


class RedisSpan(QuerySpan):
    """One command or one pipeline; `lookups` is how many look-ups in it hit and missed."""

    __slots__ = ("lookups",)
    lookups: tuple[int, int] | None

    def fail(self, error: BaseException) -> None:
        """Records the exception that the call ended with.

        A server's error may quote keys and values, so of its text only the prefix is kept, which is also `error.type`.
        That a watched key has changed is an answer and no error.
        """
        try:
            if isinstance(error, WatchError) and str(error).startswith("Watched variable"):
                return
            super().fail(error)
            self.code = error_prefix(error)
            self.failure = self.code or self.failure
            if self.details is not None and self.details.events:
                told = self.details.events[-1][2]
                if self.code or not isinstance(error, _HARMLESS):
                    told.message = self.code  # type: ignore[attr-defined]
        except Exception:
            guard.failed("redis")

    def measure(self) -> None:
        """Counts hits and misses besides the duration."""
        global _lookups
        super().measure()
        if self.lookups is not None:
            if _lookups is None:
                _lookups = Lookups("redis")
            _lookups.record(*self.lookups)


def error_prefix(error: BaseException) -> str:
    """The prefix of a server's error, such as WRONGTYPE; "" for an error of the client or the network."""
    code = getattr(error, "status_code", None)
    if code:
        return str(code)
    if not isinstance(error, ResponseError):
        return ""
    text = str(error.args[0]) if error.args else ""
    word = text.rpartition("caused error: ")[2].lstrip("('\"").partition(" ")[0]  # a pipeline tells the command first
    if word in _PREFIXES or (hasattr(error, "status_code") and word.isascii() and word.isalpha() and word.isupper()):
        return word[:32]
    lost = word.startswith("{exception")  # redis-py 6.4 to 7.0 forget to fill in their message
    return _PREFIX_OF_TYPE.get(type(error).__name__, "" if lost else "ERR")


def _open(client: Any, parent: Span | RemoteContext | None, query: Any) -> RedisSpan:
    try:
        database = client.connection_pool._perfagent
    except AttributeError:
        database = _database_of(client)
    span = RedisSpan(_scope, parent, database, query)
    span.lookups = None
    return span


def _command(call: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(client: Any, *args: Any, **options: Any) -> Any:
        parent = current.get()
        if (parent.kind == CLIENT and not parent.ended) if parent is not None else _is_plumbing(client):
            return call(client, *args, **options)
        try:
            span = _open(client, parent, (args[0], len(args)))
        except Exception:
            guard.failed("redis")
            return call(client, *args, **options)
        try:
            reply = call(client, *args, **options)
        except BaseException as error:
            span.fail(error)
            span.finish()
            raise
        _answered(span, args, reply)
        return reply

    return wrapper


def _command_async(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapper(client: Any, *args: Any, **options: Any) -> Any:
        parent = current.get()
        if (parent.kind == CLIENT and not parent.ended) if parent is not None else _is_plumbing(client):
            return await call(client, *args, **options)
        try:
            span = _open(client, parent, (args[0], len(args)))
        except Exception:
            guard.failed("redis")
            return await call(client, *args, **options)
        try:
            reply = await call(client, *args, **options)
        except BaseException as error:
            span.fail(error)
            span.finish()
            raise
        _answered(span, args, reply)
        return reply

    return wrapper


def _is_plumbing(client: Any) -> bool:
    """Whether a queue's library talks to its broker, which nobody has asked it to: its pool is marked, or its code."""
    return plumbing.get() or getattr(getattr(client, "connection_pool", None), "_perfagent_plumbing", False)


def _judged(span: RedisSpan, args: Sequence[Any], reply: Any) -> None:
    """Ends the span of a command. The reply is judged here (0.1 us): the background thread would have to keep it."""
    try:
        kind = LOOKUPS.get(args[0])
        if kind is not None:
            if kind == ONE:
                span.lookups = MISS if reply is None else HIT
            else:
                span.lookups = found(kind, args, reply)
    except Exception:
        guard.failed("redis")
    span.finish()


def _judged_and_told(span: RedisSpan, args: Sequence[Any], reply: Any) -> None:
    """The same where caches are watched (PERFAGENT_CACHE_ECONOMICS)."""
    _judged(span, args, reply)
    _tell(span.database, args, reply, span.started, span.ended)


_answered = _judged


def _pipeline(call: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(pipeline: Any, *args: Any, **options: Any) -> Any:
        opened = _open_pipeline(pipeline)
        if opened is None:
            return call(pipeline, *args, **options)
        span, commands = opened
        token = current.set(span)
        try:
            replies = call(pipeline, *args, **options)
            _count(span, commands, replies)
            return replies
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            current.reset(token)
            span.finish()

    return wrapper


def _pipeline_async(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapper(pipeline: Any, *args: Any, **options: Any) -> Any:
        opened = _open_pipeline(pipeline)
        if opened is None:
            return await call(pipeline, *args, **options)
        span, commands = opened
        token = current.set(span)
        try:
            replies = await call(pipeline, *args, **options)
            _count(span, commands, replies)
            return replies
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            restore(current, token)
            span.finish()

    return wrapper


def _open_pipeline(pipeline: Any) -> tuple[RedisSpan, list[Sequence[Any]]] | None:
    """The span of a pipeline and the commands in it; None where nothing will be sent, or somebody speaks for it."""
    parent = current.get()
    if (parent.kind == CLIENT and not parent.ended) if parent is not None else _is_plumbing(pipeline):
        return None
    try:
        strategy = getattr(pipeline, "_execution_strategy", None)
        commands = _commands(pipeline, strategy)
        if not commands and not getattr(pipeline, "watching", False):
            return None
        if len(commands) == 1:  # semantic conventions: a batch of one is no batch
            return _open(pipeline, parent, (commands[0][0], len(commands[0]))), commands
        span = _open(pipeline, parent, _batch(pipeline, strategy, commands))
        span.batch = len(commands)
        return span, commands
    except Exception:
        guard.failed("redis")
        return None


def _batch(pipeline: Any, strategy: Any, commands: list[Sequence[Any]]) -> tuple[Any, ...]:
    """What tells a pipeline from others: kind, size, the command where all are the same, and the first few."""
    state = getattr(pipeline, "__dict__", {})
    transaction = any(state.get(name) for name in ("transaction", "is_transaction", "explicit_transaction"))
    kind = "MULTI" if transaction or type(strategy).__name__.startswith("Transaction") else "PIPELINE"
    first = commands[0][0] if commands else None
    same = first if all(command[0] == first for command in commands) else None
    shown = tuple([(command[0], len(command)) for command in commands[:SHOWN_COMMANDS]])
    return kind, min(len(commands), SHOWN_COMMANDS + 1), same, shown


def _commands(pipeline: Any, strategy: Any) -> list[Sequence[Any]]:
    """The commands of a pipeline, each with its arguments; a cluster's are objects, another client's are pairs."""
    queue: Any = getattr(strategy, "_command_queue", None)
    if queue is None:
        queue = getattr(pipeline, "command_stack", None) or getattr(pipeline, "_command_stack", ())
    return [command.args if hasattr(command, "args") else command[0] for command in queue]


def _counted(span: RedisSpan, commands: list[Sequence[Any]], replies: Any) -> None:
    """Adds up what the look-ups of a pipeline found."""
    try:
        hits = misses = 0
        seen = False
        for arguments, reply in zip(commands, replies, strict=False):
            kind = LOOKUPS.get(arguments[0])
            counted = None if kind is None else found(kind, arguments, reply)
            if counted is not None:
                hits, misses, seen = hits + counted[0], misses + counted[1], True
        if seen:
            span.lookups = hits, misses
    except Exception:
        guard.failed("redis")


def _counted_and_told(span: RedisSpan, commands: list[Sequence[Any]], replies: Any) -> None:
    """The same where caches are watched: the time of a pipeline is shared by its commands."""
    _counted(span, commands, replies)
    try:
        ended = now()
        each = (ended - span.started) // max(len(commands), 1)
        for arguments, reply in zip(commands, replies, strict=False):
            if not isinstance(reply, Exception):
                _tell(span.database, arguments, reply, ended - each, ended)
    except Exception:
        guard.failed("redis")


_count = _counted


def _database_of(client: Any) -> RedisDatabase:
    """What a client talks to, by its configuration; kept with its connection pool, or with the cluster's client."""
    pool = getattr(client, "connection_pool", None)
    namespace = "0"
    if pool is not None:
        owner, options = pool, pool.connection_kwargs
        namespace = str(options.get("db") or 0)
        service = getattr(pool, "service_name", None)
        if service or "path" in options:
            host, port = str(service or options["path"]), 0
        else:
            host, port = str(options.get("host") or "localhost"), int(options.get("port") or 6379)
    else:
        owner = getattr(client, "cluster_client", client)
        known = owner.__dict__.get("_perfagent")
        if known is not None:
            return known  # type: ignore[no-any-return]
        node = next(iter(owner.nodes_manager.startup_nodes.values()))
        host, port = str(node.host), int(node.port)
    database = _databases.get((namespace, host, port))
    if database is None:
        database = RedisDatabase(namespace, host, port)
        if len(_databases) < MOST:
            _databases[namespace, host, port] = database
    owner._perfagent = database
    return database


instrument = Redis()
