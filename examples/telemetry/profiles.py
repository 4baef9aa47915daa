"""Samples of profiles, as plain data: what the messages of OTLP refer to, looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest
    from opentelemetry.proto.profiles.v1development.profiles_pb2 import Profile, ProfilesDictionary


@dataclass(frozen=True, slots=True)
class Frame:
    """A call of a stack: the function, its file and first line, and the line that runs."""

    name: str
    file: str
    first: int
    line: int

    def __str__(self) -> str:
        return f"{self.file.rpartition('/')[2]}:{self.line} {self.name}"


@dataclass(frozen=True, slots=True)
class Sample:
    """A stack, the innermost call first, with what was measured there; ids in hexadecimal, "" without a link."""

    kind: str
    unit: str
    stack: tuple[Frame, ...]
    attributes: dict[str, Any]
    trace_id: str
    span_id: str
    values: tuple[int, ...]
    times: tuple[int, ...]
    began: int
    duration: int
    period: int

    @property
    def value(self) -> int:
        """The sum of its values."""
        return sum(self.values)

    @property
    def leaf(self) -> str:
        """The innermost call, for people."""
        return str(self.stack[0]) if self.stack else ""

    @property
    def state(self) -> str:
        """What the thread or task was doing."""
        return str(self.attributes.get("perfagent.state", ""))

    @property
    def endpoint(self) -> str:
        """Which requests it is of."""
        return str(self.attributes.get("perfagent.endpoint", ""))

    def runs(self, *names: str) -> bool:
        """Whether a function of one of these names is on the stack."""
        return any(frame.name.rpartition(".")[2] in names for frame in self.stack)


def samples_of(message: ExportProfilesServiceRequest) -> list[Sample]:
    """Every sample of a request."""
    return [
        sample
        for resource in message.resource_profiles
        for scoped in resource.scope_profiles
        for profile in scoped.profiles
        for sample in _samples(profile, message.dictionary)
    ]


def _samples(profile: Profile, tables: ProfilesDictionary) -> Iterator[Sample]:
    strings = tables.string_table
    for sample in profile.samples:
        link = tables.link_table[sample.link_index]
        attributes = {}
        for index in sample.attribute_indices:
            attribute = tables.attribute_table[index]
            value = attribute.value
            attributes[strings[attribute.key_strindex]] = getattr(value, str(value.WhichOneof("value")))
        frames = []
        for index in tables.stack_table[sample.stack_index].location_indices:
            line = tables.location_table[index].lines[0]
            function = tables.function_table[line.function_index]
            name, file = strings[function.name_strindex], strings[function.filename_strindex]
            frames.append(Frame(name, file, function.start_line, line.line))
        yield Sample(
            strings[profile.sample_type.type_strindex],
            strings[profile.sample_type.unit_strindex],
            tuple(frames),
            attributes,
            link.trace_id.hex(),
            link.span_id.hex(),
            tuple(sample.values),
            tuple(sample.timestamps_unix_nano),
            profile.time_unix_nano,
            profile.duration_nano,
            profile.period,
        )
