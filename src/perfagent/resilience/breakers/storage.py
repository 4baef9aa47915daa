"""Breakers that processes share: purgatory's repository on Redis, which is asked off the calls that go well.

purgatory 3.0.1 has a repository on Redis of its own. Its synchronous one uses redis.asyncio and cannot work, and either
asks Redis twice a call. This one is read at most once in `REFRESH` seconds and where a breaker is not closed, and
written where a call failed or the state changed.
"""

from __future__ import annotations

import json
import logging
from time import monotonic, time
from typing import Any

from purgatory import SyncAbstractUnitOfWork
from purgatory.domain.model import Context
from purgatory.service._sync.repository import SyncAbstractRepository

REFRESH = 1.0  # seconds after which a process has heard of what another's breaker did
TIMEOUT = 0.25  # seconds for Redis to answer; a breaker must not be what makes calls slow
DOWN = 5.0  # seconds that Redis is left alone after it failed
PREFIX = "perfagent:breaker:"
KEPT = 7 * 86_400  # seconds that Redis keeps a breaker that nobody touches

log = logging.getLogger("perfagent.breakers")


class Shared(SyncAbstractUnitOfWork):  # type: ignore[misc]
    """The state of breakers in Redis. Where Redis is away, every process goes on by what it sees itself.

    Args:
        url: of the Redis.

    Raises:
        ImportError: redis is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import redis
        except ImportError as error:
            raise ImportError(
                'breakers that processes share need redis: pip install "perfagent[resilience]" redis'
            ) from error
        self.errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        client: Any = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
        )
        self.contexts: Repository = Repository(client, self.errors)

    def commit(self) -> None:
        """Everything is written at once."""

    def rollback(self) -> None:
        """Nothing is held back."""


class Repository(SyncAbstractRepository):  # type: ignore[misc]
    """purgatory's repository, with what a breaker asks beyond it.

    Args:
        client: of redis.
        errors: what it raises where Redis is away.
    """

    def __init__(self, client: Any, errors: tuple[type[Exception], ...]) -> None:
        self.messages: list[Any] = []
        self._client = client
        self._errors = errors
        self._away_until = 0.0
        self._said = False
        self._breakers: dict[str, Context] = {}
        self.failures: dict[str, int] = {}
        """Failures in a row of all processes, as Redis counted at the last one of this process."""

    def get(self, name: str) -> Context | None:
        """The breaker of that name in this process."""
        return self._breakers.get(name)

    def register(self, context: Context) -> None:
        """Adds a breaker to this process; its state is another's where there is one."""
        self._breakers[context.name] = context

    def update_state(self, name: str, state: str, opened_at: float | None) -> None:
        """Tells the others."""
        told = json.dumps({"state": state, "opened_at": opened_at, "changed": time()})
        self._ask(lambda: self._client.set(f"{PREFIX}{name}", told, ex=KEPT))

    def inc_failures(self, name: str, failure_count: int) -> None:
        """Counts a failure; all processes' failures count together."""
        key = f"{PREFIX}{name}:failures"
        found = self._ask(lambda: self._client.pipeline().incr(key).expire(key, KEPT).execute())
        self.failures[name] = int(found[0]) if found else failure_count

    def reset_failure(self, name: str) -> None:
        """Forgets the failures: a call went well."""
        self._ask(lambda: self._client.delete(f"{PREFIX}{name}:failures"))

    def shared(self, name: str) -> tuple[str, float | None, int] | None:
        """The state that the processes share, when it opened and the failures in a row; None where nobody knows."""
        found = self._ask(lambda: self._client.mget(f"{PREFIX}{name}", f"{PREFIX}{name}:failures"))
        if found is None:
            return None
        try:
            told = json.loads(found[0] or "{}")
            opened_at = told.get("opened_at")
            return str(told.get("state", "closed")), None if opened_at is None else float(opened_at), int(found[1] or 0)
        except (AttributeError, TypeError, ValueError):  # somebody else's value
            return None

    def may_try(self, name: str, seconds: float) -> bool:
        """Whether this process may let the one call through, which no other may within `seconds`."""
        if monotonic() < self._away_until:
            return True
        found = self._ask(
            lambda: (self._client.set(f"{PREFIX}{name}:trial", "1", nx=True, px=max(1, int(seconds * 1000))),)
        )
        return found is None or bool(found[0])

    def end_trial(self, name: str) -> None:
        """The call has ended."""
        self._ask(lambda: self._client.delete(f"{PREFIX}{name}:trial"))

    def _ask(self, call: Any) -> Any:
        """The answer of Redis, or None where it is away."""
        if monotonic() < self._away_until:
            return None
        try:
            found = call()
        except self._errors as error:
            self._away_until = monotonic() + DOWN
            if not self._said:
                self._said = True
                log.warning("circuit breakers are not shared for now, Redis is away: %s", type(error).__name__)
            return None
        if self._said:
            self._said = False
            log.warning("circuit breakers are shared again")
        return found
