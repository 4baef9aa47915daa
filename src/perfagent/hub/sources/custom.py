"""Sources of a user's own: a function, an installed package, a command, or an address that answers figures as JSON."""

from __future__ import annotations

import http.client
import os
import re
import stat
import sys
from importlib import import_module, invalidate_caches
from typing import TYPE_CHECKING, Any

import orjson

from perfagent.hub.sources import addresses, kinds
from perfagent.hub.sources.asking import ask
from perfagent.hub.sources.options import headers, texts, words
from perfagent.hub.sources.running import TooMuch, run
from perfagent.hub.sources.source import Collected, Point, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfagent.hub.hub import Hub
    from perfagent.hub.sources.source import Plan

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-/]{0,199}")
MOST = 1_000  # figures of one collection
LARGEST = 1 << 20  # bytes that a command may write


class Python:
    """The source `python`: what `call = "module:callable"` returns.

    Args:
        plan: `arguments` are given to the callable by their names.
        hub: not needed.
    """

    def __init__(self, plan: Plan, hub: Hub | None) -> None:
        self._call = self._found(plan)
        self._arguments = _arguments(plan)
        self._name = plan.name

    def _found(self, plan: Plan) -> Callable[..., Any]:
        path = str(plan.options.get("call", ""))
        module, _, attribute = path.partition(":")
        if not module or not attribute:
            raise SourceError(f"call={path!r} is not accepted: a dotted path such as shop.figures:collect")
        where = _beside(plan.origin)
        try:
            invalidate_caches()  # it may have been written since it was looked for last
            found: Any = import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise SourceError(
                f"call={path!r} is not there: {error}; it is looked for {where}among the packages of {sys.prefix}"
            ) from None
        if not callable(found):
            raise SourceError(f"call={path!r} is no function but a {type(found).__name__}")
        return found  # type: ignore[no-any-return]

    def close(self) -> None:
        """Holds nothing."""

    def collect(self) -> Collected:
        """Calls it."""
        return collected(self._call(**self._arguments), {}, ())


class Plugged(Python):
    """A source of an installed package, by the entry point group `perfagent.sources`: a function as of `python`, or a
    class that is made once with the table's `arguments` and has `collect()`.
    """

    _made: Any = None

    def _found(self, plan: Plan) -> Callable[..., Any]:
        entry = kinds.plugged()[plan.kind]
        try:
            found = entry.load()
        except Exception as error:  # whatever a package raises when it is imported
            raise SourceError(
                f"{entry.value} of the installed packages fails: {type(error).__name__}: {error}"
            ) from None
        if not isinstance(found, type):
            return found  # type: ignore[no-any-return]
        self._made = found(**_arguments(plan))
        return self._made.collect  # type: ignore[no-any-return]

    def __init__(self, plan: Plan, hub: Hub | None) -> None:
        super().__init__(plan, hub)
        if self._made is not None:
            self._arguments = {}

    def close(self) -> None:
        """Closes what can be closed."""
        close = getattr(self._made, "close", None)
        if callable(close):
            close()


class Command:
    """The source `command`: a program that writes `{"name": value}` to its standard output.

    Args:
        plan: `command`, a list of words, for no shell; `units` and `counters` say what the figures are.
        hub: not needed.
    """

    def __init__(self, plan: Plan, hub: Hub | None) -> None:
        self._words = words(plan, "command")
        self._units, self._counters = texts(plan, "units"), words(plan, "counters")
        self._timeout = plan.timeout

    def close(self) -> None:
        """Holds nothing."""

    def collect(self) -> Collected:
        """Runs it."""
        limit = self._timeout * 0.9
        try:
            done = run(self._words, limit, LARGEST)
        except TimeoutError:
            raise SourceError(f"{self._words[0]} did not end within {limit:g} s and was killed") from None
        except TooMuch:
            raise SourceError(f"{self._words[0]} wrote more than 1 MiB and was killed; write figures alone") from None
        except OSError as error:
            raise SourceError(f"{self._words[0]} cannot be run: {error.strerror}; give its whole path") from None
        if done.code:
            said = done.said.decode("utf-8", "replace").strip()[-200:]
            raise SourceError(f"{self._words[0]} exited with {done.code}: {said}")
        return collected(_json(done.output, self._words[0]), self._units, self._counters)


