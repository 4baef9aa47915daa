"""The tier in Redis: shared by processes and machines, never waited for longer than its time-out.

Every operation is one script, so it is one round trip and nothing comes in between. An entry carries the stamps that
its space and its tags had when its computation began, and counts only while they are the same: so deleting a stamp
invalidates any number of entries at once, and nothing that was computed before can bring them back.
"""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING, Any

from perfagent.cache.connection import Connection
from perfagent.cache.entry import Stamps
from perfagent.cache.envelope import STAMP, unpacked
from perfagent.cache.forgetting import Forgetful
from perfagent.cache.found import Found
from perfagent.cache.names import Names
from perfagent.cache.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfagent.cache.key import Key
    from perfagent.cache.steps import Steps

NONE = bytes(STAMP)
UNDER_WAY = 3_600_000  # ms; the result of a computation that took longer is not kept
EVER = 3.2e9  # seconds, a hundred years; Redis refuses what is much longer
SCANNED = 1000  # keys of one step of a clearing

READ = """
return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]), redis.call('GET', KEYS[2])}
"""
STAMPS = """
local found = {}
for at, key in ipairs(KEYS) do found[at] = redis.call('GET', key) end
return found
"""
# The grave of the key; then the marker and the stamps, made where there are none.
BEGIN = """
local found = {redis.call('GET', KEYS[1])}
for at = 2, #KEYS do
  found[at] = redis.call('GET', KEYS[at])
  if not found[at] then
    redis.call('SET', KEYS[at], ARGV[at], 'PX', ARGV[1])
    found[at] = ARGV[at]
  end
end
return found
"""
# The entry, where marker and stamps are still the same; these live as long as the entry does.
WRITE = """
for at = 2, #KEYS do
  if redis.call('GET', KEYS[at]) ~= ARGV[at + 1] then return 0 end
end
for at = 3, #KEYS do
  if ARGV[2] == '0' then
    redis.call('PERSIST', KEYS[at])
  else
    local left = redis.call('PTTL', KEYS[at])
    if left >= 0 and left < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[at], ARGV[2]) end
  end
end
if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
redis.call('DEL', KEYS[2])
return 1
"""
REMOVE = """
local removed = redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2], KEYS[3])
if ARGV[1] ~= '0' then redis.call('SET', KEYS[4], ARGV[2], 'PX', ARGV[1]) end
return removed
"""
LOCK = "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end return 0"
UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""


