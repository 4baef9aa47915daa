"""Whether what a test used is within its budget, and what to say where it is not."""

from __future__ import annotations

from perfagent.testing import trace, waterfall
from perfagent.testing.limits import COUNTS, NOISY, TIMES_SIGN, WORDS, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from perfagent.testing.declared import Budgets
    from perfagent.testing.limits import Limits
    from perfagent.testing.trace import Operation, Place


UNITS = {"time": "", "cpu": " of CPU time", "memory": " of memory at its peak"}


class Excess:
    """One figure that is over its limit.

    Args:
        subject: the endpoint; "" where it is the test.
        key: the figure.
        limit: the most that is allowed.
        measured: what it was.
        culprit: the line that did most of it, and what it did, where that is known.
        requests: of how many requests of the endpoint it is the worst.
    """

    __slots__ = ("culprit", "key", "limit", "measured", "requests", "subject")

    def __init__(
        self, subject: str, key: str, limit: float, measured: float, culprit: Culprit | None, requests: int = 1
    ) -> None:
        self.subject = subject
        self.key = key
        self.limit = limit
        self.measured = measured
        self.culprit = culprit
        self.requests = requests

    def __str__(self) -> str:
        text = (
            f"{self.subject or 'this test'}: {shown(self.key, self.measured)}{self._unit()}, "
            f"{shown(self.key, self.measured - self.limit)} more than the {shown(self.key, self.limit)} allowed"
        )
        return f"{text} (the worst of {self.requests} requests)" if self.requests > 1 else text

    def _unit(self) -> str:
        if self.key not in COUNTS:
            return UNITS[self.key]
        words = WORDS[self.key]
        return f" {words}" if self.measured != 1 else f" {words.replace('queries', 'query').removesuffix('s')}"

    def document(self) -> dict[str, object]:
        """For machines."""
        told: dict[str, object] = {
            "endpoint": self.subject or None,
            "figure": self.key,
            "limit": self.limit,
            "measured": self.measured,
            "message": str(self),
        }
        if self.culprit is not None:
            told.update(self.culprit.document())
        return told


class Culprit:
    """What contributed most.

    Args:
        what: a statement, a call.
        times: how often.
        place: the line.
    """

    __slots__ = ("place", "times", "what")

    def __init__(self, what: str, times: int, place: Place) -> None:
        self.what = what
        self.times = times
        self.place = place

    def __str__(self) -> str:
        return f"{self.what}{f' {TIMES_SIGN}{self.times}' if self.times > 1 else ''} at {self.place}"

    def document(self) -> dict[str, object]:
        """For machines."""
        place = self.place
        return {"file": place.file, "line": place.line, "function": place.function, "what": self.what,
                "times": self.times}  # fmt: skip


class Outcome:
    """What a test used, and what of it is too much.

    Args:
        top: the test.
        measured: what it used in all.
        limits: its own.
        left_out: spans that there was no room for.
    """

    def __init__(self, top: Operation, measured: Limits, limits: Limits, left_out: int) -> None:
        self.top = top
        self.measured = measured
        self.limits = limits
        self.left_out = left_out
        self.runs = 1
        self.excesses: list[Excess] = []
        self.endpoints: dict[str, tuple[int, Limits]] = {}
        """Of each endpoint how many requests there were, and of each figure the most."""

    @property
    def only_slow(self) -> bool:
        """Whether nothing but what differs from run to run is over: then another run may be within."""
        return all(excess.key in NOISY for excess in self.excesses)

    def better_of(self, before: Outcome) -> None:
        """Forgives what another run was within, and takes the smaller figure of what neither was."""
        others = {(excess.subject, excess.key): excess for excess in before.excesses}
        self.excesses = [excess for excess in self.excesses if (excess.subject, excess.key) in others]
        for excess in self.excesses:
            excess.measured = min(excess.measured, others[excess.subject, excess.key].measured)

    def text(self, name: str) -> str:
        """What a person reads of a test that is over its budget."""
        lines = [f"{name} is over its budget"]
        told = ""
        for excess in self.excesses:
            lines.append(f"  {excess}")
            if excess.culprit is not None and str(excess.culprit) != told:
                told = str(excess.culprit)
                lines.append(f"    {told}")
        if self.runs > 1:
            lines.append(f"  the best of {self.runs} runs")
        lines += ["", *(f"  {line}" for line in waterfall.draw(self.top))]
        if self.left_out:
            lines.append(f"  {self.left_out} more operations were not kept: a test keeps the first {trace_limit()}")
        return "\n".join(lines)


def trace_limit() -> int:
    """How many operations of a test are kept."""
    from perfagent.testing import seen

    return seen.MOST


def judge(top: Operation, measured: Limits, limits: Limits, budgets: Budgets, left_out: int = 0) -> Outcome:
    """Holds a test and the endpoints that it asked against their limits.

    Args:
        top: the test's tree.
        measured: what it used.
        limits: of the test.
        budgets: have those of endpoints.
        left_out: spans that there was no room for.
    """
    outcome = Outcome(top, measured, limits, left_out)
    for key, limit in limits.items():
        if measured.get(key, 0) > limit:
            outcome.excesses.append(Excess("", key, limit, measured[key], culprit(top, key)))
    requests: dict[str, list[Operation]] = {}
    for request in top.requests():
        requests.setdefault(request.name, []).append(request)
    for name, all_of_it in requests.items():
        allowed = budgets.of_endpoint(name)
        figures = [(trace.used(request), request) for request in all_of_it]
        most = {key: max(each.get(key, 0) for each, _ in figures) for key in figures[0][0]}
        outcome.endpoints[name] = (len(all_of_it), most)
        for key, limit in allowed.items():
            if most.get(key, 0) > limit:
                worst = max(figures, key=lambda one: one[0].get(key, 0))[1]
                outcome.excesses.append(Excess(name, key, limit, most[key], culprit(worst, key), len(all_of_it)))
    return outcome


KINDS = {"queries": ("query",), "duplicate_queries": ("query",), "calls": ("call",), "cache_calls": ("cache",)}


def culprit(top: Operation, key: str) -> Culprit | None:
    """The line that did most: most often for a count, longest for a time."""
    if key in ("memory", "cpu"):
        return None
    kinds = KINDS.get(key, ("query", "call", "cache"))
    groups: dict[tuple[str, Place], list[Operation]] = {}
    for one in top.walk():
        if one.kind in kinds and one.own and one.place is not None:
            groups.setdefault((one.text or one.name, one.place), []).append(one)
    if not groups:
        return None

    def weight(group: list[Operation]) -> float:
        return sum(each.seconds for each in group) if key == "time" else len(group)

    (what, place), group = max(groups.items(), key=lambda item: weight(item[1]))
    return Culprit(what if len(what) <= 100 else what[:99] + "…", len(group), place)
