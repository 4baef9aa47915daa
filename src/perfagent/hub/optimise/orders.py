"""Asks processes for what an action does, hears what they answer, and has it put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.control.commands import DONE, EXPIRY, FAILED, Full
from perfagent.hub.optimise.actions import ACTIONS, former, ordered, stock

if TYPE_CHECKING:
    from perfagent.hub.control.commands import Command, Commands
    from perfagent.hub.optimise.actions import Action
    from perfagent.hub.optimise.journal import Part, Taken

GIVEN_UP = 2 * EXPIRY  # s after which a process that does not put things back has ended: a new one starts afresh


class Orders:
    """The commands of actions.

    Args:
        commands: of the hub; in its memory alone, so that a new hub knows none of before.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def give(self, taken: Taken, action: Action, tags: tuple[str, ...]) -> None:
        """Asks every process of an action."""
        order = ordered(action, tags)
        for part in taken.parts:
            try:
                part.asked = self._commands.ask(part.instance, order.command, order.value).id
            except Full as full:
                part.state, part.result = "failed", str(full)

    def hear(self, taken: Taken) -> None:
        """Takes in what processes have answered, and how each one puts things back."""
        action = ACTIONS[taken.action]
        for part in taken.parts:
            if part.state != "waiting":
                continue
            command = self._known(part, part.asked)
            if command is None:  # of a hub that has ended since: it may have been obeyed
                part.state = "lost"
                part.undo = tuple(stock(action)) if action.reversible else None
            elif command.state == DONE:
                part.state, part.result = "done", command.result
                back = former(action, command.result)
                part.undo = tuple(back) if back is not None else None
            elif command.state == FAILED:
                part.state, part.result = "failed", command.result

    def take_back(self, taken: Taken, now: float) -> bool:
        """Has things put back; returns whether all is as it was, or nobody is left to tell."""
        self.hear(taken)
        for part in taken.parts:
            if part.undone or part.state == "waiting":
                continue
            if part.undo is None:
                part.undone = True
                continue
            command = self._known(part, part.undo_asked) if part.undo_asked else None
            if command is not None and command.state == DONE:
                part.undone = True
            elif command is None or command.state == FAILED:
                try:
                    part.undo_asked = self._commands.ask(part.instance, *part.undo).id
                except Full:
                    continue
        if all(part.undone for part in taken.parts):
            return True
        taken.undo_began = taken.undo_began or now
        if now - taken.undo_began > GIVEN_UP:
            taken.reason += "; a process did not answer any more"
            return True
        return False

    def _known(self, part: Part, identity: str) -> Command | None:
        return next((one for one in self._commands.of(part.instance) if one.id == identity), None)
