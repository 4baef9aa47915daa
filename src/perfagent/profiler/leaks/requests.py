"""Which requests make a container grow: its length at the beginning and at the end of each, for some seconds.

A request is looked at only while a leak is being explained: two methods of its span are exchanged for that time, so
that nobody pays for a test before and after. A request that had the process to itself has made the growth that it saw;
where requests overlap always, the endpoint is told that saw far more of it than any other.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from perfagent.runtime import guard, http
from perfagent.runtime.profile import Overlap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from perfagent.runtime.http import ServerSpan

    Figures = dict[str, list[int]]

ENOUGH = 20  # requests of the endpoint, alone in the process
LEAST = 5
MOST = 500  # requests that are looked at
MOST_OPEN = 1000
FAR = 3.0  # times the growth that any other endpoint's requests saw: then it is this one
SURE = 3.0  # standard errors that the mean is above nothing


class Share(NamedTuple):
    """What the requests of an endpoint leave behind."""

    endpoint: str
    entries: float  # a request, on average
    requests: int  # that were looked at
    alone: bool  # whether they had the process to themselves


class Requests:
    """The look at requests.

    Args:
        container: that grows.
        length: tells how long it is; 0.1 us.
    """

    def __init__(self, container: object, length: Callable[[Any], int]) -> None:
        self.container: Any = container
        self.length = length
        self.open: dict[int, tuple[int, int]] = {}
        self.overlap = Overlap()
        self.alone: Figures = {}
        self.shared: Figures = {}
        self.seen = 0
        self._methods: tuple[Any, ...] = ()

    def begin(self) -> None:
        """Exchanges the methods."""
        kind: Any = http.ServerSpan
        init, finish = kind.__init__, kind.finish

        def __init__(span: ServerSpan, *args: Any, **options: Any) -> None:  # noqa: N807
            init(span, *args, **options)
            try:
                self._began(span)
            except Exception:
                guard.failed("leaks")

        def finishing(span: ServerSpan) -> None:
            if not span.ended:
                try:
                    self._ends(span)
                except Exception:
                    guard.failed("leaks")
            finish(span)

        self._methods = (init, finish, __init__, finishing)
        kind.__init__, kind.finish = __init__, finishing

    def end(self) -> None:
        """Puts the methods back, unless somebody else has exchanged them since: then these pass everything on."""
        if self._methods:
            kind: Any = http.ServerSpan
            init, finish, ours, finishing = self._methods
            if kind.__init__ is ours:
                kind.__init__ = init
            if kind.finish is finishing:
                kind.finish = finish
            self._methods = ()
        self.container = None
        self.open.clear()

    def _began(self, span: ServerSpan) -> None:
        container = self.container  # the watching thread may end this at any moment
        if container is not None and self.seen < MOST and len(self.open) < MOST_OPEN:
            self.open[id(span)] = (self.length(container), self.overlap.enter())

    def _ends(self, span: ServerSpan) -> None:
        began, container = self.open.pop(id(span), None), self.container
        if began is None or container is None:
            return
        shared = self.overlap.leave(began[1])
        method = span.method if span.method in http.METHODS else "_OTHER"
        figures = self.shared if shared else self.alone
        name = f"{method} {span.route}" if span.route else method
        if name in figures or len(figures) < 200:
            figures.setdefault(name, []).append(self.length(container) - began[0])
        self.seen += 1

    def knows(self) -> bool:
        """Whether there is nothing more to learn."""
        return self.seen >= MOST or any(
            len(values) >= ENOUGH and _is_sure(values) for values in list(self.alone.values())
        )

    def shares(self) -> list[Share]:
        """What requests leave behind by endpoint, where that is sure; the most first."""
        found = [
            Share(name, sum(values) / len(values), len(values), True)
            for name, values in self.alone.copy().items()
            if len(values) >= LEAST and _is_sure(values)
        ]
        if not found:
            found = self._most_likely()
        return sorted(found, key=lambda one: -one.entries * one.requests)[:5]

    def _most_likely(self) -> list[Share]:
        means = {
            name: sum(values) / len(values)
            for name, values in self.shared.copy().items()
            if len(values) >= LEAST and _is_sure(values)
        }
        first = max(means, key=lambda name: means[name], default=None)
        others = [sum(values) / len(values) for name, values in self.shared.copy().items() if name != first]
        if first is None or any(means[first] < FAR * other for other in others):
            return []
        return [Share(first, means[first], len(self.shared[first]), False)]


def _is_sure(values: list[int]) -> bool:
    """Whether the mean is above nothing by far: a t-test of one side."""
    count = len(values)
    mean = sum(values) / count
    if mean <= 0 or count < LEAST:
        return False
    variance = sum((value - mean) ** 2 for value in values) / (count - 1)
    return mean > SURE * sqrt(variance / count)