class Json:
    """The source `json`: an address that answers `{"name": value}`.

    Args:
        plan: `url`, `headers`; `units` and `counters` say what the figures are.
        hub: not needed.
    """

    def __init__(self, plan: Plan, hub: Hub | None) -> None:
        self._plan, self._headers = plan, headers(plan)
        self._units, self._counters = texts(plan, "units"), words(plan, "counters")

    def close(self) -> None:
        """Holds nothing."""

    def collect(self) -> Collected:
        """Asks it."""
        shown = addresses.shown(self._plan.address)
        try:
            reply = ask(
                self._plan.address, "GET", {"Accept": "application/json", **self._headers}, self._plan.timeout * 0.9
            )
        except (OSError, http.client.HTTPException) as error:
            raise SourceError(f"{shown} does not answer: {error or type(error).__name__}") from None
        if reply.status != 200:
            raise SourceError(f"{shown} answered {reply.status}; it must answer 200 and figures")
        found = collected(_json(reply.body, shown), self._units, self._counters)
        found.attributes["url.full"] = shown
        return found


def collected(told: object, units: Any, counters: Iterable[str]) -> Collected:
    """What a user's own source told, as points.

    Args:
        told: a dict of figures by name (a dict in it is one more part of the name), points, or what `collect()` of a
            source of ours returns.
        units: by name, by UCUM.
        counters: names of figures that only grow.

    Raises:
        SourceError: it is none of these.
    """
    if isinstance(told, Collected):
        return told
    if isinstance(told, (list, tuple)) and all(isinstance(one, Point) for one in told):
        return _checked(told)
    if not isinstance(told, dict):
        raise SourceError(f"it told a {type(told).__name__}; accepted: a dict of figures by name, or a list of Point")
    found, growing = Collected(), set(counters)
    for name, value in _flat(told, ""):
        if len(found.points) >= MOST:
            found.notes.append(f"of its figures {MOST} are kept; tell fewer")
            break
        if not NAME.fullmatch(name):
            found.notes.append(f"{name[:50]!r} is left out: a name has letters, digits, dots, dashes and underscores")
        elif not _is_number(value):
            found.notes.append(f"{name}={str(value)[:50]!r} is left out: it is no number")
        else:
            kind = "counter" if name in growing else "gauge"
            found.points.append(Point(name, float(value), units.get(name, "1"), kind))  # type: ignore[arg-type]
    return found


def _beside(origin: str) -> str:
    """Lets modules beside the file that declares a source be imported; returns what to say of that where one is not."""
    if not os.path.isabs(origin):
        return ""  # a variable
    folder = os.path.dirname(origin)
    found = os.stat(folder)
    if found.st_uid not in (os.geteuid(), 0) or found.st_mode & stat.S_IWOTH:
        return f"not in {folder}, where others may write, but "
    if folder not in sys.path:
        sys.path.append(folder)  # at the end: it hides no package
    return f"in {folder} and "


def _checked(told: Iterable[Point]) -> Collected:
    """Points that a user's own code made, as far as they are ones."""
    found = Collected()
    for one in told:
        if len(found.points) >= MOST:
            found.notes.append(f"of its figures {MOST} are kept; tell fewer")
            break
        numbers = _is_number(one.value) and _is_number(one.start)
        texts = all(isinstance(word, str) for pair in one.attributes.items() for word in pair)
        if not numbers:
            found.notes.append(f"{one.name}={str(one.value)[:50]!r} is left out: it is no number")
        elif not NAME.fullmatch(str(one.name)) or not texts:
            found.notes.append(f"{str(one.name)[:50]!r} is left out: its name or an attribute is none; texts are")
        else:
            found.points.append(one)
    return found


def _is_number(value: object) -> bool:
    """Whether it is one that a double can hold."""
    return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max


def _flat(told: dict[Any, Any], before: str, depth: int = 0) -> Iterable[tuple[str, Any]]:
    for key, value in told.items():
        name = f"{before}{key}"
        if isinstance(value, dict) and depth < 4:
            yield from _flat(value, f"{name}.", depth + 1)
        else:
            yield name, value


def _json(body: bytes, who: str) -> object:
    try:
        return orjson.loads(body[:LARGEST])
    except orjson.JSONDecodeError as error:
        raise SourceError(f'{who} told no JSON ({error}); accepted: {{"name": 1.5, …}}') from None


def _arguments(plan: Plan) -> dict[str, Any]:
    value = plan.options.get("arguments", {})
    if not isinstance(value, dict):
        raise SourceError('arguments is not accepted: a table, such as arguments = { queue = "mail" }')
    return value
