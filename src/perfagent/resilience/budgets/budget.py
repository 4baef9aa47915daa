"""One service's error budget in this process: what waits to be written, what is left, and whom to tell when nothing is.

`record` adds two numbers, 0.4 us; a thread that lives only while something waits writes to the file, once a second.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
from _thread import allocate_lock, get_native_id
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfagent.resilience.budgets.ledger import Ledger
from perfagent.runtime import companions
from perfagent.runtime.metric import COUNTER, GAUGE, registry
from perfagent.runtime.span import Scope

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable, Iterable, Mapping

    from perfagent.runtime.metric import Instrument

INTERVAL = 1.0  # seconds between two writes: what a killed process has not written at most
FORK_WAIT = 0.2  # seconds that a fork waits at most for a write under way

log = logging.getLogger("perfagent.budgets")
scope = Scope("perfagent.budget")


@dataclass(frozen=True, slots=True)
class Exhausted:
    """What subscribers are told.

    Args:
        service: whose budget it is.
        limit: errors that it may make within the window.
        spent: errors that it made.
        window_days: how long an error counts.
    """

    service: str
    limit: int
    spent: int
    window_days: float


class Budget:
    """The budget of one service.

    Args:
        service: its name.
        limit: errors that it may make within the window.
        days: the window.
        folder: where the file is.
    """

    def __init__(self, service: str, limit: int, days: float, folder: str) -> None:
        self.service = service
        self.limit = limit
        self.days = days
        self.waiting = 0
        self._ledger = Ledger(folder, service, max(1, round(days * 24)))
        self._errors = errors().of({"service": service})
        self._errors.record(0)
        self._told = False
        self._known = 0  # what the file had when it could be read last
        self.renew()

    def renew(self) -> None:
        """In a forked child: what waits is the parent's to write."""
        self.waiting = 0
        # Both may be taken again by the thread that has them: a signal's handler or a destructor may record.
        self._counting = threading.RLock()
        self._writing = threading.RLock()

    def record(self, count: int) -> None:
        """Adds errors."""
        with self._counting:
            self.waiting += count
        self._errors.record(count)
        if not writer.running:
            writer.start()

    def spent(self) -> int:
        """Errors within the window, of all processes."""
        with self._writing:
            try:
                self._known = self._ledger.spent()
            except OSError as error:
                _say_once(f"{self._ledger.path} cannot be read", error)
            return self._known + self.waiting

    def remaining(self) -> int:
        """Errors that are left; 0 where more were made."""
        return max(self.limit - self.spent(), 0)

    def write(self) -> bool:
        """Writes what waits; says whether nothing waits any more."""
        with self._writing:
            count = self.waiting
            if not count:
                return True
            try:
                self._ledger.add(count)
            except OSError as error:  # it goes on waiting: a disk gets room again
                _say_once(f"{self._ledger.path} cannot be written, errors are counted in this process alone", error)
                return False
            finally:
                if self._ledger.broken:
                    _say_once(f"{self._ledger.broken} was no file of errors, and was put aside")
                    self._ledger.broken = ""
            with self._counting:
                self.waiting -= count
            return not self.waiting

    def alert(self) -> bool:
        """Tells, once until there is something left again, that nothing is; says whether nothing is."""
        spent = self.spent()
        exhausted = spent >= self.limit
        first, self._told = exhausted and not self._told, exhausted
        if first:
            log.error(
                "error budget of %s is exhausted: %d errors within %g days, %d are allowed",
                self.service, spent, self.days, self.limit,
            )  # fmt: skip
            _tell(Exhausted(self.service, self.limit, spent, self.days))
        return exhausted


budgets: dict[str, Budget] = {}
subscribers: list[Callable[[Exhausted], object]] = []
_said: set[str] = set()


def errors() -> Instrument:
    """`service_errors_total`: what this process recorded since it began."""
    return registry.make(
        scope, COUNTER, "service_errors_total", "{error}", "Errors that a service made.", keys=("service",)
    )


