"""What a hub may ask of the profiler: to stop and start, to look more often for a while, to tell who allocates."""

from __future__ import annotations

from perfagent.profiler import sampling
from perfagent.profiler.sampling import allocations
from perfagent.runtime.watch import Look, watch

LONGEST = 600.0  # seconds
HIGHEST = 500.0  # looks a second
ACCEPTED = (
    'true, false, {"rate": looks a second from 1 to 500, "seconds": for how long, to 600}, or '
    '{"allocations": true, "seconds": 1 to 60}'
)

_ends: Look | None = None


def profiler(value: object) -> object:
    """Does what is asked, and tells how often a second the profiler looks from now on.

    Raises:
        ValueError: it cannot be done; the text says what can.
    """
    if value is True:
        sampling.start()
    elif value is False:
        sampling.stop()
    elif isinstance(value, dict) and value.get("allocations") is True:
        return {"allocations": allocations.begin(_number(value, "seconds", 5.0, 1.0, 60.0))}
    elif isinstance(value, dict) and "rate" in value:
        hurry(_number(value, "rate", 0.0, 1.0, HIGHEST), _number(value, "seconds", 60.0, 1.0, LONGEST))
    else:
        raise ValueError(f"{value!r} is nothing that the profiler does: {ACCEPTED}")
    return {"rate": round(sampling.rate(), 1)}


def hurry(rate: float, seconds: float) -> None:
    """Looks so often for so long, whatever it costs; then as before."""
    global _ends
    sampling.start()
    sampler = sampling.active
    if sampler is None:
        return
    if _ends is not None:
        watch.remove(_ends)
    sampler.hurry(rate)
    _ends = Look("profiler", seconds, _calm)
    watch.add(_ends)


def _calm() -> None:
    global _ends
    ended, _ends = _ends, None
    if ended is not None:
        watch.remove(ended)
    if sampling.active is not None:
        sampling.active.hurry(0.0)


def _number(value: dict[str, object], key: str, default: float, low: float, high: float) -> float:
    found = value.get(key, default)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not low <= found <= high:
        raise ValueError(f"{found!r} is no {key} that the profiler does: {ACCEPTED}")
    return float(found)
