"""What files declare for the hub: tables such as `[[slo]]` and `[[rule]]`, read again when they change."""

from __future__ import annotations

import logging
import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from perfagent.settings import file

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("perfagent.hub")
FILES = ("perfagent.toml", "pyproject.toml")
TABLES = ("slo", "rule", "channel", "maintenance", "escalation", "optimisation", "source")


class Declared:
    """The tables of the settings files of some folders.

    Args:
        directories: where a `perfagent.toml` or `pyproject.toml` may be: where the hub was started, and its own folder.
    """

    def __init__(self, directories: Sequence[str]) -> None:
        self._directories = list(dict.fromkeys(map(os.path.realpath, directories)))
        self._stamps: list[tuple[int, int] | None] = []
        self._documents: list[tuple[dict[str, Any], str]] = []
        self.problems: list[str] = []
        """What is wrong with the files themselves, a sentence each."""
        self.version = 0
        """Counts the times that they were read; what is made of them is made again when it differs."""
        self.refresh()

    def refresh(self) -> bool:
        """Reads the files where one of them has changed; returns whether one has.

        One that cannot be read, such as one that is half written, changes nothing but `problems`.
        """
        stamps = [_stamp(os.path.join(directory, name)) for directory in self._directories for name in FILES]
        if stamps == self._stamps:
            return False
        self._stamps = stamps
        before = {os.path.dirname(path): (document, path) for document, path in self._documents}
        documents, problems = [], []
        for directory in self._directories:
            wrong: list[str] = []
            document, path = file.document(directory, wrong.append)
            if wrong and directory in before:
                document, path = before[directory]
                wrong = [f"{one}, but with what it said before" for one in wrong]
            if path:
                documents.append((document, path))
            problems += [*wrong, *_unknown(document, path)]
        for problem in problems:
            if problem not in self.problems:
                log.warning("%s", problem)
        self._documents, self.problems = documents, problems
        self.version += 1
        return True

    def documents(self) -> list[tuple[dict[str, Any], str]]:
        """Each file's content, and its path."""
        return self._documents

    def tables(self, key: str) -> list[tuple[dict[str, Any], str]]:
        """The `[[key]]` tables of all files, each with the path of its file; what is no table is told as a problem."""
        found = []
        for document, path in self._documents:
            value = document.get(key, [])
            for table in value if isinstance(value, list) else [value]:
                if isinstance(table, dict):
                    found.append((table, path))
                else:
                    self._tell(f"{path}: {key}={table!r} is no table; write [[{key}]] and its keys below it")
        return found

    def _tell(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _unknown(document: dict[str, Any], path: str) -> list[str]:
    """What is wrong with tables that nobody reads, a sentence each."""
    found = []
    for key, value in document.items():
        if key not in TABLES and isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            near = get_close_matches(key, TABLES, 1)
            hint = f"did you mean [[{near[0]}]]? " if near else ""
            there = ", ".join(f"[[{one}]]" for one in TABLES)
            found.append(f"{path}: [[{key}]] is no table of the hub; {hint}there are: {there}")
    return found


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
