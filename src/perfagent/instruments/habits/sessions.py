"""Sessions and clients that are made for one call: no connection is used twice. Making one pays 1.2 us more."""

from __future__ import annotations

from sys import _getframe

from perfagent.instruments.habits.telling import tell_of
from perfagent.runtime import callers, guard
from perfagent.runtime.clock import monotonic
from perfagent.runtime.encoded import MOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType
    from typing import Any

    from perfagent.instruments.base import Instrument
    from perfagent.runtime.callers import Caller

KIND = "session_per_call"
WINDOW = 60.0  # seconds in which they are counted
MANY = 10  # of one line
LASTING = 2.0  # seconds over which they are made; a loop at the start makes one for each server

_made: dict[Caller, list[float]] = {}  # number, and the time of the first


def of_requests(habit: Instrument, module: ModuleType) -> None:
    """`requests.Session`, which `requests.get` makes, too."""
    habit.replace(module.sessions.Session, "__init__", _looking("requests.Session"))


def of_httpx(habit: Instrument, module: ModuleType) -> None:
    """Both clients of httpx; `httpx.get` makes one, too."""
    habit.replace(module.Client, "__init__", _looking("httpx.Client"))
    habit.replace(module.AsyncClient, "__init__", _looking("httpx.AsyncClient"))


def of_aiohttp(habit: Instrument, module: ModuleType) -> None:
    """`aiohttp.ClientSession`."""
    habit.replace(module.ClientSession, "__init__", _looking("aiohttp.ClientSession"))


def _looking(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def looking(init: Callable[..., None]) -> Callable[..., None]:
        def wrapper(session: Any, *args: Any, **options: Any) -> None:
            count(what, session, _getframe(1))
            init(session, *args, **options)

        return wrapper

    return looking


def count(what: str, session: object, frame: FrameType | None) -> None:
    """Counts one that is made.

    Args:
        what: its class.
        session: the object; a test client's stays within the process.
        frame: of who makes it.
    """
    try:
        if type(session).__module__ == "starlette.testclient":
            return
        caller = callers.nearest(frame)
        if caller is None:
            return
        now = monotonic()
        made = _made.get(caller)
        if made is None or now - made[1] > WINDOW:
            if len(_made) >= MOST:
                _made.clear()
            made = _made[caller] = [0, now]
        made[0] += 1
        lasted = now - made[1]
        if made[0] >= MANY and lasted >= LASTING:
            rate = made[0] / lasted
            text = f"{what} is made again and again, {rate:.1f} times a second"
            tell_of(KIND, what, caller, text, {"rate": round(rate, 3), "number": int(made[0])})
    except Exception:
        guard.failed("habits")
