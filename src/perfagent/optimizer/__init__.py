"""The optimizer: finds the batch size, the number of workers or the TTL that makes the program's own work cheapest.

It measures work that is done anyway, with other values now and then. With OPTIMIZER_ENABLED off every parameter has its
start value, and a trial costs 4 us. Once the best is found nothing is tried any more, until the same work costs 30 %
more or less than it did.
"""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from numbers import Real
from typing import TYPE_CHECKING, TypeVar

from perfagent import settings
from perfagent.optimizer import state
from perfagent.optimizer.drift import Drift
from perfagent.optimizer.search import Search
from perfagent.optimizer.space import Range
from perfagent.runtime import pressure
from perfagent.runtime.metric import COUNTER, GAUGE, registry
from perfagent.runtime.span import Scope
from perfagent.settings.optimizer import OptimizerSettings

if TYPE_CHECKING:
    from types import TracebackType

    from perfagent.optimizer.search import Values
    from perfagent.runtime.metric import Instrument

    Own = TypeVar("Own", bound="Trial")

LOST = 600.0  # seconds after which an experiment that was never reported no longer holds up the next
COOLDOWN = 60.0  # seconds that a search stays away after one has ended

_scope = Scope("perfagent.optimizer")
_optimizers: dict[str, Optimizer] = {}
_lock = threading.Lock()


def get_optimizer(name: str = "default") -> Optimizer:
    """The optimizer of that name in this process; made at the first call."""
    with _lock:
        found = _optimizers.get(name)
        if found is None:
            found = _optimizers[name] = Optimizer(name)
        return found


