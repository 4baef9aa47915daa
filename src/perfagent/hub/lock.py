"""Finds the hub of this user, or takes the lock and the port for a new one.

The file `hub.lock` of the hub's folder tells where the hub is. It is true only as long as somebody holds its flock:
the hub inherits the lock from who starts it and keeps it for its life, so the lock goes with the process, however that
ends. The listening socket is bound by the starter and inherited too: its address is known before the hub runs, and
what connects meanwhile waits in the kernel.

Standard library alone, and little of that: `perfagent run` asks here before it becomes the program. `json` would cost
13 ms there, so the lock file is one flat line.
"""

from __future__ import annotations

import os
from time import monotonic, sleep, time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

    from perfagent.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
PATIENCE = 1.0  # seconds that a starter waits for a hub that is about to begin or to end; either takes a tenth of it


class Found:
    """A hub that lives.

    Args:
        address: what a program sends to and a browser opens, such as "http://127.0.0.1:4318".
        pid: its process.
        version: of perfagent, which may be another one than ours.
        grpc: where it takes OTLP/gRPC, such as "http://127.0.0.1:4317"; "" where it does not.
        guarded: whether it takes telemetry with a token alone, for it listens beyond the loopback address.
        is_new: whether it was started just now.
        takes: whether it takes telemetry; one that reads from Prometheus and Jaeger does not.
    """

    __slots__ = ("address", "grpc", "guarded", "is_new", "pid", "takes", "version")

    def __init__(
        self,
        address: str,
        pid: int,
        version: str,
        grpc: str = "",
        guarded: bool = False,
        is_new: bool = False,
        takes: bool = True,
    ) -> None:
        self.address = address
        self.pid = pid
        self.version = version
        self.grpc = grpc
        self.guarded = guarded
        self.is_new = is_new
        self.takes = takes


class Unavailable(Exception):  # noqa: N818 - a state of the machine, not a fault
    """No hub can be had; the text says why, and what to do.

    Args:
        reason: for a person, in one sentence.
        status: what a command exits with: 4, the port; 5, the folder or the disk; 3, a hub that is elsewhere or busy.
    """

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class Place:
    """The lock and the listening socket of a hub that is about to be.

    Args:
        folder: where the hub's files are.
        lock: descriptor of the lock file, its flock held.
        listener: bound and listening.
        address: of that.
        guarded, takes: as in `Found`.
    """

    __slots__ = ("address", "folder", "guarded", "listener", "lock", "takes")

    def __init__(
        self, folder: str, lock: int, listener: socket, address: str, guarded: bool, takes: bool = True
    ) -> None:
        self.folder = folder
        self.lock = lock
        self.listener = listener
        self.address = address
        self.guarded = guarded
        self.takes = takes

    def tell(self, pid: int, grpc: str = "") -> None:
        """Writes into the lock file where the hub is; a `pid` of 0 tells that it is about to begin, or to leave."""
        from perfagent import __version__

        line = (
            f'{{"address": "{self.address}", "pid": {pid}, "version": "{__version__}", "grpc": "{grpc}", '
            f'"guarded": {"true" if self.guarded else "false"}, "takes": {"true" if self.takes else "false"}, '
            f'"started": {int(time())}, "machine": "{_machine()}"}}\n'
        ).encode()
        os.pwrite(self.lock, line, 0)
        os.ftruncate(self.lock, len(line))

    def leave(self) -> None:
        """Gives both back."""
        self.listener.close()
        os.close(self.lock)


def directory(settings: Settings) -> str:
    """The hub's folder: PERFAGENT_HUB_DIR, else `perfagent` in the user's state folder (XDG Base Directory)."""
    chosen = settings.hub_directory
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    state = settings.environ.get("XDG_STATE_HOME") or ""
    if not os.path.isabs(state):  # the specification: a relative path is to be ignored
        state = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "perfagent")


