"""How a statement reads each of its tables: what is compared, sorted and grouped, from its text alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfagent.data.indexes.advice import Key
from perfagent.data.indexes.catalog import column as column_of
from perfagent.data.indexes.placeholders import bare, parseable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlglot import exp as sql

    from perfagent.data.indexes.advice import Table
    from perfagent.data.indexes.catalog import Catalog

LONGEST = 20_000  # characters; the parser reads some 200,000 a second
VERBS = ("select", "with", "insert", "update", "delete", "replace", "merge", "(")


class UnreadableError(Exception):
    """Why a statement cannot be looked into; one line."""


@dataclass(slots=True)
class Access:
    """One use of one table in one statement."""

    table: Table
    alias: str
    equal: list[Key] = field(default_factory=list)  # to a value
    joined: list[Key] = field(default_factory=list)  # to a column of another table
    ranges: list[Key] = field(default_factory=list)
    order: list[Key] = field(default_factory=list)
    group: list[Key] = field(default_factory=list)
    fixed: list[tuple[str, str]] = field(default_factory=list)  # column and condition without a value: `… IS NULL`
    limited: bool = False
    alone: bool = True  # no other table beside it


def accesses(text: str, dialect: str, catalog: Catalog) -> list[Access]:
    """What a statement reads.

    Args:
        text: one statement, with parameters of any style or literals.
        dialect: `postgres`, `mysql` or `sqlite`.
        catalog: the tables; others, views and functions are passed over.

    Raises:
        UnreadableError: it is no statement that reads, or the parser does not know its syntax; nothing else is raised.
    """
    if len(text) > LONGEST:
        raise UnreadableError(f"longer than {LONGEST:,} characters")
    if not bare(text).lower().startswith(VERBS):
        raise UnreadableError("not a SELECT, INSERT, UPDATE or DELETE")
    try:
        return [one for tree in _parsed(text, dialect) for one in _accesses(tree, catalog, dialect)]
    except UnreadableError:
        raise
    except Exception as error:  # the parser raises IndexError and more on odd text
        raise UnreadableError(f"the SQL parser does not know its syntax ({type(error).__name__})") from None


def _parsed(text: str, dialect: str) -> list[sql.Expression]:
    import sqlglot

    log = logging.getLogger("sqlglot")
    before, log.disabled = log.disabled, True  # it warns of syntax that it passes over
    try:
        trees = [tree for tree in sqlglot.parse(parseable(text), read=dialect) if tree is not None]
    finally:
        log.disabled = before
    if len(trees) != 1:
        raise UnreadableError("not one statement")
    return trees  # type: ignore[return-value]


def _accesses(tree: sql.Expression, catalog: Catalog, dialect: str) -> Iterator[Access]:
    from sqlglot import exp

    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for node in tree.find_all(exp.Select, exp.Update, exp.Delete):
        own = list(_tables(node, catalog, ctes))
        if not own:
            continue
        reader = _Reader(own, dialect)
        for condition in _conditions(node):
            reader.condition(condition)
        if isinstance(node, exp.Select):
            reader.sorting(node)
        yield from own


def _part(node: sql.Expression, name: str) -> sql.Expression | None:
    """A part of a statement; newer parsers call `from` `from_`."""
    found = node.args.get(name) or node.args.get(f"{name}_")
    return found if found else None


def _tables(node: sql.Expression, catalog: Catalog, ctes: set[str]) -> Iterator[Access]:
    from sqlglot import exp

    sources: list[sql.Expression | None] = []
    if not isinstance(node, exp.Select):
        using = node.args.get("using") or []
        sources += [node.this, *(using if isinstance(using, list) else [using])]  # sqlglot 26 has one alone
    start = _part(node, "from")
    sources += [start.this if start is not None else None, *(join.this for join in _joins(node))]
    several = sum(one is not None for one in sources) > 1
    for source in sources:
        if not isinstance(source, exp.Table) or (not source.db and source.name.lower() in ctes):
            continue
        table = catalog.find(source.name, source.db)
        if table is not None:
            yield Access(table, source.alias_or_name, alone=not several)


def _joins(node: sql.Expression) -> list[sql.Expression]:
    from sqlglot import exp

    start = _part(node, "from")
    found: list[sql.Expression] = list(node.args.get("joins") or [])
    for source in (start.this if start is not None else None, node.this if not isinstance(node, exp.Select) else None):
        if isinstance(source, exp.Table):  # UPDATE a JOIN b keeps its joins there
            found += source.args.get("joins") or []
    return found


def _conditions(node: sql.Expression) -> Iterator[sql.Expression]:
    from sqlglot import exp

    where = node.args.get("where")
    roots = [where.this] if where is not None else []
    for join in _joins(node):
        if join.args.get("on") is not None:
            roots.append(join.args["on"])
        for name in join.args.get("using") or []:
            yield exp.Tuple(expressions=[name])  # as the reader knows USING
    for root in roots:
        waiting = [root]
        while waiting:
            one = waiting.pop()
            if isinstance(one, exp.And):
                waiting += [one.expression, one.this]
            elif isinstance(one, exp.Paren):
                waiting.append(one.this)
            else:
                yield one


class _Reader:
    """Sorts the conditions of one SELECT, UPDATE or DELETE to its tables."""

    def __init__(self, own: list[Access], dialect: str) -> None:
        self.own = own
        self.dialect = dialect

    def column(self, node: sql.Expression | None) -> tuple[Access, Key] | None:
        """The table's use and the key, where the expression is a column, or lower() or upper() of one."""
        from sqlglot import exp

        function = ""
        if isinstance(node, exp.Lower | exp.Upper):
            function, node = type(node).__name__.lower(), node.this
        if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
            return None
        places = [one for one in self.own if not node.table or one.alias.lower() == node.table.lower()]
        found = [(one, name) for one in places if (name := column_of(one.table, node.name)) is not None]
        return (found[0][0], Key(found[0][1], function)) if len(found) == 1 else None

    def condition(self, node: sql.Expression) -> None:
        """Keeps what one condition tells."""
        from sqlglot import exp

        if isinstance(node, exp.Tuple):  # USING
            for one in self.own:
                name = column_of(one.table, node.expressions[0].name)
                if name is not None:
                    one.joined.append(Key(name))
        elif isinstance(node, exp.Or):
            self._either(node)
        elif isinstance(node, exp.EQ | exp.NullSafeEQ):
            self._compared(node.this, node.expression, equal=True)
            self._compared(node.expression, node.this, equal=True)
        elif isinstance(node, exp.GT | exp.GTE | exp.LT | exp.LTE):
            self._compared(node.this, node.expression, equal=False)
            self._compared(node.expression, node.this, equal=False)
        elif isinstance(node, exp.Between):
            self._compared(node.this, node.args["low"], equal=False)
            self._compared(node.this, node.args["high"], equal=False)
        elif isinstance(node, exp.In):
            self._keep(node.this, "equal")
        elif isinstance(node, exp.Like):
            self._like(node)
        else:
            self._fixed(node)

    def _keep(self, node: sql.Expression | None, kind: str) -> None:
        found = self.column(node)
        if found is not None and (kind == "ranges" or found[1] not in getattr(found[0], kind)):
            getattr(found[0], kind).append(found[1])  # a range twice has two ends

    def _compared(self, left: sql.Expression, right: sql.Expression, *, equal: bool) -> None:
        from sqlglot import exp

        found = self.column(left)
        if found is None:
            return
        if isinstance(right, exp.Subquery | exp.Any):
            others: list[sql.Expression] = []
        else:
            others = list(right.find_all(exp.Column))
        uses = [self.column(one) for one in others]
        if any(use is not None and use[0] is found[0] for use in uses):
            return  # compared with another column of the same row
        if isinstance(right, exp.Boolean):
            condition = "" if right.this else "NOT "
            found[0].fixed.append((found[1].column, condition))
        self._keep(left, "joined" if any(uses) and equal else "equal" if equal else "ranges")

    def _either(self, node: sql.Expression) -> None:
        """`a = 1 OR a = 2` is as `a IN (1, 2)`; what compares several columns is left alone."""
        from sqlglot import exp

        branches = list(node.flatten())
        keys = [self.column(one.this) if isinstance(one, exp.EQ | exp.In) else None for one in branches]
        if keys and keys[0] is not None and all(key == keys[0] for key in keys):
            self._keep(branches[0].this, "equal")

    def _like(self, node: sql.Expression) -> None:
        """LIKE with a literal that begins with what it seeks reads a range."""
        from sqlglot import exp

        found, pattern = self.column(node.this), node.expression
        if found is None or not isinstance(pattern, exp.Literal) or pattern.name[:1] in ("%", "_", ""):
            return
        opclass = "text_pattern_ops" if self.dialect == "postgres" else ""
        found[0].ranges.append(Key(found[1].column, found[1].function, opclass=opclass))

    def _fixed(self, node: sql.Expression) -> None:
        """`x IS NULL`, `x IS NOT NULL`, `x`, `NOT x`: conditions that an index may have as its own."""
        from sqlglot import exp

        inner = node.this if isinstance(node, exp.Not) else node
        negated = isinstance(node, exp.Not)
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            found = self.column(inner.this)
            if found is not None and not found[1].function:
                found[0].fixed.append((found[1].column, " IS NOT NULL" if negated else " IS NULL"))
        elif isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Boolean):
            found = self.column(inner.this)
            if found is not None:
                found[0].fixed.append((found[1].column, "NOT " if negated == inner.expression.this else ""))
        elif isinstance(inner, exp.Column):
            found = self.column(inner)
            if found is not None:
                found[0].fixed.append((found[1].column, "NOT " if negated else ""))

    def sorting(self, node: sql.Expression) -> None:
        """Keeps ORDER BY or GROUP BY where it is of one table alone."""
        from sqlglot import exp

        group, order = node.args.get("group"), node.args.get("order")
        limited = bool(node.args.get("limit") or node.args.get("fetch"))
        outputs = node.expressions
        if group is not None:
            found = self._of_one([(one, "") for one in group.expressions])
            if found is not None:
                found[0].group = found[1]
        elif order is not None:
            names = {one.alias.lower() for one in outputs if isinstance(one, exp.Alias)}
            by = [] if any(one.this.name.lower() in names for one in order.expressions) else order.expressions
            found = self._of_one([(one.this, self._direction(one)) for one in by])
            if found is not None:
                found[0].order, found[0].limited = _plain(found[1]), limited
        elif len(outputs) == 1 and isinstance(outputs[0].unalias(), exp.Max | exp.Min):
            found = self._of_one([(outputs[0].unalias().this, "")])
            if found is not None:
                found[0].order, found[0].limited = found[1], True

    def _of_one(self, nodes: list[tuple[sql.Expression, str]]) -> tuple[Access, list[Key]] | None:
        found = [self.column(node) for node, _order in nodes]
        if not found or None in found or any(one[0] is not found[0][0] for one in found):  # type: ignore[index]
            return None
        keys = [
            Key(one[1].column, one[1].function, order)
            for one, (_node, order) in zip(found, nodes, strict=True)
            if one is not None
        ]
        return found[0][0], list(dict.fromkeys(keys))  # type: ignore[index]

    def _direction(self, node: sql.Expression) -> str:
        descends, nulls_first = bool(node.args.get("desc")), node.args.get("nulls_first")
        text = "DESC" if descends else "ASC"
        if self.dialect == "postgres" and nulls_first is not None and bool(nulls_first) != descends:
            text += " NULLS FIRST" if nulls_first else " NULLS LAST"
        return text


def _plain(keys: list[Key]) -> list[Key]:
    """One direction throughout needs no mention: an index is read backwards as well."""
    directions = {key.order for key in keys}
    if directions in ({"ASC"}, {"DESC"}):
        return [Key(key.column, key.function) for key in keys]
    return [Key(key.column, key.function, "" if key.order == "ASC" else key.order) for key in keys]
