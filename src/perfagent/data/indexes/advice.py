"""What the advice consists of: statements with their cost, indexes, tables, and what should be done to them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

DAY = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and what it costs.

    Args:
        sql: its text, with parameters (`$1`, `?`, `%s`, `:name`) or literals.
        calls_per_day: how often it runs in 24 hours; None where nobody counted.
        mean_ms: what one call takes, ms; None where nobody measured.
        rows: what one call returns or changes; None where nobody counted.
    """

    sql: str
    calls_per_day: float | None = None
    mean_ms: float | None = None
    rows: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an index does to one statement.

    Args:
        statement: its text, literals removed.
        calls_per_day: as of `Statement`.
        mean_ms: as of `Statement`.
        cost_before: of the plan without the index, in the planner's unit, or in the estimate's.
        cost_after: of the plan with it.
        plan_before: the plan's part that reads the table now.
        plan_after: the same with the index.
    """

    statement: str
    calls_per_day: float | None
    mean_ms: float | None
    cost_before: float
    cost_after: float
    plan_before: str
    plan_after: str

    @property
    def saved(self) -> float:
        """The fraction of the cost that the index saves, 0..1."""
        return max(0.0, 1 - self.cost_after / self.cost_before) if self.cost_before > 0 else 0.0

    @property
    def saved_ms_per_day(self) -> float | None:
        """Calls a day x mean time x fraction saved; None where calls or time are not known."""
        if self.calls_per_day is None or self.mean_ms is None:
            return None
        return self.calls_per_day * self.mean_ms * self.saved


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to do.

    Args:
        kind: `missing`, `foreign_key` (missing as well), `unused`, `duplicate`, `redundant` or `invalid`.
        table: whose index it is, with its schema where that is not the default one.
        columns: the index's keys, as SQL has them.
        index: the name of the index that is made or dropped.
        ddl: the statement that does it, for the database at hand.
        reason: why, one sentence.
        proof: `hypopg` (the planner chose the hypothetical index), `plan` (SQLite's planner chose the index on an empty
            copy), `estimate` (own cost model; `reason` has its formula) or `statistics` (the database's own counts).
        evidence: the statements that gain, the most gain first.
        size_bytes: of the index, or what it will be; None where not known.
        writes_per_day: rows of the table inserted, changed and deleted a day, each of which writes the index.
        keep: the index that serves in place of a duplicate or redundant one.
        notes: what to look at before doing it.
    """

    kind: str
    table: str
    columns: tuple[str, ...]
    index: str
    ddl: str
    reason: str
    proof: str
    evidence: tuple[Evidence, ...] = ()
    size_bytes: int | None = None
    writes_per_day: float | None = None
    keep: str = ""
    notes: tuple[str, ...] = ()

    @property
    def saved_ms_per_day(self) -> float | None:
        """What all its statements save; None where nobody counted calls and time."""
        known = [one.saved_ms_per_day for one in self.evidence if one.saved_ms_per_day is not None]
        return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What was found in one database.

    Args:
        database: its kind, version and address; never a password.
        advice: what to do; missing indexes first, what saves most before the rest.
        statements: how many were looked at.
        skipped: those that could not be, as (statement without literals, reason).
        notes: what the reader should know, such as how to enable pg_stat_statements.
    """

    database: str
    advice: tuple[Advice, ...]
    statements: int
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it, with what each advice and each statement saves."""
        found = asdict(self)
        for one, shown in zip(self.advice, found["advice"], strict=True):
            shown["saved_ms_per_day"] = one.saved_ms_per_day
            for evidence, row in zip(one.evidence, shown["evidence"], strict=True):
                row["saved"] = evidence.saved
        found["skipped"] = [{"statement": text, "reason": reason} for text, reason in self.skipped]
        return found


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an index: a column or a simple expression of one.

    Args:
        column: the column's name.
        function: `lower` or `upper` where that of the column is the key; else "".
        order: "", or such as `DESC NULLS LAST`.
        opclass: "" or such as `text_pattern_ops`.
    """

    column: str
    function: str = ""
    order: str = ""
    opclass: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """An index that there is.

    Args:
        name: its name, with its schema where that matters to a DROP.
        keys: what makes two keys the same, one text a key: column, operator class, collation, order.
        columns: the keys as people read them.
        plain: names of the columns, in order; "" for an expression.
        method: such as `btree`.
        unique: whether it refuses duplicates.
        needed: whether a constraint, replication or clustering wants it, besides uniqueness.
        valid: whether it is used at all.
        included: further columns that are no keys.
        predicate: of a partial index; else "".
        scans: how often it was used; None where not known.
        size: bytes; None where not known.
        order: ties are broken by it: the lower one is older.
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    plain: tuple[str, ...]
    method: str = "btree"
    unique: bool = False
    needed: bool = False
    valid: bool = True
    included: frozenset[str] = frozenset()
    predicate: str = ""
    scans: int | None = None
    size: int | None = None
    order: int = 0


@dataclass(slots=True)
class Table:
    """A table as the advice needs to know it; `schema` is "" for where there is none."""

    schema: str
    name: str
    columns: dict[str, str] = field(default_factory=dict)  # name → type
    rows: float = 0
    pages: float = 0
    indexes: list[Index] = field(default_factory=list)
    writes: float | None = None  # a day
    deletes: float = 0  # since the statistics count
    partitioned: bool = False
    distinct: dict[str, float] = field(default_factory=dict)  # of a column, where known: values, as a number of them
    nulls: dict[str, float] = field(default_factory=dict)  # of a column, where known: the fraction that is NULL
    widths: dict[str, float] = field(default_factory=dict)  # bytes
    correlation: dict[str, float] = field(default_factory=dict)  # of a column's order with the table's
    foreign: list[tuple[str, tuple[str, ...], str]] = field(
        default_factory=list
    )  # name, columns, the table they lead to
