"""Which optimisation rules there are: the built-in ones, those of files, and what was changed at run time."""

from __future__ import annotations

from threading import Lock
from time import time
from typing import TYPE_CHECKING, Any, cast

from perfagent.hub.optimise.rule import BUILT_IN, MODES, BadOptimisation, Mode, Optimisation, changed, read

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub

DOCUMENT = "optimisations"
MOST = 100


class Rules:
    """The rules of a hub; may be used on any thread.

    Args:
        hub: whose files, settings and store they are in.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock, self._changing = Lock(), Lock()
        self._version = -1
        self._declared: dict[str, Optimisation] = dict(BUILT_IN)
        self.problems: list[str] = []
        """What is off, a sentence each; the others serve."""

    def all(self) -> dict[str, Optimisation]:
        """Every rule by its name, those with the highest priority first."""
        self._hub.declared.refresh()
        with self._lock:
            if self._version != self._hub.declared.version:
                self._read()
                self._version = self._hub.declared.version
            known = self._document().get("rules", {})
            found = [changed(rule, known.get(name, {})) for name, rule in self._declared.items()]
        return {rule.name: rule for rule in sorted(found, key=lambda rule: (-rule.priority, rule.name))}

    @property
    def mode(self) -> Mode:
        """What is done where a rule holds that says nothing of its own: as it was set last, else PERFAGENT_OPTIMISE."""
        mode = self._document().get("mode")
        return cast("Mode", mode if mode in MODES else self._hub.settings.optimise)

    def mode_of(self, rule: Optimisation) -> Mode:
        """The mode of a rule: its own; `off` of the hub is off for all."""
        return "off" if self.mode == "off" else rule.mode or self.mode

    def set_mode(self, mode: Mode) -> None:
        """Sets the hub's mode."""
        with self._changing:
            self._hub.store.keep(DOCUMENT, {**self._document(), "mode": mode})

    def change(self, name: str, fields: dict[str, Any]) -> None:
        """Changes a rule at run time; None takes a change back."""
        with self._changing:
            document = self._document()
            rules = document.get("rules", {})
            now = {key: value for key, value in {**rules.get(name, {}), **fields}.items() if value is not None}
            self._hub.store.keep(DOCUMENT, {**document, "rules": {**rules, name: now}})

    def holds(self) -> dict[str, dict[str, Any]]:
        """Rules that are on hold for a service, by `rule service`: until when, and why."""
        holds: dict[str, dict[str, Any]] = self._document().get("holds", {})
        return holds

    def hold(self, name: str, service: str, until: float, reason: str) -> None:
        """Has a rule do nothing for a service until then, seconds since the epoch."""
        one = {"rule": name, "service": service, "until": until, "reason": reason}
        with self._changing:
            lasting = {key: known for key, known in self.holds().items() if known["until"] > time()}
            self._hub.store.keep(DOCUMENT, {**self._document(), "holds": {**lasting, f"{name} {service}": one}})

    def release(self, name: str) -> None:
        """Ends what holds a rule."""
        with self._changing:
            left = {key: one for key, one in self.holds().items() if one["rule"] != name}
            self._hub.store.keep(DOCUMENT, {**self._document(), "holds": left})

    def _document(self) -> dict[str, Any]:
        document = self._hub.store.document(DOCUMENT)
        return document if isinstance(document, dict) else {}

    def _read(self) -> None:
        self._declared, self.problems = dict(BUILT_IN), []
        names: set[str] = set()
        for number, (table, path) in enumerate(self._hub.declared.tables("optimisation"), 1):
            try:
                rule = read(table, path, f"optimisation {number}")
                if rule.name in names or len(names) >= MOST:
                    raise BadOptimisation(
                        f"optimisation {number} ({rule.name}) is left out: "
                        + (f"there are {MOST} already" if len(names) >= MOST else "another one has that name")
                    )
            except BadOptimisation as error:
                self.problems.append(f"{path}: {error}")
            else:
                names.add(rule.name)
                self._declared[rule.name] = rule  # one of a built-in's name takes its place
