"""Measures each test's own part, without its fixtures, and fails it where it is over its budget.

What differs from run to run (time, CPU time, memory) is judged by the best of several runs: a test that is over in
these alone runs again, with new fixtures of its own, until it is within them or has run `repeat` times.
"""

from __future__ import annotations

import inspect
from _thread import get_ident
from functools import wraps
from time import process_time

import pytest
from _pytest.outcomes import Failed

from perfagent.runtime.clock import now
from perfagent.runtime.context import current, restore
from perfagent.runtime.span import INTERNAL, Scope, Span
from perfagent.testing import seen, trace
from perfagent.testing.judge import Outcome, judge
from perfagent.testing.limits import NOISY, BudgetError, parse
from perfagent.testing.told import Told, document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from perfagent.testing.declared import Budgets
    from perfagent.testing.limits import Limits

SCOPE = Scope("perfagent.testing")
TRIES: pytest.StashKey[Tries] = pytest.StashKey()
OUTCOME: pytest.StashKey[Outcome] = pytest.StashKey()


class OverBudget(Failed):
    """A test used more than its budget."""


class Tries:
    """The runs of one test."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.done = 0
        self.again = False
        self.best: Outcome | None = None


class Run:
    """The plugin of a process that runs tests.

    Args:
        config: pytest's.
        budgets: those of the folder.
    """

    def __init__(self, config: pytest.Config, budgets: Budgets) -> None:
        self.config = config
        self.budgets = budgets
        self.judges = not config.option.perfagent_record
        self.properties = bool(getattr(config.option, "xmlpath", None))

    # How often a test runs.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Runs a test until it is within its limits of time; leaves it to others where one run has to do."""
        option = self.config.option
        runs_by_others = item.get_closest_marker("flaky") or getattr(option, "reruns", None)
        shows_setup = getattr(option, "setuponly", False) or getattr(option, "setupshow", False)
        if not self.judges or self.budgets.repeat < 2 or runs_by_others or shows_setup or not self._is_noisy(item):
            return None
        from _pytest.runner import call_and_report

        tries = item.stash[TRIES] = Tries(self.budgets.repeat - 1)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        first: list[pytest.TestReport] = []
        while True:
            reports = self._once(item, nextitem, tries, call_and_report)
            first = first or reports
            if not tries.again:
                break
            tries.left -= 1
        if reports is not first and any(report.failed for report in reports):
            assert tries.best is not None
            reports = (
                first if any(not isinstance(report.longrepr, Told) for report in reports if report.failed) else reports
            )
            if reports is first:
                _fail(item, first, tries.best)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _is_noisy(self, item: pytest.Item) -> bool:
        """Whether something is limited that differs from run to run; tests run as ever where nothing is."""
        return self.budgets.limits_noise_of_requests or any(key in NOISY for key in self._limits(item))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuses markers with mistakes before anything runs."""
        for item in items:
            self._limits(item)

    def _once(self, item: Any, nextitem: Any, tries: Tries, call_and_report: Any) -> list[pytest.TestReport]:
        """One run, as `_pytest.runner.runtestprotocol`; between two runs only the test's own fixtures go."""
        has_request = hasattr(item, "_request")
        if has_request and not item._request:
            item._initrequest()
        tries.again = False
        reports = [call_and_report(item, "setup", log=False)]
        if reports[0].passed:
            reports.append(call_and_report(item, "call", log=False))
        if tries.again:
            nextitem = item.parent
        elif item.session.shouldfail or item.session.shouldstop:
            nextitem = None
        reports.append(call_and_report(item, "teardown", log=False, nextitem=nextitem))
        if has_request:
            item._request = False
            item.funcargs = None
        return reports

    # What one run used.

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Measures the test's own part."""
        limits = self._limits(item)
        root = Span(SCOPE, item.nodeid, INTERNAL, None)
        token = current.set(root)
        put_back = _entering(item, root)
        memory = Memory() if "memory" in limits else None
        seen.begin()
        began, cpu = now(), process_time()
        root.started = began
        try:
            result = yield
        finally:
            root.finish()
            cpu = process_time() - cpu
            peak = memory.end() if memory is not None else None
            noted, left_out = seen.end()
            put_back()
            restore(current, token)
            top = trace.grow(root, noted, began, get_ident())
            measured = {**trace.used(top), "cpu": cpu, **({} if peak is None else {"memory": peak})}
            outcome = item.stash[OUTCOME] = judge(top, measured, limits, self.budgets, left_out)
            if self.properties:
                item.user_properties += [(f"perfagent.{key}", value) for key, value in measured.items()]
        if self.judges:
            self._hold(item, outcome)
        return result

    def _hold(self, item: pytest.Item, outcome: Outcome) -> None:
        tries = item.stash.get(TRIES, None) or Tries(0)
        tries.done += 1
        outcome.runs = tries.done
        before = tries.best
        if before is not None:
            outcome.better_of(before)
        tries.best = outcome
        if outcome.excesses and tries.left and outcome.only_slow:
            tries.again = True
        elif outcome.excesses:
            raise OverBudget(outcome.text(item.nodeid), pytrace=False)

    def _limits(self, item: pytest.Item) -> Limits:
        """The limits of a test: the nearest marker tells of each figure."""
        marked: Limits = {}
        for marker in item.iter_markers("perfagent"):
            try:
                if marker.args:
                    raise BudgetError(f"{item.nodeid}: the marker takes names only, such as perfagent(queries=5)")
                marked = {**parse(marker.kwargs, f"{item.nodeid}: marker perfagent"), **marked}
            except BudgetError as error:
                raise pytest.UsageError(str(error)) from None
        return self.budgets.of_test(item.nodeid, marked)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Puts what was measured into the report, which takes it to the process that shows it."""
        report = yield
        outcome = item.stash.get(OUTCOME, None)
        if call.when == "call" and outcome is not None:
            over = call.excinfo is not None and isinstance(call.excinfo.value, OverBudget)
            report.perfagent = document(item, outcome, over=over)  # type: ignore[attr-defined]
            if over and report.failed:
                report.longrepr = Told.of(report.perfagent)
        return report


class Memory:
    """The most that Python's own allocations took beyond what there was: a test is several times slower meanwhile."""

    def __init__(self) -> None:
        import tracemalloc

        self.tracer = tracemalloc
        self.ours = not tracemalloc.is_tracing()
        if self.ours:
            tracemalloc.start()
        else:
            tracemalloc.reset_peak()
        self.before = tracemalloc.get_traced_memory()[0]

    def end(self) -> float:
        """How much it was, in bytes."""
        peak = self.tracer.get_traced_memory()[1]
        if self.ours:
            self.tracer.stop()
        return float(max(peak - self.before, 0))


