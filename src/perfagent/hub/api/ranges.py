"""The span of time that an answer is about, from `from`, `to` and `hours`, and the steps that its series take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil, floor
from time import time
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Query, Request, Response

from perfagent.hub.api import cursors
from perfagent.hub.api.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

HOUR = 3600
DAY = 24 * HOUR
MINUTES_KEPT = 7 * DAY  # roll-ups by the minute; beyond it there are hours
STEPS = 120  # most points of a series: as many as a chart of 360 px shows apart
WHOLE_STEPS = (60, 120, 300, 600, 900, 1800, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY)
UNITS = {"s": 1, "m": 60, "h": HOUR, "d": DAY}
NOTES = "Perfagent-Notes"
"""The header that says what an answer lacks, where the hub reads from elsewhere: sentences separated by ` | `."""
MOMENT = r"^(now|-[0-9]{1,7}[smhd]|[0-9]{1,10}(\.[0-9]{1,9})?)$"


@dataclass(frozen=True, slots=True)
class Range:
    """From `begin` to `end`, seconds since the epoch.

    Args:
        begin: first moment.
        end: first moment after it.
    """

    begin: float
    end: float

    @property
    def begin_ns(self) -> int:
        """The first moment, ns since the epoch."""
        return round(self.begin * 1e9)

    @property
    def end_ns(self) -> int:
        """The end, ns since the epoch."""
        return round(self.end * 1e9)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin

    @property
    def before(self) -> Range:
        """The range of the same length before it."""
        return Range(max(0.0, self.begin - self.seconds), self.begin)

    @property
    def hourly(self) -> bool:
        """Whether it reaches further back than roll-ups by the minute do."""
        return self.begin < time() - MINUTES_KEPT

    @property
    def step(self) -> int:
        """Seconds between two points of a series: round ones, at most STEPS of them."""
        least = HOUR if self.hourly else 60
        for step in WHOLE_STEPS:
            if step >= least and self.seconds <= STEPS * step:
                return step
        return ceil(self.seconds / STEPS / (30 * DAY)) * 30 * DAY

    @property
    def first(self) -> int:
        """The start of the first step, a multiple of the step."""
        return floor(self.begin / self.step) * self.step

    @property
    def last(self) -> int:
        """The end of the last step, a multiple of the step."""
        return max(ceil(self.end / self.step) * self.step, self.first + self.step)

    def times(self) -> list[int]:
        """Where each step starts."""
        return list(range(self.first, self.last, self.step))


async def within(
    request: Request,
    response: Response,
    from_: Annotated[
        str | None,
        Query(
            alias="from",
            description="Begin: seconds since the epoch, or relative to now such as `-15m`, `-1h`, `-7d`; `-1h` when "
            "left out.",
            pattern=MOMENT,
            examples=["-1h"],
        ),
    ] = None,
    to: Annotated[
        str | None, Query(description="End, in the same forms; `now` when left out.", pattern=MOMENT, examples=["now"])
    ] = None,
    hours: Annotated[
        int | None, Query(description="Short for `from=-Nh`; not together with `from`.", ge=1, le=8760)
    ] = None,
) -> Range:
    """The range of a request; with a cursor that of its list's first page, so that the pages fit together.

    Where the hub reads from elsewhere, what the range lacks is fetched first, for a moment at most.
    """
    remote = request.app.state.hub.remote
    found = _range(request, remote.present() if remote is not None else time(), from_, to, hours)
    if remote is not None:
        tell(response, await remote.ready(found.begin, found.end, found.step))
    return found


def tell(response: Response, notes: Iterable[str]) -> None:
    """Adds to what the answer says that it lacks."""
    told = [note for note in response.headers.get(NOTES, "").split(" | ") if note]
    told += [" ".join(note.encode("ascii", "replace").decode().split()) for note in notes if note]
    if told:
        response.headers[NOTES] = " | ".join(dict.fromkeys(told))[:2000]


def _range(request: Request, now: float, from_: str | None, to: str | None, hours: int | None) -> Range:
    place = cursors.read(request)
    if place is not None:
        return Range(place.begin, place.end)
    if hours is not None and from_ is not None:
        raise Refused(400, "bad_request", "give either `from` or `hours`, not both", "hours")
    begin = _moment(from_ or f"-{hours or 1}h", now)
    end = _moment(to or "now", now)
    if begin >= end:
        shown = f"from={from_ or f'-{hours or 1}h'} is not before to={to or 'now'}"
        raise Refused(400, "out_of_range", f"{shown}; give an earlier `from`", "hours" if hours else "from")
    return Range(begin, end)


def _moment(text: str, now: float) -> float:
    if text == "now":
        return now
    relative = re.fullmatch(r"-(\d+)([smhd])", text)
    return max(0.0, now - int(relative[1]) * UNITS[relative[2]]) if relative else float(text)


Within = Annotated[Range, Depends(within)]
