"""What grows steadily: its name, by how much, who fills it; and how that is told."""

from __future__ import annotations

from perfagent.profiler.leaks import places
from perfagent.profiler.leaks.growth import Growth
from perfagent.runtime import notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.profiler.leaks.names import Place
    from perfagent.profiler.leaks.requests import Share

LEAST_GAINED = 24  # entries
LEAST_AN_HOUR = 100_000  # bytes
PREFIX = "perfagent.memory_leak."


class Suspect:
    """Something that may leak: containers of one name, one that has none, or a type.

    Args:
        name: of it, such as `app.bus.listeners`.
        kind: what kind of container; "" for a type.
        root: the module that the way to it begins in.
        place: where its name stands in the program.
    """

    __slots__ = (
        "bytes_each", "endpoints", "entry", "explained", "growth", "identity", "kind", "limit", "name", "pace", "place",
        "root", "site", "stack", "tries",
    )  # fmt: skip

    def __init__(self, name: str, kind: str, root: str = "", place: Place | None = None) -> None:
        self.name, self.kind, self.root, self.place = name, kind, root, place
        self.growth = Growth()
        self.pace: float | None = None  # entries a second, while it grows steadily
        self.entry = ""  # type of what is put in
        self.bytes_each = 0.0
        self.limit: int | None = None  # entries that it may have
        self.identity = 0  # of a container without a name
        self.site: tuple[str, int] | None = None  # the program's line that makes what is put in
        self.stack: list[tuple[str, int]] = []
        self.endpoints: list[Share] = []
        self.explained = False
        self.tries = 0

    def judge(self) -> bool:
        """Whether it grows so that it should be told."""
        self.pace = self.growth.pace()
        if self.pace is None or self.growth.gained < LEAST_GAINED:
            return False
        if self.limit is not None and self.growth.points[-1][1] <= self.limit:
            return False
        return self.bytes_an_hour >= LEAST_AN_HOUR

    @property
    def bytes_an_hour(self) -> float:
        """By how many bytes it grows, about."""
        return (self.pace or 0.0) * 3600 * self.bytes_each

    def tell(self, instance: str) -> None:
        """Sends what is known, at most once a minute.

        Args:
            instance: `service.instance.id`.
        """
        points = self.growth.points
        what = f"{self.name} ({self.kind})" if self.kind else f"objects of {self.name}"
        unit = "entries" if self.kind else "objects"
        text = (
            f"{what} grew by {self.growth.gained:,.0f} {unit} in {_time(self.growth.seconds)}, steadily, to "
            f"{points[-1][1]:,.0f}; {_size(self.bytes_an_hour)} more an hour"
        )
        told: dict[str, object] = {
            PREFIX + "holder": self.name,
            PREFIX + "kind": self.kind or "type",
            PREFIX + "type": self.entry if self.kind else self.name,
            PREFIX + "entries": int(points[-1][1]),
            PREFIX + "gained": int(self.growth.gained),
            PREFIX + "seconds": self.growth.seconds,
            PREFIX + "entries_per_hour": (self.pace or 0.0) * 3600,
            PREFIX + "bytes_per_hour": self.bytes_an_hour,
            PREFIX + "bytes_per_entry": self.bytes_each,
            PREFIX + "instance": instance,
        }
        held = places.assigned(self.place) if self.place is not None else None
        if held is not None:
            told[PREFIX + "assigned"] = f"{held[0]}:{held[1]}"
        puts = places.filled(self.place) if self.place is not None else None
        if puts is not None:
            told[PREFIX + "filled"] = f"{puts[0]}:{puts[1]}"
        line = self.site or puts or held
        if line is not None:
            told["code.file.path"], told["code.line.number"] = line
            function = places.function_at(*line)
            if function:
                told["code.function.name"] = function
        if self.stack:
            told["code.stacktrace"] = "\n".join(
                f'  File "{file}", line {number}, in {places.function_at(file, number) or "<module>"}'
                for file, number in reversed(self.stack)
            )
        if self.site is not None:
            told[PREFIX + "site"] = f"{self.site[0]}:{self.site[1]}"
        if self.endpoints:
            first = self.endpoints[0]
            told[PREFIX + "endpoint"] = first.endpoint
            told[PREFIX + "requests"] = first.requests
            told[PREFIX + "alone"] = first.alone
            if first.alone:
                told[PREFIX + "entries_per_request"] = first.entries
        notices.notice("memory_leak", self.name, text, told)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _size(number: float) -> str:
    power = next((power for power in (3, 2, 1) if number >= 1000**power), 0)
    return f"{number / 1000**power:.{1 if power else 0}f} {('B', 'kB', 'MB', 'GB')[power]}"
