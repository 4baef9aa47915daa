"""Threads that are started and never end: their number grows, place by place. A start pays 1.5 us of its 60."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from sys import _getframe
from types import BuiltinFunctionType, FunctionType, MethodType

from perfagent.runtime import guard, inert, machine, outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from perfagent.instruments.base import Instrument
    from perfagent.runtime.callers import Caller

KIND = "leaked_threads"
MARK = "_perfagent_started"
POOLS = frozenset(("concurrent.futures.thread", "multiprocessing.pool", "anyio._backends._asyncio"))
LOOKS = 6  # in which the number of one line's threads must never fall, and grow in half of them
FEW = 10  # threads by which it must grow
PARTIALS = 8  # one around the other
POOL = 64  # threads of pools that are alive, below which a pool may still be filling


def of_threading(habit: Instrument, module: ModuleType) -> None:
    """`Thread.start`, which leaves the line on the thread, and a look at those that are alive."""

    def marking(start: Callable[[Any], None]) -> Callable[[Any], None]:
        def wrapper(thread: Any) -> None:
            try:
                from perfagent.runtime.callers import nearest

                caller = nearest(_getframe(1))
                if caller is not None:
                    inert.attributes_of(thread)[MARK] = caller
            except Exception:
                guard.failed("habits")
            start(thread)

        return wrapper

    habit.replace(module.Thread, "start", marking)
    outbox.deferred.append(begin)


def begin() -> None:
    """Looks from when the program has run for a while."""
    from perfagent.settings.habits import HabitSettings

    Growth(HabitSettings.current().thread_window / LOOKS).begin()


class Growth:
    """The numbers of threads alive, by the line that started them, in the last looks.

    Args:
        interval: seconds between two looks.
    """

    def __init__(self, interval: float) -> None:
        from perfagent.runtime.watch import Look

        self._look = Look("leaked threads", interval, self.look)
        self._alive: dict[Caller, list[int]] = {}

    def begin(self) -> None:
        """Looks from now on."""
        from perfagent.runtime.watch import watch

        watch.add(self._look)

    def look(self) -> None:
        """Counts, and tells of a line whose threads have only become more."""
        alive: dict[Caller, int] = {}
        example: dict[Caller, Any] = {}
        for thread in list(machine.threads().values()):
            caller = inert.attributes_of(thread).get(MARK)
            if caller is not None:
                alive[caller] = alive.get(caller, 0) + 1
                example[caller] = thread
        for caller in [one for one in self._alive if one not in alive]:
            del self._alive[caller]
        for caller, number in alive.items():
            numbers = self._alive.setdefault(caller, [])
            numbers.append(number)
            del numbers[: -LOOKS - 1]
            if len(numbers) > LOOKS and self._grows(numbers, example[caller]):
                self._tell(caller, numbers, example[caller])

    @staticmethod
    def _grows(numbers: list[int], thread: Any) -> bool:
        steps = [after - before for before, after in pairwise(numbers)]
        if min(steps) < 0 or steps.count(0) > LOOKS // 2 or sum(steps) < FEW:
            return False
        return numbers[-1] >= POOL or _target(thread)[0] not in POOLS

    def _tell(self, caller: Caller, numbers: list[int], thread: Any) -> None:
        module, name = _target(thread)
        growth = (numbers[-1] - numbers[0]) / (self._look.interval * LOOKS) * 60
        text = f"{numbers[-1]} threads of {module}.{name} are alive, {growth:.0f} more a minute"
        more = {"alive": numbers[-1], "per_minute": round(growth, 1), "target": f"{module}.{name}"}
        from perfagent.instruments.habits.telling import tell_of

        tell_of(KIND, name, caller, text, more)


def _target(thread: Any) -> tuple[str, str]:
    """Module and name of what a thread runs: of a function, or of the class of anything else."""
    work = inert.attributes_of(thread).get("_target")
    if work is None:
        work = type(thread).run
    for _ in range(PARTIALS):
        if type(work) is not partial:
            break
        work = work.func
    if type(work) is MethodType:
        work = work.__func__
    described = work if type(work) in (FunctionType, BuiltinFunctionType) else type(work)
    return str(described.__module__), described.__qualname__
