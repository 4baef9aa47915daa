"""The machine that the hub runs on, and its control group: CPU, memory, load, disks, file systems, network.

From /proc and /sys, as Linux has them; elsewhere by psutil, which perfagent needs there anyway. Names are those of
OpenTelemetry's conventions and of the Collector's hostmetrics receiver.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from perfagent.container import Container
from perfagent.hub.sources.load import load_average, meminfo
from perfagent.hub.sources.source import Collected, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.source import Plan

MODES = ("user", "nice", "system", "idle", "iowait", "interrupt", "softirq", "steal")
SECTOR = 512  # bytes, whatever the disk's own sectors are (Linux: Documentation/admin-guide/iostats)
NO_DISKS = ("loop", "ram", "zram", "fd", "sr")
NO_FILES = frozenset(
    {
        "9p", "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "cifs", "configfs", "debugfs", "devpts", "devtmpfs",
        "efivarfs", "fuse.sshfs", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nfs", "nfs4", "nsfs", "overlay", "proc",
        "pstore", "ramfs", "rpc_pipefs", "securityfs", "squashfs", "sysfs", "tmpfs", "tracefs",
    }
)  # fmt: skip
"""File systems that take no room of a disk, or whose server may hang and this with it."""
MOST = 32  # disks, file systems and interfaces each


class Machine:
    """The source `system`.

    Args:
        plan: its option `mounts` names the mount points that are told; all real ones when left out.
        hub: whose machine it is.
        proc: where /proc is.
    """

    def __init__(self, plan: Plan, hub: Hub | None, proc: str = "/proc") -> None:
        if not sys.platform.startswith("linux"):
            raise SourceError(
                "this machine is no Linux: only zones are measured; use the Collector's hostmetrics receiver"
            )
        mounts = plan.options.get("mounts")
        self._mounts = tuple(str(one) for one in mounts) if isinstance(mounts, (list, tuple)) else None
        self._proc = proc
        self._container = Container()
        self._ticks = float(os.sysconf("SC_CLK_TCK"))
        self._before: list[float] | None = None

    def close(self) -> None:
        """Holds nothing."""

    def collect(self) -> Collected:
        """What there is now."""
        found = Collected()
        started = self._stat(found)
        self._memory(found)
        for minutes, value in zip((1, 5, 15), load_average() or (), strict=False):
            text = f"Processes that run or wait, mean of {minutes} min."
            found.gauge(f"system.cpu.load_average.{minutes}m", value, "{thread}", text)
        self._disks(found, started)
        self._files(found)
        self._network(found, started)
        self._group(found)
        return found

    def _stat(self, found: Collected) -> float:
        """CPU time by mode, as a total and as a share since the collection before; returns when the machine started."""
        started = 0.0
        for line in self._lines("stat"):
            name, *words = line.split()
            if name == "cpu":
                ticks = [int(word) / self._ticks for word in words[:8]]
                ticks[0] -= int(words[8]) / self._ticks if len(words) > 8 else 0.0  # guests are counted as users, too
                before, self._before = self._before, ticks
                self._cpu(found, ticks, before)
            elif name == "btime":
                started = float(words[0])
        cores = os.cpu_count() or 1
        found.level("system.cpu.logical.count", cores, "{cpu}", "Processors.")
        return started

    def _cpu(self, found: Collected, now: list[float], before: list[float] | None) -> None:
        passed = sum(now) - sum(before) if before else 0.0
        for place, mode in enumerate(MODES[: len(now)]):
            found.counter("system.cpu.time", now[place], "s", "Seconds of all processors, by mode.", cpu__mode=mode)
            if before and passed > 0:
                share = max(now[place] - before[place], 0.0) / passed
                found.gauge("system.cpu.utilization", share, "1", "Share of the time, by mode.", cpu__mode=mode)

    def _memory(self, found: Collected) -> None:
        known = meminfo(f"{self._proc}/meminfo")
        total = known.get("MemTotal", 0)
        if not total:
            found.notes.append(f"{self._proc}/meminfo does not tell MemTotal: no memory is told")
            return
        free, buffers = known.get("MemFree", 0), known.get("Buffers", 0)
        cached = known.get("Cached", 0) + known.get("SReclaimable", 0) - known.get("Shmem", 0)
        available = known.get("MemAvailable", free + buffers + cached)
        states = {"free": free, "buffers": buffers, "cached": cached, "used": max(total - free - buffers - cached, 0)}
        for state, value in states.items():
            text = "Memory, by what it is used for."
            found.level("system.memory.usage", value, "By", text, system__memory__state=state)
        share = 1 - available / total
        text = "Share of the memory that nobody else can have."
        found.gauge("system.memory.utilization", share, "1", text, system__memory__state="used")
        found.level("system.memory.limit", total, "By", "Memory that there is.")
        swap = known.get("SwapTotal", 0)
        if swap:
            used = swap - known.get("SwapFree", 0)
            found.level("system.paging.usage", used, "By", "Swap in use.", system__paging__state="used")
            found.gauge("system.paging.utilization", used / swap, "1", "Share of it.", system__paging__state="used")

    def _disks(self, found: Collected, started: float) -> None:
        disks = [line.split() for line in self._lines("diskstats")]
        whole = [one for one in disks if len(one) >= 14 and not one[2].startswith(NO_DISKS) and self._is_disk(one[2])]
        for words in whole[:MOST]:
            name, figures = words[2], [int(word) for word in words[3:14]]
            if not figures[0] and not figures[4]:
                continue  # never used
            for way, at in (("read", 0), ("write", 4)):
                told = {"system__device": name, "disk__io__direction": way}
                found.counter("system.disk.io", figures[at + 2] * SECTOR, "By", "Bytes.", started, **told)
                found.counter("system.disk.operations", figures[at], "{operation}", "Operations.", started, **told)
                text = "Time that operations took, added up."
                found.counter("system.disk.operation_time", figures[at + 3] / 1e3, "s", text, started, **told)
            text = "Time that the disk was busy."
            found.counter("system.disk.io_time", figures[9] / 1e3, "s", text, started, system__device=name)

    def _is_disk(self, name: str) -> bool:
        """Whether it is a disk and no part of one."""
        return os.path.isdir(f"/sys/block/{name}") or self._proc != "/proc"

    def _files(self, found: Collected) -> None:
        for device, mount, kind in self._mounted():
            try:
                room = os.statvfs(mount)
            except OSError:
                continue
            used, free = (room.f_blocks - room.f_bfree) * room.f_frsize, room.f_bavail * room.f_frsize
            if used + free <= 0:
                continue
            where = {
                "system__device": device,
                "system__filesystem__mountpoint": mount,
                "system__filesystem__type": kind,
                "system__filesystem__mode": "ro" if room.f_flag & os.ST_RDONLY else "rw",
            }
            for state, value in (("used", used), ("free", free)):
                told = {**where, "system__filesystem__state": state}
                found.level("system.filesystem.usage", value, "By", "Room of the file system.", **told)
            if where["system__filesystem__mode"] == "rw":  # what cannot be written to cannot run full
                told = {**where, "system__filesystem__state": "used"}
                text = "Share of the room that is used, of what others than root may have."
                found.gauge("system.filesystem.utilization", used / (used + free), "1", text, **told)

    def _mounted(self) -> Iterator[tuple[str, str, str]]:
        """Device, mount point and type of each real file system, each device once."""
        seen: set[str] = set()
        for line in self._lines("self/mounts"):
            device, mount, kind, *_ = line.split()
            mount = mount.encode().decode("unicode_escape", "replace")  # \040 is a blank
            wanted = mount in self._mounts if self._mounts is not None else kind not in NO_FILES or mount == "/"
            if wanted and device not in seen and len(seen) < MOST and os.path.isdir(mount):
                seen.add(device)
                yield device, mount, kind

    def _network(self, found: Collected, started: float) -> None:
        for line in list(self._lines("net/dev"))[2 : MOST + 2]:
            name, _, rest = line.partition(":")
            figures = rest.split()
            name = name.strip()
            if name == "lo" or len(figures) < 12 or not any(int(figures[at]) for at in (0, 8)):
                continue
            for way, at in (("receive", 0), ("transmit", 8)):
                told = {"network__interface__name": name, "network__io__direction": way}
                for metric, unit, value in (
                    ("system.network.io", "By", figures[at]),
                    ("system.network.packet.count", "{packet}", figures[at + 1]),
                    ("system.network.errors", "{error}", figures[at + 2]),
                    ("system.network.packet.dropped", "{packet}", figures[at + 3]),
                ):
                    found.counter(metric, int(value), unit, "Of an interface, by direction.", started, **told)

    def _group(self, found: Collected) -> None:
        """The control group: what its limits are and how much of them is used, where it has some."""
        group = self._container
        limit, cores = group.memory_limit(), group.cores()
        if limit is not None:
            used = group.memory_used()
            found.level("container.memory.limit", limit, "By", "Memory that the control group may have.")
            found.level("container.memory.usage", used, "By", "Memory that it cannot give back.")
            share = None if used is None else used / limit
            found.gauge("container.memory.utilization", share, "1", "Share of its limit.")
        if cores is not None:
            found.gauge("container.cpu.limit", cores, "{cpu}", "Processors' worth of CPU time that it may have.")
            found.counter("container.cpu.time", group.cpu_used(), "s", "CPU time that it had.")
        if (throttled := group.throttled()) is not None:
            periods, waited, seconds = throttled
            text = "Periods of the CPU quota."
            found.counter("container.cpu.throttling_data.periods", periods, "{period}", text)
            text = "Periods in which all of it had to wait for its CPU quota."
            found.counter("container.cpu.throttling_data.throttled_periods", waited, "{period}", text)
            found.counter("container.cpu.throttling_data.throttled_time", seconds, "s", "How long it waited.")

    def _lines(self, name: str) -> Iterator[str]:
        try:
            with open(f"{self._proc}/{name}", encoding="utf-8", errors="replace") as file:
                yield from file
        except OSError:
            return
