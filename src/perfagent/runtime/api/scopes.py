"""Instrumentation scopes, by what a program asks for a tracer, a meter or a logger with."""

from __future__ import annotations

from perfagent.runtime.attributes import cleaned, identity
from perfagent.runtime.span import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 4096  # remembered; a program that makes up ever new names gets new scopes, and no leak


class Scopes:
    """The scopes of one provider."""

    def __init__(self) -> None:
        self._known: dict[object, Scope] = {}

    def of(
        self,
        name: str | None,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> Scope:
        """The scope of these; what is None counts as empty."""
        kept = cleaned(attributes) if attributes else None
        key = (name, version, schema_url, identity(kept))
        found = self._known.get(key)
        if found is None:
            found = Scope(_text(name), _text(version), _text(schema_url), kept)
            if len(self._known) < MOST:
                found = self._known.setdefault(key, found)
        return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
