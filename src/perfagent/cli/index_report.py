"""How `perfagent index` shows its advice, and an index that is about to be made."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from perfagent.cli import figures
from perfagent.cli.output import Column, Mark, Table, cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.cli.output import Part
    from perfagent.data.indexes.advice import Advice, Evidence, IndexReport
    from perfagent.data.indexes.create import NewIndex

STYLES = {"missing": "warn", "foreign_key": "warn", "invalid": "bad"}
EVIDENCE = 3  # statements shown of one advice; JSON has all
SKIPPED = 5
WIDTH = 110  # columns of a statement


def parts(report: IndexReport) -> Iterator[Part]:
    """The report for people: a table in one look, then each advice with its evidence and its statement."""
    yield [Mark(report.database, "bold"), f", {report.statements} statements looked at"]
    if report.advice:
        yield ""
        yield _overview(report)
        for number, one in enumerate(report.advice, 1):
            yield ""
            yield from _one(number, one)
    else:
        yield Mark("nothing to do", "good")
    if report.skipped or report.notes:
        yield ""
    for text, why in report.skipped[:SKIPPED]:
        yield [Mark("skipped  ", "dim"), f"{cut(text, WIDTH)}: {why}"]
    if len(report.skipped) > SKIPPED:
        yield [Mark("skipped  ", "dim"), f"and {len(report.skipped) - SKIPPED} more; --output json has them"]
    for note in report.notes:
        yield [Mark("note  ", "dim"), note]


def _overview(report: IndexReport) -> Table:
    table = Table(
        [
            Column("", right=True),
            Column("advice"),
            Column("table"),
            Column("keys", wide=True),
            Column("saves a day", right=True),
            Column("size", right=True, drop=1),
            Column("proof", drop=2),
        ]
    )
    for number, one in enumerate(report.advice, 1):
        kind = Mark(one.kind.replace("_", " "), STYLES.get(one.kind, ""))
        saved = figures.milliseconds(one.saved_ms_per_day)
        size = figures.size(one.size_bytes)
        table.rows.append((str(number), kind, one.table, ", ".join(one.columns), saved, size, one.proof))
    return table


def _one(number: int, one: Advice) -> Iterator[Part]:
    yield [Mark(f"{number}  {one.kind.replace('_', ' ')}: {one.index}", "bold")]
    yield f"   {one.reason}"
    for evidence in one.evidence[:EVIDENCE]:
        yield from _evidence(evidence)
    if len(one.evidence) > EVIDENCE:
        yield f"   … and {len(one.evidence) - EVIDENCE} more statements"
    if one.writes_per_day:
        verb = "writes" if one.kind in ("missing", "foreign_key") else "wrote"
        yield f"   each row inserted, and most changed, {verb} it as well: {one.writes_per_day:,.0f} a day"
    for note in one.notes:
        yield f"   {note}"
    yield [Mark(f"   {one.ddl};", "head")]


def _evidence(one: Evidence) -> Iterator[Part]:
    known = one.calls_per_day is not None and one.mean_ms is not None
    often = f", {one.calls_per_day:,.0f} calls a day of {figures.milliseconds(one.mean_ms)}" if known else ""
    yield f"   - {cut(one.statement, WIDTH)}"
    yield f"     cost {one.cost_before:,.1f} → {one.cost_after:,.1f} ({one.saved:.0%} less){often}"
    yield [Mark(f"     {one.plan_before}  →  {one.plan_after}", "dim")]


def shown(new: NewIndex, *, runs: bool) -> Iterator[Part]:
    """An index that is about to be made."""
    yield Mark(new.database, "bold")
    if new.exists:
        yield f"{new.table} has this index already: {new.exists}; nothing to do"
        return
    yield [Mark(f"{new.ddl};", "head")]
    for note in new.notes:
        yield f"  {note}"
    if not runs:
        yield "not run; --yes runs it"


def as_dict(new: NewIndex, state: str) -> dict[str, Any]:
    """The same for machines; `state` is `shown`, `made`, `failed` or `there already`."""
    return {**asdict(new), "notes": list(new.notes), "state": state}