class Parameter:
    """One parameter; `value` is the best that is known. Made by `Optimizer.parameter`."""

    __slots__ = ("range", "value")

    def __init__(self, range: Range) -> None:  # noqa: A002
        self.range = range
        self.value = range.start
        """The value to use: the start, then the best that was found. An int where the parameter is one."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.range.name

    def __repr__(self) -> str:
        return f"Parameter({self.name}={self.value!r}, from {self.range.low:g} to {self.range.high:g})"


class Optimizer:
    """Tunes a few parameters of one kind of work from what it costs.

    Args:
        name: of the work; what was found is kept under it.
        enabled: whether it tries anything; OPTIMIZER_ENABLED when left out.
        trials: most experiments of one search; 16 and 12 for each parameter when left out.
        folder: where the best is kept; "" for perfagent's state folder, None for nowhere.
        seed: of the choice among experiments that look alike.

    Raises:
        ValueError: an argument is off.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        enabled: bool | None = None,
        trials: int = 0,
        folder: str | None = "",
        seed: int | None = None,
    ) -> None:
        if not name:
            raise ValueError("name='' is not accepted: a word for the work, such as 'import'")
        if trials and trials < 5:
            raise ValueError(f"trials={trials!r} is not accepted: 5 or more, or 0 for as many as the parameters need")
        self.name = name
        self.enabled = OptimizerSettings.current().enabled if enabled is None else enabled
        self.parameters: dict[str, Parameter] = {}
        self.searches = 0
        """How many searches have begun."""
        self._trials = trials
        self._folder = folder
        self._seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
        self._lock = threading.Lock()
        self._search: Search | None = None
        self._best: Values = ()
        self._drift = Drift()
        self._begun = False
        self._pending: tuple[weakref.ref[Trial], float] | None = None
        self._quiet_until = 0.0
        if self.enabled:
            self._value, count = metrics()
            self._counts = [count.of({"optimizer": name, "experiment": one}) for one in (False, True)]

    def parameter(
        self,
        name: str,
        low: float,
        high: float,
        start: float | None = None,
        *,
        scale: str = "linear",
        integer: bool = True,
    ) -> Parameter:
        """Adds a parameter; all must be there before the first trial.

        Args:
            name: of the parameter, such as "batch_size".
            low: the smallest value that is ever used.
            high: the largest.
            start: what is used first. When left out, ANALYTICS_CHUNK_SIZE for "batch_size" and "chunk_size",
                ANALYTICS_MAX_WORKERS for "workers" and "max_workers", brought within the bounds; else the middle.
            scale: "log" where a doubling counts alike everywhere, as for a batch size; else "linear".
            integer: whether only whole numbers are used.

        Returns:
            The parameter; its `value` is the best that is known.

        Raises:
            ValueError: the bounds or the start do not fit, or there is one of that name.
            RuntimeError: the first trial has begun.
        """
        if name in self.parameters:
            raise ValueError(f"there is a parameter {name!r} already: each has a name of its own")
        if self._begun:
            raise RuntimeError(f"parameter {name!r} comes too late: add all of them before the first trial")
        if start is None:
            probe = Range(name, low, high, low, scale, integer)
            known = _start_of(name)
            start = probe.value(0.5) if known is None else min(max(known, low), high)
        found = self.parameters[name] = Parameter(Range(name, low, high, start, scale, integer))
        return found

    def trial(self) -> Trial:
        """The next piece of work with the values to use in it: a context manager that measures its time.

        Raises:
            RuntimeError: there is no parameter yet.
        """
        return self.suggest()

    def suggest(self) -> Trial:
        """As `trial`: the values to use now. Call `report` on it when the work is done, or use it by `with`."""
        if not self.enabled:
            return Trial(None, self.best(), False)
        with self._lock:
            if not self._begun:
                self._begin()
            search = self._search
            if search is None or self._is_busy() or pressure.level != pressure.FINE:
                return Trial(self, self._named(self._best), False)
            found = Trial(self, self._named(search.suggest()), True)
            self._pending = weakref.ref(found), time.monotonic()
            return found

    @property
    def searching(self) -> bool:
        """Whether it tries other values than the best that is known."""
        return self.enabled and (self._search is not None or not self._begun)

    def best(self) -> dict[str, float]:
        """The best values that are known, by parameter."""
        return {name: parameter.value for name, parameter in self.parameters.items()}

    def _is_busy(self) -> bool:
        """Whether an experiment is under way: one at a time, so that most of the work has good values."""
        if self._pending is None:
            return False
        trial, since = self._pending
        return trial() is not None and time.monotonic() - since < LOST

    def _begin(self) -> None:
        if not self.parameters:
            raise RuntimeError("there is nothing to tune: call optimizer.parameter('batch_size', 10, 1000) first")
        self._begun = True
        self._best = tuple(parameter.range.start for parameter in self.parameters.values())
        kept = None if self._folder is None else state.load(self._file, self._ranges)
        if kept is not None:
            self._best = kept.best
        if kept is None or not kept.done:
            self._look_again()
        if kept is not None and self._search is not None:
            self._search.restore(kept.measured)
            self._best = self._search.best()
        self._publish()

    @property
    def _ranges(self) -> list[Range]:
        return [parameter.range for parameter in self.parameters.values()]

    @property
    def _file(self) -> str:
        return state.path(self.name, self._folder or "")

    def _named(self, values: Values) -> dict[str, float]:
        return dict(zip(self.parameters, values, strict=True))

    def _look_again(self) -> None:
        """Begins a search, from the best so far."""
        from dataclasses import replace

        self.searches += 1
        ranges = [replace(one, start=value) for one, value in zip(self._ranges, self._best, strict=True)]
        self._search = Search(ranges, self._seed + self.searches, self._trials)
        self._publish()

    def _take(self, trial: Trial, cost: float) -> None:
        """A trial's cost."""
        with self._lock:
            values = tuple(trial.values[name] for name in self.parameters)
            if self._pending is not None and self._pending[0]() is trial:
                self._pending = None
            self._counts[trial.is_experiment].record(1)
            search = self._search
            if search is not None:
                if trial.is_experiment:
                    self._learn(search, values, cost)
            elif values == self._best and cost < math.inf:
                changed = self._drift.add(cost)
                if changed and time.monotonic() >= self._quiet_until:
                    self._look_again()

    def _learn(self, search: Search, values: Values, cost: float) -> None:
        search.tell(values, cost)
        self._best = search.best()
        self._publish()
        if self._folder is not None:  # also while it searches: a short program goes on where the last run was
            measured = [(one, math.exp(each)) for one, costs in search.measured.items() for each in costs]
            state.save(self._file, self._ranges, state.Kept(self._best, measured, search.done))
        if search.done:
            self._search = None
            self._drift = Drift()
            self._quiet_until = time.monotonic() + COOLDOWN

    def _publish(self) -> None:
        for parameter, value in zip(self.parameters.values(), self._best, strict=True):
            parameter.value = value
            self._value.of({"optimizer": self.name, "parameter": parameter.name}).record(value)


