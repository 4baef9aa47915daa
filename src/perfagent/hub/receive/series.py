"""The identity of a series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfagent.hub.receive.attributes import dumps
from perfagent.hub.store.rows import Series, identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfagent.hub.store.rows import Resource


def series_of(
    resource: Resource,
    scope: str,
    name: str,
    kind: str,
    unit: str,
    description: str,
    cumulative: bool,
    monotonic: bool,
    attributes: Mapping[str, Any],
    bounds: tuple[float, ...] | None,
) -> Series:
    """One metric with one set of attributes of one resource; the description is no part of what it is."""
    shown = dumps({key: attributes[key] for key in sorted(attributes)})
    what = identity(str(resource.id), scope, name, kind, unit, f"{cumulative} {monotonic}", shown, repr(bounds))
    return Series(
        what, resource.id, resource.service, scope, name, kind, unit, description, cumulative, monotonic, shown,
        None if bounds is None else list(bounds),
    )  # fmt: skip
