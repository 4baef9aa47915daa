"""Commands that wait for agents: asked by people, fetched by the agent that they are for, and answered by it.

Nothing of them is stored: a command is for a process that runs now, and who asked for what is in the audit log.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass
from threading import Lock
from time import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

EXPIRY = 300.0  # seconds that a command waits to be fetched, and then to be answered
MOST_WAITING = 16  # of one process
MOST_KEPT = 500  # commands that are over, of all processes: 32 MB where each was a report of the largest size
MOST_OPEN = 4096  # of all processes

WAITING, FETCHED, DONE, FAILED = "waiting", "fetched", "done", "failed"
LEVELS = ("debug", "info", "warning", "error", "critical", "off")


def _is_ratio(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255


def _is_factors(value: object) -> bool:
    factors = value.get("factors") if isinstance(value, dict) and len(value) == 1 else None
    return (
        isinstance(factors, dict)
        and 0 < len(factors) <= 50
        and all(name == "" or _is_name(name) for name in factors)
        and all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in factors.values())
        and all(0.1 <= one <= 100 for one in factors.values())
    )


def _is_looks(value: object) -> bool:
    if isinstance(value, bool):
        return True
    if not isinstance(value, dict) or value.keys() != {"rate", "seconds"}:
        return False
    numbers = [one for one in value.values() if isinstance(one, (int, float)) and not isinstance(one, bool)]
    return len(numbers) == 2 and 1 <= value["rate"] <= 500 and 1 <= value["seconds"] <= 600


ACCEPTED: dict[str, tuple[Callable[[object], bool], str]] = {
    "sampling_ratio": (_is_ratio, "a number from 0 to 1, or null for what the process was started with"),
    "log_level": (
        lambda value: value is None or value in LEVELS,
        f"one of {', '.join(LEVELS)}, or null for what the process was started with",
    ),
    "profiling": (lambda value: isinstance(value, bool), "true or false"),
    "profiler": (
        _is_looks,
        'how often the profiler looks and for how long: {"rate": 1 to 500 a second, "seconds": 1 to 600}; or true or '
        "false",
    ),
    "clear_cache": (
        lambda value: value is None or _is_name(value),
        "the name of a cache, or null for all of them",
    ),
    "invalidate_tags": (
        lambda value: isinstance(value, list) and 0 < len(value) <= 50 and all(map(_is_name, value)),
        "a list of 1 to 50 tags",
    ),
    "cache_ttl": (
        _is_factors,
        'what the ttl of new values is multiplied by, by cache: {"factors": {"prices": 2}}, "" for every cache',
    ),
    "references": (_is_name, "the name of a class, such as app.Order"),
    "report": (lambda value: value is None, "null"),
    "collect_garbage": (lambda value: value is None, "null"),
}
"""The commands there are: for each whether it takes a value, and which ones in words. The agent has a list of its own
and does nothing that is not on it, whatever a hub says."""


class Full(Exception):  # noqa: N818 - a state, not a fault
    """Too many commands wait already; the text says for whom."""


@dataclass(slots=True)
class Command:
    """One command.

    Args:
        id: unlike any other's; an agent runs each id once.
        instance: `service.instance.id` of the process that it is for.
        command: one of ACCEPTED.
        value: what it takes.
        asked: when, in seconds since the epoch.
    """

    id: str
    instance: str
    command: str
    value: Any
    asked: float
    state: str = WAITING
    fetched: float | None = None
    answered: float | None = None
    result: Any = None


class Commands:
    """The commands of every process that reports to this hub; may be used on any thread.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._open: dict[str, list[Command]] = {}
        self._over: deque[Command] = deque(maxlen=MOST_KEPT)
        self._lock = Lock()

    def ask(self, instance: str, command: str, value: Any = None) -> Command:
        """Leaves a command for a process.

        Raises:
            ValueError: there is no such command, or it does not take that value; the text says what is accepted.
            Full: too many wait already.
        """
        if command not in ACCEPTED:
            raise ValueError(f"{command!r} is no command; there are: {', '.join(ACCEPTED)}")
        accepts, words = ACCEPTED[command]
        if not accepts(value):
            raise ValueError(f"{command} does not take {value!r}: {words}")
        with self._lock:
            if len(self._waiting(instance)) >= MOST_WAITING:
                raise Full(f"{MOST_WAITING} commands wait for {instance} already: it fetches them when it next reports")
            if self._crowded():
                raise Full(f"{MOST_OPEN} commands wait for processes that do not fetch them; try again in 5 minutes")
            asked = Command(secrets.token_hex(16), instance, command, value, self._clock())
            self._open.setdefault(instance, []).append(asked)
            return asked

    def waiting(self, instances: Iterable[str]) -> int:
        """How many commands wait for these processes: what the header `Perfagent-Control` of an answer tells.

        Asked with every request that comes in; 0.1 us where no command waits for anybody.
        """
        if not self._open:
            return 0
        with self._lock:
            return sum(len(self._waiting(instance)) for instance in instances if instance in self._open)

    def fetch(self, instance: str) -> list[Command]:
        """The commands that wait for a process; each is handed out once."""
        with self._lock:
            found = self._waiting(instance)
            for command in found:
                command.state, command.fetched = FETCHED, self._clock()
            return found

    def answer(self, instance: str, results: Iterable[Mapping[str, Any]]) -> list[Command]:
        """Takes an agent's results, each with `id`, `ok` and `result`; returns the commands that they answer.

        What answers no command that this process has fetched is left out: an agent cannot answer for another one.
        """
        with self._lock:
            known = {command.id: command for command in self._open.get(instance, ()) if command.state == FETCHED}
            answered = []
            for result in results:
                command = known.pop(str(result.get("id")), None)
                if command is not None:
                    self._end(command, DONE if result.get("ok") is True else FAILED, result.get("result"))
                    answered.append(command)
            return answered

    def of(self, instance: str) -> list[Command]:
        """Every command of a process that is still remembered, the last one first."""
        with self._lock:
            self._expire(instance)
            found = [command for command in self._over if command.instance == instance]
            return sorted([*found, *self._open.get(instance, ())], key=lambda command: command.asked, reverse=True)

    def pending(self, instance: str) -> int:
        """How many of a process are neither done nor failed."""
        with self._lock:
            self._expire(instance)
            return len(self._open.get(instance, ()))

    def _waiting(self, instance: str) -> list[Command]:
        self._expire(instance)
        return [command for command in self._open.get(instance, ()) if command.state == WAITING]

    def _crowded(self) -> bool:
        """Whether there is room for no more, even without those that are late."""
        if sum(map(len, self._open.values())) < MOST_OPEN:
            return False
        for instance in list(self._open):
            self._expire(instance)
        return sum(map(len, self._open.values())) >= MOST_OPEN

    def _expire(self, instance: str) -> None:
        late = self._clock() - EXPIRY
        for command in list(self._open.get(instance, ())):
            if (command.fetched or command.asked) < late:
                what = "answered" if command.fetched else "fetched it"
                self._end(command, FAILED, f"the process has not {what} within {EXPIRY / 60:.0f} minutes")

    def _end(self, command: Command, state: str, result: Any) -> None:
        command.state, command.answered, command.result = state, self._clock(), result
        left = [known for known in self._open[command.instance] if known is not command]
        if left:
            self._open[command.instance] = left
        else:
            del self._open[command.instance]
        self._over.append(command)
