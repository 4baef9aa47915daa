"""Advice to make an index, from what the search found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.data.indexes import ddl, estimate
from perfagent.data.indexes.advice import Advice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfagent.data.indexes.advice import Evidence
    from perfagent.data.indexes.candidates import Candidate
    from perfagent.data.indexes.catalog import Catalog
    from perfagent.data.indexes.limits import Limits


def missing(
    found: Mapping[Candidate, list[Evidence]],
    catalog: Catalog,
    dialect: str,
    proof: str,
    how: str,
    sizes: Mapping[Candidate, int],
    limits: Limits,
    name: Callable[[Candidate], str],
) -> list[Advice]:
    """The advice, what saves most a day first, then what lowers the cost most.

    Args:
        found: indexes and the statements that gain.
        catalog: the tables.
        dialect: of the DDL.
        proof: as of `Advice`.
        how: what the proof is, for people.
        sizes: bytes, where the database tells them.
        limits: what is too little.
        name: what an index is called.
    """
    made = []
    for candidate, evidence in found.items():
        table = catalog.find(candidate.table, candidate.schema)
        if table is None:
            continue
        evidence = sorted(evidence, key=lambda one: (-(one.saved_ms_per_day or 0), -one.saved))
        times = max(one.cost_before / max(one.cost_after, 1e-9) for one in evidence)
        where = ddl.condition(candidate.fixed, dialect)
        index, keys = name(candidate), candidate.keys
        costs = "statement costs" if len(evidence) == 1 else "statements cost"
        text = ddl.create(dialect, candidate.schema, candidate.table, keys, index, where=where)
        advice = Advice(
            "missing",
            catalog.shown(table),
            tuple(ddl.key(key, dialect) for key in candidate.keys),
            name(candidate),
            text,
            f"{len(evidence)} {costs} up to {times:,.0f} times less; {how}",
            proof,
            tuple(evidence),
            sizes.get(candidate) or estimate.size(table, candidate),
            table.writes,
        )
        if advice.saved_ms_per_day is None or advice.saved_ms_per_day >= limits.saved_ms:
            made.append(advice)
    return sorted(made, key=lambda one: (-(one.saved_ms_per_day or 0), -max(part.saved for part in one.evidence)))
