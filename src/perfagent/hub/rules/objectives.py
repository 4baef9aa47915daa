"""Service level objectives as they are declared: `[[slo]]` tables of perfagent.toml, checked field by field.

PERFAGENT_SLO is the quick start: `shop:99.9` for an availability, `shop:99<250` for a latency of 250 ms, several with
commas between them, or JSON with the keys of the tables.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

AVAILABILITY, LATENCY = "availability", "latency"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
EXAMPLE = """\
[[slo]]
name = "shop-availability"
service = "shop"
objective = 99.9
indicator = "availability"
"""
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Of the buckets of `http.server.request.duration` in seconds, as OpenTelemetry advises them and perfagent has them."""
SETTING = "PERFAGENT_SLO"
QUICK = re.compile(r"(?P<service>[^:,<]+):(?P<objective>[0-9.]+)(<(?P<threshold>[0-9.]+)(ms)?)?")
ACCEPTED = "shop:99.9 or shop:99<250 (ms) with commas between them, or JSON with the keys of [[slo]]"


class BadObjective(ValueError):  # noqa: N818
    """A declaration that is off; the text names the key, its value, what is accepted, and what to do."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What share of a service's requests shall be good.

    Args:
        name: unique; a label of its rules.
        service: `service.name` of the program.
        objective: the share in percent, such as 99.9.
        indicator: `availability`, where a request is good that does not fail with 5xx, or `latency`, where one is that
            takes at most `threshold_ms`.
        threshold_ms: a bound of the histogram's buckets, so that the share is exact; None for availability.
        route: `http.route` of the requests; all of the service when "".
        window_days: over which the objective holds.
    """

    name: str
    service: str
    objective: float
    indicator: str
    threshold_ms: float | None = None
    route: str = ""
    window_days: int = 30

    @property
    def budget(self) -> float:
        """The share of the requests that may be bad, 0..1."""
        return round(1 - self.objective / 100, 12)


def read(document: Mapping[str, Any], bounds: Sequence[float]) -> list[Objective]:
    """The objectives of a settings file.

    Args:
        document: its content.
        bounds: of the buckets of `http.server.request.duration`, in seconds.

    Raises:
        BadObjective: one is off.
    """
    tables = document.get("slo", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise BadObjective(f"slo={tables!r} is no list of tables; write one such as\n\n{EXAMPLE}")
    found: list[Objective] = []
    for number, table in enumerate(tables, 1):
        found.append(objective(table, bounds, f"slo {number}", {one.name for one in found}))
    return found


def objective(
    table: Mapping[str, Any], bounds: Sequence[float], place: str = "slo", taken: Container[str] = ()
) -> Objective:
    """What one table declares.

    Args:
        table: its keys and values.
        bounds: of the buckets of `http.server.request.duration`, in seconds.
        place: what a refusal begins with.
        taken: names that others have.

    Raises:
        BadObjective: it is off.
    """
    one = _Table(table, place)
    found = one.objective([round(bound * 1000, 6) for bound in bounds])
    if found.name in taken:
        one.refuse("name", "a name that no other objective has")
    return found


def setting(text: str) -> list[dict[str, Any]]:
    """The tables that PERFAGENT_SLO stands for; raises BadObjective where it stands for none."""
    text = text.strip()
    if text[:1] in ("[", "{"):
        try:
            document = json.loads(text)
        except ValueError as error:
            raise BadObjective(f"{text[:200]!r} is no JSON ({error}): give {ACCEPTED}") from None
        tables = document if isinstance(document, list) else [document]
        if not all(isinstance(table, dict) for table in tables):
            raise BadObjective(f"{text[:200]!r} is not accepted: give {ACCEPTED}")
        return tables
    return [_quick(part.strip()) for part in text.split(",") if part.strip()]


def _quick(text: str) -> dict[str, Any]:
    found = QUICK.fullmatch(text)
    if found is None:
        raise BadObjective(f"{text[:200]!r} is not accepted: give {ACCEPTED}")
    indicator = LATENCY if found["threshold"] else AVAILABILITY
    service = found["service"].strip()
    name = re.sub(r"[^a-z0-9_-]+", "-", service.lower()).strip("-_")[:50] or "service"
    table: dict[str, Any] = {
        "name": f"{name}-{indicator}",
        "service": service,
        "objective": _float(found["objective"]),
        "indicator": indicator,
    }
    return {**table, "threshold_ms": _float(found["threshold"])} if found["threshold"] else table


def _float(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # is refused with its key


class _Table:
    """One `[[slo]]` table.

    Args:
        fields: what it says.
        place: which one it is, such as "slo 1".
    """

    KEYS = ("name", "service", "objective", "indicator", "threshold_ms", "route", "window_days")

    def __init__(self, fields: Mapping[str, Any], place: str) -> None:
        self._fields = fields
        self._place = place + (f" ({fields['name']})" if isinstance(fields.get("name"), str) else "")

    def refuse(self, key: str, accepted: str) -> NoReturn:
        """Raises; `accepted` says what the key wants."""
        said = f"{key}={self._fields[key]!r} is not accepted" if key in self._fields else f"{key} is missing"
        raise BadObjective(f"{self._place}: {said}: give {accepted}")

    def objective(self, bounds_ms: Sequence[float]) -> Objective:
        """What the table declares."""
        for key in self._fields:
            if key not in self.KEYS:
                raise BadObjective(
                    f"{self._place}: {key!r} is no key of an objective; there are: {', '.join(self.KEYS)}"
                )
        name = self._text("name", "lower-case letters, digits, - and _, at most 63 of them")
        if not NAME.fullmatch(name):
            self.refuse("name", "lower-case letters, digits, - and _, at most 63 of them")
        share = self._number("objective", "a percentage of at least 50 and below 100, such as 99.9")
        if not 50 <= share < 100:
            self.refuse("objective", "a percentage of at least 50 and below 100, such as 99.9")
        indicator = self._text("indicator", f"{AVAILABILITY} or {LATENCY}")
        if indicator not in (AVAILABILITY, LATENCY):
            self.refuse("indicator", f"{AVAILABILITY} or {LATENCY}")
        days = self._fields.get("window_days", 30)
        if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= 90:
            self.refuse("window_days", "a whole number of days from 1 to 90")
        return Objective(
            name,
            self._text("service", "the service.name of a program, such as shop"),
            share,
            indicator,
            self._threshold(indicator, bounds_ms),
            self._text("route", "an http.route, such as /items/{id}; leave it out for all of them", ""),
            days,
        )

    def _threshold(self, indicator: str, bounds_ms: Sequence[float]) -> float | None:
        shown = ", ".join(f"{bound:g}" for bound in bounds_ms)
        if indicator == AVAILABILITY:
            if "threshold_ms" in self._fields:
                self.refuse("threshold_ms", f'none, or indicator = "{LATENCY}"')
            return None
        accepted = f"a bound of the buckets of http.server.request.duration, for else the share is a guess: {shown}"
        value = self._number("threshold_ms", accepted)
        if value not in bounds_ms:
            self.refuse("threshold_ms", accepted)
        return value

    def _text(self, key: str, accepted: str, default: str | None = None) -> str:
        value = self._fields.get(key, default)
        # A quote or a line break would end the selector that it is put into.
        if not isinstance(value, str) or (not value and default is None) or re.search(r'["\\\n]', value):
            self.refuse(key, accepted)
        return value

    def _number(self, key: str, accepted: str) -> float:
        value = self._fields.get(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            self.refuse(key, accepted)
        return float(value)
