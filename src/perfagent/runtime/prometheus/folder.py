"""The folder that the processes of one program share: a snapshot each, and what those that ended have counted.

A process is named by its number, the time it was started at, and eight random digits, so that neither a number used
again nor an `exec` is taken for the process before. All of one program's processes run in one PID namespace.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from perfagent.runtime.clock import monotonic, sleep, time
from perfagent.runtime.prometheus.merge import Merged
from perfagent.runtime.prometheus.processes import is_alive, started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from perfagent.runtime.prometheus.snapshot import Metric

PREFIX = "perfagent-prometheus-"
ENDED = "ended"
NOTHING: dict[str, Any] = {"pid": 0, "resource": {}, "metrics": [], "last": False}
"""A snapshot without anything in it, as it is written."""
LOCK_WAIT = 0.5  # seconds; what is done under the lock takes a few ms
FORGOTTEN = 60.0  # seconds after which a folder without living processes is taken for left behind


class Snapshot:
    """What one process has told: its number, its resource as labels, its metrics, and whether they are its last."""

    __slots__ = ("last", "metrics", "pid", "resource")

    def __init__(self, pid: int, resource: dict[str, str], metrics: Sequence[Metric], last: bool = False) -> None:
        self.pid = pid
        self.resource = resource
        self.metrics = metrics
        self.last = last


class Folder:
    """The shared folder, for one process.

    Args:
        path: the folder.
        ours: whether perfagent made it, and removes it in the end.
    """

    def __init__(self, path: str, ours: bool) -> None:
        self.path = path
        self.ours = ours
        self._read: dict[str, tuple[tuple[int, int], Snapshot]] = {}
        self.reset()

    def reset(self) -> None:
        """A new process: at the start, and in a forked child."""
        pid = os.getpid()
        self.name = f"{pid}-{started(pid) or 0}-{os.urandom(4).hex()}"
        self.joined = False

    def join(self) -> None:
        """Announces this process. Where it is the only one alive, what is in the folder is of an earlier run."""
        os.makedirs(self.path, 0o700, exist_ok=True)  # the last process before may have removed it just now
        with Lock(self.path):
            if not any(self._is_alive(name) for name in self._names()):
                _empty(self.path)
            for name in self._names():
                if name.startswith(f"{os.getpid()}-"):  # this process before an exec
                    self._write(name, {**(self._decode(name) or NOTHING), "last": True})
            self._write(self.name, {**NOTHING, "pid": os.getpid()})
            self.joined = True

    def others(self) -> bool:
        """Whether another process has told something, be it at its end."""
        return any(name != self.name for name in self._names()) or os.path.exists(self._path(ENDED))

    def write(self, snapshot: Snapshot) -> None:
        """Tells the others; whoever reads sees the whole of the old or the whole of the new."""
        self._write(
            self.name,
            {
                "pid": snapshot.pid,
                "resource": snapshot.resource,
                "metrics": snapshot.metrics,
                "last": snapshot.last,
            },
        )

    def read(self) -> tuple[list[Snapshot], list[Metric]]:
        """The snapshots of the other living processes, and what those that ended have counted."""
        with Lock(self.path):
            alive, ended = [], []
            for name in self._names():
                if name == self.name:
                    continue
                snapshot = self._load(name)
                if snapshot is None:
                    continue
                if snapshot.last or not self._is_alive(name):
                    ended.append((name, snapshot))
                else:
                    alive.append(snapshot)
            return alive, self._archive(ended)

    def leave(self, snapshot: Snapshot) -> None:
        """Leaves what was counted to the others, or removes everything where there are none."""
        with Lock(self.path):
            if any(name != self.name and self._is_alive(name) for name in self._names()):
                self.write(snapshot)
                return
            _empty(self.path)
        if self.ours:
            _remove(self.path)

    def note(self, key: str, value: str) -> None:
        """Leaves a note to the others."""
        _replace(self._path(key), value)

    def noted(self, key: str) -> str:
        """The note of that key, or ''."""
        try:
            with open(self._path(key), encoding="utf-8") as file:
                return file.read()
        except OSError:
            return ""

    def is_served(self) -> bool:
        """Whether the process that last said it serves is alive."""
        return self._is_alive(self.noted("serving"))

    def _is_alive(self, name: str) -> bool:
        pid, start, _ = [*name.split("-"), "", ""][:3]
        if name == self.name:
            return True
        if not pid.isdecimal() or int(pid) == os.getpid():  # this process before an exec, or of a number used again
            return False
        return is_alive(int(pid), int(start))

    def _archive(self, ended: list[tuple[str, Snapshot]]) -> list[Metric]:
        """Adds the last words of processes to what all that ended have counted, and returns that."""
        known: dict[str, Any] = self._decode(ENDED) or {"names": [], "metrics": []}
        metrics: list[Metric] = known["metrics"]
        if not ended:
            return metrics
        counted = Merged()
        counted.add(metrics, 0, alive=False)
        for name, snapshot in ended:
            if name not in known["names"]:  # else somebody died between the two steps below
                counted.add(snapshot.metrics, snapshot.pid, alive=False)
        metrics = counted.dump()
        self._write(ENDED, {"names": [name for name, _ in ended], "metrics": metrics})
        for name, _ in ended:
            _unlink(self._path(name))
            self._read.pop(name, None)
        return metrics

    def _load(self, name: str) -> Snapshot | None:
        """A process' snapshot; parsed again only where it has changed."""
        try:
            stat = os.stat(self._path(name))
        except OSError:
            return None
        version = (stat.st_ino, stat.st_mtime_ns)
        known = self._read.get(name)
        if known is None or known[0] != version:
            data = self._decode(name)
            if data is None:
                return None
            known = (version, Snapshot(data["pid"], data["resource"], data["metrics"], data["last"]))
            self._read[name] = known
        return known[1]

    def _names(self) -> list[str]:
        try:
            return [name[:-5] for name in os.listdir(self.path) if name.endswith(".json") and name[0].isdigit()]
        except OSError:
            return []

    def _path(self, name: str) -> str:
        return os.path.join(self.path, f"{name}.json")

    def _decode(self, name: str) -> dict[str, Any] | None:
        try:
            with open(self._path(name), "rb") as file:
                return json.loads(file.read())  # type: ignore[no-any-return]
        except (OSError, ValueError):
            return None

    def _write(self, name: str, data: dict[str, Any]) -> None:
        _replace(self._path(name), json.dumps(data, separators=(",", ":")))


