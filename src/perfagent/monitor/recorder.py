"""Where values come in: finds the metric of a name, within a bound on how many there are."""

from __future__ import annotations

import math
import os
from threading import RLock
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from perfagent.monitor import emission
from perfagent.monitor.measuring import Measured, block
from perfagent.monitor.window import Track
from perfagent.runtime import outbox
from perfagent.settings.monitor import MonitorSettings

if TYPE_CHECKING:
    from collections.abc import Callable

CUSTOM = "custom"
HUGE = 1 << 1000  # what a float can hold


class Recorder:
    """What records values and durations.

    Args:
        settings: how much is kept; those of the process when left out.
    """

    def __init__(self, settings: MonitorSettings | None = None) -> None:
        self.settings = settings or MonitorSettings.current()
        self._enabled = self.settings.enabled
        self._detailed = self._enabled and not self.settings.coarse
        self._tracks: dict[str, Track] = {}
        self._known: dict[tuple[str, str, str], Track] = {}  # by what callers wrote
        self._blocks: dict[tuple[str, str], Track] = {}
        self._making = RLock()  # a destructor that records may run in the middle of it
        self._nothing = self._make("", "", CUSTOM, _ignore)
        self._nothing.muted = True
        self._nothing.batch, self._nothing.pending = 1 << 62, _Hole()
        self.dropped = 0
        """Values of metrics beyond the most that the settings allow."""
        _all.add(self)

    def record_metric(self, name: str, value: float, unit: str = "", category: str = CUSTOM) -> None:
        """Records one value of a metric, which is sent as a gauge of that name: 0.5 us.

        Args:
            name: of the metric; what OpenTelemetry does not take in a name is sent as `_`.
            value: a finite number.
            unit: what the value counts, such as "ms" or "{order}"; the one that the metric has when left out.
            category: what it belongs to, such as "business"; the one that it has when left out.

        Raises:
            TypeError: the name is no text, or the value no number.
            ValueError: the value is not finite, the name is empty, or the metric has another unit or category.
        """
        try:
            track = self._known[name, unit, category]
        except KeyError:
            track = self._find(name, unit, category)
        kind = value.__class__
        if kind is int and -HUGE < value < HUGE:
            value += 0.0
        elif kind is not float or value - value:  # NaN and infinity: the difference is NaN, which is true
            value = number(value, "value", name)
        pending = track.pending
        pending.append((perf_counter_ns(), value))
        track.emit(value)
        if len(pending) >= track.batch:
            track.fold()

    def measure(self, name: str, category: str = CUSTOM, trace: bool = False) -> Measured:
        """Measures a block (`with`, `async with`) or, as a decorator, every call of a function: 1.1 us.

        Functions may be plain, coroutine functions or generators of both kinds. The durations are sent as the histogram
        `<namespace>.block.duration`; a block that raises counts too, with the exception's type as `error.type`.

        Args:
            name: of the block.
            category: what it belongs to.
            trace: whether a block that runs within a trace becomes a span of it: 3 us more.

        Raises:
            TypeError: the name is no text.
            ValueError: the name is empty, or a metric of that name has another unit than "s".
        """
        try:
            track = self._blocks[name, category]
        except KeyError:
            track = self._find_block(name, category)
        return Measured(track, trace and self._detailed)

    def _find(self, name: str, unit: str, category: str) -> Track:
        """The metric of that name, or a new one; the one that keeps nothing where there are too many."""
        if not self._enabled:
            return self._nothing
        for what, text in (("name", name), ("unit", unit), ("category", category)):
            if not isinstance(text, str):
                raise TypeError(f"{what}={text!r} is not accepted: give a text, such as record_metric('orders', 3)")
        track = self._tracks.get(name)
        if track is None:
            track = self._add(name, unit, category, lambda: emission.gauge(name, unit, category).record)
        if track is self._nothing:
            return track
        if unit and not track.unit:
            track.unit = unit
        if unit not in ("", track.unit):
            raise ValueError(
                f"unit={unit!r} of {name!r} is not accepted: the metric has been recorded in {track.unit!r} before; "
                f"convert the value, or give it another name, such as '{name}_{unit}'"
            )
        _same_category(track, category)
        self._known[name, unit, category] = track
        return track

    def _find_block(self, name: str, category: str) -> Track:
        if not isinstance(name, str) or not isinstance(category, str):
            raise TypeError(f"measure({name!r}, {category!r}) is not accepted: give texts, such as measure('checkout')")
        track = self._own(name, "s", category, lambda: block(name, category).record)
        if track is not self._nothing:
            if track.unit != "s":
                raise ValueError(
                    f"measure({name!r}) is not accepted: a metric of that name has been recorded in {track.unit!r}, "
                    f"and a block is measured in 's'; give it another name, such as '{name}_time'"
                )
            _same_category(track, category)
            self._blocks[name, category] = track
        return track

    def _own(self, name: str, unit: str, category: str, emit: Callable[[], Callable[[float], Any]]) -> Track:
        """A metric that is sent in a form of its own."""
        if not self._enabled:
            return self._nothing
        return self._tracks.get(name) or self._add(name, unit, category, emit)

    def _add(self, name: str, unit: str, category: str, emit: Callable[[], Callable[[float], Any]]) -> Track:
        if not name.strip():
            raise ValueError(f"name={name!r} is not accepted: it is empty; give one such as 'orders_per_minute'")
        with self._making:
            found = self._tracks.get(name)
            if found is not None:
                return found
            if len(self._tracks) >= self.settings.most:
                self.dropped += 1
                outbox.drop("metric", "name_limit", 1)
                return self._nothing
            track = self._tracks[name] = self._make(name, unit, category, emit())
            return track

    def _make(self, name: str, unit: str, category: str, emit: Callable[[float], Any]) -> Track:
        told = self.settings
        return Track(name, unit, category, emit, told.hours * 60 + 1, told.batch, not told.coarse)

    def _begin_anew(self) -> None:
        """In a forked child: a window of its own."""
        self._making = RLock()
        self.dropped = 0
        for track in self._tracks.values():
            track.reset()


def _same_category(track: Track, category: str) -> None:
    if category not in (CUSTOM, track.category):
        raise ValueError(
            f"category={category!r} of {track.name!r} is not accepted: the metric is in {track.category!r}; "
            "leave it out, or give the metric another name"
        )


class _Hole(list[Any]):
    """A list of what waits that stays empty."""

    def append(self, value: object) -> None:
        """Forgets it."""


def _ignore(value: float) -> None:
    """Sends nothing."""


def number(value: object, argument: str, name: str = "", low: float = -math.inf) -> float:
    """A finite number, as a float.

    Args:
        value: what somebody gave.
        argument: what it was given for.
        name: what of, for the message.
        low: the least that is accepted.

    Raises:
        TypeError: it is no number.
        ValueError: it is not finite, or less than `low`.
    """
    of = f" of {name!r}" if name else ""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{argument}={value!r}{of} is not accepted: give a number, such as 12.5")
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(f"{argument}={value!r}{of} is not accepted: give a number, such as 12.5") from None
    except OverflowError:
        found = math.inf
    if not math.isfinite(found) or found < low:
        accepted = "a finite number" if low == -math.inf else f"a finite number from {low:g}"
        raise ValueError(f"{argument}={value!r}{of} is not accepted: give {accepted}, such as 12.5")
    return found


_all: WeakSet[Recorder] = WeakSet()


def _in_child() -> None:
    for recorder in list(_all):
        recorder._begin_anew()


os.register_at_fork(after_in_child=_in_child)
