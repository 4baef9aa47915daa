"""Which keys a Redis command looks up, sets and drops, told to the economics of the cache that the server is."""

from __future__ import annotations

from perfagent.runtime import economics, guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from perfagent.runtime.db import Database
    from perfagent.runtime.economics import Watched

    Tell = Callable[[Watched, Sequence[Any], Any, int, int], None]

MOST_KEYS = 200  # of one command

_watched: dict[Database, Watched | None] = {}


def tell(database: Database, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    """Tells what a command did with keys.

    Args:
        database: where it was sent.
        command: its name and its arguments, as the program gave them.
        reply: what the client returns.
        started, ended: by the monotonic clock, ns.
    """
    try:
        told = COMMANDS.get(command[0])
        if told is not None:
            watched = _watched[database] if database in _watched else _watch(database)
            if watched is not None:
                told(watched, command, reply, started, ended)
    except Exception:
        guard.failed("redis keys")


def _watch(database: Database) -> Watched | None:
    attributes = database.attributes
    host, port = attributes.get("server.address", ""), attributes.get("server.port")
    address = f"{host}{f':{port}' if port else ''}/{attributes.get('db.namespace', '0')}"
    found = _watched[database] = economics.watched("redis", "", address)
    return found


def _size(value: Any) -> int:
    return len(value) if type(value) is bytes or type(value) is str else 0


def _get(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    watched.lookup(command[1], reply is not None, started, ended, _size(reply))


def _get_and_expire(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    watched.lookup(command[1], reply is not None, started, ended, _size(reply))
    if len(command) > 3 and reply is not None:
        watched.expire(command[1], _ttl(command[2:]))


def _get_and_delete(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    watched.lookup(command[1], reply is not None, started, ended, _size(reply))
    watched.drop(command[1])


def _get_many(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    if type(reply) is list and reply:
        each = (ended - started) // len(reply)  # one journey for all of them
        for key, value in zip(command[1 : 1 + MOST_KEYS], reply, strict=False):
            watched.lookup(key, value is not None, ended - each, ended, _size(value))


def _get_field(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    watched.lookup(_field(command[1], command[2]), reply is not None, started, ended, _size(reply))


def _get_fields(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    if type(reply) is list and reply:
        each = (ended - started) // len(reply)
        for field, value in zip(command[2 : 2 + MOST_KEYS], reply, strict=False):
            watched.lookup(_field(command[1], field), value is not None, ended - each, ended, _size(value))


def _set(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    options = command[3:]
    if options:
        words = [str(one).upper() for one in options if type(one) is str]
        if "NX" in words:  # a lock, or a mark: nobody looks it up
            return
        if "KEEPTTL" in words or reply is None:
            return
    watched.store(command[1], started, ended, _size(command[2]), _ttl(options))


def _set_for_seconds(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    watched.store(command[1], started, ended, _size(command[3]), _seconds(command[2]))


def _set_for_milliseconds(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    watched.store(command[1], started, ended, _size(command[3]), float(command[2]) / 1000)


def _set_many(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    each = (ended - started) // max(len(command) // 2, 1)
    for position in range(1, min(len(command) - 1, 2 * MOST_KEYS), 2):
        watched.store(command[position], ended - each, ended, _size(command[position + 1]))


def _set_fields(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    each = (ended - started) // max(len(command) // 2 - 1, 1)
    for position in range(2, min(len(command) - 1, 2 * MOST_KEYS), 2):
        key = _field(command[1], command[position])
        watched.store(key, ended - each, ended, _size(command[position + 1]))


def _delete(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    for key in command[1 : 1 + MOST_KEYS]:
        watched.drop(key)


def _delete_fields(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    for field in command[2 : 2 + MOST_KEYS]:
        watched.drop(_field(command[1], field))


def _expire(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    if reply:
        watched.expire(command[1], _seconds(command[2]))


def _expire_milliseconds(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    if reply:
        watched.expire(command[1], float(command[2]) / 1000)


def _persist(watched: Watched, command: Sequence[Any], reply: Any, started: int, ended: int) -> None:
    watched.expire(command[1], None)


def _field(key: Any, field: Any) -> str:
    """A field of a hash as a key of its own; its value is what is looked up."""
    return f"{_text(key)} {_text(field)}"


def _text(part: Any) -> str:
    name = economics.plain(part)
    return name.decode("utf-8", "replace") if type(name) is bytes else str(name)


def _seconds(value: Any) -> float:
    return value.total_seconds() if hasattr(value, "total_seconds") else float(value)


def _ttl(options: Sequence[Any]) -> float | None:
    """What EX, PX, EXAT or PXAT say; None for ever."""
    for position in range(len(options) - 1):
        unit = options[position]
        unit = unit.upper() if type(unit) is str else unit
        if unit == "EX":
            return _seconds(options[position + 1])
        if unit == "PX":
            return float(options[position + 1]) / 1000
        if unit in ("EXAT", "PXAT"):
            from time import time

            at = float(options[position + 1])
            return max((at if unit == "EXAT" else at / 1000) - time(), 0.0)
    return None


_COMMANDS: dict[str, Tell] = {
    "GET": _get, "GETEX": _get_and_expire, "GETDEL": _get_and_delete, "MGET": _get_many, "HGET": _get_field,
    "HMGET": _get_fields, "SET": _set, "SETEX": _set_for_seconds, "PSETEX": _set_for_milliseconds, "MSET": _set_many,
    "HSET": _set_fields, "HMSET": _set_fields, "DEL": _delete, "UNLINK": _delete, "HDEL": _delete_fields,
    "EXPIRE": _expire, "PEXPIRE": _expire_milliseconds, "PERSIST": _persist,
}  # fmt: skip
COMMANDS: dict[object, Tell] = {
    spelled: told
    for name, told in _COMMANDS.items()
    for spelled in (name, name.lower(), name.encode(), name.lower().encode())
}
"""What is told of a command, as it may be spelled."""
