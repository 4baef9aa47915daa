"""When a rule fires, by whether its condition holds in each minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.expressions.evaluate import Truths, Values


@dataclass(slots=True)
class Spell:
    """A time in which a rule fired; what returned within the cooldown goes on.

    Args:
        since: start of the first minute in which the condition held, seconds since the epoch.
        fired: the end of the minute with which it had held for long enough.
        until: start of the first minute in which it held no more; None while it lasts.
        value, limit: the last that a person is told of; None where that is unknown.
        worst: the value that was farthest on the wrong side.
        minutes: how many it fired in.
    """

    since: int
    fired: int
    until: int | None
    value: float | None
    worst: float | None
    limit: float | None
    minutes: int = 0


def spells(
    times: Sequence[int],
    holds: Truths,
    values: Values,
    limits: Values,
    *,
    minutes: int,
    cooldown_minutes: float,
    rising: bool,
) -> list[Spell]:
    """When a rule fired.

    Args:
        times: starts of minutes, without gaps.
        holds: whether the condition holds in each; None, for unknown, is as good as no.
        values, limits: what a person is told of each.
        minutes: it fires once the condition held in a minute and in each up to so many later: Prometheus' `for`.
        cooldown_minutes: what returns within so long is the same.
        rising: whether a larger value is worse.
    """
    found: list[Spell] = []
    row = 0
    worst = max if rising else min
    for place, (time, held) in enumerate(zip(times, holds, strict=True)):
        if not held:
            if row > minutes:
                found[-1].until = time
            row = 0
            continue
        row += 1
        if row <= minutes:
            continue
        if row == minutes + 1:
            since = time - minutes * 60
            last = found[-1] if found else None
            if last is not None and last.until is not None and since - last.until <= cooldown_minutes * 60:
                last.until = None
            else:
                found.append(Spell(since, time + 60, None, None, None, None))
            newest = range(place - minutes, place + 1)
        else:
            newest = range(place, place + 1)
        spell = found[-1]
        spell.minutes += 1
        for one in newest:
            value = values[one]
            if value is not None:
                spell.value, spell.limit = value, limits[one]
                spell.worst = value if spell.worst is None else worst(spell.worst, value)
    return found
