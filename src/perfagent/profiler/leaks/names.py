"""How an object is reached from a module: `app.bus.listeners[…]`, without a value on the way, nor a key."""

from __future__ import annotations

import gc
import sys
from types import CellType, FunctionType
from typing import NamedTuple

from perfagent.profiler.leaks import objects
from perfagent.runtime import inert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ITEM = "[…]"
TASKS = "asyncio's tasks"
"""The root that is no module."""
LONGEST = 300  # characters


class Step(NamedTuple):
    """One step of the way from a module to an object."""

    name: str  # ".attribute", "[…]", or what begins the way
    type: str
    size: int  # entries, -1 for what is no container


class Place(NamedTuple):
    """Where the name of something stands in the program."""

    module: str
    owner: str  # class or function that has the name; "" for a module's global
    name: str
    code: tuple[str, int] | None  # file and first line of the function that has it


def way(root: str, chain: list[Any]) -> tuple[list[Step], Place | None]:
    """How an object is reached, from the last class or function on the way that has a name of its own.

    Args:
        root: the module that the way begins in.
        chain: the objects on it, the module's dict first.

    Returns:
        The steps, and where the last name among them stands.
    """
    steps = [Step(root, "module" if root != TASKS else "", -1)]
    place: Place | None = None
    for position in range(0 if root == TASKS else 1, len(chain)):
        found = chain[position]
        kind = type(found)
        if issubclass(kind, type):
            steps, place = [Step(objects.type_name(found), "class", -1)], None
        elif kind is FunctionType and "<locals>" not in found.__qualname__:
            steps, place = [Step(f"{found.__module__}.{found.__qualname__}", "function", -1)], None
        elif not position:
            steps.append(_step(f" {_coroutine_of(found)}", found))
        else:
            name, holder = _edge(chain, position)
            if name:
                place = _place(root, holder, name)
            shown = ITEM if name is None else f".{name}" if name else ""
            if shown or position == len(chain) - 1:
                steps.append(_step(shown, found))
    return steps, place


def text(steps: list[Step]) -> str:
    """The way in one text."""
    return "".join(step.name for step in steps)[:LONGEST]


def _step(name: str, found: object) -> Step:
    container = objects.container_kind(type(found))
    return Step(name, objects.type_name(type(found)), container[1](found) if container is not None else -1)


def _edge(chain: list[Any], position: int) -> tuple[str | None, Any]:
    """What the object above calls this one, "" for no name, None for an item; and who has that name."""
    found, above = chain[position], chain[position - 1]
    before = chain[position - 2] if position > 1 else None
    kind = type(above)
    if type(found) is CellType or kind is FunctionType:
        return "", None
    if kind is CellType:
        function = next((one for one in reversed(chain[:position]) if type(one) is FunctionType), None)
        return _variable(function, above), function
    if kind is tuple and type(before) is FunctionType:
        return "(defaults)", before
    if issubclass(kind, type):
        return _key(objects.contents(above), found), above
    if kind is dict and (position == 1 or _attributes_are(before, above)):
        return _key(above, found), before
    if id(kind) in objects.PLAIN:
        return None, None
    if _attributes_are(above, found):
        return "", None
    return _key(objects.attributes(above), found) or ("" if objects.container_kind(kind) is None else None), above


def _variable(function: Any, cell: object) -> str:
    if function is not None:
        for name, one in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            if one is cell:
                return str(name)
    return ""


def _attributes_are(holder: Any, found: object) -> bool:
    """Whether a dict is the attributes of an object rather than one of them."""
    if type(found) is not dict or id(type(holder)) in objects.PLAIN:
        return False
    return inert.attributes_of(holder) is found


def _key(names: dict[str, Any], found: object) -> str | None:
    for name, value in list(names.items())[: objects.MOST_REFERENTS]:
        if value is found:
            return name if type(name) is str and name.isidentifier() else None
    return None


def _place(root: str, holder: Any, name: str) -> Place | None:
    if holder is None:
        return Place(root, "", name, None)
    if type(holder) is FunctionType:
        code = holder.__code__
        return Place(str(holder.__module__), code.co_name, name, (code.co_filename, code.co_firstlineno))
    described = holder if issubclass(type(holder), type) else type(holder)
    return Place(inert.module_of(described), objects.type_name(described).rpartition(".")[2], name, None)


def tasks() -> list[Any]:
    """The tasks there are: what a coroutine waits for, it holds what it has in its variables."""
    module = sys.modules.get("asyncio.tasks")
    for name in ("_scheduled_tasks", "_all_tasks"):
        data = getattr(getattr(module, name, None), "data", None)
        if type(data) is set:
            return [task for task in (reference() for reference in list(data)[:1000]) if task is not None]
    return []


def _coroutine_of(task: object) -> str:
    """The function that a task runs."""
    for one in gc.get_referents(task):
        code = getattr(one, "cr_code", None) if type(one).__name__ == "coroutine" else None
        if code is not None:
            return str(getattr(one, "__qualname__", code.co_name))
    return "task"
