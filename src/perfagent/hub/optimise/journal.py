"""What was advised and done, in the database: written before anything is asked of a process."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson

if TYPE_CHECKING:
    import duckdb

    from perfagent.hub.store.store import Store

State = Literal["advised", "acting", "acted", "undoing", "done", "undone", "failed"]
OPEN: tuple[State, ...] = ("acting", "acted", "undoing")
Effect = Literal["helped", "no_effect", "harmed", "unknown", ""]
KEPT = 10_000  # actions
TRIM_EVERY = 200  # actions written


@dataclass(slots=True)
class Part:
    """What was asked of one process.

    Args:
        instance: `service.instance.id`.
        asked: the id of the command; "" while it is not asked.
        state: "waiting", "done", "failed" or "lost", where the hub ended before the answer.
        result: what the process answered.
        undo: command and value that put things back; None where nothing is to be put back.
        undo_asked: the id of that command; "" before.
        undone: whether it was put back, or need not be any more.
    """

    instance: str
    asked: str = ""
    state: str = "waiting"
    result: Any = None
    undo: tuple[str, Any] | None = None
    undo_asked: str = ""
    undone: bool = False


@dataclass(slots=True)
class Taken:
    """One action: advice, or what was done.

    Args:
        id: 16 hexadecimal digits.
        time: when, seconds since the epoch.
        rule, service, action: which.
        state: how far it is.
        text: what is wrong, and what is or should be done, for people.
        value, limit, unit: what the condition saw.
        figure: what its effect is measured by; "" for nothing.
        better: whether "lower" or "higher" is better.
        parts: what was asked of each process.
        answered: when all of them had answered.
        undo_at: when it is put back; None for never.
        undo_began: when the putting back began.
        measure_seconds: how long the figure is looked at, before and after.
        effect: what came of it, once that is known.
        before, after: the figure.
        p: the chance of such a difference without a cause.
        basis: how that was told, or why it could not be.
        reason: why it failed or was undone.
        ended: when nothing was left to be done.
        by: the role of who asked for the undoing.
    """

    id: str
    time: float
    rule: str
    service: str
    action: str
    state: State
    text: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    figure: str = ""
    better: str = "lower"
    parts: list[Part] = field(default_factory=list)
    answered: float | None = None
    undo_at: float | None = None
    undo_began: float | None = None
    measure_seconds: float = 120.0
    effect: Effect = ""
    before: float | None = None
    after: float | None = None
    p: float | None = None
    basis: str = ""
    reason: str = ""
    ended: float | None = None
    by: str = ""


class Journal:
    """Reads and writes the actions.

    Args:
        store: the hub's own database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._since_trim = TRIM_EVERY  # a hub that is killed again and again trims too

    def write(self, taken: Taken) -> None:
        """Writes an action in the place of what was known of it; raises StoreFailed."""
        content = orjson.dumps(asdict(taken)).decode()
        columns = [taken.id, taken.time, taken.rule, taken.service, taken.action, taken.state, taken.effect, content]
        with self._store.transaction() as cursor:
            cursor.execute("DELETE FROM actions WHERE id = ?", [taken.id])
            cursor.execute("INSERT INTO actions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", columns)
            self._since_trim += 1
            if self._since_trim > TRIM_EVERY:
                self._trim(cursor)
                self._since_trim = 0

    @staticmethod
    def _trim(cursor: duckdb.DuckDBPyConnection) -> None:
        """Forgets the oldest beyond KEPT, but for those that something is still to be done about."""
        cursor.execute(
            "DELETE FROM actions WHERE state NOT IN ('acting', 'acted', 'undoing') AND time < "
            "(SELECT time FROM actions ORDER BY time DESC LIMIT 1 OFFSET ?)",
            [KEPT - 1],
        )

    def open(self) -> list[Taken]:
        """Those that something is still to be done about, the oldest first."""
        return [_taken(row["content"]) for row in self._store.rows("optimise/open")]

    def one(self, identity: str) -> Taken | None:
        """One of them; None where there is none."""
        rows = self._store.rows("optimise/one", id=identity)
        return _taken(rows[0]["content"]) if rows else None

    def lately(self, since: float) -> list[dict[str, Any]]:
        """Time, rule, service, action, state and effect of what was advised and done since a moment, newest first."""
        return self._store.rows("optimise/lately", since=since)

    def list(
        self,
        limit: int,
        after: tuple[float, str] | None = None,
        *,
        rule: str | None = None,
        service: str | None = None,
        state: str | None = None,
    ) -> list[Taken]:
        """The newest first.

        Args:
            limit: most of them.
            after: time and id of the last one of the page before.
            rule, service, state: only theirs.
        """
        before, identity = after or (None, None)
        rows = self._store.rows(
            "optimise/list", limit=limit, before=before, id=identity, rule=rule, service=service, state=state
        )
        return [_taken(row["content"]) for row in rows]


def _taken(content: str) -> Taken:
    fields = orjson.loads(content)
    parts = [
        Part(**{**part, "undo": None if part["undo"] is None else tuple(part["undo"])}) for part in fields["parts"]
    ]
    return Taken(**{**fields, "parts": parts})
