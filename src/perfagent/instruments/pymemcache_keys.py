"""Which keys Memcached's client looks up, sets and drops, told to the economics of the cache that a server is."""

from __future__ import annotations

from perfagent.runtime import economics, guard
from perfagent.runtime.clock import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.runtime.economics import Watched

MOST_KEYS = 200  # of one command
LOOKUPS = frozenset((b"get", b"gets", b"gat", b"gats"))
STORES = frozenset((b"set", b"cas", b"replace"))  # `add` is a lock or a mark as often as a value
MONTH = 30 * 24 * 3600  # s; a longer time is one since the epoch (Memcached's protocol)

_watched: dict[object, Watched | None] = {}


def _of(client: Any) -> Watched | None:
    server = client.server
    try:
        return _watched[server]
    except KeyError:
        address = f"{server[0]}:{server[1]}" if isinstance(server, tuple) else str(server)
        found = _watched[server] = economics.watched("memcached", "", address)
        return found


def fetching(fetch: Callable[..., dict[Any, Any]]) -> Callable[..., dict[Any, Any]]:
    """What stands for `_fetch_cmd`."""

    def wrapper(client: Any, name: bytes, keys: Any, *args: Any, **options: Any) -> dict[Any, Any]:
        started = now()
        found = fetch(client, name, keys, *args, **options)
        try:
            # A list stays what it is; of an iterator nobody knows what was asked. Without a socket an error is hidden.
            if name in LOOKUPS and type(keys) in (list, tuple) and client.sock is not None:
                watched = _of(client)
                if watched is not None:
                    ended = now()
                    each = (ended - started) // max(len(keys), 1)
                    for key in keys[:MOST_KEYS]:
                        watched.lookup(key, key in found, ended - each, ended, _size(found.get(key)))
        except Exception:
            guard.failed("pymemcache keys")
        return found

    return wrapper


def storing(store: Callable[..., Any]) -> Callable[..., Any]:
    """What stands for `_store_cmd`."""

    def wrapper(client: Any, name: bytes, values: Any, expire: Any, *args: Any, **options: Any) -> Any:
        started = now()
        result = store(client, name, values, expire, *args, **options)
        try:
            if name in STORES and type(values) is dict and 0 <= expire < MONTH:
                watched = _of(client)
                if watched is not None:
                    ended = now()
                    each = (ended - started) // max(len(values), 1)
                    for key in list(values)[:MOST_KEYS]:
                        watched.store(key, ended - each, ended, _size(values[key]), expire or None)
        except Exception:
            guard.failed("pymemcache keys")
        return result

    return wrapper


def sending(send: Callable[..., Any]) -> Callable[..., Any]:
    """What stands for `_misc_cmd`, which gets whole lines, each with its key as the second word."""

    def wrapper(client: Any, cmds: Any, cmd_name: bytes, *args: Any, **options: Any) -> Any:
        try:
            if cmd_name == b"delete" and type(cmds) is list:
                watched = _of(client)
                if watched is not None:
                    for line in cmds[:MOST_KEYS]:
                        watched.drop(line.split(b" ", 2)[1].removeprefix(client.key_prefix))
        except Exception:
            guard.failed("pymemcache keys")
        return send(client, cmds, cmd_name, *args, **options)

    return wrapper


def _size(value: Any) -> int:
    return len(value) if type(value) is bytes or type(value) is str else 0
