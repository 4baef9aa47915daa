"""The rules of a hub: those that files declare, and those that were set at run time, which win by name."""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.conditions.rule import MOST, BadRule, Rule, read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfagent.hub.hub import Hub

DOCUMENT = "rules"
AT_RUN_TIME = "api"
_CHANGING = Lock()  # one change at a time, whoever asks: each reads all of the document and writes it again


class Kept(NamedTuple):
    """A rule, and where it is from.

    Args:
        rule: the rule.
        origin: the path of a file, or `api` for one that was set at run time.
    """

    rule: Rule
    origin: str


class Rules:
    """The rules of a hub.

    Args:
        hub: whose files and documents.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = Lock()
        self._made_of: tuple[int, object] | None = None
        self._rules: dict[str, Kept] = {}
        self.problems: list[str] = []
        """What is wrong with some of them, a sentence each; the others serve."""

    def all(self) -> dict[str, Kept]:
        """The rules by name, in the order of their names."""
        self._hub.declared.refresh()
        document = self._hub.store.document(DOCUMENT)
        made_of = (self._hub.declared.version, document)
        with self._lock:
            if made_of != self._made_of:
                self._rules, self.problems = _made(self._hub.declared.tables("rule"), document)
                self._made_of = made_of
            return self._rules

    def set(self, rule: Rule) -> Rule | None:
        """Keeps a rule at run time; returns the one that it takes the place of."""
        with _CHANGING:
            before = self.all().get(rule.name)
            document = dict(self._documents())
            document[rule.name] = rule.document()
            self._hub.store.keep(DOCUMENT, document)
        return before.rule if before else None

    def drop(self, name: str) -> None:
        """Forgets what was set at run time; where a file declares the rule, that serves again."""
        with _CHANGING:
            document = dict(self._documents())
            document.pop(name, None)
            self._hub.store.keep(DOCUMENT, document)

    def _documents(self) -> Mapping[str, Any]:
        document = self._hub.store.document(DOCUMENT)
        return document if isinstance(document, dict) else {}


def declared(tables: Sequence[tuple[Mapping[str, Any], str]], problems: list[str]) -> dict[str, Kept]:
    """The rules of `[[rule]]` tables by name.

    Args:
        tables: each with the path of its file.
        problems: takes what is wrong with some, a sentence each.
    """
    found: dict[str, Kept] = {}
    for number, (table, path) in enumerate(tables, 1):
        try:
            rule = read(table, f"{os.path.basename(path)}: rule {number}")
        except BadRule as error:
            problems.append(str(error))
            continue
        if rule.name in found:
            problems.append(f"{path}: rule {number}: name={rule.name!r} is taken by another rule; give each its own")
        elif len(found) >= MOST:
            problems.append(f"{path}: rule {number} ({rule.name}): there are at most {MOST} rules; take some away")
        else:
            found[rule.name] = Kept(rule, path)
    return found


def _made(tables: Sequence[tuple[Mapping[str, Any], str]], document: object) -> tuple[dict[str, Kept], list[str]]:
    problems: list[str] = []
    found = declared(tables, problems)
    for name, fields in document.items() if isinstance(document, dict) else ():
        try:
            found[name] = Kept(read(fields), AT_RUN_TIME)
        except BadRule as error:  # kept by another version
            problems.append(f"rule {name}, set at run time: {error}")
    return dict(sorted(found.items())), problems
