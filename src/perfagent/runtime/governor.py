"""What the agent costs this process, and what it gives up to stay below a ceiling (PERFAGENT_MAX_OVERHEAD).

The cost is the CPU time of the agent's own threads, which the kernel counts, and that of its hooks in the program's
threads, which nobody can count without adding to it: there it is the number of spans times what making one takes on
this machine now, which is measured every minute. Both together, over the time that went by, are the share of one core
that the agent takes.

Where that is above the ceiling for two looks in a row, levers are lowered one step at a time: how often the profiler
looks, then detail, then which traces are sent. A trace is left out by its identity, as a sampler would, so that what is
kept says how many it stands for and every figure stays right; spans that failed are sent always. Where there is room
again, the steps are taken back, the last one first; one that must be given up again at once is tried ever less often,
so that nothing goes back and forth. In the upper resource zones of the machine the ceiling is lower:
there whatever the agent takes is missed most.
"""

from __future__ import annotations

import os

from perfagent.runtime import companions, http, machine, notices, outbox, pressure, span
from perfagent.runtime.clock import monotonic, thread_time_ns
from perfagent.runtime.metric import COUNTER, GAUGE, registry
from perfagent.runtime.sampler import Sampler
from perfagent.runtime.watch import Look, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfagent.settings import Settings

RATE, DETAIL, SAMPLING = 1, 2, 3
"""In which order levers are lowered: the rate of looking, then detail, then which traces are sent."""
EVERY = 5.0  # seconds between two looks
PATIENCE = 2  # looks above the ceiling until something is given up
EASE, LONGEST_EASE = 6, 120  # looks with room until something is taken back: 30 s, and 10 min where that was in vain
ROOM = 0.6  # of the ceiling: a step that is taken back costs about what is left, and must not be given up at once
HALVINGS = 6  # steps of sampling: from all traces to one in 64
MEASURE = 12  # looks between two measurements of what a span costs
SAMPLE = 50  # spans made for such a measurement, 0.1 ms

# What the hooks of a request and of any other span take, in what `_unit` measures, found by comparing whole programs
# with and without the agent (benchmarks/web.py): in a program that does something else in between, caches are cold.
REQUEST, OTHER = 9.0, 1.2
TIMED = 4.0
"""More for a request while requests are timed by parts: 5.7 us on an event loop, 2.2 in a thread."""

CEILINGS = {"orange": 0.75, "red": 0.5, "critical": 0.25}
"""What becomes of the ceiling in the upper resource zones of the machine."""


class Lever:
    """Something that the agent can do less of.

    Args:
        name: for people, such as "profiler rate".
        order: RATE, DETAIL or SAMPLING.
        steps: how many times it can be lowered; at the last one it costs as little as can be.
        set: takes the step, 0 for everything, and returns what that means for people, such as "10 samples a second".
    """

    __slots__ = ("means", "name", "order", "set", "step", "steps")

    def __init__(self, name: str, order: int, steps: int, set: Callable[[int], str]) -> None:  # noqa: A002
        self.name = name
        self.order = order
        self.steps = steps
        self.set = set
        self.step = 0
        self.means = ""

    def move(self, by: int) -> None:
        """Lowers it by a step, or takes one back with -1."""
        self.step += by
        self.means = self.set(self.step)


levers: list[Lever] = []
"""Of this process."""
costs: dict[str, Callable[[], int]] = {}
"""CPU time in ns that a feature's hooks have taken in the program's threads so far, by its name, where it knows."""


def install(settings: Settings) -> None:
    """Starts the governor.

    Args:
        settings: the ceiling, and the namespace.
    """
    governor = Governor(settings.max_overhead / 100)
    levers.append(Lever("traces", SAMPLING, HALVINGS, _thin))
    watch.add(Look("governor", EVERY, governor.look))
    os.register_at_fork(after_in_child=governor.reset)
    outbox.reports["overhead"] = governor.report


