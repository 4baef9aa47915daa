"""What a source is: something with a `collect()` that tells figures, and what else it sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.sources.seen import Seen

Priority = Literal["critical", "high", "normal", "low"]
PRIORITIES: tuple[Priority, ...] = ("critical", "high", "normal", "low")
PointKind = Literal["gauge", "counter", "level"]


@dataclass(frozen=True, slots=True)
class Point:
    """One figure.

    Args:
        name: of the metric, by OpenTelemetry's conventions where they have it.
        value: what was measured; of a counter its total so far.
        unit: by UCUM, such as "By" and "{connection}".
        kind: a gauge is a reading; a counter only grows; a level goes up and down and may be added up over attributes.
        attributes: what it is of.
        description: what it tells.
        start: when a counter began, seconds since the epoch; 0 where nobody knows.
    """

    name: str
    value: float
    unit: str = "1"
    kind: PointKind = "gauge"
    attributes: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    start: float = 0.0


@dataclass(slots=True)
class Collected:
    """What one collection brought.

    Args:
        points: figures.
        seen: what is no figure.
        notes: what could not be told, and what to do about it; the source counts as degraded.
        attributes: of the resource, such as the server's address and version.
    """

    points: list[Point] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)

    def gauge(self, name: str, value: float | None, unit: str = "1", text: str = "", /, **attributes: str) -> None:
        """Adds a reading, if there is one; `__` in an attribute's name stands for a dot."""
        self._add(name, value, unit, "gauge", text, attributes)

    def counter(
        self, name: str, value: float | None, unit: str = "1", text: str = "", start: float = 0.0, /, **attributes: str
    ) -> None:
        """Adds the total of a counter."""
        self._add(name, value, unit, "counter", text, attributes, start)

    def level(self, name: str, value: float | None, unit: str = "1", text: str = "", /, **attributes: str) -> None:
        """Adds a level."""
        self._add(name, value, unit, "level", text, attributes)

    def _add(
        self,
        name: str,
        value: float | None,
        unit: str,
        kind: PointKind,
        text: str,
        attributes: dict[str, str],
        start: float = 0.0,
    ) -> None:
        if value is not None:
            told = {key.replace("__", "."): one for key, one in attributes.items()}
            self.points.append(Point(name, float(value), unit, kind, told, text, start))


class Source(Protocol):
    """Where figures come from. Its methods are called by one thread at a time, each time maybe another one."""

    def collect(self) -> Collected:
        """What there is now.

        Raises:
            SourceError: it cannot be told; any other error is told by its type and text, too.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds, such as a connection."""
        ...


class SourceError(Exception):
    """A source cannot tell; the text says why and what to do, and holds no secret."""


class Unavailable(SourceError):  # noqa: N818 - a state
    """A source cannot be on at all, as without its driver; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One source as it was declared.

    Args:
        name: what it is called, and its `service.name`.
        kind: which sort of source.
        priority: what is left out last and first while the machine is loaded.
        interval: seconds between two collections.
        timeout: seconds after which one has failed.
        address: where it is, with its secrets; "" for the machine.
        options: further keys of its table.
        origin: the file or variable that declares it; "" where it is built in.
        detailed: whether it also tells what costs more.
    """

    name: str
    kind: str
    priority: Priority
    interval: float
    timeout: float
    address: str = ""
    options: Mapping[str, object] = field(default_factory=dict, hash=False)
    origin: str = ""
    detailed: bool = True
