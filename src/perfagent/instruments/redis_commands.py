"""What a Redis command says without its keys and values, and what its reply says about the cache.

Rules: OpenTelemetry semantic conventions, "Redis client operations". The texts are made in the background thread,
once for each command and number of arguments.
"""

from __future__ import annotations

from perfagent.runtime.db import Database, Statement
from perfagent.runtime.encoded import MOST
from perfagent.runtime.otlp import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Command = tuple[object, int]  # as the program gave it, and the number of all parts with the command itself
    Pipeline = tuple[str, int, object, tuple[Command, ...]]  # PIPELINE or MULTI, size, the one command, the first few

SHOWN_ARGUMENTS = 16
SHOWN_COMMANDS = 16

# Commands whose next word is a part of the command; every other further word is a key or a value.
_CONTAINERS = frozenset(
    (
        "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "HIMPORT", "HOTKEYS", "LATENCY", "MEMORY",
        "MODULE", "OBJECT", "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "TFUNCTION", "XGROUP", "XINFO",
    )
)  # fmt: skip

ONE, MANY, COUNT = 1, 2, 3  # what a look-up answers: a value or None, a list of these, a number of those found
_LOOKUPS = {
    "GET": ONE, "GETEX": ONE, "GETDEL": ONE, "HGET": ONE, "MGET": MANY, "HMGET": MANY, "EXISTS": COUNT, "HEXISTS": COUNT
}  # fmt: skip
LOOKUPS: dict[object, int] = {
    spelled: kind
    for name, kind in _LOOKUPS.items()
    for spelled in (name, name.lower(), name.encode(), name.lower().encode())
}
"""The commands that look something up, as they may be spelled."""
HIT, MISS = (1, 0), (0, 1)


def found(kind: int, arguments: Sequence[object], reply: object) -> tuple[int, int] | None:
    """Hits and misses of one look-up; None where the reply tells nothing, such as an error in a pipeline.

    Args:
        kind: one of `LOOKUPS`.
        arguments: the command with its arguments.
        reply: what the client returns for it.
    """
    if isinstance(reply, Exception):
        return None
    if kind == ONE:
        return MISS if reply is None else HIT
    if kind == MANY:
        if not isinstance(reply, list):
            return None
        misses = reply.count(None)
        return len(reply) - misses, misses
    if not isinstance(reply, int):
        return None
    asked = len(arguments) - 1 if arguments[0] in ("EXISTS", "exists", b"EXISTS", b"exists") else 1
    return int(reply), max(asked - int(reply), 0)


class RedisDatabase(Database):
    """A Redis server; its statements are commands, by their names and numbers of arguments.

    Args:
        namespace: the index of the database, as the client was configured; SELECT does not change it.
        host: the server as the client was configured: for Sentinel the name of the service, else host or socket.
        port: its port, or 0.
    """

    __slots__ = ()

    def __init__(self, namespace: str, host: str, port: int) -> None:
        super().__init__("redis", namespace, host, port)

    def _describe(self, query: Command | Pipeline) -> Statement:  # type: ignore[override]
        if len(query) == 2:
            name = operation(query[0])
            text = command_text(*query)
        else:
            kind, size, same, commands = query
            name = kind if same is None else f"{kind} {operation(same)}"
            text = "; ".join([command_text(*command) for command in commands])
            if size > len(commands):
                text += "; ..."
        shared = {**self.attributes, "db.operation.name": name}
        own = {**shared, "db.query.text": text} if text else shared
        statement = Statement(wire.text(5, name) + b"0\x03" + wire.attributes(9, own), shared)
        if len(self.statements) >= MOST:
            self.statements.clear()
        self.statements[query] = statement  # type: ignore[index]
        return statement


def operation(command: object) -> str:
    """The name of a command, as the program spells it.

    redis-py also takes a whole command line as the command and splits it, so only what is certain to be a part of the
    name is kept.
    """
    words = _words(command)
    if not words or not words[0].replace(".", "").replace("-", "").replace("_", "").isalnum() or len(words[0]) > 64:
        return "_OTHER"
    return " ".join(words[: _named(words)])


def command_text(command: object, parts: int) -> str:
    """A command with every argument replaced, as in `SET ? ?`."""
    words = _words(command)
    arguments = parts - 1 + max(len(words) - _named(words), 0)
    text = operation(command) + " ?" * min(arguments, SHOWN_ARGUMENTS)
    return text + " ..." if arguments > SHOWN_ARGUMENTS else text


def _words(command: object) -> list[str]:
    if isinstance(command, (bytes, bytearray, memoryview)):
        return bytes(command).decode("latin-1").split()
    return str(command).split()


def _named(words: list[str]) -> int:
    """How many of the words are the command's name."""
    return 2 if words and words[0].upper() in _CONTAINERS else 1
