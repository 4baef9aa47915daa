"""Whose values these are: a function's, or those that are set by hand; each has counts and keys of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.cache.key import Key, local
from perfagent.cache.names import quoted

if TYPE_CHECKING:
    from perfagent.cache.measures import Figures


class Space:
    """Part of a cache.

    Args:
        name: as `cache.name` shows it.
        identity: what every process calls it.
        version: of the meaning of its values.
        token: what tells its keys from others of the same process; two functions may have one name.
        figures: its counts.
        errors: exceptions that may be among its values.
    """

    __slots__ = ("__weakref__", "errors", "figures", "name", "shared", "stretch", "token")

    def __init__(
        self,
        name: str,
        identity: str,
        version: str,
        token: object,
        figures: Figures,
        errors: tuple[type[Exception], ...] = (),
    ) -> None:
        self.name = name
        self.shared = f"{quoted(identity)}@{quoted(version)}" if version else quoted(identity)
        self.token = token
        self.figures = figures
        self.errors = errors
        self.stretch = 1.0  # what the ttl of each new value is multiplied by; a hub may change it

    def key(self, *values: object) -> Key:
        """The key of some values.

        Raises:
            TypeError: one of them cannot be part of a key.
        """
        return Key(local(self.token, values), values, self.shared)
