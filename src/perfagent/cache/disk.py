"""The tier on disk: shared by the processes of a machine, on diskcache, which here stores and reads bytes alone."""

from __future__ import annotations

import os
import sqlite3
from time import monotonic, time
from typing import TYPE_CHECKING, Any, TypeVar

from perfagent.cache.entry import Stamps
from perfagent.cache.envelope import STAMP, Poisoned, unpacked
from perfagent.cache.forgetting import Forgetful
from perfagent.cache.found import Found
from perfagent.cache.names import Names
from perfagent.cache.needed import needed
from perfagent.cache.outage import Outage
from perfagent.cache.redis import NONE, UNDER_WAY
from perfagent.cache.steps import Blocking
from perfagent.runtime.context import RemoteContext, current
from perfagent.runtime.span import CLIENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfagent.cache.key import Key
    from perfagent.cache.steps import Steps

Result = TypeVar("Result")
SIZES = "SELECT substr(key, 1, length(key) - 43), count(*) FROM Cache WHERE substr(key, -43, 3) = ':e:' GROUP BY 1"
EXPIRED = "SELECT count(*) FROM Cache WHERE expire_time IS NOT NULL AND expire_time < ?"
TIMEOUT = 5.0  # seconds that another process may hold the file


class Disk(Forgetful):
    """Values by key, with the same stamps as in Redis.

    Args:
        folder: where; made where it is missing, for this user alone.
        names: what things are called.
        entries: most values; the least recently used goes.
        size: most room in bytes.
        longest: how many seconds a value stays at most.
        largest: largest value in bytes.
        failed: told of each attempt that failed.
        evicted: told how many had to go for want of room.
    """

    name = "disk"

    def __init__(
        self,
        folder: Path,
        names: Names,
        entries: int,
        size: int,
        longest: float,
        largest: int,
        failed: Callable[[], None],
        evicted: Callable[[int], None],
    ) -> None:
        self._diskcache = needed("diskcache", "a cache on disk", "diskcache")
        self._folder, self.names, self.most, self._size = folder, names, entries, size
        self._longest, self._largest, self._evicted = longest, largest, evicted
        self.outage = Outage(f"the cache in {folder}", failed)
        self._errors = (OSError, sqlite3.Error, self._diskcache.Timeout)
        self._cache: Any = None

    def reset(self) -> None:
        """For a forked child: a connection of its own. The parent's is kept, for closing it would remove its log."""
        _inherited.append(self._cache)
        self._cache = None
        self.outage.reset()

    def _open(self) -> Any:
        if self._cache is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._cache = self._made()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):  # busy, full or not allowed; the file may be good
                    raise
                (self._folder / "cache.db").rename(self._folder / "cache.db.broken")
                self._cache = self._made()
        return self._cache

    def _made(self) -> Any:
        return _bounded(self._diskcache, self.most, self._largest, self._evicted)(
            str(self._folder),
            timeout=TIMEOUT,
            disk=_bytes_only(self._diskcache, self._largest),
            size_limit=self._size,
            eviction_policy="least-recently-used",
        )

    def _do(self, call: Callable[[Any], Any]) -> Steps[Any]:
        """What a call gives, in one transaction; None where the disk does not."""
        if self.outage.closed or (self.outage.missed and not (yield from self.catch_up())):
            return None
        return (yield from self._try(call))

    def _try(self, call: Callable[[Any], Any]) -> Steps[Any]:
        def attempt() -> Any:
            cache = self._open()
            with cache.transact(retry=False):
                return call(cache)

        try:
            answer = yield Blocking(quietly(attempt))
        except self._errors as error:
            self._cache = None
            self.outage.failed(error)
            return None
        self.outage.answered()
        return answer

    def read(self, key: Key) -> Steps[Found | None]:
        """The entry of a key.

        Raises:
            Poisoned: what is there is none.
        """

        def call(cache: Any) -> Any:
            data, expires = cache.get(self.names.of("e", key), expire_time=True)
            if data is None:
                return None
            if not isinstance(data, bytes):
                raise Poisoned("not bytes")
            envelope = unpacked(data, self._largest + (1 << 16))
            stamps = b"".join(cache.get(name) or NONE for name in self.names.depends(key.space, envelope.tags))
            return (envelope, expires) if stamps == envelope.stamps else None

        answer = yield from self._do(call)
        if answer is None:
            return None
        envelope, expires = answer
        return Found(envelope, float("inf") if expires is None else monotonic() + expires - time(), self.name)

    def begin(self, key: Key, tags: tuple[bytes, ...]) -> Steps[Stamps | None]:
        """What a computation that begins now depends on; None where the disk does not answer."""

        def call(cache: Any) -> Stamps:
            names = [self.names.of("c", key), *self.names.depends(key.space, tags)]
            marker, *depends = [_made_once(cache, name) for name in names]
            return Stamps(marker, b"".join(depends), NONE)

        stamps: Stamps | None = yield from self._do(call)
        return stamps

    def write(self, key: Key, tags: tuple[bytes, ...], stamps: Stamps, data: bytes, ttl: float) -> Steps[bool | None]:
        """Keeps an entry for `ttl` seconds, unless its key, a tag or its space was invalidated since `stamps`; says
        whether it did, and None where it does not answer.
        """
        seconds = min(ttl, self._longest)
        expire = None if seconds == float("inf") else seconds

        def call(cache: Any) -> bool:
            depends = self.names.depends(key.space, tags)
            known = b"".join(cache.get(name) or NONE for name in depends)
            if cache.get(self.names.of("c", key)) != stamps.marker or known != stamps.depends:
                return False
            for name in depends:
                _, until = cache.get(name, expire_time=True)
                if until is not None and (expire is None or until < time() + expire):
                    cache.touch(name, expire)
            cache.set(self.names.of("e", key), data, expire)
            cache.delete(self.names.of("c", key))
            return True

        answer: bool | None = yield from self._do(call)
        return answer

    def _forget(self, what: str, name: str, tags: tuple[bytes, ...]) -> Steps[int | None]:
        def remove(cache: Any) -> int:
            space, digest = name.split("\n")
            for kind in "cl":
                cache.delete(f"{space}:{kind}:{digest}")
            return int(cache.delete(f"{space}:e:{digest}"))

        def remove_tags(cache: Any) -> int:
            for stamp in self.names.depends("", tags)[1:]:
                cache.delete(stamp)
            return 0

        def clear(cache: Any) -> int:
            beginning = f"{name or self.names.root}:"
            names = [one for one in cache if isinstance(one, str) and one.startswith(beginning)]
            for one in names:
                cache.delete(one)
            return sum(map(Names.is_entry, names))

        calls = {"remove": remove, "remove_tags": remove_tags, "clear": clear}
        done: int | None = yield from self._try(calls[what])
        return done

    def lock(self, key: Key, token: bytes, lease: float) -> Steps[bool | None]:
        """Takes the lock of a key for `lease` seconds; None where the disk does not answer."""
        answer: bool | None = yield from self._do(lambda cache: cache.add(self.names.of("l", key), token, lease))
        return answer

    def unlock(self, key: Key, token: bytes) -> Steps[None]:
        """Gives it back, if it is still the one of `token`."""
        name = self.names.of("l", key)
        yield from self._do(lambda cache: cache.get(name) == token and cache.delete(name))

    def renew(self, key: Key, token: bytes, lease: float) -> Steps[bool]:
        """Has it last for `lease` seconds from now; False where it is not the one of `token` any more."""
        name = self.names.of("l", key)
        return bool((yield from self._do(lambda cache: cache.get(name) == token and cache.touch(name, lease))))

    def clean(self) -> Steps[int]:
        """Removes what has expired; says how many that were."""

        def attempt() -> int:
            return int(self._open().expire())

        if self.outage.closed:
            return 0
        try:
            return int((yield Blocking(quietly(attempt))))
        except self._errors as error:
            self.outage.failed(error)
            return 0

    def sizes(self) -> dict[str, int]:
        """Entries by what their keys begin with; {} where the disk does not answer, and before it was used."""
        if self._cache is None or self.outage.down:
            return {}
        try:
            # In SQL, for reading every key would take the program's time.
            return dict(quietly(lambda: self._cache._sql(SIZES).fetchall())())
        except self._errors:
            return {}

    def close(self) -> None:
        """Closes this thread's connection."""
        cache, self._cache = self._cache, None
        if cache is not None:
            cache.close()


