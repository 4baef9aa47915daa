"""State changes of circuit breakers: one set of metrics for breakers of every library, told apart by their names."""

from __future__ import annotations

from perfagent.runtime.metric import COUNTER, GAUGE, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.runtime.metric import Series
    from perfagent.runtime.prometheus.snapshot import Metric

OPEN, HALF_OPEN, CLOSED = STATES = ("open", "half_open", "closed")
TRANSITIONS = "circuit_breaker_state_transitions_total"
MOST = 1000  # names; a program that makes one up for each call must not fill the memory

_scope = Scope("perfagent.breaker")
_known: dict[str, States] = {}


class States:
    """What is counted of one breaker; `of` has the one of a name.

    Args:
        name: the breaker's.
    """

    __slots__ = ("_current", "_entered", "_rejected", "state")

    def __init__(self, name: str) -> None:
        entered = registry.make(
            _scope, COUNTER, TRANSITIONS, "{transition}", "Times that a circuit breaker went into a state.",
            keys=("name", "state"),
        )  # fmt: skip
        current = registry.make(
            _scope, GAUGE, "circuit_breaker_state", "", "1 for the state that a circuit breaker is in, else 0.",
            keys=("name", "state"),
        )  # fmt: skip
        rejected = registry.make(
            _scope, COUNTER, "circuit_breaker_rejected_calls_total", "{call}",
            "Calls that a circuit breaker did not let through.", keys=("name",),
        )  # fmt: skip
        self._entered: dict[str, Series] = {state: entered.of({"name": name, "state": state}) for state in STATES}
        self._current: dict[str, Series] = {state: current.of({"name": name, "state": state}) for state in STATES}
        self._rejected = rejected.of({"name": name})
        for series in (*self._entered.values(), self._rejected):
            series.record(0)  # from the start on, so that the first change is an increase
        self.state = ""
        self.show(CLOSED)

    def enter(self, state: str) -> None:
        """Counts a change into `state`, one of `STATES`."""
        self._entered[state].record(1)
        self.show(state)

    def show(self, state: str) -> None:
        """Tells that the breaker is in `state`, without a change: it was found so."""
        self.state = state
        for name, series in self._current.items():
            series.record(1 if name == state else 0)

    def reject(self) -> None:
        """Counts a call that was not let through."""
        self._rejected.record(1)


def of(name: str) -> States:
    """The counters of the breaker of that name; beyond `MOST` names, those of all the others together."""
    found = _known.get(name)
    if found is None:
        if len(_known) >= MOST:
            name = "(others)"
        found = _known.get(name) or _known.setdefault(name, States(name))
    return found


def counts(metrics: Iterable[Metric]) -> dict[str, dict[str, int]]:
    """How often each breaker went into each state, by name, from snapshots of one process or several."""
    found: dict[str, dict[str, int]] = {}
    for _kind, name, _unit, _scope, _description, _bounds, rows in metrics:
        if name != TRANSITIONS:
            continue
        for labels, values, _exemplars in rows:
            told = dict(labels)
            states = found.setdefault(told.get("name", ""), dict.fromkeys(STATES, 0))
            if told.get("state") in states:
                states[told["state"]] += round(values[0])
    return dict(sorted(found.items()))
