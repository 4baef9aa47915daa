"""Maintenance windows: when nobody wants to hear of some services, once or every week; of files and of run time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
KEYS = ("name", "services", "begin", "end", "days", "from", "to", "zone", "reason")
EXAMPLE = 'give begin and end, such as begin = 2026-05-01T22:00:00Z, or days = ["sun"], from = "02:00" and to = "04:00"'


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which alerts of some services are kept and not told.

    Args:
        name: one of each window.
        services: names, with * for any text; none for all.
        begin, end: seconds since the epoch; None for a weekly one.
        days: in which a weekly one begins, 0 for Monday.
        start, stop: of a weekly one, minutes after midnight; one that stops before it starts goes on into the next day.
        zone: of these; "" for the machine's own.
        reason: for people.
        origin: the file that declares it; "" for one that was begun at run time.
        by: the role of who began that.
        off_until: until when somebody has ended it, seconds since the epoch.
    """

    name: str
    services: tuple[str, ...] = ()
    begin: float | None = None
    end: float | None = None
    days: tuple[int, ...] = ()
    start: int = 0
    stop: int = 0
    zone: str = ""
    reason: str = ""
    origin: str = ""
    by: str = ""
    off_until: float = 0.0

    def lasts(self, now: float) -> bool:
        """Whether it is on at a moment."""
        if now < self.off_until:
            return False
        if self.begin is not None:
            return self.begin <= now and (self.end is None or now < self.end)
        moment = datetime.fromtimestamp(now, _zone(self.zone))
        minutes = moment.hour * 60 + moment.minute
        if self.start < self.stop:
            return moment.weekday() in self.days and self.start <= minutes < self.stop
        day = moment.weekday() if minutes >= self.start else (moment.weekday() - 1) % 7
        return day in self.days and not self.stop <= minutes < self.start

    def is_over(self, now: float) -> bool:
        """Whether it will never be on again."""
        return self.end is not None and max(now, self.off_until) >= self.end

    def covers(self, service: str) -> bool:
        """Whether it is about a service."""
        return not self.services or any(fnmatchcase(service, pattern) for pattern in self.services)

    def when(self) -> str:
        """When it is on, for people: "sat, sun 22:00-04:00 Europe/Berlin"; "" for one with a begin and an end."""
        if self.begin is not None:
            return ""
        days = ", ".join(DAYS[day] for day in self.days)
        return f"{days} {_clock(self.start)}-{_clock(self.stop)} {self.zone}".rstrip()


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _zone(name: str) -> tzinfo | None:
    return ZoneInfo(name) if name else None


def declared(tables: Iterable[tuple[dict[str, Any], str]], tell: Callable[[str], None]) -> dict[str, Window]:
    """The windows of files by their name; what is off is told, and the others count."""
    found: dict[str, Window] = {}
    for table, path in tables:
        try:
            window = parse(table, path)
        except ValueError as error:
            tell(f"{path}: [[maintenance]] {error}")
            continue
        if window.name in found:
            tell(f"{path}: [[maintenance]] name={window.name!r} is there twice; the first one counts")
        found.setdefault(window.name, window)
    return found


def parse(table: dict[str, Any], origin: str = "", by: str = "") -> Window:
    """One table as a window.

    Raises:
        ValueError: names the key that is off, and says what is accepted.
    """
    for key in table:
        if key not in KEYS:
            raise ValueError(f"{key}={table[key]!r} is no key; there are: {', '.join(KEYS)}")
    name, services = table.get("name"), table.get("services", [])
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        raise ValueError(f"name={name!r} is no name; give one of up to 100 characters")
    if not isinstance(services, (list, tuple)) or not all(isinstance(one, str) for one in services):
        raise ValueError(f'{name}: services={services!r} is no list of names; write ["shop", "pay*"], or leave it out')
    zone = table.get("zone", "")
    try:
        _zone(zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ValueError(f'{name}: zone={zone!r} is no time zone that is known here; such as "Europe/Berlin"') from None
    about = (tuple(services), zone, str(table.get("reason", "")), origin, by)
    of = dict(zip(("services", "zone", "reason", "origin", "by"), about, strict=True))
    once = [key for key in ("begin", "end") if key in table]
    weekly = [key for key in ("days", "from", "to") if key in table]
    if once and not weekly:
        begin = _moment(name, "begin", table.get("begin"), zone)
        end = _moment(name, "end", table.get("end"), zone) if table.get("end") is not None else None
        if end is None and origin:
            raise ValueError(f"{name}: end is missing; {EXAMPLE}")
        if end is not None and end <= begin:
            raise ValueError(f"{name}: end={table['end']} is not after begin={table['begin']}")
        return Window(name, begin=begin, end=end, **of)
    if len(weekly) == 3 and not once:
        return Window(name, days=_days(name, table["days"]), start=_minutes(name, "from", table["from"]),
                      stop=_minutes(name, "to", table["to"]), **of)  # fmt: skip
    raise ValueError(f"{name}: {', '.join([*once, *weekly]) or 'no time'} says not when it is; {EXAMPLE}")


def _days(name: str, value: object) -> tuple[int, ...]:
    found = [value] if isinstance(value, str) else value
    if isinstance(found, (list, tuple)) and found and all(str(one).lower()[:3] in DAYS for one in found):
        return tuple(sorted({DAYS.index(str(one).lower()[:3]) for one in found}))
    raise ValueError(f"{name}: days={value!r} are no days; there are: {', '.join(DAYS)}")


def _minutes(name: str, key: str, value: object) -> int:
    if isinstance(value, str):
        try:
            value = time.fromisoformat(value)
        except ValueError:
            pass
    if isinstance(value, time):
        return value.hour * 60 + value.minute
    raise ValueError(f'{name}: {key}={value!r} is no time of day; write it as "22:00"')


def _moment(name: str, key: str, value: object, zone: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e11:
        return float(value)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            pass
    if isinstance(value, datetime):
        moment = value if value.tzinfo is not None or not zone else value.replace(tzinfo=_zone(zone))
        return moment.timestamp()
    raise ValueError(f"{name}: {key}={value!r} is no moment; write it as 2026-05-01T22:00:00Z")


def next_change(window: Window, now: float) -> float | None:
    """When a window that is on will be over, seconds since the epoch; None where it has no end, or is not on."""
    if window.begin is not None:
        return window.end if window.lasts(now) else None
    if not window.lasts(now):
        return None
    moment = datetime.fromtimestamp(now, _zone(window.zone))
    end = moment.replace(hour=window.stop // 60, minute=window.stop % 60, second=0, microsecond=0)
    if end.timestamp() <= now:
        end += timedelta(days=1)
    return end.timestamp()
