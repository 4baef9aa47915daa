"""Which places call what is deprecated, and how often: bounded, without a lock, exported when metrics are collected."""

from __future__ import annotations

import os
import sys

from perfagent.resilience.deprecations import places
from perfagent.resilience.deprecations.site import Site
from perfagent.runtime import callers
from perfagent.runtime.metric import COUNTER, registry
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from perfagent.runtime.metric import Series

VARIANTS = 8  # texts of one line that are told apart; more of them are one text with values in it
OWNERS = 16  # lines of the program that lead to one line of a library
OFTEN = 64  # calls of a foreign line for which the stack is looked at each time; afterwards at one in ONE_IN
ONE_IN = 32
OR_ANOTHER = " … or another text"
KINDS = 512  # classes of warnings that are remembered
CALLS, DETAILS = "deprecated_function_calls_total", "perfagent.deprecation.calls"
SITES = "perfagent.deprecation.sites"
KEYS = (
    "function", "code.file.path", "code.line.number", "code.function.name", "deprecation.message",
    "deprecation.category", "deprecation.library", "deprecation.version", "deprecation.warned_at", "deprecation.own",
)  # fmt: skip


class Ledger:
    """The sites of this process.

    Args:
        most: sites that are told apart.
        future: whether FutureWarning counts.
    """

    def __init__(self, most: int = 1000, future: bool = True) -> None:
        self.sites: dict[object, Site] = {}
        self.former: list[Site] = []
        """Those of the process that this one was forked from: a registry of warnings may know them still."""
        self.number = 0
        self.new: Series | None = None
        """Counts new sites, once the metrics are declared; who found one has something to tell at the exit."""
        self.watched = False
        """Whether `warnings` tells of every warning by itself."""
        self.kinds: dict[object, bool] = {}
        """Classes of warnings, and whether they count."""
        self.other = Site()
        """All calls from places beyond `most`."""
        self.other.what = "(other deprecated calls)"
        self.configure(most, future)

    def configure(self, most: int, future: bool) -> None:
        """Takes settings; arguments as for the class."""
        self.most = most
        bases = (DeprecationWarning, PendingDeprecationWarning)
        self.bases: tuple[type[Warning], ...] = (*bases, FutureWarning) if future else bases
        self.kinds.clear()
        self.kinds.update(dict.fromkeys(self.bases, True))

    def counts(self, category: object) -> bool:
        """Whether a category is one of what is deprecated."""
        found = self.kinds.get(category)
        if found is None:
            found = isinstance(category, type) and issubclass(category, self.bases)
            if len(self.kinds) < KINDS:
                self.kinds[category] = found
        return found

    def warned(
        self, key: object, message: object, category: object, frame: FrameType, blamed: FrameType | None
    ) -> Site:
        """The site of a call of `warnings.warn`, looked for once its line is new or its text another one.

        Args:
            key: of its line.
            message: the text, or a warning.
            category: its class.
            frame: who calls `warn`.
            blamed: who is blamed.
        """
        text = str(message)
        known = self._known(key, text)
        if known is not None:
            return known
        made = Site(message if isinstance(message, str) else "")
        made.direct = message.__class__ is str and blamed is not None
        made.codes = (frame.f_code,) if blamed is None else (frame.f_code, blamed.f_code)
        inner = places.below(frame, blamed)
        made.what = places.name_of(inner)
        made.library = places.library(inner, made.what)
        self._describe(made, text, category, frame, blamed)
        return self._keep(key, made, text)

    def raised(self, key: object, text: str, category: object, frame: FrameType, blamed: FrameType) -> Site:
        """As `warned`, for a warning from C, of which nobody knows who made it but by its text."""
        known = self._known(key, text)
        if known is not None:
            return known
        made = Site(text)
        made.codes = (frame.f_code, blamed.f_code)
        if blamed is frame:
            made.what = places.named_by(text)
            module = sys.modules.get(made.what.partition(".")[0])
            made.library = getattr(module, "__file__", None) or ("" if module is None else os.__file__)
        else:
            inner = places.below(frame, blamed)
            made.what = places.name_of(inner)
            made.library = places.library(inner, made.what)
        self._describe(made, text, category, frame, blamed)
        return self._keep(key, made, text)

    def told(self, key: object, text: str, category: object, frame: FrameType, file: str, line: int) -> Site:
        """As `warned`, for `warnings.warn_explicit`, which is told file and line."""
        known = self._known(key, text)
        if known is not None:
            return known
        made = Site(text)
        made.codes = (frame.f_code,)
        made.what = places.named_by(text)
        self._describe(made, text, category, frame, None)
        made.file, made.line, made.function = file, line, ""
        return self._keep(key, made, text)

    def _known(self, key: object, text: str) -> Site | None:
        """The site of a line and a text; None where it is to be made. What is beyond the limits is counted together."""
        site = self.sites.get(key)
        if site is None:
            return self.other if self.number >= self.most else None
        found = site if site.message == text else site.variants.get(text)
        if found is not None:
            return found
        if len(site.variants) < VARIANTS:
            return self.other if self.number >= self.most else None
        if not site.text.endswith(OR_ANOTHER):
            site.text += OR_ANOTHER
            site.details = None
        return site

    def _keep(self, key: object, made: Site, text: str) -> Site:
        self._count()
        site = self.sites.get(key)
        if site is not None:
            return site.variants.setdefault(text, made)
        if not made.message:
            made.message = text
        return self.sites.setdefault(key, made)

    def _count(self) -> None:
        self.number += 1
        if self.new is not None:
            self.new.record(1)

    def _describe(self, made: Site, text: str, category: object, frame: FrameType, blamed: FrameType | None) -> None:
        made.kind = category
        made.category = getattr(category, "__name__", "")
        made.text = places.cleaned(text, frame)
        if blamed is not None:
            made.file, made.line, made.function = places.where(blamed)
            made.at = made.line
            made.foreign = not places.is_own(made.file, blamed)
            if made.foreign:
                made.warned = f"{made.file}:{made.line}"
                made.file, made.line, made.function = "", 0, ""

    def owner(self, site: Site, blamed: FrameType | None) -> Site:
        """Whose call of a foreign line this is: that of the nearest line of the program above it, as its own site."""
        calls = next(site.calls)
        if calls >= OFTEN and calls % ONE_IN:
            return site.turn
        caller = callers.nearest(blamed)
        key = None if caller is None else (caller[0].co_filename, caller[0].co_firstlineno, caller[1])
        found = site.owners.get(key)
        if found is None:
            if len(site.owners) >= OWNERS or self.number >= self.most:
                key, caller = None, None
            found = site.like()
            if caller is not None:
                told = callers.attributes(caller)
                found.file, found.function = str(told["code.file.path"]), str(told["code.function.name"])
                found.line = int(str(told["code.line.number"]))
                self._count()
            found = site.owners.setdefault(key, found)
        site.turn = found
        return found

    def leaves(self) -> Iterator[Site]:
        """Every site that has calls of its own."""
        for site in (*self.sites.values(), *self.former):
            yield from site.leaves()
        yield self.other

    def forget(self) -> None:
        """Counts from zero, and finds each site anew: a forked child has its own calls, and news to tell of them."""
        for site in (*self.sites.values(), *self.former, self.other):
            site.forget()
        self.former = [*self.former, *self.sites.values()][-self.most :]
        self.sites.clear()
        self.number = 0

    def functions(self) -> Iterator[tuple[float, dict[str, object]]]:
        """Calls by what is deprecated."""
        for site in self.leaves():
            if calls := site.total:
                yield calls, {"function": site.what}

    def places(self) -> Iterator[tuple[float, dict[str, object]]]:
        """Calls by what is deprecated, who calls it, and what the warning says."""
        for site in self.leaves():
            if calls := site.total:
                yield calls, site.details if site.details is not None else _details(site)


