"""Memory reports: reading one, and what grew between two, by site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perfagent.profiler import saved

FORMAT = "perfagent.memory/1"


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much a site holds more than before; `file` and `line` as in the later report."""

    file: str
    line: int
    own: bool
    through: str
    before: int
    after: int
    blocks: int  # more than before

    @property
    def size(self) -> int:
        """Bytes more than before."""
        return self.after - self.before


def read(path: str) -> dict[str, Any]:
    """The report in a file.

    Raises:
        ValueError: it is none of ours.
        OSError: it cannot be read.
    """
    return saved.read(path, FORMAT, "is no snapshot: make one by `perfagent memory --snapshot leak.json SCRIPT`")


def growth(before: dict[str, Any], after: dict[str, Any]) -> list[Growth]:
    """Every site that holds more or less than before, what grew most first; the program's own before the others'."""
    first = {(one["file"], one["line"]): one for one in before["sites"]}
    second = {(one["file"], one["line"]): one for one in after["sites"]}
    nothing = {"size": 0, "count": 0}
    found = []
    for key in {**first, **second}:
        then, now = first.get(key, nothing), second.get(key, nothing)
        known = second.get(key) or first[key]
        if then["size"] != now["size"]:
            blocks = now["count"] - then["count"]
            found.append(Growth(*key, known["own"], known["through"], then["size"], now["size"], blocks))
    return sorted(found, key=lambda one: (not one.own, -one.size))