class Trial:
    """A piece of work with the values that it is to use: `trial["batch_size"]` or `trial.batch_size`.

    As a context manager it measures the seconds of its block; where the block fails, the values count as failed.
    """

    def __init__(self, optimizer: Optimizer | None, values: dict[str, float], is_experiment: bool) -> None:
        self.values = values
        self.is_experiment = is_experiment
        """Whether these values are tried, and not known to be the best."""
        self.items = 1.0
        """How much work was done, such as rows; to be set where trials do not all do the same: the cost is by item."""
        self._optimizer = optimizer
        self._began = 0.0

    def __getitem__(self, name: str) -> int:
        return self.values[name]  # type: ignore[return-value] # a float only of a parameter that says so

    def __getattr__(self, name: str) -> int:
        try:
            return self.__dict__["values"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"there is no parameter {name!r}") from None

    def report(
        self,
        seconds: float | None = None,
        *,
        rate: float | None = None,
        cost: float | None = None,
        items: float | None = None,
        failed: bool = False,
    ) -> None:
        """Tells what the work cost; once: what is told again is left out.

        Args:
            seconds: it took.
            rate: items a second, in place of `seconds`.
            cost: anything that is to be small, in place of `seconds`; above 0.
            items: how much work it was; `self.items` when left out.
            failed: whether it failed, and these values are to be avoided.

        Raises:
            ValueError: not exactly one is told, or it is not above 0.
        """
        optimizer, self._optimizer = self._optimizer, None
        told = [value for value in (seconds, rate, cost) if value is not None]
        if len(told) + failed != 1:
            raise ValueError("report takes one of seconds, rate, cost and failed=True, such as report(seconds=0.25)")
        amount = self.items if items is None else items
        if any(not isinstance(value, Real) or not 0 < value < math.inf for value in (*told, amount)):
            raise ValueError(
                f"report({told[0] if told else amount!r}, items={amount!r}): numbers above 0, such as 0.25"
            )
        if optimizer is not None:
            optimizer._take(self, math.inf if failed else 1 / rate if rate is not None else told[0] / amount)

    def __enter__(self: Own) -> Own:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._began
        if self._optimizer is None:
            return
        if kind is not None:
            if issubclass(kind, Exception):
                self.report(failed=True)
        elif self.items > 0:  # nothing was done: nothing is learnt
            self.report(max(seconds, 1e-9))


def _start_of(name: str) -> float | None:
    """What the settings have for parameters of these names."""
    from perfagent.settings.data import DataSettings

    if name in ("batch_size", "chunk_size"):
        return DataSettings.current().chunk_size
    if name in ("workers", "max_workers"):
        return DataSettings.current().max_workers
    return None


def metrics() -> tuple[Instrument, Instrument]:
    """`<ns>.optimizer.value` and `<ns>.optimizer.trials`."""
    namespace = settings.current().namespace
    keys = ("optimizer", "parameter")
    return (
        registry.make(
            _scope, GAUGE, f"{namespace}.optimizer.value", "", "Best value of a parameter so far.", keys=keys
        ),
        registry.make(
            _scope,
            COUNTER,
            f"{namespace}.optimizer.trials",
            "{trial}",
            "Pieces of work that were measured; as an experiment or with the best values.",
            keys=("optimizer", "experiment"),
        ),
    )