def gauges() -> None:
    """Makes the metrics of what is left and of what may be spent: each process tells of all processes' errors."""

    def remaining() -> Iterable[tuple[float, Mapping[str, object]]]:
        for budget in list(budgets.values()):
            budget.write()
            yield budget.remaining(), {"service": budget.service}

    def limits() -> Iterable[tuple[float, Mapping[str, object]]]:
        for budget in list(budgets.values()):
            yield budget.limit, {"service": budget.service}

    registry.make(
        scope, GAUGE, "service_error_budget_remaining", "{error}",
        "Errors that a service may still make within the window, whichever process made the others.",
        callback=remaining, keys=("service",),
    )  # fmt: skip
    registry.make(
        scope, GAUGE, "service_error_budget_limit", "{error}", "Errors that a service may make within the window.",
        callback=limits, keys=("service",),
    )  # fmt: skip


def _tell(what: Exhausted) -> None:
    for callback in list(subscribers):
        try:
            callback(what)
        except Exception:
            name = getattr(callback, "__qualname__", repr(callback))
            if name not in _said:
                _said.add(name)
                log.exception("subscriber %s to exhausted error budgets failed; this is told once", name)


def _say_once(what: str, error: OSError | None = None) -> None:
    if what not in _said:
        _said.add(what)
        reason = f" ({error.strerror or error})" if error is not None else ""
        print(f"perfagent: {what}{reason}", file=sys.stderr, flush=True)


class Writer(companions.Companion):
    """Writes what waits, in a thread that ends when nothing does; a fork never meets it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """In a forked child."""
        self.running = False
        self._starting = allocate_lock()
        self._halt = allocate_lock()
        self._done = allocate_lock()

    def start(self) -> None:
        """Starts the thread unless it runs."""
        if not self._starting.acquire(False):  # another thread is at it
            return
        try:
            if self.running:
                return
            self.running = True
            self._halt, self._done = allocate_lock(), allocate_lock()
            self._halt.acquire()
            self._done.acquire()
            try:
                _start_thread(self._run, self._halt, self._done)
            except RuntimeError:  # the interpreter is about to end: the exit writes
                self.running = False
        finally:
            self._starting.release()

    def _run(self, halt: LockType, done: LockType) -> None:
        self._thread = get_native_id()
        try:
            halted = False
            while not halted:
                halted = halt.acquire(timeout=INTERVAL)
                if _write_and_alert():
                    break
        finally:
            self.running = False
            done.release()
        if any(budget.waiting for budget in list(budgets.values())) and not halted:
            self.start()  # recorded after the last look, by who saw the thread run

    def before_fork(self) -> None:
        """Ends the thread, which writes once more."""
        if self.running:
            try:
                self._halt.release()
            except RuntimeError:  # somebody has already
                pass
            if self._done.acquire(timeout=FORK_WAIT):
                companions.wait_until_gone(self._thread)

    def stop(self) -> None:
        """At the end of the process."""
        write()

    _thread = 0


def _start_thread(run: Callable[..., object], *arguments: object) -> None:
    """As `companions.start_thread`, but one that `threading` knows: it calls the program's subscribers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, companions.DEAF_TO)
    try:
        threading.Thread(target=run, args=arguments, name="perfagent-budgets", daemon=True).start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def write() -> None:
    """Writes what waits, in the calling thread."""
    for budget in list(budgets.values()):
        budget.write()


def _write_and_alert() -> bool:
    wrote = [budget.write() for budget in list(budgets.values())]
    for budget in list(budgets.values()):
        budget.alert()
    return all(wrote)


def _in_child() -> None:
    writer.reset()
    for budget in budgets.values():
        budget.renew()


atexit.register(write)
writer = Writer()
companions.all_of_them.append(writer)
os.register_at_fork(before=writer.before_fork, after_in_child=_in_child)
