"""A process and its descendants at one moment: CPU time, memory, I/O, threads, descriptors, context switches.

By psutil; on Linux a process of one thread takes 0.6 ms, half of it for PSS and USS, which the kernel adds up page by
page. What is dear is read less often, so that it takes 1 % of the time at most.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LINUX = sys.platform == "linux"
SHARE = 0.01  # of the time, that the dear readings may take


class TargetError(Exception):
    """Why a process cannot be looked at, for people."""


@dataclass(slots=True)
class Reading:
    """What a tree of processes has at one moment, and has used since the first one; None: not known."""

    time: float  # seconds, by the monotonic clock
    processes: int = 0
    threads: int = 0
    rss: int = 0  # bytes; pages that processes share count for each
    cpu: float = 0.0  # seconds
    pss: int | None = None  # bytes; a shared page counts in parts
    uss: int | None = None  # bytes; shared pages do not count
    descriptors: int | None = None
    read: int | None = None  # bytes, by system calls
    written: int | None = None
    disk_read: int | None = None  # bytes, of storage
    disk_written: int | None = None
    voluntary: int | None = None  # context switches
    involuntary: int | None = None


TOTALS = ("read", "written", "disk_read", "disk_written")


class Tree:
    """A process, with all that it starts.

    Args:
        pid: the process.
        children: whether its descendants count, too.

    Raises:
        TargetError: there is none, it has ended, or it may not be looked at.
    """

    def __init__(self, pid: int, children: bool = True) -> None:
        self.denied: set[str] = set()
        """What another user's process does not let us read."""
        try:
            self.root = psutil.Process(pid)
            if self.root.status() == psutil.STATUS_ZOMBIE:
                raise TargetError(f"process {pid} has ended; only its parent has not taken note yet (a zombie)")
            self.root.cpu_times()
            self.root.memory_info()
        except psutil.AccessDenied:
            raise TargetError(f"process {pid} is another user's: run perfagent as that user, or as root") from None
        except (psutil.NoSuchProcess, ValueError, OverflowError):
            raise TargetError(f"there is no process {pid}") from None
        self.children = children
        self._known: dict[int, psutil.Process] = {pid: self.root}
        self._last: dict[int, tuple[int, dict[str, float]]] = {}  # by process: its parent, its totals
        self._gone = dict.fromkeys(("cpu", *TOTALS), 0.0)
        self._base: dict[str, float] | None = None
        self._highest: dict[str, float] = {}
        self._fallen: set[str] = set()
        self._switches = Switches()
        self._pages = Ration()
        self._switching = Ration()

    def read(self) -> Reading | None:
        """The tree now; None where the process has ended."""
        found = Reading(time.monotonic())
        self._find()
        pages, switching = self._pages.due(), self._switching.due()
        totals = dict.fromkeys(("cpu", *TOTALS), 0.0)
        seen: dict[int, tuple[int, dict[str, float]]] = {}
        for pid, process in list(self._known.items()):
            try:
                with process.oneshot():
                    own = self._of(process, found, pages)
                    seen[pid] = process.ppid(), own
                    ended = pid == self.root.pid and process.status() == psutil.STATUS_ZOMBIE
            except psutil.NoSuchProcess:
                del self._known[pid]
                ended = pid == self.root.pid
                own = {}
            except psutil.AccessDenied:
                continue
            if ended:
                return None
            for name, value in own.items():
                totals[name] += value
        if switching:
            with self._switching:
                found.voluntary, found.involuntary = self._switches.read(self._known.values())
        self._keep(found, totals, seen)
        return found

    def _find(self) -> None:
        """Looks for new descendants; those of a process that has ended stay known."""
        if not self.children:
            return
        for pid in descendants(self.root):
            if pid not in self._known:
                try:
                    self._known[pid] = psutil.Process(pid)
                except psutil.NoSuchProcess:
                    pass

    def _of(self, process: psutil.Process, found: Reading, pages: bool) -> dict[str, float]:
        """Adds one process to `found`, and returns what it has used in its life."""
        times = process.cpu_times()
        own = {"cpu": times.user + times.system}
        if self.children and LINUX:
            own["cpu"] += times.children_user + times.children_system
        if process.status() == psutil.STATUS_ZOMBIE:  # has nothing any more; what it used is its parent's to take
            before = self._last.get(process.pid, (0, own))[1]
            return {**before, **own}
        found.rss += process.memory_info().rss
        found.processes += 1
        found.threads += process.num_threads()
        found.descriptors = self._optional("descriptors", process.num_fds, found.descriptors)
        if pages:
            with self._pages:
                self._add_pages(process, found)
        if hasattr(process, "io_counters") and "io" not in self.denied:
            try:
                counted = process.io_counters()
            except psutil.AccessDenied:
                self.denied.add("io")
            else:
                own["disk_read"], own["disk_written"] = counted.read_bytes, counted.write_bytes
                if LINUX:
                    own["read"], own["written"] = counted.read_chars, counted.write_chars
        return own

    def _optional(self, name: str, ask: Callable[[], int], sofar: int | None) -> int | None:
        if name in self.denied:
            return sofar
        try:
            return (sofar or 0) + ask()
        except psutil.AccessDenied:
            self.denied.add(name)
            return sofar

    def _add_pages(self, process: psutil.Process, found: Reading) -> None:
        try:
            full = process.memory_full_info()
        except psutil.AccessDenied:
            self.denied.add("pages")
            return
        found.uss = (found.uss or 0) + full.uss
        if hasattr(full, "pss"):
            found.pss = (found.pss or 0) + full.pss

    def _keep(self, found: Reading, totals: dict[str, float], seen: dict[int, tuple[int, dict[str, float]]]) -> None:
        """Turns totals of lives into totals since the first reading.

        On Linux a process that was waited for leaves its figures to its parent; those of any other are kept here.
        """
        for pid, (parent, own) in self._last.items():
            if pid not in seen and not (LINUX and self.children and parent in seen):
                for name, value in own.items():
                    self._gone[name] += value
        self._last = seen
        for name in totals:
            totals[name] = self._rising(name, totals[name] + self._gone[name])
        if self._base is None:
            self._base = dict(totals)
        found.cpu = max(totals["cpu"] - self._base["cpu"], 0.0)
        told = {name for _parent, own in seen.values() for name in own}
        for name in TOTALS:
            if name in told:
                setattr(found, name, max(int(totals[name] - self._base[name]), 0))

    def _rising(self, name: str, total: float) -> float:
        """A total that never falls. One that does was read while a child ended, and the next reading has it again;
        else nobody has taken the child's figures (SIGCHLD is ignored), and what is missing is kept here.
        """
        highest = self._highest.setdefault(name, 0.0)
        if total >= highest:
            self._fallen.discard(name)
            self._highest[name] = total
        elif name in self._fallen:
            self._gone[name] += highest - total
        else:
            self._fallen.add(name)
        return self._highest[name]