class Lock:
    """One process at a time; does not wait for ever on one that was stopped.

    Args:
        path: the folder.

    Raises:
        OSError: another process has kept it for LOCK_WAIT, or there is no such folder.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.join(path, "lock")

    def __enter__(self) -> None:
        from fcntl import LOCK_EX, LOCK_NB, flock

        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        deadline = monotonic() + LOCK_WAIT
        while True:
            try:
                return flock(self._file, LOCK_EX | LOCK_NB)
            except OSError:
                if monotonic() > deadline:
                    os.close(self._file)
                    raise
            sleep(0.002)

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def make() -> Folder:
    """A new folder, in memory where the system has a place for that; those left behind by killed programs go.

    Raises:
        OSError: no folder can be made.
    """
    shared_memory = "/dev/shm"  # noqa: S108 - the folder made in it is readable by this user alone
    parent = os.environ.get("TMPDIR") or (shared_memory if os.access(shared_memory, os.W_OK) else "/tmp")  # noqa: S108
    for name in os.listdir(parent):
        if name.startswith(PREFIX):
            _sweep(os.path.join(parent, name))
    path = os.path.join(parent, PREFIX + os.urandom(8).hex())
    os.mkdir(path, 0o700)
    return Folder(path, ours=True)


def _sweep(path: str) -> None:
    """Removes a folder whose processes were all killed."""
    try:
        stat = os.stat(path)
    except OSError:
        return
    if stat.st_uid == os.getuid() and time() - stat.st_mtime > FORGOTTEN:
        folder = Folder(path, ours=True)
        if not any(folder._is_alive(name) for name in folder._names()):
            _empty(path)
            _remove(path)


def _replace(path: str, text: str) -> None:
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(draft, path)


def _empty(path: str) -> None:
    for name in os.listdir(path):
        if ".json" in name:
            _unlink(os.path.join(path, name))


def _remove(path: str) -> None:
    _unlink(os.path.join(path, "lock"))
    with suppress(OSError):  # somebody has put something of his own there
        os.rmdir(path)


def _unlink(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