def _details(site: Site) -> dict[str, object]:
    """The attributes of a site's series; worked out when it is first exported, in the background."""
    from perfagent.resilience.deprecations import distribution

    library, version = distribution.of(site.library) if site.library else ("", "")
    told: dict[str, object] = {
        "function": site.what,
        "code.file.path": site.file,
        "code.line.number": site.line or "",
        "code.function.name": site.function,
        "deprecation.message": site.text,
        "deprecation.category": site.category,
        "deprecation.library": library,
        "deprecation.version": version,
        "deprecation.warned_at": site.warned,
        "deprecation.own": "true" if site.file else "false",
    }
    site.details = {name: value for name, value in told.items() if value != ""}
    return site.details


book = Ledger()
"""The ledger of this process."""


def declare() -> None:
    """Makes the metrics that tell of it."""
    scope = Scope("perfagent.deprecations")
    sites = registry.make(scope, COUNTER, SITES, "{site}", "Lines that call what is deprecated, found so far.")
    book.new = sites.of()
    registry.make(scope, COUNTER, CALLS, "1", "Calls of what is deprecated.", callback=_functions, keys=("function",))
    registry.make(
        scope,
        COUNTER,
        DETAILS,
        "{call}",
        "Calls of what is deprecated, by the line that makes them and the one that Python blames.",
        callback=_places,
        keys=KEYS,
    )


def _functions() -> Iterator[tuple[float, dict[str, object]]]:
    return book.functions()


def _places() -> Iterator[tuple[float, dict[str, object]]]:
    return book.places()