class Governor:
    """Measures and decides.

    Args:
        ceiling: the share of one core that the agent may take.
    """

    def __init__(self, ceiling: float) -> None:
        self.ceiling = ceiling
        self.threads = self.hooks = 0.0
        """CPU seconds so far: of the agent's own threads, and of its hooks."""
        self.share = 0.0
        """Of one core, in the last look's time."""
        self.zone, self.factor = "green", 1.0
        self._machine = machine.Load()
        self.reset()
        scope = span.Scope("perfagent")
        registry.make(
            scope,
            COUNTER,
            "perfagent.overhead.cpu.time",
            "s",
            "CPU time that perfagent itself took: `threads`, its own; `hooks`, in the program's threads (estimated).",
            callback=self._times,
            keys=("where",),
        )
        registry.make(
            scope,
            GAUGE,
            "perfagent.overhead.memory",
            "By",
            "Memory that perfagent itself holds: what its start took, what waits to be sent, what features keep.",
            callback=lambda: iter([(memory(), {})]),
        )
        registry.make(
            scope,
            GAUGE,
            "perfagent.overhead.given_up",
            "{step}",
            "How many steps perfagent has lowered what it does, to stay below PERFAGENT_MAX_OVERHEAD.",
            callback=_steps,
            keys=("lever",),
        )

    def reset(self) -> None:
        """In a forked child: its threads are new; what its parent gave up stays so until there is room."""
        self._known: dict[int, int] = {}  # ns by native thread
        self._spans = (outbox.taken, outbox.requests)
        self._extra = {name: read() for name, read in costs.items()}
        self._at = monotonic()
        self._pace = Pace()
        self._looks = self._unit = 0

    def look(self) -> None:
        """Measures what was taken since the last look, and gives up or takes back a step."""
        if not self._looks % MEASURE:
            self._unit = unit()
        self._looks += 1
        now = monotonic()
        passed, self._at = now - self._at, now
        threads, hooks = self._threads(), self._hooks()
        self.threads += threads
        self.hooks += hooks
        if passed <= 0:
            return
        self.share = (threads + hooks) / passed
        self.zone = self._machine.zone()
        self.factor = CEILINGS.get(self.zone, 1.0)
        if pressure.level:
            self.factor = min(self.factor, 0.5 if pressure.level == pressure.TIGHT else 0.25)
        self._decide(self.share / (self.ceiling * self.factor))

    def _decide(self, filled: float) -> None:
        by = self._pace.after(filled)
        if by > 0:
            lever = next((one for one in sorted(levers, key=lambda one: one.order) if one.step < one.steps), None)
        elif by:
            lever = next((one for one in sorted(levers, key=lambda one: -one.order) if one.step), None)
        else:
            return
        if lever is not None:
            self._move(lever, by)

    def _move(self, lever: Lever, by: int) -> None:
        lever.move(by)
        if by > 0:
            where = f" in the machine's zone {self.zone}" if self.zone in CEILINGS else ""
            ceiling = self.ceiling * self.factor
            notices.notice(
                "overhead",
                lever.name,
                f"perfagent takes {self.share:.2%} of a core, more than the {ceiling:.2%} that it may{where}: "
                f"{lever.means} from now on",
                {
                    "perfagent.overhead.share": self.share,
                    "perfagent.overhead.ceiling": ceiling,
                    "perfagent.overhead.lever": lever.name,
                    "perfagent.overhead.means": lever.means,
                    "perfagent.overhead.given_up": "; ".join(one.means for one in levers if one.step),
                },
            )

    def _threads(self) -> float:
        """CPU seconds that our own threads have used since the last look."""
        used = 0
        known: dict[int, int] = {}
        for native in companions.native_ids():
            time = machine.thread_time(native)
            if time is not None:
                known[native] = time
                used += time - self._known.get(native, 0)
        self._known = known
        return max(used, 0) / 1e9

    def _hooks(self) -> float:
        """CPU seconds that our hooks have taken in the program's threads since the last look."""
        before, self._spans = self._spans, (outbox.taken, outbox.requests)
        spans, requests = (max(now - then, 0) for now, then in zip(self._spans, before, strict=True))
        request = REQUEST + TIMED if http.timing else REQUEST
        taken = requests * request * self._unit + max(spans - requests, 0) * OTHER * self._unit
        for name, read in costs.copy().items():
            total = read()
            taken += max(total - self._extra.get(name, 0), 0)
            self._extra[name] = total
        return taken / 1e9

    def _times(self) -> Iterator[tuple[float, dict[str, object]]]:
        yield self.threads, {"where": "threads"}
        yield self.hooks, {"where": "hooks"}

    def report(self) -> object:
        """For `perfagent doctor` and a hub that asks."""
        return {
            "share_of_a_core": round(self.share, 5),
            "ceiling": self.ceiling * self.factor,
            "zone": self.zone,
            "threads_cpu_seconds": round(self.threads, 3),
            "hooks_cpu_seconds": round(self.hooks, 3),
            "looks_cpu_seconds": {look.name: round(look.cost / 1e9, 4) for look in watch.looks},
            "memory_bytes": memory(),
            "given_up": {lever.name: lever.means for lever in levers if lever.step},
        }


