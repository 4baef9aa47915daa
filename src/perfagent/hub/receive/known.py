"""What the decoders remember from request to request: attributes, resources, scopes, operations, sampling."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from perfagent.hub.receive import wire
from perfagent.hub.receive.attributes import Attributes, dumps, text
from perfagent.hub.receive.limits import Limits, Malformed, Rate, Receipt
from perfagent.hub.store.rows import Resource, identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perfagent.hub.receive.operations import Shape
    from perfagent.hub.receive.wire import Part
    from perfagent.hub.store.rows import Frame, Path, Series, StackNode

K = TypeVar("K")
V = TypeVar("V")

ENTRIES = 20_000
"""Shapes and series that are remembered; then all are forgotten, which costs 10 us each to learn again."""
BYTES = 16_777_216
"""The same by size, for a name may have 4 MiB: of what a key holds, and 300 for the rest of an entry."""
SENDER = 1_048_576
"""Bytes of a resource or a scope."""
MEMBERS = 500_000
"""Operations and series of all owners that are counted, 60 MB; then all are counted anew."""
NAME = 255
"""Characters of a service, an instance, a version or an environment."""

RANDOM = re.compile(rb";?rv:[0-9a-f]*")


class Scope(NamedTuple):
    """The library that made an item."""

    name: str
    suffix: str  # its name, version and attributes as members of a JSON object
    suffix_of_log: str  # the same without the name, for which the logs have a column


class Memory(dict[K, V]):
    """What was learnt, until it is too much."""

    _bytes = 0

    def learn(self, key: K, value: V, size: int) -> None:
        """Remembers a value; `size` is that of its key, in bytes."""
        self._bytes += size + 300
        if len(self) >= ENTRIES or self._bytes > BYTES:
            self.clear()
            self._bytes = size
        self[key] = value


class Known:
    """One hub's memory; used on its event loop alone, so nothing is locked.

    Args:
        limits: what one item may hold.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.rate = Rate(self.limits.rate)
        self.attributes = Attributes(self.limits)
        self.shapes: Memory[tuple[Any, ...], Shape] = Memory()
        self.series: Memory[tuple[Any, ...], Series] = Memory()
        self.frames: Memory[tuple[str, str, int], Frame] = Memory()
        self.nodes: Memory[tuple[int, int], StackNode] = Memory()
        self.paths: Memory[tuple[int, ...], Path] = Memory()
        self._resources: Memory[bytes, Resource] = Memory()
        self._scopes: Memory[bytes, Scope] = Memory()
        self._weights: Memory[bytes, float] = Memory()
        self._members: dict[object, set[int]] = {}
        self._counted = 0

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
            _check(raw)
            message = wire.Resource.FromString(raw)
            found = resource(self.attributes.dict(message.attributes, receipt))
            self._resources.learn(raw, found, len(raw))
        return found

    def scope(self, raw: bytes, receipt: Receipt) -> Scope:
        """The library that made the items."""
        found = self._scopes.get(raw)
        if found is None:
            _check(raw)
            message = wire.Scope.FromString(raw)
            name, _ = text(message.name, self.limits.key)
            version, _ = text(message.version, self.limits.key)
            told = self.attributes.dict(message.attributes, receipt)
            if version:
                told["version"] = version
            members = {f"otel.scope.{key}": value for key, value in told.items()}
            without = dumps(members)[1:-1]
            found = Scope(name, dumps({"otel.scope.name": name, **members})[1:-1] if name else without, without)
            self._scopes.learn(raw, found, len(raw))
        return found

    def weight(self, tracestate: bytes) -> float:
        """How many spans one stands for, by the tracestate's member `ot`."""
        if not tracestate:
            return 1.0
        alike = RANDOM.sub(b"", tracestate)  # a trace's own random number would make each a stranger
        found = self._weights.get(alike)
        if found is None:
            found = weight(alike.decode("ascii", "replace"))
            self._weights.learn(alike, found, len(alike))
        return found

    def admits(self, owner: object, member: int, most: int) -> bool:
        """Whether an owner may have this operation or series beside the `most` - 1 others that it has already."""
        members = self._members.get(owner)
        if members is None:
            if len(self._members) >= ENTRIES:
                self._forget_members()
            members = self._members[owner] = set()
        if member not in members:
            if len(members) >= most:
                return False
            if self._counted >= MEMBERS:
                self._forget_members()
                members = self._members[owner] = set()
            members.add(member)
            self._counted += 1
        return True

    def _forget_members(self) -> None:
        self._members.clear()
        self._counted = 0


def _check(raw: bytes) -> None:
    if len(raw) > SENDER:
        raise Malformed(f"a resource or a scope has {len(raw)} bytes; {SENDER} are read")


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
        service[:NAME],
        str(instance)[:NAME],
        str(told.get("service.version") or "")[:NAME],
        str(told.get("deployment.environment.name") or told.get("deployment.environment") or "")[:NAME],
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
            if threshold and len(threshold) <= 14 and threshold.isalnum():
                kept = (1 << 56) - int(threshold.ljust(14, "0"), 16)
                return math.ldexp(1.0, 56) / kept
            if power and 0 <= int(power) <= 62:
                return float(1 << int(power))
        except ValueError:
            return 1.0
    return 1.0