class Redis(Forgetful):
    """Values by key.

    Args:
        connection: to the server.
        names: what things are called.
        most: largest value in bytes.
        buried: how many seconds a grave tells of an invalidation, for stores below that others fill; 0 for none.
        failed: told of each attempt that failed.
    """

    name = "redis"
    most = 0

    def __init__(
        self, connection: Connection, names: Names, most: int, buried: float, failed: Callable[[], None]
    ) -> None:
        self.connection = connection
        self.names = names
        self._most = most
        self._buried = milliseconds(buried)
        self.outage = Outage(f"Redis at {connection.shown}", failed)

    def reset(self) -> None:
        """For a forked child: connections of its own, and no lock that a thread of its parent's holds."""
        self.connection.reset()
        self.outage.reset()

    def _ask(self, script: str, keys: Sequence[str], *arguments: bytes | int | str) -> Steps[Any]:
        """The answer of a script; None where the server gives none."""
        if self.outage.closed or (self.outage.missed and not (yield from self.catch_up())):
            return None
        return (yield from self._try("EVAL", script, len(keys), *keys, *arguments))

    def _try(self, *command: bytes | int | str) -> Steps[Any]:
        try:
            answer = yield self.connection.command(*command)
        except self.connection.refusals as error:  # such as OOM: it is there, and says no to this
            self.outage.refused(error)
            return None
        except self.connection.errors as error:
            self.outage.failed(error)
            return None
        self.outage.answered()
        return answer

    def read(self, key: Key) -> Steps[Found | None]:
        """The entry of a key.

        Raises:
            Poisoned: what is there is none.
        """
        answer = yield from self._ask(READ, [self.names.of("e", key), *self.names.depends(key.space, ())])
        if answer is None or answer[0] is None:
            return None
        data, left, space = answer
        envelope = unpacked(data, self._most)
        found = Found(envelope, monotonic() + left / 1000 if left >= 0 else float("inf"), self.name)
        if envelope.stamps[:STAMP] != space:
            return None
        if envelope.tags:
            stamps = yield from self._ask(STAMPS, self.names.depends(key.space, envelope.tags)[1:])
            if stamps is None or b"".join(one or NONE for one in stamps) != envelope.stamps[STAMP:]:
                return None
        return found

    def begin(self, key: Key, tags: tuple[bytes, ...]) -> Steps[Stamps | None]:
        """What a computation that begins now depends on; None where the server does not answer."""
        names = [self.names.of("x", key), self.names.of("c", key), *self.names.depends(key.space, tags)]
        fresh = (os.urandom(STAMP) for _ in names[1:])
        answer = yield from self._ask(BEGIN, names, UNDER_WAY, *fresh)
        if answer is None:
            return None
        return Stamps(answer[1], b"".join(answer[2:]), answer[0] or NONE)

    def write(self, key: Key, tags: tuple[bytes, ...], stamps: Stamps, data: bytes, ttl: float) -> Steps[bool | None]:
        """Keeps an entry for `ttl` seconds, unless its key, a tag or its space was invalidated since `stamps`; says
        whether it did, and None where it does not answer.
        """
        names = [self.names.of("e", key), self.names.of("c", key), *self.names.depends(key.space, tags)]
        parts = [stamps.depends[at : at + STAMP] for at in range(0, len(stamps.depends), STAMP)]
        answer = yield from self._ask(WRITE, names, data, milliseconds(ttl), stamps.marker, *parts)
        return None if answer is None else bool(answer)

    def _forget(self, what: str, name: str, tags: tuple[bytes, ...]) -> Steps[int | None]:
        if what == "remove":
            space, digest = name.split("\n")
            names = [f"{space}:{kind}:{digest}" for kind in "eclx"]
            done = yield from self._try("EVAL", REMOVE, len(names), *names, self._buried, os.urandom(STAMP))
            return None if done is None else int(done)
        if what == "remove_tags":
            names = self.names.depends("", tags)[1:]
            done = yield from self._try("DEL", *names)
            return None if done is None else 0
        return (yield from self._clear(name))

    def _clear(self, space: str) -> Steps[int | None]:
        """First the stamp, which ends every entry at once, then the entries themselves, for their room."""
        removed, cursor, pattern = 0, b"0", f"{space or self.names.root}:*"
        if space and (yield from self._try("DEL", f"{space}:g")) is None:
            return None
        while True:
            answer = yield from self._try("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED)
            if answer is None:
                return None
            cursor, names = answer[0], list(answer[1])
            entries = sum(Names.is_entry(name.decode()) for name in names)
            if names and (yield from self._try("UNLINK", *names)) is None:
                return None
            removed += entries
            if int(cursor) == 0:
                return removed

    def lock(self, key: Key, token: bytes, lease: float) -> Steps[bool | None]:
        """Takes the lock of a key for `lease` seconds; None where the server does not answer."""
        answer = yield from self._ask(LOCK, [self.names.of("l", key)], token, milliseconds(lease))
        return None if answer is None else bool(answer)

    def unlock(self, key: Key, token: bytes) -> Steps[None]:
        """Gives it back, if it is still the one of `token`."""
        yield from self._ask(UNLOCK, [self.names.of("l", key)], token)

    def renew(self, key: Key, token: bytes, lease: float) -> Steps[bool]:
        """Has it last for `lease` seconds from now; False where it is not the one of `token` any more."""
        return bool((yield from self._ask(RENEW, [self.names.of("l", key)], token, milliseconds(lease))))

    def clean(self) -> Steps[int]:
        """Nothing: Redis removes what has expired by itself."""
        yield from ()
        return 0

    def sizes(self) -> None:
        """None: Redis counts the keys of all its users together."""

    def close(self) -> None:
        """Closes this process' connections."""
        self.connection.close()


def milliseconds(seconds: float) -> int:
    """As Redis counts: 0 for ever, else at least 1."""
    return 0 if seconds > EVER or seconds == 0 else max(1, int(seconds * 1000))
