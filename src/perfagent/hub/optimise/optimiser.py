"""Runs the optimisation rules: advises or acts, measures what came of it, and puts back what did not help."""

from __future__ import annotations

import logging
import secrets
import threading
from time import monotonic, time
from typing import TYPE_CHECKING

import duckdb

from perfagent.hub.api.ranges import HOUR, Range
from perfagent.hub.api.seen import processes
from perfagent.hub.optimise import advice, effect, webhook
from perfagent.hub.optimise.actions import ACTIONS
from perfagent.hub.optimise.journal import Journal, Part, Taken
from perfagent.hub.optimise.orders import Orders
from perfagent.hub.optimise.rules import Rules
from perfagent.hub.store.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfagent.hub.hub import Hub
    from perfagent.hub.optimise.actions import Action
    from perfagent.hub.optimise.conditions import Conditions, Holding
    from perfagent.hub.optimise.journal import Effect
    from perfagent.hub.optimise.rule import Optimisation

LOOK, JUDGE = 1.0, 10.0  # s between two looks at what is under way, and at the conditions
MOST_AN_HOUR = 6
"""Actions of a hub an hour, of all rules: more would be a fault of the rules."""
SAME_ADVICE = HOUR  # s in which the same advice is not given again
FORGOTTEN = 86_400.0  # s after which what did not help is tried again, and a rule's hold ends
PATIENCE = 1.0  # s that the end waits for a look under way
OURS = "perfagent"
log = logging.getLogger("perfagent.hub")


