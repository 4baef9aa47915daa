"""Where flight files are and how one is made, which are of the dead, and who tells of one: each is told of once."""

from __future__ import annotations

import os
import sys
from time import perf_counter_ns, time

from perfagent.flight import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from mmap import mmap

    from perfagent.settings import Settings

ENDING = ".flight"
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own in there, of mode 0700
SILENT = 60e9  # ns; what has a process in a container of its own is dead when it has not written for so long
UNREAPED = 4e9  # ns; its parent knows the signal that it died of, and gets that time to see it
FORGOTTEN = 7 * 86_400  # s after which a file of a service that never starts again goes


def folder(settings: Settings, make: bool = True) -> str:
    """The folder: PERFAGENT_FLIGHT_DIR, else one in memory, else one of the hub's; "" where none is to be had.

    A folder in shared memory must be ours alone: anybody may make one there.
    """
    chosen = settings.flight_directory
    if chosen:
        places = [os.path.abspath(os.path.expanduser(chosen))]
    else:
        places = [f"{SHARED_MEMORY}/perfagent-{os.geteuid()}"] if os.path.isdir(SHARED_MEMORY) else []
        runtime = settings.environ.get("XDG_RUNTIME_DIR", "")
        places += [f"{runtime}/perfagent"] if os.path.isabs(runtime) else []
        state = settings.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
        places.append(os.path.join(state, "perfagent", "flight"))
    return next((place for place in places if _is_ours(place, make)), "")


def _is_ours(place: str, make: bool) -> bool:
    try:
        if make:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            _make(place)
        found = os.lstat(place)
    except OSError:
        return False
    private = not found.st_mode & 0o022  # who else may write there could make us tell what never happened
    return (
        found.st_uid == os.geteuid() and private and os.access(place, os.W_OK) and found.st_mode & 0o170000 == 0o040000
    )


def _make(place: str) -> None:
    try:
        os.mkdir(place, 0o700)
    except FileExistsError:
        pass


def name() -> str:
    """The name of this process' file."""
    return f"{identity(os.getpid())}{ENDING}"


def made(path: str) -> mmap:
    """A new file of `layout.SIZE` bytes in memory; nothing is left of one that cannot be had.

    Raises:
        OSError: a read-only or full disk, a limit of files.
        ValueError, ImportError: there is no memory to map it to.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, layout.SIZE)  # a full disk must fail here, not kill by SIGBUS later
        return _mapped(descriptor)
    except BaseException:
        remove(path)
        raise
    finally:
        os.close(descriptor)


def _mapped(descriptor: int) -> mmap:
    """The file in memory, without a descriptor: the program finds every number free that it would find.

    Before Python 3.13 a map keeps a copy of the descriptor and closes that number when it goes, which may be a file of
    the program's by then: there the copy is closed at once, and the map never goes.
    """
    import mmap

    if sys.version_info >= (3, 13):
        return mmap.mmap(descriptor, layout.SIZE, trackfd=False)
    from _ctypes import Py_INCREF

    inode = os.fstat(descriptor).st_ino
    view = mmap.mmap(descriptor, layout.SIZE)
    Py_INCREF(view)
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        try:
            if number != descriptor and os.fstat(number).st_ino == inode:
                os.close(number)
        except OSError:  # the descriptor of the listing itself
            continue
    return view


def identity(pid: int) -> str:
    """A process that no later one of the same number is taken for: its number, when it started, its namespace."""
    return f"{pid}-{_state(pid)[1]}-{_namespace()}"


def _namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _state(pid: int) -> tuple[str, int]:
    """The letter of a process' state and when it started, in ticks since the machine did; "" where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return fields[0].decode(), int(fields[19])
    except (OSError, IndexError, ValueError):
        return "", 0


def _is_alive(who: str, path: str) -> bool:
    pid, started, namespace = (int(part) for part in who.split("-"))
    if namespace != _namespace():
        return _writes(path)
    if not started:  # a system without /proc
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return True
    state, since = _state(pid)
    if since != started:
        return False
    return _writes(path, UNREAPED) if state in ("Z", "X") else bool(state)


def _writes(path: str, silent: float = SILENT) -> bool:
    try:
        with open(path, "rb") as file:
            looked = layout.VITAL.unpack_from(file.read(layout.HEAD), layout.VITAL_AT)[1]
        return bool(0 <= perf_counter_ns() - looked < silent)
    except Exception:  # cut short or not ours: nobody writes it
        return False


def dead(place: str, but: Container[str] = ()) -> Iterator[str]:
    """The files of the dead that nobody alive is about to tell of, without those `but`."""
    try:
        names = os.listdir(place)
    except OSError:
        return
    for each in names:
        path = os.path.join(place, each)
        if path in but:
            continue
        who, ending, claimant = each.partition(ENDING)
        try:
            if ending and not _is_alive(who, path) and not (claimant and _is_alive(claimant[1:], "")):
                yield path
        except ValueError:  # not a name of ours
            continue


def claim(path: str) -> str:
    """Takes a file for this process alone; "" where another one was faster."""
    mine = f"{path.partition(ENDING)[0]}{ENDING}.{identity(os.getpid())}"
    try:
        os.rename(path, mine)
    except OSError:
        return ""
    return mine


def is_forgotten(path: str) -> bool:
    """Whether a file has been there for too long."""
    try:
        return time() - os.stat(path).st_mtime > FORGOTTEN
    except OSError:
        return False


def remove(path: str) -> None:
    """Removes a file, if it is still there."""
    try:
        os.unlink(path)
    except OSError:
        pass


def of(place: str, pid: int) -> str:
    """The file of a process of this namespace by its number; "" where it has none."""
    try:
        names = os.listdir(place)
    except OSError:
        return ""
    return next((os.path.join(place, one) for one in names if one.startswith(f"{pid}-") and one.endswith(ENDING)), "")
