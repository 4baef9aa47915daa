"""Which receivers do not take what they are sent, how long each is left alone, and how much was lost meanwhile."""

from __future__ import annotations

from perfagent.runtime import ids
from perfagent.runtime.clock import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.runtime.otlp.transport import Destination, Unavailable

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between two tries


class Pause:
    """How long a receiver that could not be reached is left alone: seconds, and until when by the monotonic clock."""

    __slots__ = ("seconds", "until")

    def __init__(self) -> None:
        self.seconds = self.until = 0.0


class Receivers:
    """What is known of the receivers of this process, by their addresses.

    Args:
        say: tells a person that one is down, and that it is back.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say = say
        self.lost = 0
        """Items dropped since one went down."""
        self._down: set[str] = set()
        self._pauses: dict[str, Pause] = {}

    def reset(self) -> None:
        """In a forked child: tries at once, and says nothing that its parent has said."""
        self.lost = 0
        self._pauses = {}

    @property
    def down(self) -> bool:
        """Whether one does not take what it is sent."""
        return bool(self._down)

    @property
    def pausing(self) -> bool:
        """Whether one could not be reached the last time, or asked to come back."""
        return any(pause.seconds for pause in self._pauses.values())

    def may_be_asked(self, to: Destination) -> bool:
        """Whether its pause is over, if it has one."""
        pause = self._pauses.get(to.authority)
        return pause is None or monotonic() >= pause.until

    def forgive(self) -> None:
        """Ends every pause: at the exit, for the last chance."""
        for pause in self._pauses.values():
            pause.until = 0.0

    def leave_alone(self, to: Destination, error: Unavailable, kept: str) -> None:
        """Begins a pause, longer than the one before, or as long as the receiver asked for; else as `failed`."""
        self.failed(to, str(error), kept)
        pause = self._pauses.setdefault(to.authority, Pause())
        pause.seconds = min(max(pause.seconds * 2, FIRST_PAUSE), LONGEST_PAUSE)
        jitter = 0.5 + ids.span_id()[0] / 256  # 0.5 to 1.5: a fleet must not come back in step
        pause.until = monotonic() + (pause.seconds * jitter if error.retry_after is None else error.retry_after)

    def failed(self, to: Destination, reason: str, kept: str) -> None:
        """Says, once, that nothing is delivered, and where that is kept."""
        if to.authority not in self._down:
            self._down.add(to.authority)
            self.say(
                f"telemetry cannot be delivered: {reason}; the program is not affected, trying again in silence{kept}"
            )

    def answered(self, to: Destination) -> None:
        """Forgets the failures of one that took what it was sent."""
        self._pauses.pop(to.authority, None)
        if to.authority in self._down:
            self._down.discard(to.authority)
            self.say(f"telemetry is delivered again; {self.lost} items were dropped meanwhile")
            self.lost = 0
