"""Files of pprof: https://github.com/google/pprof/blob/main/proto/profile.proto, packed with gzip."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from perfagent.hub.flame.protobuf import Texts, content, number, packed

if TYPE_CHECKING:
    from perfagent.hub.flame.stacks import Call, Profile

NAMES = {"alloc": "alloc_space"}
SAMPLE_TYPE, SAMPLE, MAPPING, LOCATION, FUNCTION, STRINGS, TIME, DURATION = 1, 2, 3, 4, 5, 6, 9, 10
DEFAULT_TYPE = 14


def encode(profile: Profile) -> bytes:
    """The profile with two values a sample: how many there were, and what they weigh."""
    texts = Texts()
    locations: dict[Call, int] = {}
    functions: dict[tuple[str, str, int], int] = {}
    parts: list[bytes] = []
    name = NAMES.get(profile.kind, profile.kind)
    for kind, unit in (("samples", "count"), (name, profile.unit)):
        parts.append(content(SAMPLE_TYPE, number(1, texts(kind)) + number(2, texts(unit))))
    for sample in profile.samples:
        # The call that ran comes first; identities begin at 1.
        stack = [locations.setdefault(call, len(locations) + 1) for call in reversed(sample.calls)]
        labels = b"".join(content(3, number(1, texts(key)) + number(2, texts(told))) for key, told in sample.labels)
        parts.append(content(SAMPLE, packed(1, stack) + packed(2, (sample.times, sample.value)) + labels))
    parts.append(content(MAPPING, number(1, 1) + number(5, texts(profile.name or "python")) + number(7, 1)))
    for call, place in locations.items():
        function = functions.setdefault(call[:3], len(functions) + 1)
        line = content(4, number(1, function) + number(2, call.line or call.first))
        parts.append(content(LOCATION, number(1, place) + number(2, 1) + line))
    for (function_name, file, first), place in functions.items():
        told = texts(function_name)
        inner = number(1, place) + number(2, told) + number(3, told) + number(4, texts(file)) + number(5, first)
        parts.append(content(FUNCTION, inner))
    parts.append(number(DEFAULT_TYPE, texts(name)))
    parts += [texts.encode(STRINGS), number(TIME, profile.time), number(DURATION, profile.duration)]
    return gzip.compress(b"".join(parts), 6, mtime=0)
