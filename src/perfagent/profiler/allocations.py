"""Inside the program that `perfagent memory` runs: traces allocations, and writes down who holds how much.

The program is run by the interpreter itself, as ever; this module only starts tracemalloc before it and looks at the
end. What was held at the peak is gone by then, so a thread looks whenever memory has grown by a quarter: for a third of
the time at most, as a look at a million blocks takes seconds. It ends before a fork and begins again after it; from
Python 3.12 on, which warns of threads at a fork, at one of the next garbage collections.
"""

from __future__ import annotations

import _signal
import atexit
import gc
import json
import os
import sys
import time
import tracemalloc
from _thread import allocate_lock, get_native_id
from sysconfig import get_paths

from perfagent.runtime.companions import start_thread, wait_until_gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FORMAT = "perfagent.memory/1"
GROWN = 1.25  # times what was held at the last look: then the peak is looked at again
LEAST = 500_000  # bytes that it must be more
LOOK = 0.02  # seconds
IDLE = 2.0  # times a look's own duration, that must pass until the next
MOST = 5000  # sites of a report
AFTER_FORK = 0.05  # seconds
WARNS = sys.version_info >= (3, 12)
IMPORTS = "(importing modules)"

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def start(plan: Mapping[str, Any]) -> None:
    """Begins to trace.

    Args:
        plan: `report`, the file for the report; `frames`, how many are kept of each allocation; `peak`, whether the
            peak is looked for; `every`, seconds between two numbered snapshots, 0 for none; `snapshot`, their name.
    """
    tracemalloc.start(plan["frames"])
    trace = Trace(plan)
    atexit.register(trace.finish)
    if _signal.getsignal(_signal.SIGTERM) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGTERM, trace.terminated)
    os.register_at_fork(before=trace.halt, after_in_parent=trace.pause, after_in_child=trace.forget)


