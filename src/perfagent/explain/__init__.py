"""Asks the database for the plans of slow statements, on a connection of its own, and tells them (PERFAGENT_EXPLAIN).

The program's thread pays for slow statements alone: 0.3 us where the plan is known. Where it is not, the address is
read, once an hour for a statement: 1.4 us with SQLite, 13 us with psycopg2, 0.16 ms with psycopg.
"""

from __future__ import annotations

from perfagent.explain.slow import Slow
from perfagent.runtime import callers, companions, db, outbox, transactions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from perfagent.settings import Settings

slow: Slow | None = None
"""What looks at slow statements in this process, where that is on."""


def install(settings: Settings) -> None:
    """Looks at slow statements from now on."""
    global slow
    from perfagent.explain import moves, sessions
    from perfagent.settings.explain import ExplainSettings

    if slow is not None:
        return
    own = ExplainSettings.current()
    slow = Slow(int(own.threshold * 1e6), own.a_minute, own.interval)
    transactions.opened = sessions.remember
    moves.listen()
    outbox.sources.insert(0, slow.tell)  # before the one that sends log records
    companions.all_of_them.append(slow)
    _listen(slow)


def _listen(seen: Slow) -> None:
    """Has the end of each slow statement noted; all others go the way that they went."""
    least, note = seen.least, seen.note
    if callers.wanted:
        look = callers.look

        def looked(span: Any, *args: Any) -> Any:
            if span.ended - span.started >= least:
                note(span)
            return look(span, *args)

        callers.look = looked  # type: ignore[assignment] # one call in 32 and those that are slow come there
        return
    finish = db.QuerySpan.finish

    def finished(self: Any, *args: Any) -> None:
        first = not self.ended
        finish(self, *args)
        if first and self.ended - self.started >= least:
            note(self)

    db.QuerySpan.finish = finished  # type: ignore[assignment, method-assign]