def _entering(item: Any, root: Span) -> Any:
    """Makes a test's coroutine run below its span: an event loop's context may be older than that.

    Returns:
        What puts back what was there.
    """
    function = getattr(item, "obj", None)
    context = getattr(getattr(item, "_instance", None), "_asyncioTestContext", None)  # of IsolatedAsyncioTestCase
    if context is not None:
        context.run(current.set, root)
    if not inspect.iscoroutinefunction(function) or hasattr(function, "hypothesis") or context is not None:
        return _nothing

    @wraps(function)
    async def below(*arguments: Any, **named: Any) -> Any:
        token = current.set(root)
        try:
            return await function(*arguments, **named)
        finally:
            restore(current, token)

    item.obj = below

    def put_back() -> None:
        if item.obj is below:
            item.obj = function

    return put_back


def _nothing() -> None:
    pass


def _fail(item: pytest.Item, reports: list[pytest.TestReport], outcome: Outcome) -> None:
    """Has the first run fail by the times that it took: the next one, which was to show better, failed by itself."""
    for report in reports:
        if report.when == "call":
            told = document(item, outcome, over=True)
            told["text"] += "\n  it was run again for that, and then failed otherwise: one run had to do"
            report.outcome = "failed"
            report.perfagent = told  # type: ignore[attr-defined]
            report.longrepr = Told.of(told)
