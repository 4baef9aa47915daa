"""What every shared store does when it is told to forget: at once, or as soon as it answers again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfagent.cache.key import Key
    from perfagent.cache.names import Names
    from perfagent.cache.outage import Outage
    from perfagent.cache.steps import Steps


class Forgetful:
    """A store's part that forgets; it has `names` and `outage`, and does `_forget`."""

    names: Names
    outage: Outage

    def remove(self, key: Key) -> Steps[int]:
        """Forgets a key; says how many entries that were."""
        return (yield from self._surely("remove", f"{self.names.space(key.space)}\n{key.digest}", ()))

    def remove_tags(self, tags: tuple[bytes, ...]) -> Steps[int]:
        """Forgets what has one of some tags; says 0, for it does not know how many entries that are."""
        return (yield from self._surely("remove_tags", "", tags))

    def clear(self, space: str | None = None) -> Steps[int]:
        """Forgets everything, or what is of one space; says how many entries that were."""
        return (yield from self._surely("clear", self.names.space(space) if space else "", ()))

    def catch_up(self) -> Steps[bool]:
        """Tells the store what it missed; says whether it knows everything now. Before that nobody reads from it."""
        missed = self.outage.take()
        for position, one in enumerate(missed):
            if (yield from self._forget(*one)) is None:
                for left in missed[position:]:
                    self.outage.miss(left)
                return False
        return True

    def _surely(self, what: str, name: str, tags: tuple[bytes, ...]) -> Steps[int]:
        done = None
        if not self.outage.closed and (not self.outage.missed or (yield from self.catch_up())):
            done = yield from self._forget(what, name, tags)
        if done is None:
            self.outage.miss((what, name, tags))
        return done or 0

    def _forget(self, what: str, name: str, tags: tuple[bytes, ...]) -> Steps[int | None]:
        """Forgets; None where the store does not answer.

        Args:
            what: remove, remove_tags or clear.
            name: for `remove`, the space's name and the key's digest, a line each; for `clear`, the space's or "".
            tags: for `remove_tags`.
        """
        raise NotImplementedError
