"""One place that calls what is deprecated, and how often it did."""

from __future__ import annotations

from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any


class Site:
    """What is called, by which line, and how often.

    Args:
        message: what the warning says, the very object; "" for what several texts share.
    """

    __slots__ = (
        "at", "calls", "category", "codes", "details", "direct", "file", "foreign", "function", "judged", "kind",
        "library", "line", "message", "owners", "quiet", "text", "turn", "variants", "warned", "what",
    )  # fmt: skip

    def __init__(self, message: object = "") -> None:
        self.message = message
        self.calls = count()
        """Stepped by `next`: one call in C that no other thread gets into, which `+= 1` is not; 30 ns."""
        self.codes: tuple[CodeType, ...] = ()
        """Kept, so that the identity in the key of this site means this code and no other."""
        self.kind: object = None
        """The warning's class."""
        self.judged: list[Any] | None = None
        """The filters under which it was last looked up what happens to this warning."""
        self.quiet = False
        """Whether these ignore it."""
        self.at = 0
        """The line that Python blames, whose-ever it is."""
        self.direct = False
        """Whether the blamed frame is found by counting frames alone."""
        self.what = ""
        """The function or module that is deprecated, as `function` of the counter."""
        self.category = ""
        self.text = ""
        """What the warning says, without values."""
        self.file = ""
        self.line = 0
        self.function = ""
        self.foreign = False
        """Whether Python blames a line that is not the program's; then `file` has the nearest one that is, if any."""
        self.warned = ""
        """The line that Python blames, as file:line, where that is another one."""
        self.library = ""
        """A file of the library that warns."""
        self.variants: dict[str, Site] = {}
        """The same line with another text."""
        self.owners: dict[object, Site] = {}
        """Of a foreign line: the same for each line of the program that leads to it."""
        self.turn: Site = self
        """Of a foreign line: whose calls the next ones are, until the stack is looked at again."""
        self.details: dict[str, object] | None = None
        """The attributes of its series."""

    @property
    def total(self) -> int:
        """How often it was called."""
        return int(repr(self.calls)[6:-1])  # count(5): reading it in another way is deprecated, or steps it

    def forget(self) -> None:
        """Starts again from zero."""
        self.calls = count()
        for other in (*self.variants.values(), *self.owners.values()):
            other.forget()

    def like(self) -> Site:
        """Another one of the same warning."""
        other = Site(self.message)
        for name in ("what", "category", "text", "file", "line", "function", "foreign", "warned", "library", "codes"):
            setattr(other, name, getattr(self, name))
        return other

    def leaves(self) -> list[Site]:
        """This one and all below it that have calls of their own."""
        found = [] if self.owners else [self]
        for other in (*self.variants.values(), *self.owners.values()):
            found += other.leaves()
        return found
