"""What the system knows of the process: CPU, memory, threads, descriptors, context switches, page faults, uptime.

On Linux all of it comes from getrusage and /proc, 90 us a collection. psutil serves elsewhere, and only there: to
import it takes 30 ms and 3 MB, and the same reading 240 us.
"""

from __future__ import annotations

import os
import time

from perfagent.runtime import clock
from perfagent.runtime.metric import COUNTER, GAUGE, UP_DOWN_COUNTER, registry
from perfagent.vitals import scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Observation = tuple[float, Mapping[str, object]]

USER, SYSTEM = {"cpu.mode": "user"}, {"cpu.mode": "system"}
VOLUNTARY, INVOLUNTARY = ({"process.context_switch.type": kind} for kind in ("voluntary", "involuntary"))
MAJOR, MINOR = ({"system.paging.fault.type": kind} for kind in ("major", "minor"))
SHORTEST_WINDOW = 0.5  # seconds over which utilization is taken: two exporters ask one right after the other
PLAIN: dict[str, object] = {}


def install(namespace: str) -> None:
    """Registers `process.*` (OpenTelemetry semantic conventions, "OS process metrics") and `<ns>.cpu.wait`."""
    system: Linux | Elsewhere = Linux() if os.path.exists("/proc/self/statm") else Elsewhere()
    utilization = Utilization()
    os.register_at_fork(after_in_child=utilization.reset)
    for kind, name, unit, description, callback, *keys in (
        (
            COUNTER,
            "process.cpu.time",
            "s",
            "Total CPU seconds broken down by different CPU modes.",
            cpu_time,
            "cpu.mode",
        ),
        (
            GAUGE,
            "process.cpu.utilization",
            "1",
            "CPU time since the last measurement, divided by the elapsed time and number of CPUs available.",
            utilization,
            "cpu.mode",
        ),
        (UP_DOWN_COUNTER, "process.memory.usage", "By", "The amount of physical memory in use.", system.resident),
        (UP_DOWN_COUNTER, "process.memory.virtual", "By", "The amount of committed virtual memory.", system.virtual),
        (UP_DOWN_COUNTER, "process.thread.count", "{thread}", "Process threads count.", system.threads),
        (
            UP_DOWN_COUNTER,
            "process.unix.file_descriptor.count",
            "{file_descriptor}",
            "Number of UNIX file descriptors in use by the process.",
            system.descriptors,
        ),
        (
            COUNTER,
            "process.context_switches",
            "{context_switch}",
            "Number of times the process has been context switched.",
            context_switches,
            "process.context_switch.type",
        ),
        (
            COUNTER,
            "process.paging.faults",
            "{fault}",
            "Number of page faults the process has made.",
            page_faults,
            "system.paging.fault.type",
        ),
        (GAUGE, "process.uptime", "s", "The time the process has been running.", system.uptime),
        (
            COUNTER,
            f"{namespace}.cpu.wait",
            "s",
            "How long the main thread was ready to run and had no processor.",
            system.waits,
        ),
    ):
        registry.make(scope, kind, name, unit, description, callback=callback, keys=tuple(keys))


def _usage() -> Any:
    from resource import RUSAGE_SELF, getrusage  # the first time in the background thread

    return getrusage(RUSAGE_SELF)


def cpu_time() -> Iterator[Observation]:
    """Seconds since the process started, by mode."""
    usage = _usage()
    yield usage.ru_utime, USER
    yield usage.ru_stime, SYSTEM


def context_switches() -> Iterator[Observation]:
    """Switches since the process started, by type."""
    usage = _usage()
    yield usage.ru_nvcsw, VOLUNTARY
    yield usage.ru_nivcsw, INVOLUNTARY


def page_faults() -> Iterator[Observation]:
    """Faults since the process started, by type."""
    usage = _usage()
    yield usage.ru_majflt, MAJOR
    yield usage.ru_minflt, MINOR


