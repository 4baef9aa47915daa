"""Which budget a test or an endpoint has: from the settings file, and from a file of what was recorded.

`[budgets]` of `perfagent.toml`, or `[tool.perfagent.budgets]` of `pyproject.toml`, has patterns; of those that match,
the longest tells of each figure. What was recorded counts beside it: the smaller limit of a figure is the one.
"""

from __future__ import annotations

import json
import os
from fnmatch import fnmatchcase

from perfagent.settings import file
from perfagent.testing.limits import NOISY, BudgetError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.testing.limits import Limits

RECORDED = "perfagent-budgets.json"
"""The file of recorded budgets, beside the settings file, unless `recorded` names another."""
REPEAT = 3
OPTIONS = ("repeat", "recorded", "tests", "endpoints")


class Budgets:
    """The budgets of a folder.

    Args:
        tests: limits by the pattern of a test's name.
        endpoints: limits by the pattern of an endpoint, such as `GET /cart/*`.
        recorded: limits as recorded: `tests` and `endpoints` by their exact names.
        repeat: how often a test runs, at most, until it is within its limits of time.
    """

    def __init__(
        self,
        tests: dict[str, Limits] | None = None,
        endpoints: dict[str, Limits] | None = None,
        recorded: dict[str, dict[str, Limits]] | None = None,
        repeat: int = REPEAT,
    ) -> None:
        self._tests = tests or {}
        self._endpoints = endpoints or {}
        self._recorded = recorded or {}
        self.repeat = repeat
        self._known: dict[str, Limits] = {}

    def of_test(self, name: str, marked: Limits) -> Limits:
        """The limits of a test; what it is marked with goes before all else."""
        return {**self._of(name, self._tests, "tests"), **marked}

    def of_endpoint(self, name: str) -> Limits:
        """The limits of an endpoint."""
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._of(name, self._endpoints, "endpoints")
        return found

    @property
    def limits_cpu_of_requests(self) -> bool:
        """Whether an endpoint's CPU time is limited: then requests are profiled."""
        return "cpu" in self._of_endpoints()

    @property
    def limits_noise_of_requests(self) -> bool:
        """Whether something of an endpoint is limited that differs from run to run."""
        return not self._of_endpoints().isdisjoint(NOISY)

    def _of_endpoints(self) -> set[str]:
        tables = [*self._endpoints.values(), *self._recorded.get("endpoints", {}).values()]
        return {key for table in tables for key in table}

    def _of(self, name: str, patterns: dict[str, Limits], kind: str) -> Limits:
        found: Limits = {}
        for pattern in sorted(patterns, key=len):
            if pattern == name or fnmatchcase(name, pattern):
                found.update(patterns[pattern])
        for key, limit in self._recorded.get(kind, {}).get(name, {}).items():
            found[key] = min(limit, found.get(key, limit))
        return found


def read(directory: str, recorded: str = "") -> Budgets:
    """The budgets that a folder declares.

    Args:
        directory: where the settings file is.
        recorded: a file of recorded budgets; the one that the settings name, or RECORDED, when left out.

    Raises:
        BudgetError: what is declared cannot be read.
    """
    problems: list[str] = []
    document, path = file.document(directory, problems.append)
    if problems:
        raise BudgetError(problems[0])
    table = document.get("budgets", {})
    where = f"{os.path.basename(path)}: budgets"
    _refuse_unknown(table, OPTIONS, where)
    assert isinstance(table, dict)
    repeat = table.get("repeat", REPEAT)
    if isinstance(repeat, bool) or not isinstance(repeat, int) or not 1 <= repeat <= 20:
        raise BudgetError(f"{where}: repeat={repeat!r} is not accepted: a whole number from 1 to 20")
    tables = {
        kind: {
            pattern: parse(limits, f"{where}.{kind}.{pattern!r}", endpoint=kind == "endpoints")
            for pattern, limits in _tables(table.get(kind, {}), f"{where}.{kind}").items()
        }
        for kind in ("tests", "endpoints")
    }
    named = recorded or str(table.get("recorded", "") or "")
    kept = os.path.join(directory, named or RECORDED)
    if named and not os.path.exists(kept):
        raise BudgetError(f"{kept} does not exist; `perfagent budget record` writes it")
    return Budgets(tables["tests"], tables["endpoints"], read_recorded(kept) if os.path.exists(kept) else {}, repeat)


def read_recorded(path: str) -> dict[str, dict[str, Limits]]:
    """A file of recorded budgets.

    Raises:
        BudgetError: it is none.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            document = json.load(stream)
    except OSError as error:
        raise BudgetError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BudgetError(f"{path} is no JSON: {error}") from None
    _refuse_unknown(document, ("version", "tests", "endpoints"), path)
    return {
        kind: {
            name: parse(limits, f"{path}: {kind}.{name!r}", endpoint=kind == "endpoints")
            for name, limits in _tables(document.get(kind, {}), f"{path}: {kind}").items()
        }
        for kind in ("tests", "endpoints")
    }


def _tables(found: object, where: str) -> Mapping[str, Mapping[str, object]]:
    if isinstance(found, dict) and all(isinstance(table, dict) for table in found.values()):
        return found
    raise BudgetError(f'{where} is not accepted: a table of limits for each name, such as "GET /*" = {{ queries = 5 }}')


def _refuse_unknown(table: object, known: tuple[str, ...], where: str) -> None:
    if not isinstance(table, dict):
        raise BudgetError(f"{where} is no table; it has {', '.join(known)}")
    for key in table:
        if key not in known:
            raise BudgetError(f"{where} has nothing called {key!r}; it has {', '.join(known)}")
