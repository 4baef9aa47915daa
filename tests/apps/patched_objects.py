"""Tells what a program sees of the objects that the instruments replace: run bare, and under the agent.

python -m tests.apps.patched_objects names           the objects, under the agent alone
python -m tests.apps.patched_objects facts < NAMES   what is to be seen of each, as JSON
python -m tests.apps.patched_objects undone          what is left of a patch that is undone; with no agent
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import inspect
import json
import pickle
import sys
import typing
import warnings
import weakref
from functools import partial
from types import ModuleType
from typing import Any

from perfagent.instruments import load
from perfagent.instruments.registry import INSTRUMENTS

PREDICATES = (
    inspect.isfunction, inspect.ismethod, inspect.isbuiltin, inspect.isroutine, inspect.isclass,
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.ismethoddescriptor, inspect.isdatadescriptor,
    inspect.isabstract, asyncio.iscoroutinefunction, callable,
)  # fmt: skip

ATTRIBUTES = (
    "__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "__text_signature__",
    "__isabstractmethod__", "__slots__", "__type_params__", "__deprecated__",
)  # fmt: skip


def import_all() -> None:
    """Imports every library that an instrument waits for and that is installed."""
    warnings.simplefilter("ignore")
    import django.conf

    django.conf.settings.configure()
    for _, _, waits_for in INSTRUMENTS:
        for name in waits_for:
            try:
                importlib.import_module(name)
            except (ImportError, AttributeError):  # not installed, or a module that this version has not
                continue


def names() -> list[str]:
    """The replaced objects, as `module:owner.attribute`."""
    return sorted(
        f"{_address(owner)}.{attribute}".replace(":.", ":")
        for instrument in load.loaded.values()
        for owner, attribute, _, _ in instrument._replaced
    )


def _address(owner: Any) -> str:
    if isinstance(owner, ModuleType):
        return f"{owner.__name__}:"
    return f"{owner.__module__}:{owner.__qualname__}"


def _find(name: str) -> tuple[Any, str, Any]:
    """The owner, the attribute and what is there."""
    module, _, path = name.partition(":")
    *owners, attribute = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    return owner, attribute, getattr(owner, attribute)


def _told(what: Any) -> str:
    """The value of a call as a text, or the exception's type."""
    try:
        return str(what())
    except Exception as error:
        return type(error).__name__


def facts(name: str) -> dict[str, str]:
    """All that the standard library can tell of an object."""
    owner, attribute, found = _find(name)
    static = inspect.getattr_static(owner, attribute)
    told = {
        "kind": str(inspect.isroutine(found)) if callable(found) else type(found).__name__,
        "stored as": type(static).__name__,
        "found in": str([base.__qualname__ for base in getattr(owner, "__mro__", ()) if attribute in vars(base)]),
        "names of the owner": str(sorted(dir(owner))),
        "signature": _told(lambda: inspect.signature(found)),
        "parameters": _told(lambda: [(p.name, p.kind) for p in inspect.signature(found).parameters.values()]),
        "type hints": _told(lambda: typing.get_type_hints(found)),
        "source": _told(lambda: inspect.getsource(found)),
        "file": _told(lambda: inspect.getsourcefile(found)),
        "module": _told(lambda: inspect.getmodule(found).__name__),  # type: ignore[union-attr]
        "pickled": _told(lambda: pickle.loads(pickle.dumps(found)) is found),
        "copied": _told(lambda: copy.copy(found) is found and copy.deepcopy(found) is found),
        "weak": _told(lambda: weakref.ref(found)() is found),
        "hashed": _told(lambda: found in {found} and found == found),
        "equal": _told(lambda: getattr(owner, attribute) == found and getattr(owner, attribute) != object()),
        "marked": _told(lambda: _mark(found)),
        "true": _told(lambda: bool(found)),
        **{name: _told(partial(getattr, found, name)) for name in ATTRIBUTES},
        **{predicate.__name__: _told(partial(predicate, found)) for predicate in PREDICATES},
    }  # fmt: skip
    if isinstance(owner, type):
        told |= _as_member(owner, attribute, found)
    if isinstance(found, type):
        told["base of"] = _told(lambda: issubclass(type("Own", (found,), {}), found))
        told["order of bases"] = str(
            [base.__qualname__ for base in found.__mro__ if not base.__module__.startswith("perfagent")]
        )
    return told


def _mark(found: Any) -> bool:
    found.a_mark_of_the_programs_own = 1
    seen = found.a_mark_of_the_programs_own == 1
    del found.a_mark_of_the_programs_own
    return seen and not hasattr(found, "a_mark_of_the_programs_own")


def _as_member(owner: type, attribute: str, found: Any) -> dict[str, str]:
    """How it is as a member of an instance, and of a class of the program's own below its owner."""
    told = {}
    try:
        own: Any = type("Own", (owner,), {})
        instance = own.__new__(own)
    except Exception as error:
        return {"of an instance": type(error).__name__}
    told["bound to"] = _told(lambda: getattr(instance, attribute).__self__ is instance)
    told["function of"] = _told(lambda: getattr(instance, attribute).__func__ is found)
    told["bound signature"] = _told(lambda: inspect.signature(getattr(instance, attribute)))
    told["bound coroutine"] = _told(lambda: inspect.iscoroutinefunction(getattr(instance, attribute)))
    told["inherited"] = _told(lambda: getattr(own, attribute) is found)
    told["by super"] = _told(lambda: getattr(super(own, instance), attribute).__func__ is found)
    told["of its kind"] = str(isinstance(instance, owner) and issubclass(own, owner))
    told["overridden"] = _told(lambda: type("Own", (owner,), {attribute: 1}).__dict__[attribute])
    return told


def undone() -> dict[str, list[str]]:
    """What every module and class holds before the instruments, with them, and when they are gone."""
    import_all()
    places = _places()
    before = {address: dict(vars(place)) for address, place in places.items()}
    from perfagent import settings

    load.install(settings.current())
    patched = _changed(places, before)
    listed = names()
    load.uninstall()
    return {"changed": patched, "listed": listed, "left": _changed(places, before)}


def _places() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and not name.startswith(("perfagent", "tests")):
            found[name + ":"] = module
            for value in list(vars(module).values()):
                if isinstance(value, type) and value.__module__ == name:
                    found[_address(value)] = value
    return found


def _changed(places: dict[str, Any], before: dict[str, dict[str, Any]]) -> list[str]:
    missing = object()
    return sorted(
        f"{address}.{name}".replace(":.", ":")
        for address, place in places.items()
        for name in vars(place).keys() | before[address].keys()
        if vars(place).get(name, missing) is not before[address].get(name, missing)
        and not name.startswith(("_abc_", "__annotations", "__warningregistry"))
        and not isinstance(vars(place).get(name), ModuleType)  # a part of a package that was imported since
    )


if __name__ == "__main__":
    match sys.argv[1]:
        case "names":
            import_all()
            print(json.dumps({"names": names(), "instruments": load.states()}))
        case "facts":
            asked = json.load(sys.stdin)
            import_all()
            print(json.dumps({name: facts(name) for name in asked}))
        case "undone":
            print(json.dumps(undone()))
