"""Reads the keys of a source's table; each refusal names the key, its value, and what is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.sources import addresses
from perfagent.hub.sources.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.sources.source import Plan


def headers(plan: Plan) -> dict[str, str]:
    """The table `headers`, its `${NAME}` filled from the environment; raises SourceError."""
    try:
        found = {name: addresses.filled(value).strip() for name, value in texts(plan, "headers").items()}
    except addresses.MissingVariable as error:
        raise SourceError(f"headers: {error}") from None
    for name, value in found.items():
        if not value.isprintable():  # http.client would tell the value in its error
            raise SourceError(f"headers: the value of {name} is not accepted: one line of text")
    return found


def texts(plan: Plan, key: str) -> Mapping[str, str]:
    """A table of texts; raises SourceError."""
    value = plan.options.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise SourceError(f'{key} is not accepted: a table of texts, such as {key} = {{ name = "text" }}')
    return value


def words(plan: Plan, key: str) -> tuple[str, ...]:
    """A list of texts, or one; raises SourceError."""
    value = plan.options.get(key, ())
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(one, str) and one for one in found):
        raise SourceError(f'{key}={str(value)[:100]!r} is not accepted: a list of texts, such as {key} = ["one"]')
    return tuple(found)


def numbers(plan: Plan, key: str, low: int, high: int) -> tuple[int, ...]:
    """A list of whole numbers, or one; raises SourceError."""
    value = plan.options.get(key, ())
    found = [value] if isinstance(value, int) else value
    wrong = not isinstance(found, (list, tuple)) or not all(type(one) is int and low <= one <= high for one in found)
    if wrong:
        raise SourceError(f"{key}={str(value)[:100]!r} is not accepted: whole numbers from {low} to {high}")
    return tuple(found)  # type: ignore[arg-type]


def flag(plan: Plan, key: str) -> bool:
    """True or false; false when left out; raises SourceError."""
    value = plan.options.get(key, False)
    if not isinstance(value, bool):
        raise SourceError(f"{key}={value!r} is not accepted: true or false")
    return value