class Optimiser:
    """The optimisation rules of a running hub.

    Args:
        hub: what is looked at.
        clock: seconds since the epoch.
    """

    def __init__(self, hub: Hub, clock: Callable[[], float] = time) -> None:
        self._hub, self._clock = hub, clock
        self.rules = Rules(hub)
        self.journal = Journal(hub.store if hub.remote is None else hub.remote.window.keeper)
        self._orders = Orders(hub.commands)
        self._conditions: Conditions | None = None
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._judged_at = -1e9
        self._failing = ""
        self._calls: dict[str, webhook.Call] = {}

    def start(self) -> None:
        """Begins to look; first at what was under way when the hub ended, however it did."""
        self._thread = threading.Thread(target=self._run, name="optimiser", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends; what is to be put back is put back by the next hub."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def look(self, judge: bool = True) -> None:
        """Takes one look: at what is under way and, where wanted, at the conditions; raises StoreFailed."""
        with self._lock:
            now = self._clock()
            busy = self._settle(now)
            if judge:
                self._judge(now, busy)

    def undo(self, identity: str, by: str) -> Taken | None:
        """Puts back what an action has done, because somebody wants it.

        Args:
            identity: of the action.
            by: their role.

        Returns:
            The action; None where there is none.

        Raises:
            ValueError: there is nothing to put back; the text says why.
            StoreFailed: it could not be written.
        """
        with self._lock:
            taken = self.journal.one(identity)
            if taken is None:
                return None
            if not ACTIONS[taken.action].reversible:
                why = ACTIONS[taken.action].harmless or "it was advice alone"
                raise ValueError(f"{taken.action} cannot be put back, and need not be: {why}")
            if taken.state not in ("acting", "acted"):
                raise ValueError(f"nothing is left to put back: this action is {taken.state}")
            taken.by = by
            self._undo(taken, "somebody wanted it")
            return taken

    def _run(self) -> None:
        while not self._ended.wait(LOOK):
            due = monotonic() - self._judged_at >= JUDGE  # whatever becomes of the clock
            try:
                self.look(due)
                self._failing = ""
            except Exception as error:
                if str(error) != self._failing:
                    self._failing = str(error)
                    known = isinstance(error, (StoreFailed, duckdb.Error))
                    log.error("optimisation rules could not be looked at: %s", error, exc_info=not known)

    def _judge(self, now: float, busy: set[str]) -> None:
        self._judged_at = monotonic()
        if self.rules.mode == "off":
            return
        rules = [one for one in self.rules.all().values() if one.enabled and self.rules.mode_of(one) != "off"]
        found = processes(self._hub.store, Range(now - HOUR, now))
        alive = {one.service for one in found if one.alive}
        if not rules or not alive:
            return
        for holding in self._known().now(rules, alive, now):
            if self._may(holding, now):
                self._take(holding, now, busy)

    def _known(self) -> Conditions:
        if self._conditions is None:
            from perfagent.hub.optimise.conditions import Conditions  # which needs the hub, that needs this

            self._conditions = Conditions(self._hub)
        return self._conditions

    def _may(self, holding: Holding, now: float) -> bool:
        """Whether a rule's turn has come: not in its cooldown, on hold, or in a maintenance window."""
        rule, service = holding.rule, holding.service
        hold = self.rules.holds().get(f"{rule.name} {service}")
        if hold is not None and hold["until"] > now:
            return False
        quiet = rule.cooldown_minutes * 60
        if self.rules.mode_of(rule) == "advise":
            quiet = max(quiet, SAME_ADVICE)
        since = now - max(quiet, HOUR)
        for row in self.journal.lately(since):
            if (row["rule"], row["service"]) == (rule.name, service) and now - row["time"] < (
                max(quiet, SAME_ADVICE) if row["state"] == "advised" and ACTIONS[row["action"]].advises else quiet
            ):
                return False
        return not any(one.covers(service) and one.lasts(now) for one in self._hub.alerts.mutes.windows())

    def _take(self, holding: Holding, now: float, busy: set[str]) -> None:
        """Advises, or acts: one action at a time for a service, so that no two rules are against each other."""
        rule = holding.rule
        action = self._next(rule, holding.service, now)
        if action is None:
            return
        acting = self.rules.mode_of(rule) == "act" and not action.advises
        if not acting:
            self._write(self._begun(holding, action, now, "advised", advice.text(self._hub, holding, action, now)))
            return
        if holding.service in busy or (action.evidence and self._hub.zone in ("red", "critical")):
            return
        if sum(row["state"] != "advised" for row in self.journal.lately(now - HOUR)) >= MOST_AN_HOUR:
            return
        instances = self._instances(holding.service, now)
        if not instances and action.order is not None:
            return
        text = f"{holding.text}\nThe hub has asked {_processes(len(instances))} to {action.title}."
        if action.name == "webhook":
            text = f"{holding.text}\nThe hub has told {webhook.shown(rule.url)}."
        taken = self._begun(holding, action, now, "acting", text)
        taken.parts = [Part(one) for one in instances]
        if action.reversible:
            taken.undo_at = now + rule.undo_minutes * 60
        self._write(taken)  # before anything is asked: what is asked for must be put back after any end of the hub
        busy.add(holding.service)
        self._audit("optimise.act", taken)
        if action.name == "webhook":
            self._calls[taken.id] = webhook.Call(rule.url, taken)
        else:
            self._orders.give(taken, action, rule.tags)
            self._write(taken)

    def _next(self, rule: Optimisation, service: str, now: float) -> Action | None:
        """The first of a rule's actions that has not failed to help within the last day; None where all have."""
        tried = {
            row["action"]
            for row in self.journal.lately(now - FORGOTTEN)
            if (row["rule"], row["service"]) == (rule.name, service)
            and (row["state"] == "failed" or row["effect"] in ("no_effect", "harmed"))
        }
        return next((ACTIONS[name] for name in rule.actions if name not in tried), None)

    def _begun(self, holding: Holding, action: Action, now: float, state: str, text: str) -> Taken:
        return Taken(
            id=secrets.token_hex(8),
            time=now,
            rule=holding.rule.name,
            service=holding.service,
            action=action.name,
            state=state,  # type: ignore[arg-type]
            text=text,
            value=holding.value,
            limit=holding.limit,
            unit=holding.unit,
            figure=holding.figure if state == "acting" and action.name != "webhook" else "",
            better=holding.better,
            measure_seconds=float(holding.rule.measure_seconds),
            ended=now if state == "advised" else None,
        )

    def _settle(self, now: float) -> set[str]:
        """Goes on with what is under way; returns the services that it is about."""
        busy = set()
        for taken in self.journal.open():
            before = _progress(taken)
            if taken.state == "acting":
                self._hear(taken, now)
            due = effect.due(taken)
            if taken.state == "acted" and due is not None and now >= due:
                self._measured(taken)
            if taken.state in ("acting", "acted") and taken.undo_at is not None and now >= taken.undo_at:
                self._undo(taken, f"its {(taken.undo_at - taken.time) / 60:.0f} minutes were over")
            if taken.state == "acted" and taken.undo_at is None and (not taken.figure or taken.effect):
                taken.state, taken.ended = "done", now
            if taken.state == "undoing" and self._orders.take_back(taken, now):
                taken.state, taken.ended = "undone", now
            if before != _progress(taken):
                self._write(taken)
            if taken.ended is None:
                busy.add(taken.service)
        return busy

    def _hear(self, taken: Taken, now: float) -> None:
        if taken.action == "webhook":
            self._called(taken, now)
            return
        self._orders.hear(taken)
        if all(part.state != "waiting" for part in taken.parts):
            self._answered(taken, now)

    def _answered(self, taken: Taken, now: float) -> None:
        taken.answered = now
        if any(part.state in ("done", "lost") for part in taken.parts):
            taken.state = "acted"
            return
        taken.state, taken.ended = "failed", now
        taken.undo_at = None
        taken.reason = next((str(part.result) for part in taken.parts if part.result), "no process has answered")

    def _measured(self, taken: Taken) -> None:
        action = ACTIONS[taken.action]
        found = effect.measure(self._hub.store, taken)
        word: Effect = found.effect
        if word == "harmed" and not action.reversible:
            word = "no_effect"  # it went on getting worse, which is not the doing of what is harmless
        taken.effect, taken.before, taken.after, taken.p, taken.basis = word, *found[1:]
        self._audit("optimise.measured", taken)
        if word == "harmed":
            reason = f"{taken.action} made it worse: {found.basis}"
            self.rules.hold(taken.rule, taken.service, self._clock() + FORGOTTEN, reason)
            self._undo(taken, "it made things worse")
        elif word == "no_effect" and action.reversible and not action.evidence:
            self._undo(taken, "it did not help")

    def _undo(self, taken: Taken, reason: str) -> None:
        taken.state, taken.reason = "undoing", reason
        self._write(taken)
        self._audit("optimise.undo", taken)

    def _called(self, taken: Taken, now: float) -> None:
        """Takes in what came of a call, once that is known."""
        call = self._calls.get(taken.id)
        problem = call.problem if call is not None else "the hub ended before the answer"
        if problem is not None:
            self._calls.pop(taken.id, None)
            taken.state, taken.reason = ("failed" if problem else "done"), problem
            taken.answered = taken.ended = now

    def _instances(self, service: str, now: float) -> list[str]:
        """The processes of a service that can be commanded."""
        found = processes(self._hub.store, Range(now - HOUR, now), service)
        return [one.instance for one in found if one.alive and one.attributes.get("telemetry.sdk.name") == OURS]

    def _write(self, taken: Taken) -> None:
        self.journal.write(taken)

    def _audit(self, what: str, taken: Taken) -> None:
        after = {"id": taken.id, "action": taken.action, "service": taken.service}
        if what == "optimise.measured":
            after |= {"effect": taken.effect, "before": taken.before, "after": taken.after}  # type: ignore[dict-item]
        elif taken.reason:
            after["reason"] = taken.reason
        self._hub.store.audit(taken.by or "hub", "", what, taken.rule, None, after)


def _progress(taken: Taken) -> tuple[object, ...]:
    """What must be written when it changes."""
    parts = [(part.state, part.undo_asked, part.undone) for part in taken.parts]
    return taken.state, taken.effect, taken.undo_began, parts


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
