"""Profiles as OTLP has them: opentelemetry-proto, profiles/v1development, one `ProfilesData`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfagent.hub.flame.protobuf import Texts, content, fixed64, number, packed

if TYPE_CHECKING:
    from perfagent.hub.flame.stacks import Call, Profile

NAMES = {"alloc": "alloc_space"}
KEYS = {
    "endpoint": "perfagent.endpoint",
    "thread": "thread.name",
    "task": "perfagent.task",
    "state": "perfagent.state",
}


def encode(profile: Profile, service: str = "") -> bytes:
    """The profile as one of one resource; the first entry of each table is the empty one that the format wants."""
    texts = Texts()
    locations: dict[Call, int] = {}
    functions: dict[tuple[str, str, int], int] = {}
    stacks: dict[tuple[int, ...], int] = {(): 0}
    attributes: dict[tuple[str, str], int] = {}
    samples: list[bytes] = []
    for sample in profile.samples:
        calls = tuple(locations.setdefault(call, len(locations) + 1) for call in reversed(sample.calls))
        stack = stacks.setdefault(calls, len(stacks))
        told = [attributes.setdefault(label, len(attributes) + 1) for label in sample.labels]
        samples.append(content(2, number(1, stack) + packed(2, told) + packed(4, (sample.value,))))
    type_ = number(1, texts(NAMES.get(profile.kind, profile.kind))) + number(2, texts(profile.unit))
    made = content(1, type_) + b"".join(samples) + fixed64(3, profile.time) + number(4, profile.duration)
    resource = _attribute("service.name", service) if service else b""
    scope = content(1, content(1, b"perfagent")) + content(2, made)
    told_by = content(1, resource) + content(2, scope)
    tables = [content(1, b""), content(2, b"")]
    for call in locations:
        of = functions.setdefault(call[:3], len(functions) + 1)
        tables.append(content(2, content(3, number(1, of) + number(2, call.line or call.first))))
    tables.append(content(3, b""))
    for name, file, first in functions:
        tables.append(content(3, number(1, texts(name)) + number(3, texts(file)) + number(4, first)))
    tables += [content(4, b""), content(6, b"")]
    for key, value in attributes:
        tables.append(content(6, number(1, texts(KEYS.get(key, key))) + content(2, content(1, value.encode()))))
    tables += [content(7, packed(1, calls)) for calls in stacks]
    return content(1, told_by) + content(2, b"".join(tables) + texts.encode(5))


def _attribute(key: str, value: str) -> bytes:
    return content(1, content(1, key.encode()) + content(2, content(1, value.encode())))
