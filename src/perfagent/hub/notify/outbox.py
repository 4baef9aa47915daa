"""The outbox: what is to be delivered, on the disk before it is sent, and what became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from perfagent.hub.store import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfagent.hub.store.store import Store

State = Literal["waiting", "delivered", "folded", "failed", "quiet"]
KEPT = 10_000  # deliveries
TRIM_EVERY = 200  # deliveries written


@dataclass(slots=True)
class Delivery:
    """One event for one channel.

    Args:
        event: its identity; with the channel unique.
        channel: the channel's name.
        incident: the identity of the incident; "" for a test.
        happening: what happened to it, or "test".
        severity: of the incident.
        title: one line.
        happened: when the hub noticed, seconds since the epoch.
        taken: when this was made.
        content: the event, while it waits.
        state: what became of it.
        attempts: how often it was sent.
        due: when it is sent next.
        ended: when it was delivered or given up.
        error: of the last attempt, without secrets.
    """

    event: str
    channel: str
    incident: str
    happening: str
    severity: str
    title: str
    happened: float
    taken: float
    content: str
    state: State = "waiting"
    attempts: int = 0
    due: float = 0.0
    ended: float | None = None
    error: str = ""

    def end(self, state: State, now: float, error: str = "") -> None:
        """It is over: nothing is sent any more."""
        self.state, self.ended, self.error, self.content = state, now, error, ""


class Outbox:
    """The deliveries of a hub; from any thread.

    Args:
        store: the hub's own database, never a window on another.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._since_trim = TRIM_EVERY  # a hub that is killed again and again trims too

    def add(self, deliveries: Sequence[Delivery]) -> None:
        """Writes them down in one transaction, durable when this returns; what is there already stays as it is.

        Raises:
            StoreFailed: nothing of them is written.
        """
        self._write("deliver", deliveries)
        self._since_trim += len(deliveries)
        if self._since_trim >= TRIM_EVERY:
            self._since_trim = 0
            self._store.run("trim_deliveries", most=KEPT - 1)

    def save(self, deliveries: Sequence[Delivery]) -> None:
        """Writes down what became of them; raises StoreFailed."""
        self._write("delivered", deliveries)

    def waiting(self) -> list[Delivery]:
        """What is still to be delivered, in the order in which it came."""
        return [Delivery(**row) for row in self._store.rows("notify/waiting")]

    def rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        """The rows of `queries/notify/QUERY.sql`."""
        return self._store.rows(f"notify/{query}", **parameters)

    def _write(self, name: str, deliveries: Iterable[Delivery]) -> None:
        (statement,) = sql.statements(name)
        with self._store.transaction() as cursor:
            for one in deliveries:
                values = asdict(one)
                cursor.execute(statement.text, {key: values[key] for key in statement.parameters})
