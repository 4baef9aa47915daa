"""Optimisation rules: the built-in ones, and `[[optimisation]]` tables of perfagent.toml, checked field by field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast
from urllib.parse import urlsplit

from perfagent.hub.conditions import rule as conditions
from perfagent.hub.optimise.actions import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

Mode = Literal["advise", "act", "off"]
MODES = ("advise", "act", "off")
SLOW_QUERIES, BUSY = "slow_queries", "busy_machine"
"""Conditions of their own: statements that took longer than SLOW_MS, of the last minutes; a machine in the zone red."""
SLOW_MS, SLOW_MINUTES, SLOW_COUNT = 500.0, 5, 5
KEYS = (
    "name", "when", "for", "services", "actions", "priority", "cooldown", "mode", "enabled", "undo_after", "measure",
    "tags", "url",
)  # fmt: skip
EXAMPLE = """\
[[optimisation]]
name = "trim-the-shop"
when = "name == 'memory_usage_percent' and value > 75"
services = ["shop"]
actions = ["collect_garbage"]
"""


class BadOptimisation(ValueError):  # noqa: N818
    """A rule that is off; the text names the key, its value, what is accepted, and what to do."""


@dataclass(frozen=True, slots=True)
class Optimisation:
    """What is to be done where a condition holds.

    Args:
        name: unique.
        condition: as a rule of alerts has it; None for a special one.
        special: SLOW_QUERIES or BUSY; "" for an expression.
        actions: names of ACTIONS, in the order in which they are tried: the next one's turn comes where one has not
            helped.
        priority: of several that hold, the one with the highest is first.
        cooldown_minutes: between two actions for a service.
        mode: its own; None for that of the hub.
        enabled: whether it is looked at.
        undo_minutes: after which what can be put back is put back.
        measure_seconds: how long the figure is looked at, before and after.
        services: whom it is about; patterns; none for all.
        tags: that `invalidate_tags` takes.
        url: that `webhook` posts to.
        origin: a file, "built in" or "run time".
    """

    name: str
    condition: conditions.Rule | None
    special: str
    actions: tuple[str, ...]
    priority: int = 50
    cooldown_minutes: int = 15
    mode: Mode | None = None
    enabled: bool = True
    undo_minutes: int = 30
    measure_seconds: int = 120
    services: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    url: str = ""
    origin: str = "built in"

    @property
    def when(self) -> str:
        """The condition, as it is written."""
        if self.condition is not None:
            return self.condition.expression.text
        if self.special == BUSY:
            return "the machine of the hub is in the zone red or critical"
        return f"more than {SLOW_COUNT} statements of {SLOW_MS:g} ms or more in {SLOW_MINUTES} minutes"


def _built_in(name: str, when: str, lasting: str, actions: tuple[str, ...], **more: Any) -> Optimisation:
    special = when if when in (SLOW_QUERIES, BUSY) else ""
    condition = None if special else conditions.read({"name": name, "when": when, "for": lasting})
    return Optimisation(name, condition, special, actions, **more)


BUILT_IN = {
    one.name: one
    for one in (
        _built_in(
            "high-memory", "name == 'memory_usage_percent' and value > 80", "1m", ("collect_garbage", "clear_caches"),
            priority=90, cooldown_minutes=5,
        ),
        _built_in(
            "slow-responses", "name == 'response_time_p95_ms' and value > 1000", "3m", ("profiling",),
            priority=70, cooldown_minutes=10, undo_minutes=5,
        ),
        _built_in(
            "busy-machine", BUSY, "", ("collect_garbage", "lower_sampling"),
            priority=80, cooldown_minutes=10, undo_minutes=10,
        ),
        _built_in("slow-queries", SLOW_QUERIES, "", ("index_advice",), priority=60, cooldown_minutes=15),
        _built_in(
            "cache-misses", "name == 'cache_hit_rate_percent' and value < 50", "3m", ("longer_ttl", "cache_advice"),
            priority=50, cooldown_minutes=20,
        ),
    )
}  # fmt: skip
"""The rules that every hub has, by name."""


def read(table: Mapping[str, Any], origin: str, place: str = "optimisation") -> Optimisation:
    """The rule that a table declares; raises BadOptimisation where it is off."""
    return _Table(table, place).rule(origin)


def changed(rule: Optimisation, fields: Mapping[str, Any]) -> Optimisation:
    """A rule with what was changed at run time: `mode`, `enabled`, `priority`, `cooldown_minutes`."""
    known = {key: value for key, value in fields.items() if key in ("mode", "enabled", "priority", "cooldown_minutes")}
    return replace(rule, **known)


class _Table:
    def __init__(self, fields: Mapping[str, Any], place: str) -> None:
        self._fields = fields
        name = fields.get("name")
        self._place = f"{place} ({name})" if isinstance(name, str) else place

    def refuse(self, key: str, accepted: str) -> NoReturn:
        """Raises; `accepted` says what the key wants."""
        shown = "…" if key == "url" else repr(self._fields.get(key))[:100]  # an address may hold a secret
        said = f"{key}={shown} is not accepted" if key in self._fields else f"{key} is missing"
        raise BadOptimisation(f"{self._place}: {said}: give {accepted}")

    def rule(self, origin: str) -> Optimisation:
        """What the table declares."""
        for key in self._fields:
            if key not in KEYS:
                there = ", ".join(KEYS)
                raise BadOptimisation(f"{self._place}: {key!r} is no key of an optimisation; there are: {there}")
        special = self._fields["when"] if self._fields.get("when") in (SLOW_QUERIES, BUSY) else ""
        if special:
            condition, services = None, self._texts("services", "names of services", ())
        else:
            kept = {key: self._fields[key] for key in ("name", "when", "for", "services") if key in self._fields}
            try:
                condition = conditions.read(kept, "")
            except conditions.BadRule as error:
                raise BadOptimisation(f"{self._place}: {error}") from None
            services = condition.services
        name = self._fields.get("name")
        if not isinstance(name, str) or not conditions.NAME.fullmatch(name):
            self.refuse("name", "letters, digits, _, . and -, at most 63 of them")
        actions = self._texts("actions", f"a list of {', '.join(ACTIONS)}")
        if not actions or not set(actions) <= set(ACTIONS):
            self.refuse("actions", f"a list of {', '.join(ACTIONS)}")
        mode = self._fields.get("mode")
        if mode is not None and mode not in MODES:
            self.refuse("mode", f"one of {', '.join(MODES)}; leave it out for that of the hub (PERFAGENT_OPTIMISE)")
        enabled = self._fields.get("enabled", True)
        if not isinstance(enabled, bool):
            self.refuse("enabled", "true or false")
        tags = self._texts("tags", "a list of 1 to 50 tags", ())
        if "invalidate_tags" in actions and not 0 < len(tags) <= 50:
            self.refuse("tags", "a list of 1 to 50 tags, for the action invalidate_tags")
        return Optimisation(
            name,
            condition,
            special,
            actions,
            self._whole("priority", 50, 0, 100),
            self._duration("cooldown", "15m", 60, 7 * 86_400) // 60,
            cast("Mode | None", mode),
            enabled,
            self._duration("undo_after", "30m", 60, 86_400) // 60,
            self._duration("measure", "2m", 2, 3600),
            services,
            tags,
            self._url(actions),
            origin,
        )

    def _url(self, actions: tuple[str, ...]) -> str:
        url = self._fields.get("url", "")
        accepted = "an address such as https://example.com/hook, for the action webhook"
        if not isinstance(url, str) or ("webhook" in actions) != bool(url):
            self.refuse("url", accepted if "webhook" in actions else "none, or the action webhook")
        try:
            fits = not url or (urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname))
        except ValueError:
            fits = False
        if not fits:
            self.refuse("url", accepted)
        return url

    def _texts(self, key: str, accepted: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        value = self._fields.get(key, default)
        if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) and one for one in value):
            self.refuse(key, accepted)
        return tuple(value)

    def _whole(self, key: str, default: int, low: int, high: int) -> int:
        value = self._fields.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(key, f"a whole number from {low} to {high}")
        return value

    def _duration(self, key: str, default: str, low: int, high: int) -> int:
        """Seconds."""
        value = self._fields.get(key, default)
        found = conditions.DURATION.fullmatch(value) if isinstance(value, str) else None
        seconds = int(found[1]) * conditions.SECONDS[found[2]] if found else 0
        if not low <= seconds <= high:
            self.refuse(key, f"a time from {_shown(low)} to {_shown(high)}, such as {default}")
        return seconds


def _shown(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