def find(directory: str) -> Found | None:
    """The hub that lives in `directory`, if there is one that this process can reach."""
    try:
        lock = os.open(os.path.join(directory, "hub.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(lock).st_uid != os.geteuid():  # another user's hub would read what this one's programs send
            return None
        until = monotonic() + PATIENCE / 4
        while _is_held(lock):
            found, machine = _read(lock)
            if found is not None:
                return found if machine == _machine() else None
            if monotonic() > until:
                return None
            sleep(0.005)
        return None
    except OSError:
        return None
    finally:
        os.close(lock)


def is_held(directory: str) -> bool:
    """Whether a hub of `directory` lives, or begins, or is about to end."""
    try:
        lock = os.open(os.path.join(directory, "hub.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _is_held(lock)
    finally:
        os.close(lock)


def take(settings: Settings) -> Place | Found:
    """The place for a new hub, or the hub that lives already.

    Raises:
        Unavailable: the port, the folder or the lock is not to be had.
    """
    folder = directory(settings)
    lock = _open(folder)
    try:
        found = _lock(lock, folder)
        if found is not None:
            os.close(lock)
            return found
        before = _read(lock, alive=False)[0]
        os.ftruncate(lock, 0)
        from perfagent.hub import port

        listener, address = port.listen(settings, before.address if before else "")
    except BaseException:
        os.close(lock)
        raise
    takes = not (settings.prometheus_url or settings.jaeger_url)
    place = Place(folder, lock, listener, address, settings.hub_host not in LOOPBACK, takes)
    try:
        place.tell(0)  # a full disk shows here, where somebody can be told
    except OSError as error:
        place.leave()
        raise _unusable(folder, error) from error
    return place


def told(lock: int) -> Found:
    """What the lock file says, to who holds the lock.

    Raises:
        Unavailable: nothing, for the hub could not be started.
    """
    found = _read(lock)[0]
    if found is None:
        raise Unavailable("no hub can be started: the process that was to begin it ended", 5)
    return found


def log_path(directory: str) -> str:
    """The file that a hub in the background writes to."""
    return os.path.join(directory, "hub.log")


def _open(folder: str) -> int:
    """The lock file, made where there is none; raises Unavailable."""
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        status = os.stat(folder)
        if status.st_uid != os.geteuid():  # as under sudo: files of root's would lock the user out
            raise Unavailable(
                f"the hub's folder {folder} belongs to another user; set PERFAGENT_HUB_DIR to a folder of your own", 5
            )
        if status.st_mode & 0o002:  # whoever puts a secret or a link there reads along, or has files overwritten
            raise Unavailable(
                f"every user may write to the hub's folder {folder}: `chmod 700` it, or set PERFAGENT_HUB_DIR", 5
            )
        return os.open(os.path.join(folder, "hub.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(folder, error) from error


def _unusable(folder: str, error: OSError) -> Unavailable:
    return Unavailable(
        f"the hub's folder {folder} cannot be used: {error.strerror}; set PERFAGENT_HUB_DIR to one that can", 5
    )


def _lock(lock: int, folder: str) -> Found | None:
    """Takes the lock, or tells whose it is."""
    import fcntl

    until = monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            pass
        except OSError as error:
            raise Unavailable(
                f"{folder}/hub.lock cannot be locked: {error.strerror}; set PERFAGENT_HUB_DIR to a folder on a local "
                "disk",
                5,
            ) from error
        found, machine = _read(lock) if _is_held(lock) else (None, "")
        if found is not None:
            if machine == _machine():
                return found
            raise Unavailable(
                f"the hub of {folder} runs on another machine or in a container; set PERFAGENT_HUB_DIR to a folder of "
                "this machine",
                3,
            )
        if monotonic() > until:
            raise Unavailable(f"the hub of {folder} is about to leave; try again in a few seconds", 3)
        sleep(0.005)


def _is_held(lock: int) -> bool:
    """Whether a hub, or who starts one, holds the lock; it is ours for an instant where nobody does."""
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def _read(lock: int, alive: bool = True) -> tuple[Found | None, str]:
    """What the lock file tells, and of which machine; None where it is being written, or by a hub that leaves."""
    line = os.pread(lock, 4096, 0).decode("utf-8", "replace")
    address, pid = _value(line, "address"), _value(line, "pid")
    if not line.endswith("}\n") or not address or not pid.isdecimal() or (alive and pid == "0"):
        return None, ""
    found = Found(address, int(pid), _value(line, "version"), _value(line, "grpc"), _value(line, "guarded") == "true")
    found.takes = _value(line, "takes") != "false"  # one of an older version says nothing, and takes
    return found, _value(line, "machine")


def _value(line: str, name: str) -> str:
    """A value of the flat JSON object that `Place.tell` writes; none of them holds a quotation mark or a comma."""
    rest = line.partition(f'"{name}": ')[2]
    return rest[1:].partition('"')[0] if rest.startswith('"') else rest.partition(",")[0].rstrip("}\n")


def _machine() -> str:
    """This boot of this machine and this network: 127.0.0.1 is another place in a container that shares the folder."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/net')}"
    except OSError:
        return os.uname().nodename