class Ration:
    """Says when a dear reading is due, so that it takes 1 % of the time at most."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._due = 0.0
        self._began = 0.0

    def due(self) -> bool:
        """Whether it is; begins the next one."""
        now = time.monotonic()
        self._due += self._spent / SHARE if self._spent > 0.0005 else 0.0
        self._spent = 0.0
        if now < self._due:
            return False
        self._due = now
        return True

    def __enter__(self) -> None:
        self._began = time.process_time()  # what it costs, and not how long a busy machine lets it wait

    def __exit__(self, *error: object) -> None:
        self._spent += time.process_time() - self._began


class Switches:
    """Counts context switches of every thread, for /proc/PID/status on Linux has those of the first thread alone."""

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], tuple[int, int]] = {}
        self._totals = [0, 0]
        self._begun = False

    def read(self, processes: Iterable[psutil.Process]) -> tuple[int, int]:
        """Voluntary and involuntary ones since the first call; those of threads in between two calls are missing."""
        seen = {key: counts for process in processes for key, counts in self._of(process)}
        for key, counts in seen.items():
            before = self._last.get(key, (0, 0)) if self._begun else counts
            for place in (0, 1):
                self._totals[place] += max(counts[place] - before[place], 0)
        self._last, self._begun = seen, True
        return self._totals[0], self._totals[1]

    def _of(self, process: psutil.Process) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        if not LINUX:
            try:
                counted = process.num_ctx_switches()
            except psutil.Error:
                return
            yield (process.pid, 0), (counted.voluntary, counted.involuntary)
            return
        folder = f"/proc/{process.pid}/task"
        for thread in _names(folder):
            try:
                with open(f"{folder}/{thread}/status", "rb") as file:
                    text = file.read()
            except OSError:
                continue
            _before, found, rest = text.rpartition(b"\nvoluntary_ctxt_switches:\t")
            if found:
                voluntary, _name, involuntary = rest.split()[:3]
                yield (process.pid, int(thread)), (int(voluntary), int(involuntary))


def descendants(root: psutil.Process) -> list[int]:
    """The process ids of all descendants: on Linux from its threads' lists of children, else from all processes.

    psutil looks at every process of the machine, 3.4 ms for 90 of them; the lists take 0.03 ms a process.
    """
    if not LINUX or not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
        try:
            return [process.pid for process in root.children(recursive=True)]
        except psutil.Error:
            return []
    found, waiting = [], [root.pid]
    while waiting:
        folder = f"/proc/{waiting.pop()}/task"
        for thread in _names(folder):
            try:
                with open(f"{folder}/{thread}/children", "rb") as file:
                    own = [int(word) for word in file.read().split()]
            except OSError:
                continue
            found += own
            waiting += own
    return found


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
