"""Requests of OTLP profiles, encoded by opentelemetry-proto, for tests that send them to a hub."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

PATH = "/v1development/profiles"
UNITS = {"alloc_space": "bytes"}
Call = tuple[str, str, int, int]
"""Function, file, the line it begins at, the line it is at."""


class Profiles:
    """One request that grows: `add` a sample, then `encode`.

    Args:
        service, instance, version: of the process.
        ago: seconds since the window began.
        seconds: of the window.
    """

    def __init__(
        self, service: str = "shop", instance: str = "shop-1", version: str = "", ago: float = 20, seconds: float = 10
    ) -> None:
        self.message = ExportProfilesServiceRequest()
        self.time = time.time_ns() - round(ago * 1e9)
        self._seconds = seconds
        table = self.message.dictionary
        table.string_table.append("")
        for empty in (table.location_table, table.function_table, table.link_table, table.stack_table):
            empty.add()
        table.attribute_table.add()
        table.mapping_table.add()
        self._known: dict[Any, int] = {}
        part = self.message.resource_profiles.add()
        named = {"service.name": service, "service.instance.id": instance, "service.version": version}
        for key, value in named.items():
            if value:
                one = part.resource.attributes.add()
                one.key, one.value.string_value = key, value
        self._scope = part.scope_profiles.add()
        self._scope.scope.name = "tests"
        self._profiles: dict[str, Any] = {}

    def profile(self, kind: str) -> Any:
        """The profile of a type."""
        if kind not in self._profiles:
            made = self._profiles[kind] = self._scope.profiles.add()
            made.sample_type.type_strindex = self.text(kind)
            made.sample_type.unit_strindex = self.text(UNITS.get(kind, "nanoseconds"))
            made.time_unix_nano, made.duration_nano = self.time, round(self._seconds * 1e9)
            made.period_type.type_strindex, made.period_type.unit_strindex = self.text(kind), self.text("nanoseconds")
            made.period = 10_000_000
        return self._profiles[kind]

    def add(
        self,
        calls: Iterable[Call],
        value: int,
        kind: str = "wall",
        *,
        endpoint: str = "",
        thread: str = "MainThread",
        task: str = "",
        state: str = "",
        trace: bytes = b"",
        span: bytes = b"",
        times: Iterable[int] = (),
    ) -> Profiles:
        """A sample of calls from the first to the one that ran; `times` are ns after the window's begin."""
        sample = self.profile(kind).samples.add()
        sample.stack_index = self._stack(tuple(calls))
        labels = {
            "perfagent.endpoint": endpoint,
            "thread.name": thread,
            "perfagent.task": task,
            "perfagent.state": state,
        }
        sample.attribute_indices.extend(self._attribute(key, told) for key, told in labels.items() if told)
        if trace:
            sample.link_index = self._link(trace, span)
        sample.values.append(value)
        sample.timestamps_unix_nano.extend(self.time + one for one in times)
        return self

    def encode(self) -> bytes:
        """The request's bytes."""
        return bytes(self.message.SerializeToString())

    def text(self, value: str) -> int:
        """Where a string stands."""
        return self._once(("text", value), lambda: self.message.dictionary.string_table.append(value)) if value else 0

    def _once(self, key: Any, add: Any) -> int:
        tables = self.message.dictionary
        table = {
            "text": tables.string_table,
            "function": tables.function_table,
            "location": tables.location_table,
            "stack": tables.stack_table,
            "attribute": tables.attribute_table,
            "link": tables.link_table,
        }[key[0]]
        if key not in self._known:
            add()
            self._known[key] = len(table) - 1
        return self._known[key]

    def _stack(self, calls: tuple[Call, ...]) -> int:
        indices = [self._location(call) for call in reversed(calls)]
        return self._once(
            ("stack", *indices), lambda: self.message.dictionary.stack_table.add(location_indices=indices)
        )

    def _location(self, call: Call) -> int:
        function, file, first, line = call
        name, path = self.text(function), self.text(file)
        of = self._once(
            ("function", name, path, first),
            lambda: self.message.dictionary.function_table.add(
                name_strindex=name, filename_strindex=path, start_line=first
            ),
        )

        def add() -> None:
            self.message.dictionary.location_table.add().lines.add(function_index=of, line=line)

        return self._once(("location", of, line), add)

    def _attribute(self, key: str, value: str) -> int:
        name = self.text(key)

        def add() -> None:
            self.message.dictionary.attribute_table.add(key_strindex=name).value.string_value = value

        return self._once(("attribute", key, value), add)

    def _link(self, trace: bytes, span: bytes) -> int:
        return self._once(
            ("link", trace, span), lambda: self.message.dictionary.link_table.add(trace_id=trace, span_id=span)
        )
