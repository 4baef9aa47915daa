"""Stacks with what they weigh, and the sums that are made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

UNITS = {"nanoseconds": "ms", "bytes": "bytes"}
_STDLIB = re.compile(r"(^|[\\/])python\d(\.\d+)?t?[\\/]|^<frozen |[\\/]Python\d+[\\/]Lib[\\/]")
_LIBRARY = re.compile(r"(^|[\\/])(site-packages|dist-packages)[\\/]|\.egg[\\/]")
_NATIVE = re.compile(r"\.(so|dylib|dll|pyd|c|cc|cpp|h|rs|pyx)(\.\d+)*$")


class Call(NamedTuple):
    """A function within a stack."""

    function: str
    file: str
    first: int  # the line where it begins, 0 where unknown
    line: int  # the line that it was at


class Sample(NamedTuple):
    """A stack, from the first call to the one that ran."""

    calls: tuple[Call, ...]
    value: int  # in the profile's unit
    times: int = 1  # that it was seen
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Profile:
    """What was measured.

    Args:
        kind: wall, cpu, lock, gil, alloc …
        unit: nanoseconds, bytes or count.
        samples: stacks and their sums.
        time: when it began, ns since the epoch; 0 where unknown.
        duration: ns.
        name: for people.
    """

    kind: str = "wall"
    unit: str = "nanoseconds"
    samples: list[Sample] = field(default_factory=list)
    time: int = 0
    duration: int = 0
    name: str = ""

    @property
    def total(self) -> int:
        """The sum of all samples."""
        return sum(sample.value for sample in self.samples)


@dataclass(slots=True)
class Node:
    """A function below others, with all that ran in it."""

    call: Call
    total: int = 0
    own: int = 0
    children: dict[tuple[str, str, int], Node] = field(default_factory=dict)

    def below(self) -> list[Node]:
        """Its children, the largest first."""
        return sorted(self.children.values(), key=lambda node: -node.total)


def tree(profile: Profile) -> Node:
    """The flame graph: a root without a name, whose children are the first calls."""
    root = Node(Call("", "", 0, 0))
    for sample in profile.samples:
        node = root
        root.total += sample.value
        for call in sample.calls:
            key = call[:3]
            found = node.children.get(key)
            if found is None:
                found = node.children[key] = Node(call)
            node = found
            node.total += sample.value
        node.own += sample.value
    return root


class Sums(NamedTuple):
    """What a function or a line took."""

    call: Call
    own: int
    total: int


def functions(profile: Profile) -> list[Sums]:
    """Functions by the time that they took themselves; `total` counts one once a stack."""
    return _summed(profile, lambda call: call[:3])


def lines(profile: Profile) -> list[Sums]:
    """Lines in the same way."""
    return _summed(profile, lambda call: call)


def _summed(profile: Profile, key) -> list[Sums]:  # type: ignore[no-untyped-def]
    found: dict[tuple[object, ...], list[object]] = {}
    for sample in profile.samples:
        seen: set[tuple[object, ...]] = set()
        for call in sample.calls:
            at = key(call)
            sums = found.setdefault(at, [call, 0, 0])
            if at not in seen:
                seen.add(at)
                sums[2] += sample.value  # type: ignore[operator]
        if sample.calls:
            found[key(sample.calls[-1])][1] += sample.value  # type: ignore[operator]
    rows = [Sums(*sums) for sums in found.values()]  # type: ignore[arg-type]
    return sorted(rows, key=lambda one: (-one.own, -one.total))


def origin(file: str) -> str:
    """Whose code a file is: own, library, stdlib or native."""
    if _LIBRARY.search(file):
        return "native" if _NATIVE.search(file) else "library"
    if _STDLIB.search(file):
        return "stdlib"
    if not file or file.startswith("<") or _NATIVE.search(file):
        return "native" if file and not file.startswith("<") else "stdlib"
    return "own"


def place(call: Call) -> str:
    """file:line of a call; the file alone where no line is known."""
    line = call.line or call.first
    return f"{call.file}:{line}" if line else call.file
