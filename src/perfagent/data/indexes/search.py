"""Finds the few indexes that help most: candidates for each statement, kept where the plan uses them and costs less."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from perfagent.data.indexes.accesses import UnreadableError, accesses
from perfagent.data.indexes.advice import Evidence
from perfagent.data.indexes.candidates import Candidate, candidates
from perfagent.data.indexes.statements import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfagent.data.indexes.accesses import Access
    from perfagent.data.indexes.advice import Statement
    from perfagent.data.indexes.catalog import Catalog

TOGETHER = 2  # most indexes that one statement is given; a join may need one on either side
STEP = 1.2  # by how much each of them must lower the cost
LITTLE = 0.05  # of what could be saved is given up for an index that is made anyway
NEAR = 1.25  # a plan that costs at most so much more is as good: fewer indexes are better than a little speed


class Plan:
    """What a statement costs with some indexes, and which of these its plan uses.

    Args:
        cost: in the planner's unit.
        text: the part of the plan that reads tables, in a line.
        used: the hypothetical indexes in it.
    """

    __slots__ = ("cost", "text", "used")

    def __init__(self, cost: float, text: str, used: frozenset[Candidate] = frozenset()) -> None:
        self.cost, self.text, self.used = cost, text, used


@dataclass(slots=True)
class Question:
    """A statement, how it reads its tables, and the indexes that might help it."""

    statement: Statement
    text: str  # without literals
    accesses: list[Access]
    candidates: list[Candidate]
    before: Plan = field(default_factory=lambda: Plan(0, ""))
    steps: list[tuple[Candidate, Plan]] = field(default_factory=list)  # the chosen ones, each with the plan so far

    @property
    def plan(self) -> Plan:
        """With all that was chosen."""
        return self.steps[-1][1] if self.steps else self.before


class Planner(Protocol):
    """Tells what a statement would cost."""

    def plan(self, question: Question, indexes: Sequence[Candidate]) -> Plan:
        """The plan with these hypothetical indexes; raises UnreadableError with the reason where there is none."""
        ...


def questions(
    statements: Sequence[Statement],
    dialect: str,
    catalog: Catalog,
    smallest: float,
    skip: Callable[[str, str], None],
    learn: Callable[[Access], None] | None = None,
) -> list[Question]:
    """What there is to find out: statements that read a table of at least `smallest` rows.

    Args:
        statements: all of them.
        dialect: of their SQL.
        catalog: the tables.
        smallest: rows below which an index is of no use.
        skip: is told a statement that cannot be looked into, and why.
        learn: finds out what is not known yet of the columns of an access.
    """
    found: list[Question] = []
    for one in statements:
        text = shown(one.sql, dialect)
        try:
            read = accesses(one.sql, dialect, catalog)
        except UnreadableError as error:
            skip(text, str(error))
            continue
        large = [access for access in read if access.table.rows >= smallest and not access.table.partitioned]
        if any(access.table.partitioned for access in read):
            skip(text, "reads a partitioned table, for which there is no advice")
        elif large:
            for access in large if learn is not None else ():
                learn(access)  # type: ignore[misc]
            found.append(Question(one, text, read, candidates(large, partial=dialect != "mysql")))
    return found


def search(
    asked: Sequence[Question], planner: Planner, factor: float, skip: Callable[[str, str], None]
) -> dict[Candidate, list[Evidence]]:
    """The indexes to make, each with the statements that gain.

    Args:
        asked: statements; those that take most time first.
        planner: tells the cost.
        factor: how many times less a statement must cost.
        skip: is told a statement that cannot be planned, and why.
    """
    chosen: dict[Candidate, None] = {}
    for question in asked:
        try:
            question.before = planner.plan(question, ())
        except UnreadableError as error:
            skip(question.text, str(error))
            continue
        _choose(question, planner, factor, list(chosen))
        chosen |= dict.fromkeys(candidate for candidate, _plan in question.steps)
    for candidate in list(chosen):
        for wider in chosen:
            if wider != candidate and candidate.begins(wider) and _replace(asked, planner, factor, candidate, wider):
                break
    return _evidence(asked)


def _choose(question: Question, planner: Planner, factor: float, others: list[Candidate]) -> None:
    own = question.candidates
    known = [one for one in others if any(one.begins(mine) or mine.begins(one) for mine in own) and one not in own]
    for _ in range(TOGETHER):
        taken = [candidate for candidate, _plan in question.steps]
        found = []
        for candidate in [*known, *own]:
            if candidate in taken:
                continue
            plan = _planned(planner, question, [*taken, candidate])
            if plan is not None and plan.used.issuperset([*taken, candidate]):
                found.append((candidate, plan))
        least = min((plan.cost for _, plan in found), default=0.0)
        enough = least + (question.plan.cost - least) * LITTLE
        near = [one for one in found if one[1].cost <= max(least * NEAR, enough if one[0] in others else 0)]
        # Of those as good: one that is made anyway, the narrower, the one for all rows.
        near.sort(key=lambda one: (one[0] not in others, len(one[0].keys), one[0].fixed is not None, one[1].cost))
        if not near or near[0][1].cost * STEP > question.plan.cost:
            break
        question.steps.append(near[0])
    if question.plan.cost * factor > question.before.cost:
        question.steps.clear()


def _planned(planner: Planner, question: Question, indexes: Sequence[Candidate]) -> Plan | None:
    try:
        return planner.plan(question, indexes)
    except UnreadableError:
        return None  # an index that cannot be; without one the statement was planned


def _replace(asked: Sequence[Question], planner: Planner, factor: float, narrow: Candidate, wide: Candidate) -> bool:
    """Lets `wide` serve in place of `narrow` wherever that was chosen, if the plans are as good with it."""
    replaced = []
    for question in asked:
        taken = [candidate for candidate, _plan in question.steps]
        if narrow not in taken:
            continue
        instead = list(dict.fromkeys(wide if one == narrow else one for one in taken))
        plans = [_planned(planner, question, instead[: at + 1]) for at in range(len(instead))]
        last = plans[-1]
        if last is None or wide not in last.used or None in plans:
            return False
        if last.cost > question.plan.cost * NEAR and last.cost * factor * NEAR > question.before.cost:
            return False
        replaced.append((question, [(one, plan) for one, plan in zip(instead, plans, strict=True) if plan]))
    for question, steps in replaced:
        question.steps = steps
    return True


def _evidence(asked: Sequence[Question]) -> dict[Candidate, list[Evidence]]:
    found: dict[Candidate, list[Evidence]] = {}
    for question in asked:
        before = question.before
        for candidate, plan in question.steps:
            one = question.statement
            evidence = Evidence(
                question.text, one.calls_per_day, one.mean_ms, before.cost, plan.cost, before.text, plan.text
            )
            found.setdefault(candidate, []).append(evidence)
            before = plan
    return found
