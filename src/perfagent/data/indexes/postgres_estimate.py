"""What an index would save on PostgreSQL without HypoPG: the planner's cost now, less what the estimate takes off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.data.indexes import estimate
from perfagent.data.indexes.hypopg import Explained, index_name, nodes, summary
from perfagent.data.indexes.search import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.data.indexes.accesses import Access
    from perfagent.data.indexes.candidates import Candidate
    from perfagent.data.indexes.search import Question


class Estimated(Explained):
    """Plans as they are, and the estimate of each with further indexes; arguments as for `Explained`."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._last: tuple[Question, dict[str, Any]] | None = None

    def plan(self, question: Question, indexes: Sequence[Candidate]) -> Plan:
        """The plan with these indexes; raises UnreadableError."""
        if self._last is None or self._last[0] is not question:
            self._last = (question, self.explain(question))
        root = self._last[1]
        cost, used, texts = root["Total Cost"], set(), []
        for access in question.accesses:
            scan = _scan(root, access)
            if scan is None:
                continue
            best = self._best(root, scan, access, indexes, question.statement.rows)
            if best is None:
                texts.append(f"{scan['Node Type']} on {access.table.name}")
                continue
            after, index = best
            rest = 0.0 if len(question.accesses) == 1 else cost - min(scan["Total Cost"], cost)
            cost = max(rest - _sorted(root, access, index), 0.0) + after
            used.add(index)
            texts.append(f"Index Scan using {index_name(index)} on {access.table.name}")
        return Plan(cost, ", ".join(texts), frozenset(used)) if used else Plan(root["Total Cost"], summary(root))

    def _best(
        self,
        root: dict[str, Any],
        scan: dict[str, Any],
        access: Access,
        indexes: Sequence[Candidate],
        rows: float | None,
    ) -> tuple[float, Candidate] | None:
        found = []
        for one in indexes:
            if (one.schema, one.table) != (access.table.schema, access.table.name):
                continue
            cost = estimate.with_index(access, one, rows)
            if cost is None:
                continue
            if estimate.joins(access, one):
                others = [node["Plan Rows"] for node in nodes(root) if "Relation Name" in node and node is not scan]
                cost *= max(min(others, default=1), 1)
            now = min(scan["Total Cost"], root["Total Cost"]) + _sorted(root, access, one)
            if cost < now:
                found.append((cost, one))
        return min(found, key=lambda one: one[0], default=None)


def _scan(root: dict[str, Any], access: Access) -> dict[str, Any] | None:
    """The node that reads the table, where it reads all of it, or more of it than it gives."""
    for node in nodes(root):
        if node.get("Relation Name") == access.table.name and node.get("Alias", "") in (
            access.alias,
            access.table.name,
        ):
            reads = node["Node Type"] in ("Seq Scan", "Bitmap Heap Scan") or "Filter" in node
            return node if reads else None
    return None


def _sorted(root: dict[str, Any], access: Access, index: Candidate) -> float:
    """What the sort costs that the index saves, by giving the rows in order."""
    if not access.alone or not access.order or list(index.keys[-len(access.order) :]) != access.order:
        return 0.0
    for node in nodes(root):
        if node["Node Type"] == "Sort":
            return float(max(node["Total Cost"] - node["Plans"][0]["Total Cost"], 0))
    return 0.0
