"""What the decoders remember from request to request: attributes, resources, scopes, operations, sampling."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from perfagent.hub.receive import wire
from perfagent.hub.receive.attributes import Attributes, dumps, text
from perfagent.hub.receive.limits import Limits, Rate, Receipt
from perfagent.hub.receive.operations import identity
from perfagent.hub.store.rows import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfagent.hub.receive.operations import Shape
    from perfagent.hub.receive.wire import Part
    from perfagent.hub.store.rows import Series

ENTRIES = 20_000
"""Shapes and series that are remembered; then all are forgotten, which costs 10 us each to learn again."""

RANDOM = re.compile(rb";?rv:[0-9a-f]*")


class Scope(NamedTuple):
    """The library that made an item."""

    name: str
    suffix: str  # its name, version and attributes as members of a JSON object
    suffix_of_log: str  # the same without the name, for which the logs have a column


class Known:
    """One hub's memory; used on its event loop alone, so nothing is locked.

    Args:
        limits: what one item may hold.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.rate = Rate(self.limits.rate)
        self.attributes = Attributes(self.limits)
        self.shapes: dict[tuple[Any, ...], Shape] = {}
        self.series: dict[tuple[Any, ...], Series] = {}
        self._resources: dict[bytes, Resource] = {}
        self._scopes: dict[bytes, Scope] = {}
        self._weights: dict[bytes, float] = {}
        self._members: dict[object, set[int]] = {}

    def receipt(self, noun: str, size: int, now: int | None = None) -> Receipt:
        """The account of a new request."""
        return Receipt(noun, size, self.limits, self.rate, now)

    def parts(self, parts: Iterable[Part], receipt: Receipt) -> Iterator[tuple[Resource, Scope, Sequence[bytes]]]:
        """The resource, the scope and the items of each part of a request; raises DecodeError."""
        for sender, made_by, items in parts:
            resource = self.resource(sender, receipt)
            receipt.batch.resources[resource.id] = resource
            yield resource, self.scope(made_by, receipt), items

    def resource(self, raw: bytes, receipt: Receipt) -> Resource:
        """Who sent: its service, its instance, and all that it tells of itself."""
        found = self._resources.get(raw)
        if found is None:
            message = wire.Resource.FromString(raw)
            found = resource(self.attributes.dict(message.attributes, receipt))
            _remember(self._resources, raw, found)
        return found

    def scope(self, raw: bytes, receipt: Receipt) -> Scope:
        """The library that made the items."""
        found = self._scopes.get(raw)
        if found is None:
            message = wire.Scope.FromString(raw)
            name, _ = text(message.name, self.limits.key)
            version, _ = text(message.version, self.limits.key)
            told = self.attributes.dict(message.attributes, receipt)
            if version:
                told["version"] = version
            members = {f"otel.scope.{key}": value for key, value in told.items()}
            without = dumps(members)[1:-1]
            found = Scope(name, dumps({"otel.scope.name": name, **members})[1:-1] if name else without, without)
            _remember(self._scopes, raw, found)
        return found

    def weight(self, tracestate: bytes) -> float:
        """How many spans one stands for, by the tracestate's member `ot`."""
        if not tracestate:
            return 1.0
        alike = RANDOM.sub(b"", tracestate)  # a trace's own random number would make each a stranger
        found = self._weights.get(alike)
        if found is None:
            found = weight(alike.decode("ascii", "replace"))
            _remember(self._weights, alike, found)
        return found

    def admits(self, owner: object, member: int, most: int) -> bool:
        """Whether an owner may have this operation or series beside the `most` - 1 others that it has already."""
        members = self._members.get(owner)
        if members is None:
            if len(self._members) >= ENTRIES:
                self._members.clear()
            members = self._members[owner] = set()
        if member not in members:
            if len(members) >= most:
                return False
            members.add(member)
        return True

    def learn_shape(self, key: tuple[Any, ...], shape: Shape) -> None:
        """Remembers what spans with this key are."""
        _remember(self.shapes, key, shape)

    def learn_series(self, key: tuple[Any, ...], series: Series) -> None:
        """Remembers the series of points with this key."""
        _remember(self.series, key, series)


def _remember(memory: dict[Any, Any], key: Any, value: Any) -> None:
    if len(memory) >= ENTRIES:
        memory.clear()
    memory[key] = value


def resource(attributes: dict[str, Any]) -> Resource:
    """A resource of these attributes: its instance is `service.instance.id`, else its host and process."""
    told = {key: attributes[key] for key in sorted(attributes)}
    shown = dumps(told)
    service = str(told.get("service.name") or "unknown_service")
    if space := told.get("service.namespace"):
        service = f"{space}/{service}"
    instance = told.get("service.instance.id")
    if not instance:
        names = ("k8s.pod.name", "container.id", "host.name", "process.pid")
        instance = ":".join(str(told[name]) for name in names if told.get(name)) or service
    return Resource(
        identity(shown),
        service,
        str(instance),
        str(told.get("service.version") or ""),
        str(told.get("deployment.environment.name") or told.get("deployment.environment") or ""),
        shown,
    )


def weight(tracestate: str) -> float:
    """How many spans one stands for, of a W3C tracestate.

    `ot=th:HEX` is the threshold below which traces were rejected, as a fraction of 2^56 without its trailing zeros
    (OpenTelemetry: TraceState, Probability Sampling); `ot=p:N`, before it, says one in 2^N; p:63 stands for none.
    """
    for member in tracestate.split(","):
        key, _, value = member.strip().partition("=")
        if key != "ot":
            continue
        fields = dict(field.partition(":")[::2] for field in value.split(";"))
        threshold, power = fields.get("th", ""), fields.get("p", "")
        try:
            if threshold and len(threshold) <= 14:
                kept = (1 << 56) - int(threshold.ljust(14, "0"), 16)
                return math.ldexp(1.0, 56) / kept
            if power and 0 <= int(power) <= 62:
                return float(1 << int(power))
        except ValueError:
            return 1.0
    return 1.0