class Utilization:
    """The share of its processors that the process used since the last measurement, from 0 to 1, by mode."""

    def __init__(self) -> None:
        times = os.times()
        self._last = (clock.monotonic(), times.user, times.system)
        self._shares = (0.0, 0.0)

    def reset(self) -> None:
        """In a forked child, which has used nothing yet."""
        self._last = (clock.monotonic(), 0.0, 0.0)
        self._shares = (0.0, 0.0)

    def __call__(self) -> Iterator[Observation]:
        """Both shares."""
        now = clock.monotonic()
        then, user, system = self._last
        if now - then >= SHORTEST_WINDOW:
            usage = _usage()
            self._last = (now, usage.ru_utime, usage.ru_stime)
            capacity = (now - then) * processors()
            self._shares = (max(usage.ru_utime - user, 0.0) / capacity, max(usage.ru_stime - system, 0.0) / capacity)
        yield self._shares[0], USER
        yield self._shares[1], SYSTEM


def processors() -> int:
    """How many processors the process may run on."""
    try:
        return len(os.sched_getaffinity(0)) or 1
    except (AttributeError, OSError):
        return os.cpu_count() or 1


class Linux:
    """Memory, threads, descriptors and age from /proc/self."""

    def __init__(self) -> None:
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._tick = os.sysconf("SC_CLK_TCK")

    def resident(self) -> Iterator[Observation]:
        """Bytes of physical memory."""
        yield int(_read("/proc/self/statm").split()[1]) * self._page, PLAIN

    def virtual(self) -> Iterator[Observation]:
        """Bytes of address space."""
        yield int(_read("/proc/self/statm").split()[0]) * self._page, PLAIN

    def threads(self) -> Iterator[Observation]:
        """Threads of the operating system, ours among them."""
        yield int(_stat()[17]), PLAIN

    def descriptors(self) -> Iterator[Observation]:
        """Open file descriptors."""
        # From Linux 6.2 on the folder's size is their number: 10 us however many there are.
        yield os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd")) - 1, PLAIN

    def uptime(self) -> Iterator[Observation]:
        """Seconds since the process was made."""
        yield time.clock_gettime(time.CLOCK_BOOTTIME) - int(_stat()[19]) / self._tick, PLAIN

    def waits(self) -> Iterator[Observation]:
        """Seconds that the main thread waited for a processor; nothing where the kernel does not count them."""
        try:
            yield int(_read("/proc/self/schedstat").split()[1]) / 1e9, PLAIN
        except (OSError, IndexError, ValueError):
            return


def _stat() -> list[bytes]:
    """The fields of /proc/self/stat from the third on; the second is a name that may hold anything."""
    return _read("/proc/self/stat").rpartition(b")")[2].split()


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY)  # half the time that `open` takes
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


class Elsewhere:
    """The same from psutil; nothing where it is not installed."""

    def _ask(self, *questions: str) -> Iterator[Observation]:
        try:
            import psutil
        except ImportError:
            return
        answer: Any = psutil.Process()
        for question in questions:
            answer = getattr(answer, question)
            answer = answer() if callable(answer) else answer
        yield answer, PLAIN

    def resident(self) -> Iterator[Observation]:
        """Bytes of physical memory."""
        return self._ask("memory_info", "rss")

    def virtual(self) -> Iterator[Observation]:
        """Bytes of address space."""
        return self._ask("memory_info", "vms")

    def threads(self) -> Iterator[Observation]:
        """Threads of the operating system, ours among them."""
        return self._ask("num_threads")

    def descriptors(self) -> Iterator[Observation]:
        """Open file descriptors."""
        return self._ask("num_fds")

    def uptime(self) -> Iterator[Observation]:
        """Seconds since the process was made."""
        for created, attributes in self._ask("create_time"):
            yield clock.time() - created, attributes

    def waits(self) -> Iterator[Observation]:
        """Nothing: no other system tells."""
        return iter(())