class Trace:
    """The tracing of this process.

    Args:
        plan: as for `start`.
    """

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.plan = plan
        self.pid = os.getpid()
        self.began = time.monotonic()
        self.folders = LIBRARIES
        self.peak: tuple[int, list[dict[str, object]]] = (0, [])
        self.taken = 0
        self._next = 0.0  # by the monotonic clock: not before
        self._due = self.began + plan["every"] if plan["every"] else float("inf")
        self._stop = allocate_lock()
        self._gone = allocate_lock()
        self._resume_at = 0.0
        self._thread = 0
        if plan["peak"] or plan["every"]:
            self._run()
            gc.callbacks.append(self._collected)

    def _run(self) -> None:
        self._resume_at = float("inf")
        self._stop.acquire(False)
        self._gone.acquire(False)
        start_thread(self._watch)

    def _watch(self) -> None:
        self._thread = get_native_id()
        try:
            while not self._stop.acquire(timeout=LOOK):
                if not tracemalloc.is_tracing():
                    return
                if self.plan["peak"]:
                    self._look()
                if time.monotonic() >= self._due:
                    self._due = time.monotonic() + self.plan["every"]
                    self._number()
        finally:
            self._gone.release()

    def _look(self) -> None:
        held = tracemalloc.get_traced_memory()[0]
        begin = time.monotonic()
        if held < max(self.peak[0] * GROWN, self.peak[0] + LEAST) or begin < self._next:
            return
        self.peak = self.sites()
        end = time.monotonic()
        self._next = end + IDLE * (end - begin)
        self._write(self.report(self.peak, final=False), self.plan["report"])

    def _number(self) -> None:
        """One of the numbered snapshots: leak.json is leak-1.json, leak-2.json and so on."""
        self.taken += 1
        stem, ending = os.path.splitext(self.plan["snapshot"])
        self._write(self.report(self.sites(), final=False), f"{stem}-{self.taken}{ending}")

    def halt(self) -> None:
        """Ends the thread."""
        if self._resume_at == float("inf") and self._stop.locked():
            self._stop.release()
            self._gone.acquire()
            self._gone.release()
            for _ in range(20):  # 1 s: a busy machine may let it wait before it is gone
                wait_until_gone(self._thread)

    def pause(self) -> None:
        """After a fork: the thread goes on, but later where Python still counts the threads."""
        if self._resume_at == float("inf") and (self.plan["peak"] or self.plan["every"]):
            if WARNS:
                self._resume_at = time.monotonic() + AFTER_FORK
            else:
                self._run()

    def _collected(self, phase: str, info: object) -> None:
        if phase == "stop" and time.monotonic() > self._resume_at and self.pid == os.getpid():
            self._run()

    def forget(self) -> None:
        """In a forked child, which is not looked at."""
        tracemalloc.stop()
        self._resume_at = float("inf")
        if self._collected in gc.callbacks:
            gc.callbacks.remove(self._collected)
        if _signal.getsignal(_signal.SIGTERM) == self.terminated:
            _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)

    def terminated(self, number: int, frame: object) -> None:
        """SIGTERM that the program does not handle: reports, then the process dies of it."""
        self.finish()
        _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def finish(self) -> None:
        """Reports what is held at the end."""
        if os.getpid() != self.pid or not tracemalloc.is_tracing():
            return
        self.halt()
        held = self.sites()
        highest = tracemalloc.get_traced_memory()[1]
        if held[0] >= self.peak[0]:
            self.peak = held
        report = self.report(held, final=True, highest=highest)
        tracemalloc.stop()
        self._write(report, self.plan["report"])

    def report(self, held: tuple[int, list[dict[str, object]]], *, final: bool, highest: int = 0) -> dict[str, object]:
        """The report of what is held, for the command that started this program."""
        return {
            "format": FORMAT,
            "program": self.plan["program"],
            "python": sys.version.split()[0],
            "final": final,
            "seconds": round(time.monotonic() - self.began, 3),
            "frames": self.plan["frames"],
            "peak_bytes": max(highest, tracemalloc.get_traced_memory()[1]),
            "held_bytes": held[0],
            "sites": held[1],
            "peak_sites_bytes": self.peak[0],
            "peak_sites": self.peak[1] if final and self.peak is not held else [],
        }

    def _write(self, report: dict[str, object], path: str) -> None:
        try:
            with open(path + ".part", "w", encoding="utf-8") as file:
                json.dump(report, file)
            os.replace(path + ".part", path)
        except OSError as error:
            sys.stderr.write(f"perfagent: {path} cannot be written: {error.strerror}\n")

    def sites(self) -> tuple[int, list[dict[str, object]]]:
        """What is held now: all bytes, and the sites with the most of them; perfagent's own are left out.

        A site is the last line of the program's own code on the way to the allocation; where there is none among the
        frames that are kept, it is the line that allocated.
        """
        found: dict[tuple[str, int], dict[str, Any]] = {}
        total = 0
        for one in tracemalloc.take_snapshot().statistics("traceback"):
            frames = [(frame.filename, frame.lineno) for frame in reversed(one.traceback)]
            if any(name.startswith(_HERE) for name, _line in frames) or frames[0][0] == tracemalloc.__file__:
                continue
            total += one.size
            own = next((frame for frame in frames if self.is_own(frame[0])), None)
            key = own or next((frame for frame in frames if not frame[0].startswith("<")), (IMPORTS, 0))
            site = found.get(key)
            if site is None:
                site = found[key] = {"file": key[0], "line": key[1], "own": own is not None, "size": 0, "count": 0}
                site["through"] = "" if frames[0] == key or not key[1] else f"{frames[0][0]}:{frames[0][1]}"
            site["size"] += one.size
            site["count"] += one.count
        largest = sorted(found.values(), key=lambda site: -site["size"])[:MOST]
        for site in largest:
            site["file"] = self.shown(site["file"])
            site["through"] = self.shown(site["through"])
        return total, largest

    def is_own(self, name: str) -> bool:
        """Whether a file is the program's: neither Python's, nor of an installed package, nor code made by code."""
        return not name.startswith("<") and not name.startswith(self.folders)

    def shown(self, name: str) -> str:
        """A file as people name it: below the folder that the program began in, or by its package."""
        for folder in (self.plan["folder"] + os.sep, *self.folders):
            if name.startswith(folder):
                return name[len(folder) :]
        return name


def _library_folders() -> tuple[str, ...]:
    """Where Python's own modules and installed packages are; the longest first, as one may hold another."""
    paths = get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found |= {entry for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages")}
    return tuple(sorted((os.path.join(folder, "") for folder in found), key=len, reverse=True))


LIBRARIES = _library_folders()
"""Looked for before the tracing begins, as that itself allocates."""
