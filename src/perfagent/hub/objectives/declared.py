"""Which objectives there are: those of files, of PERFAGENT_SLO, and those that were set at run time, which win."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from perfagent.hub.rules import objectives
from perfagent.hub.rules.objectives import BadObjective, Objective

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.hub import Hub

DOCUMENT = "objectives"
RUN_TIME = "run time"
MOST = 200
"""Objectives of a hub: each one costs some milliseconds a look."""


@dataclass(frozen=True, slots=True)
class Declared:
    """An objective, and where it was declared.

    Args:
        objective: what it says.
        origin: path of a file, "PERFAGENT_SLO" or "run time".
    """

    objective: Objective
    origin: str


class Declarations:
    """The objectives of a hub; may be used on any thread.

    Args:
        hub: whose files, settings and store they are in.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock, self._changing = Lock(), Lock()
        self._made_of: object = None
        self._found: dict[str, Declared] = {}
        self.problems: list[str] = []
        """What is off, a sentence each; the others serve."""

    def all(self) -> dict[str, Declared]:
        """Every objective by its name."""
        self._hub.declared.refresh()
        with self._lock:
            set_here = self.set_at_run_time()
            made_of = (self._hub.declared.version, set_here)
            if made_of != self._made_of:
                self._read(set_here)
                self._made_of = made_of
            return self._found

    def set_at_run_time(self) -> dict[str, dict[str, Any]]:
        """The tables that were set by the interface, by name."""
        document = self._hub.store.document(DOCUMENT)
        return document if isinstance(document, dict) else {}

    def put(self, table: dict[str, Any]) -> Objective:
        """Sets an objective in the place of one of the same name.

        Args:
            table: as a `[[slo]]` table of a file.

        Raises:
            BadObjective: it is off, or there are too many.
        """
        found = objectives.objective(table, objectives.BOUNDS, "objective")
        with self._changing:
            set_here = {**self.set_at_run_time(), found.name: table}
            if len({*self.all(), found.name}) > MOST:
                raise BadObjective(f"there are {MOST} objectives already; delete one that nobody looks at")
            self._hub.store.keep(DOCUMENT, set_here)
        return found

    def delete(self, name: str) -> bool:
        """Takes back what was set at run time; returns whether anything was. A file's one of that name serves again."""
        with self._changing:
            set_here = self.set_at_run_time()
            if name not in set_here:
                return False
            self._hub.store.keep(DOCUMENT, {key: table for key, table in set_here.items() if key != name})
        return True

    def _read(self, set_here: dict[str, dict[str, Any]]) -> None:
        found: dict[str, Declared] = {}
        self.problems = []
        for table, origin, place in self._tables():
            try:
                one = objectives.objective(table, objectives.BOUNDS, place, found)
            except BadObjective as error:
                self.problems.append(f"{origin}: {error}")
            else:
                found[one.name] = Declared(one, origin)
        for name, table in set_here.items():
            try:
                found[name] = Declared(objectives.objective(table, objectives.BOUNDS), RUN_TIME)
            except BadObjective as error:  # of an older version of perfagent
                self.problems.append(f"{RUN_TIME}: {error}")
        for name in list(found)[MOST:]:
            del found[name]
            self.problems.append(f"objective {name} is left out: a hub takes {MOST}")
        self._found = found

    def _tables(self) -> Iterator[tuple[dict[str, Any], str, str]]:
        for number, (table, path) in enumerate(self._hub.declared.tables("slo"), 1):
            yield table, path, f"slo {number}"
        settings = self._hub.settings
        if settings.environ.get(objectives.SETTING):
            try:
                tables = objectives.setting(settings.slo)
            except BadObjective as error:
                self.problems.append(f"{objectives.SETTING}: {error}")
                return
            for number, table in enumerate(tables, 1):
                yield table, objectives.SETTING, f"slo {number}"


def table_of(one: Objective) -> dict[str, Any]:
    """An objective as the keys of its table; what is left out there is left out here."""
    return {key: value for key, value in asdict(one).items() if value not in (None, "")}
