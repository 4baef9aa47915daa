"""What a program is for: work done and failed, users, sessions, queues."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING

from perfagent import settings
from perfagent.monitor import emission
from perfagent.monitor.recorder import Recorder, number
from perfagent.runtime.metric import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from perfagent.monitor.window import Track
    from perfagent.settings.monitor import MonitorSettings

BUSINESS = "business"
ACTIVE = 300.0  # s without an action after which a user counts as gone
MOST_USERS = 100_000  # that are told apart, 140 bytes each; of more, the longest silent are forgotten
OK, FAILED = 0.0, 100.0  # values of a rate in percent: their mean is the rate


class Business(Recorder):
    """Business metrics; arguments as for `Recorder`."""

    def __init__(self, settings: MonitorSettings | None = None) -> None:
        super().__init__(settings)
        self._users: OrderedDict[int, float] = OrderedDict()  # when each was seen last
        self._counting = RLock()
        self._sessions = 0
        self._observed: set[str] = set()

    def record_processing(self, seconds: float, failed: bool = False) -> None:
        """Records that the program did a unit of work, such as an order or a job.

        It makes `processing_time` (s) and `processing_failure_rate` (%) of the summary, and is sent as the histogram
        `<namespace>.processing.duration` with the attribute `outcome`.

        Args:
            seconds: how long it took.
            failed: whether it failed.

        Raises:
            TypeError, ValueError: the duration is no finite number from 0.
        """
        seconds = number(seconds, "seconds", "processing", 0)
        if self._enabled:
            emission.bound("processing.duration", "failed" if failed else "ok").record(seconds)
            self._kept("processing_time", "s").keep(seconds)
            self._kept("processing_failure_rate", "%").keep(FAILED if failed else OK)

    def record_user_action(self, error: bool = False, user: Hashable = None) -> None:
        """Records that a user did something.

        It makes `user_error_rate` (%) of the summary, and is sent as the counter `<namespace>.user.actions`.

        Args:
            error: whether the user met an error.
            user: who; those seen in the last five minutes are the active users. Only its `hash()` is kept, here alone.
        """
        if not self._enabled:
            return
        emission.bound("user.actions", "error" if error else "ok").record(1)
        self._kept("user_error_rate", "%").keep(FAILED if error else OK)
        if user is not None:
            self._see(hash(user))

    def session_started(self) -> None:
        """Counts one more active session; `session_ended` or the end of the process takes it back."""
        self._count_session(1)

    def session_ended(self) -> None:
        """Counts one active session less; without one that had begun, it does nothing."""
        self._count_session(-1)

    @contextmanager
    def session(self) -> Iterator[None]:
        """A session that is active as long as the `with` block runs."""
        self.session_started()
        try:
            yield
        finally:
            self.session_ended()

    def set_queue_backlog(self, queue: str, items: float) -> None:
        """Records how many items wait in a queue of the program, as `queue_backlog.<queue>`.

        Args:
            queue: its name.
            items: how many.

        Raises:
            TypeError, ValueError: the name is no text or empty, or the number is none from 0.
        """
        if not isinstance(queue, str) or not queue.strip():
            raise ValueError(f"queue={queue!r} is not accepted: give a name, such as 'emails'")
        items = number(items, "items", queue, 0)
        track = self._own(
            f"queue_backlog.{queue}",
            "{item}",
            BUSINESS,
            lambda: emission.own("queue.backlog").of({"queue": queue}).record,
        )
        track.record(items)

    @property
    def active_users(self) -> int:
        """Users seen in the last five minutes."""
        before = monotonic() - ACTIVE
        with self._counting:
            while self._users and next(iter(self._users.values())) < before:
                self._users.popitem(last=False)
            return len(self._users)

    @property
    def active_sessions(self) -> int:
        """Sessions under way."""
        return self._sessions

    def _see(self, user: int) -> None:
        with self._counting:
            self._users[user] = monotonic()
            self._users.move_to_end(user)
            if len(self._users) > MOST_USERS:
                self._users.popitem(last=False)
        self._observe("users.active", lambda: self.active_users)
        self._kept("active_users", "{user}").keep(float(len(self._users)))

    def _count_session(self, change: int) -> None:
        if not self._enabled:
            return
        with self._counting:
            if self._sessions + change < 0:
                return
            self._sessions += change
            sessions = self._sessions
        self._observe("sessions.active", lambda: self._sessions)
        self._kept("active_sessions", "{session}").keep(float(sessions))

    def _observe(self, name: str, read: Callable[[], int]) -> None:
        """Has the registry ask whenever it collects: users leave by doing nothing, and a fork leaves the sessions."""
        if name in self._observed:
            return
        self._observed.add(name)
        kind, unit, description, *_ = emission.OWN[name]
        full = f"{settings.current().namespace}.{name}"
        registry.make(emission.scope, kind, full, unit, description, callback=lambda: iter([(read(), {})]))

    def _kept(self, name: str, unit: str) -> Track:
        """A metric of the summary that is sent in another form."""
        return self._tracks.get(name) or self._own(name, unit, BUSINESS, lambda: _nothing)

    def _begin_anew(self) -> None:
        super()._begin_anew()
        self._counting = RLock()
        self._users.clear()
        self._sessions = 0


def _nothing(value: float) -> None:
    """Sends nothing."""
