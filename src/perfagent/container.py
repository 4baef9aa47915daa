"""What the container gives: memory and CPU limits of the control group, and how much of them all in it use.

Both versions of control groups, as Docker, Kubernetes and systemd set them (Linux: Documentation/admin-guide/cgroup-v2
and cgroup-v1). Every limit on the way up holds, so the smallest counts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = "/sys/fs/cgroup"
UNLIMITED = 1 << 60  # version 1 writes the largest multiple of a page


class Container:
    """The control group that this process is in.

    Args:
        root: where control groups are mounted.
        membership: the file that tells which one it is.
    """

    def __init__(self, root: str = ROOT, membership: str = "/proc/self/cgroup") -> None:
        self._root = root
        self._paths: dict[str, str] = {}  # by controller; "" for version 2
        for line in _read(membership).splitlines():
            _number, _, rest = line.partition(":")
            names, _, path = rest.partition(":")
            for name in names.split(","):
                self._paths[name] = path

    def memory_limit(self) -> float | None:
        """Bytes; None where there is none."""
        found = [_number(_read(f"{folder}/memory.max")) for folder in self._version2()]
        found += [_number(_read(f"{folder}/memory.limit_in_bytes")) for folder in self._version1("memory")]
        known = [one for one in found if one is not None and 0 < one < UNLIMITED]
        return min(known, default=None)

    def memory_used(self) -> float | None:
        """Bytes that cannot be taken back: files that were read once and could be forgotten are left out, as
        Kubernetes does in its working set; None where that is not told.
        """
        for folder in self._version2():
            used = _number(_read(f"{folder}/memory.current"))
            if used is not None:
                return max(used - _row(f"{folder}/memory.stat", "inactive_file"), 0)
        for folder in self._version1("memory"):
            used = _number(_read(f"{folder}/memory.usage_in_bytes"))
            if used is not None:
                return max(used - _row(f"{folder}/memory.stat", "total_inactive_file"), 0)
        return None

    def cores(self) -> float | None:
        """Processors' worth of CPU time that may be used; None where there is no quota."""
        found = []
        for folder in self._version2():
            quota, _, period = _read(f"{folder}/cpu.max").partition(" ")
            found.append((_number(quota), _number(period)))
        for folder in self._version1("cpu"):
            found.append((_number(_read(f"{folder}/cpu.cfs_quota_us")), _number(_read(f"{folder}/cpu.cfs_period_us"))))
        known = [quota / period for quota, period in found if quota and period and quota > 0]
        return min(known, default=None)

    def cpu_used(self) -> float | None:
        """CPU seconds so far; None where that is not told."""
        for folder in self._version2():
            if os.path.exists(f"{folder}/cpu.stat"):
                return _row(f"{folder}/cpu.stat", "usage_usec") / 1e6
        for folder in self._version1("cpuacct"):
            used = _number(_read(f"{folder}/cpuacct.usage"))
            if used is not None:
                return used / 1e9
        return None

    def throttled(self) -> tuple[float, float, float] | None:
        """Periods of the quota so far, those in which all had to wait, and how long they waited in seconds; None where
        there is no quota.
        """
        for folder in self._version2():
            if os.path.exists(f"{folder}/cpu.max") and not _read(f"{folder}/cpu.max").startswith("max"):
                periods, waited, long = (
                    _row(f"{folder}/cpu.stat", name) for name in ("nr_periods", "nr_throttled", "throttled_usec")
                )
                return periods, waited, long / 1e6
        for folder in self._version1("cpu"):
            if (_number(_read(f"{folder}/cpu.cfs_quota_us")) or -1) > 0:
                periods, waited, long = (
                    _row(f"{folder}/cpu.stat", name) for name in ("nr_periods", "nr_throttled", "throttled_time")
                )
                return periods, waited, long / 1e9
        return None

    def _version2(self) -> Iterator[str]:
        return self._upward(self._root, self._paths.get("", ""), "cgroup.controllers")

    def _version1(self, controller: str) -> Iterator[str]:
        path = self._paths.get(controller)
        return iter(()) if path is None else self._upward(f"{self._root}/{controller}", path, "tasks")

    def _upward(self, mount: str, path: str, marker: str) -> Iterator[str]:
        """The folders from our group up to the mount; a container often sees its own group as the mount itself."""
        while True:
            folder = mount + path.rstrip("/")
            if os.path.exists(f"{folder}/{marker}"):
                yield folder
            if path in ("", "/"):
                return
            path = path.rpartition("/")[0]


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _row(path: str, name: str) -> float:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value) or 0.0
    return 0.0
