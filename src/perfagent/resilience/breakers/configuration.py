"""The file of circuit breakers: read, checked against the schema, and told by the entry what is wrong with it."""

from __future__ import annotations

import builtins
import functools
import json
import os
from dataclasses import dataclass, replace
from importlib import import_module, resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

INSTALL = 'circuit breakers need purgatory, PyYAML and jsonschema: pip install "perfagent[resilience]"'
EXAMPLES = {
    "failure_threshold": "failure_threshold: 5",
    "recovery_time": "recovery_time: 30",
    "exclude": "exclude: [ValueError, requests.exceptions.HTTPError]",
    "fallback": "fallback: shop.payments:pay_later",
    "storage": "storage: redis://localhost:6379/0",
    "breakers": "breakers: {payments: {failure_threshold: 3}}",
    "defaults": "defaults: {failure_threshold: 5, recovery_time: 30}",
}
RULES = {
    "failure_threshold": "a whole number from 1 to 1000000: so many failures in a row open it",
    "recovery_time": "seconds, more than 0 and at most 86400: how long it stays open before one call is let through",
    "exclude": "a list of names of exceptions, with their modules unless they are built in: these are no failures",
    "fallback": "`module:function`, which is called in place of a call that is not let through",
    "storage": "an address that begins with redis://, rediss:// or unix://",
    "breakers": "breakers by their names, of 1 to 100 characters, each with its settings",
    "defaults": "settings for every breaker that does not say otherwise",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens and how long it stays so.

    Args:
        failure_threshold: failures in a row that open it.
        recovery_time: seconds that it stays open before one call is let through to try.
        exclude: exceptions that are no failures; their subclasses are none either.
        fallback: `module:function` that answers calls which are not let through, or "".
    """

    failure_threshold: int = 5
    recovery_time: float = 30.0
    exclude: tuple[type[Exception], ...] = ()
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file says.

    Args:
        defaults: for every breaker that is not in it.
        breakers: by name.
        storage: the address of a Redis that processes share, or "".
        path: of the file; "" where there is none.
    """

    defaults: Rules
    breakers: Mapping[str, Rules]
    storage: str = ""
    path: str = ""

    def rules(self, name: str) -> Rules:
        """The rules of the breaker of that name."""
        return self.breakers.get(name, self.defaults)


def read(path: str | os.PathLike[str]) -> Configuration:
    """Reads a file of breakers.

    Args:
        path: of the YAML file.

    Raises:
        ValueError: it is no YAML or not as the schema wants it; the text names the entry, the rule and an example.
        OSError: it cannot be read.
        ImportError: PyYAML or jsonschema is not installed.
    """
    path = os.fspath(path)
    with open(path, encoding="utf-8") as file:
        content = _parsed(file.read(), path)
    if content is None:
        content = {}
    _check(content, path)
    defaults = _rules(Rules(), content.get("defaults") or {}, path, "defaults")
    breakers = {
        name: _rules(defaults, told or {}, path, f"breakers.{name}")
        for name, told in (content.get("breakers") or {}).items()
    }
    return Configuration(defaults, breakers, content.get("storage", ""), path)


def check(name: str, **told: Any) -> None:
    """Checks settings that code gives, by the rules of the file.

    Raises:
        ValueError: one is not accepted.
    """
    for key, value in told.items():
        good = {
            "failure_threshold": isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000_000,
            "recovery_time": isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 86_400,
        }[key]
        if not good:
            example = EXAMPLES[key].replace(": ", "=")
            raise ValueError(f"circuit breaker {name!r}: {key}={value!r} is not accepted: {RULES[key]}; e.g. {example}")


def _parsed(text: str, path: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ImportError(INSTALL) from error

    class Loader(yaml.SafeLoader):
        """Refuses a key that stands there twice: YAML's own loader keeps the last in silence."""

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _value in node.value:
            key = loader.construct_object(key_node, deep=True)
            if isinstance(key, (str, int)) and key in seen:
                line = key_node.start_mark.line + 1
                raise ValueError(f"{path}: {key!r} stands there twice, again in line {line}: keep one of them")
            if isinstance(key, (str, int)):
                seen.add(key)
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        return yaml.load(text, Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ValueError(f"{path} is no YAML{line}: {problem}; e.g. {EXAMPLES['breakers']}") from None


def _check(content: Any, path: str) -> None:
    try:
        from jsonschema import Draft202012Validator
    except ImportError as error:
        raise ImportError(INSTALL) from error
    errors = Draft202012Validator(_schema()).iter_errors(content)
    found = min(errors, key=lambda one: [str(part) for part in one.path], default=None)
    if found is None:
        return
    place = [str(part) for part in found.absolute_path]
    keys = [part for part in place if part in RULES]
    if found.validator == "additionalProperties" and isinstance(found.instance, dict):
        known = tuple(found.schema.get("properties", ()))
        unknown = next(key for key in found.instance if key not in known)
        where = ".".join([*place, str(unknown)])
        raise ValueError(f"{path}: {where} is unknown: there are {', '.join(known)}; e.g. {EXAMPLES[known[-2]]}")
    key = keys[-1] if keys else "breakers"
    if found.validator == "propertyNames" or (found.parent is not None and found.parent.validator == "propertyNames"):
        key = "breakers"
    shown = _without_password(found.instance) if key == "storage" else _shown(found.instance)
    where = ".".join(place) or "the file"
    raise ValueError(f"{path}: {where}={shown} is not accepted: {RULES[key]}; e.g. {EXAMPLES[key]}")


@functools.cache
def _schema() -> Any:
    return json.loads(resources.files(__package__).joinpath("schema.json").read_text("utf-8"))


def _shown(value: object) -> str:
    return {"list": "a list", "dict": "a mapping"}.get(type(value).__name__, repr(value)[:200])


def _without_password(text: object) -> str:
    scheme, separator, rest = str(text).partition("://")
    return repr(scheme + separator + rest.rpartition("@")[2]) if separator else "…"


def _rules(base: Rules, told: dict[str, Any], path: str, where: str) -> Rules:
    names = told.get("exclude")
    recovery_time = float(told.get("recovery_time", base.recovery_time))
    if recovery_time != recovery_time:  # YAML has .nan, and no number is below or above it
        key = "recovery_time"
        raise ValueError(f"{path}: {where}.{key}=nan is not accepted: {RULES[key]}; e.g. {EXAMPLES[key]}")
    return replace(
        base,
        failure_threshold=told.get("failure_threshold", base.failure_threshold),
        recovery_time=recovery_time,
        exclude=base.exclude if names is None else tuple(_exceptions(names, path, where)),
        fallback=told.get("fallback", base.fallback),
    )


def _exceptions(names: list[str], path: str, where: str) -> Iterable[type[Exception]]:
    for position, name in enumerate(names):
        found = _found(name)
        if not (isinstance(found, type) and issubclass(found, Exception)):
            what = "is no exception" if found is not None else "is not to be found"
            raise ValueError(
                f"{path}: {where}.exclude.{position}={name!r} {what}: {RULES['exclude']}; e.g. {EXAMPLES['exclude']}"
            )
        yield found


def _found(name: str) -> object:
    """The object of a dotted name, or None."""
    module, _, attribute = name.rpartition(".")
    if not module:
        return getattr(builtins, name, None)
    try:
        return getattr(import_module(module), attribute, None)
    except ImportError:
        outer = _found(module)  # a class within a class
        return getattr(outer, attribute, None) if isinstance(outer, type) else None