class Pace:
    """When a step is given up, and when one is taken back."""

    def __init__(self) -> None:
        self._above = self._below = 0
        self._held = LONGEST_EASE
        """Looks since a step was taken back."""
        self._ease = EASE

    def after(self, filled: float) -> int:
        """Whether a look means that something is given up, 1, or taken back, -1.

        Args:
            filled: what part of the ceiling was taken.
        """
        self._held += 1
        self._above = self._above + 1 if filled > 1 else 0
        self._below = self._below + 1 if filled < ROOM else 0
        if self._above >= PATIENCE:
            if self._held <= EASE:  # there was no room for what was taken back
                self._ease = min(2 * self._ease, LONGEST_EASE)
            self._above, self._held = 0, LONGEST_EASE
            return 1
        if self._held == EASE + 1:  # there was
            self._ease = EASE
        if self._below >= self._ease:
            self._below = self._held = 0
            return -1
        return 0


def _steps() -> Iterator[tuple[float, dict[str, object]]]:
    for lever in levers:
        yield lever.step, {"lever": lever.name}


def memory() -> int:
    """Bytes that the agent holds, as far as it can tell."""
    return machine.grown + outbox.size()


def unit() -> int:
    """CPU ns that making a span and ending it takes now, in the fastest of some."""
    scope, best = span.Scope("perfagent"), 1 << 62
    for _ in range(5):
        began = thread_time_ns()
        for _ in range(SAMPLE // 5):
            one = span.Span(scope, "", span.INTERNAL, None)
            one.ended = one.started
        best = min(best, thread_time_ns() - began)
    return best * 5 // SAMPLE


def _thin(step: int) -> str:
    """Sends one trace in 2 ** step."""
    outbox.thin = Thin(1 / 2**step) if step else None
    return f"one trace in {2**step} is sent" if step else "every trace is sent"


class Thin:
    """Sends a share of the traces and every span that failed; the others are only measured.

    Args:
        share: 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self._sampler = Sampler(share)

    def __call__(self, one: span.Span, wanted: bool) -> bytes | None:
        """As `Span.deliver`."""
        if not wanted or not one.flags & 1 or has_failed(one):
            return one.deliver(wanted)
        kept, state = self._sampler.decide(one.trace_id, one.state)
        if not kept:
            one.leave_out()
            return one.deliver(wanted)
        span.thinned = state
        try:
            return one.deliver(wanted)
        finally:
            span.thinned = ""


def has_failed(one: span.Span) -> bool:
    """Whether a span ended in an error."""
    details = one.details
    if details is not None and details.status == span.ERROR:
        return True
    status = getattr(one, "status", 0)
    return bool(getattr(one, "failure", "")) or (isinstance(status, int) and status >= 500)