_inherited: list[object] = []


class _Quiet(RemoteContext):
    """A current span that makes sqlite3's instrument silent: a look-up here is 15 statements that nobody wrote."""

    __slots__ = ()
    kind = CLIENT


_quiet = _Quiet(bytes(16), bytes(8), 0)


def quietly(call: Callable[[], Result]) -> Callable[[], Result]:
    """The same call, without spans for the statements in it."""

    def wrapper() -> Result:
        token = current.set(_quiet)
        try:
            return call()
        finally:
            current.reset(token)

    return wrapper


def _made_once(cache: Any, name: str) -> bytes:
    found = cache.get(name)
    if not isinstance(found, bytes):
        found = os.urandom(STAMP)
        cache.set(name, found, UNDER_WAY / 1000)
    return found


def _bytes_only(diskcache: Any, most: int) -> Any:
    class Bytes(diskcache.Disk):  # type: ignore[misc]
        """Stores bytes and texts as they are; what the file has of another kind, a pickle above all, is not read."""

        def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> object:
            """The bytes; None for anything else."""
            if mode == diskcache.core.MODE_RAW and filename is None:
                return bytes(value) if isinstance(value, (bytes, memoryview)) else None
            if mode != diskcache.core.MODE_BINARY or not isinstance(filename, str):
                return None
            path = os.path.realpath(os.path.join(self._directory, filename))
            inside = path.startswith(os.path.realpath(self._directory) + os.sep)
            if not inside or os.path.getsize(path) > most + (1 << 16):
                return None
            return super().fetch(mode, filename, value, False)

        def get(self, key: object, raw: bool) -> object:
            """The key; one that is no text is none of ours."""
            return key if raw and isinstance(key, str) else None

    return Bytes


def _bounded(diskcache: Any, entries: int, largest: int, evicted: Callable[[int], None]) -> Any:
    class Bounded(diskcache.Cache):  # type: ignore[misc]
        """Counts entries as room, so that a number of entries bounds it, too."""

        def volume(self) -> int:
            """The bytes that it takes; as many as there may be, where there are too many entries."""
            return self.size_limit if len(self) > entries else super().volume()  # type: ignore[no-any-return]

        def _cull(self, now: float, sql: Any, cleanup: Any, limit: int | None = None) -> None:
            full = self.volume() >= self.size_limit
            if not full:
                super()._cull(now, sql, cleanup, limit)
                return
            before = len(self) - min(self.cull_limit, sql(EXPIRED, (now,)).fetchone()[0])
            super()._cull(now, sql, cleanup, limit)
            evicted(max(0, before - len(self)))

    return Bounded
