"""What entries, locks and stamps are called in Redis and on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.cache.key import Key

DIGEST = 40  # letters


class Names:
    """What things are called in a store.

    Args:
        prefix: of the application.
        version: of the meaning of its values.
    """

    def __init__(self, prefix: str, version: str) -> None:
        self.prefix = quoted(prefix)
        self.root = f"{self.prefix}:{quoted(version)}"

    def space(self, space: str) -> str:
        """What the keys of a space begin with."""
        return f"{self.root}:{space}"

    def of(self, kind: str, key: Key) -> str:
        """A key's entry "e", marker "c", lock "l" or grave "x"."""
        return f"{self.space(key.space)}:{kind}:{key.digest}"

    @staticmethod
    def is_entry(name: str) -> bool:
        """Whether a name is an entry's."""
        return name[-DIGEST - 3 : -DIGEST] == ":e:"

    def depends(self, space: str, tags: Iterable[bytes]) -> list[str]:
        """The stamps of a space and of tags."""
        return [f"{self.space(space)}:g", *(f"{self.prefix}:t:{tag.hex()}" for tag in tags)]


def quoted(name: str) -> str:
    """A name, percent-encoded: no colon in it is taken for one between two names, and nothing for part of a pattern."""
    return quote(name, safe="/ <>", errors="surrogatepass")
