"""The always-on profiler: which lines of the program its time and its CPU time go to, and for which requests.

A look takes 0.15 to 0.25 ms for a thread that runs 20 to 80 calls deep, 0.4 for four of them, so 25 a second cost 0.4 %
of a core and are not let cost more (`sampler.SHARE`); 0.03 ms while nothing runs. Of it, 0.01 ms a thread that ran and
0.01 ms a look are what the kernel is asked for. Besides, a busy thread hands the interpreter over for each: it loses no
more by that than by any thread that wakes as often and does nothing.
"""

from __future__ import annotations

from perfagent.profiler.sampling import unseen
from perfagent.profiler.sampling.sampler import Sampler
from perfagent.runtime import companions, governor, outbox
from perfagent.runtime.clock import monotonic_ns
from perfagent.runtime.watch import watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.runtime.pipeline import Payload, Pipeline
    from perfagent.settings import Settings

SIGNAL = "profiles"
STEPS = (1.0, 2.0, 4.0, 10.0, 40.0)
"""What the governor slows it down by."""

active: Sampler | None = None
_stopped: Sampler | None = None


def install(settings: Settings) -> None:
    """Starts it, where profiles go anywhere, and lets a hub start and stop it."""
    from perfagent.profiler.sampling import commands

    outbox.commands["profiler"] = commands.profiler
    start()


def start() -> None:
    """Starts it unless it runs."""
    global active
    from perfagent.settings.profiler import ProfilerSettings

    if active is not None:
        return
    settings = ProfilerSettings.current()
    active = Sampler(settings.rate, settings.depth)
    if settings.tasks:
        from perfagent.profiler.sampling.tasks import Tasks

        active.besides = Tasks(active, settings.tasks).look
    if _take not in outbox.sources:
        outbox.sources.append(_take)
        outbox.news.append(_has_news)
        governor.levers.append(governor.Lever("profiler rate", governor.RATE, len(STEPS) - 1, _slow_down))
    watch.add(active.look)
    outbox.shares = active.share
    if _interval not in companions.all_of_them:
        companions.all_of_them.append(_interval)  # after the thread that looks


def stop() -> None:
    """Stops it; what it has seen is sent."""
    global active, _stopped
    if active is not None:
        watch.remove(active.look)
        outbox.shares = bool
        active.end()
        _stopped, active = active, None


def rate() -> float:
    """Looks a second; 0 while it does not run."""
    return 0.0 if active is None else active.asked or 1 / (active.period * active.scale)


def _slow_down(step: int) -> str:
    if active is None:
        return "off"
    active.scale = STEPS[step]
    return f"{rate():.0f} samples a second" if rate() >= 1 else f"a sample every {1 / rate():.0f} s"


class _Interval(companions.Companion):
    """Gives the program its switch interval back before a fork and at the end."""

    def halt(self) -> int:
        """See Companion."""
        if active is not None:
            active.relax()
        return 0

    def reset(self) -> None:
        """See Companion."""
        global _stopped
        _stopped = None
        if active is not None:
            active.reset()

    def stop(self) -> None:
        """See Companion."""
        if active is not None:
            active.end()


_interval = _Interval()


def _has_news() -> bool:
    """Whether anything was seen to run: where a program only waited nobody asks."""
    one = _stopped or active
    return one is not None and (bool(one.window.cpu) or one.unseen.owed > unseen.LEAST)


def _take(pipeline: Pipeline) -> list[Payload]:
    """What is to be sent: a window that has been open for long enough, or at the end."""
    global _stopped
    if SIGNAL not in pipeline.destinations:
        if active is not None and SIGNAL in pipeline.unwanted:
            stop()
        _stopped = None
        return []

    one = _stopped or active
    now = monotonic_ns()
    if one is None or (
        one is not _stopped and not pipeline.hurried and now < one.window.began + pipeline.interval * 1e9
    ):
        return []
    _stopped = None
    window = one.take()
    if window is None:
        return []
    if window.lost:
        outbox.drop("sample", "queue_full", window.lost)
    from perfagent.profiler.sampling.export import encode
    from perfagent.runtime.pipeline import Payload

    body, count = encode(pipeline.encoded_resource(), window, now, one.period * one.scale)
    return [Payload(SIGNAL, body, count)] if count else []
