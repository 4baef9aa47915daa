"""EXPLAIN of MySQL and MariaDB, and what a further index would change of it by the estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.data.indexes import ddl, estimate
from perfagent.data.indexes.accesses import UnreadableError
from perfagent.data.indexes.connect import reason
from perfagent.data.indexes.placeholders import bare, filled
from perfagent.data.indexes.search import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.data.indexes.accesses import Access
    from perfagent.data.indexes.candidates import Candidate
    from perfagent.data.indexes.search import Question

VALUE = "'2000-01-01'"  # as text, date and number it converts, so that an index there is stays usable
WHOLE = ("ALL", "index")  # kinds of access that read every row


class Explained:
    """Plans as they are, and the estimate of each with further indexes.

    Args:
        connection: in a transaction that only reads.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._last: tuple[Question, list[dict[str, Any]]] | None = None

    def plan(self, question: Question, indexes: Sequence[Candidate]) -> Plan:
        """The plan with these indexes; raises UnreadableError."""
        if self._last is None or self._last[0] is not question:
            self._last = (question, self._explain(question.statement.sql))
        cost, loops = 0.0, 1.0
        used: set[Candidate] = set()
        texts: list[str] = []
        for step in self._last[1]:
            access = _access(question, str(step["table"] or ""))
            if access is None:
                continue
            whole, extra = step["type"] in WHOLE, str(step["extra"] or "")
            rows = float(step["rows"] or 1)
            once = 1.0 if "join buffer" in extra else loops  # reads the table once, and compares in memory
            now = once * (estimate.scan(access.table) if whole else estimate.lookup(access.table, rows))
            sorts = "filesort" in extra
            now += estimate.sort(rows) if sorts else 0
            left = max(rows * estimate.filtered(access), 1) if whole else rows
            usable = [one for one in indexes if texts or not estimate.joins(access, one)]
            best = self._best(access, usable, question.statement.rows, loops, sorts=sorts, rows=rows)
            if best is not None and best[0] < now:
                now, index, left = best[0], best[1], min(best[2], left)
                used.add(index)
                texts.append(f"{access.table.name} by {index_name(index)}")
            else:
                by = f" by {step['key']}" if step["key"] else ""
                texts.append(f"{access.table.name} {step['type']}{by}, {rows:,.0f} rows{', filesort' if sorts else ''}")
            cost += now
            loops *= left
        turned = _turned(question, self._last[1], indexes)
        if turned is not None and turned.cost < cost:
            return turned
        return Plan(cost, "; ".join(texts), frozenset(used))

    def _best(
        self,
        access: Access,
        indexes: Sequence[Candidate],
        limit: float | None,
        loops: float,
        *,
        sorts: bool,
        rows: float,
    ) -> tuple[float, Candidate, float] | None:
        found = []
        for one in indexes:
            matched = estimate.matched(access, one, limit)
            if one.table != access.table.name or matched is None:
                continue
            cost = loops * estimate.lookup(access.table, matched)
            gives_order = bool(access.order) and list(one.keys[-len(access.order) :]) == access.order
            if sorts and not gives_order:
                cost += estimate.sort(min(matched, rows))
            found.append((cost, one, matched))
        return min(found, key=lambda one: one[0], default=None)

    def _explain(self, sql: str) -> list[dict[str, Any]]:
        from sqlalchemy.exc import DBAPIError

        # Not what comments stand before it: MySQL runs /*! … */, and EXPLAIN ANALYZE would run the statement.
        text = _reading(filled(bare(sql).strip().rstrip(";"), VALUE))
        try:
            rows = list(self.connection.exec_driver_sql(f"EXPLAIN {text}"))
        except DBAPIError as error:
            raise UnreadableError(reason(error)) from None
        return [{key.lower(): value for key, value in row._mapping.items()} for row in rows]


def _reading(text: str) -> str:
    """The SELECT that reads what an UPDATE, DELETE or INSERT reads: MariaDB explains these only where it may write."""
    if text[:6].lower() not in ("update", "delete", "insert", "replac"):
        return text
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(text, read="mysql")
        if isinstance(tree, exp.Insert):
            inner = tree.expression
            if not isinstance(inner, exp.Query):
                raise UnreadableError("an INSERT of values reads nothing")
            return inner.sql("mysql")
        where = tree.args.get("where")
        select = exp.select("1").from_(tree.this)
        return (select.where(where.this) if where is not None else select).sql("mysql")
    except UnreadableError:
        raise
    except Exception as error:  # the parser raises IndexError and more on odd text
        raise UnreadableError(f"the SQL parser does not know its syntax ({type(error).__name__})") from None


def _turned(question: Question, steps: list[dict[str, Any]], indexes: Sequence[Candidate]) -> Plan | None:
    """A join of two tables read the other way round, which an index on a joined column of the first makes possible."""
    found = [_access(question, str(step["table"] or "")) for step in steps]
    if len(found) != 2 or found[0] is None or found[1] is None:
        return None
    inner, outer = found[0], found[1]
    ways: list[tuple[float, Candidate | None]] = [(estimate.scan(outer.table), None)]
    for one in indexes:
        cost = estimate.with_index(outer, one, None) if one.table == outer.table.name else None
        if cost is not None and not estimate.joins(outer, one):
            ways.append((cost, one))
    first, by = min(ways, key=lambda way: way[0])
    rows = max(outer.table.rows * estimate.filtered(outer), 1)
    for one in indexes:
        cost = estimate.with_index(inner, one, None) if one.table == inner.table.name else None
        if cost is not None and estimate.joins(inner, one):
            text = f"{outer.table.name} by {index_name(by)}" if by else f"{outer.table.name} ALL"
            used = frozenset([one, *([by] if by else [])])
            return Plan(first + rows * cost, f"{text}; {inner.table.name} by {index_name(one)}", used)
    return None


def _access(question: Question, name: str) -> Access | None:
    return next((one for one in question.accesses if one.alias.lower() == name.lower()), None)


def index_name(one: Candidate) -> str:
    """The name that the index gets."""
    return ddl.name(one.table, one.keys)
