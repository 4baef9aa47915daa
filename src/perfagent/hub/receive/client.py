"""What browsers measure of the program's pages, as histograms without a trace of who measured."""

from __future__ import annotations

import math
import re
import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from perfagent.hub.receive.body import Refused
from perfagent.hub.receive.known import Known, resource
from perfagent.hub.receive.limits import Limits, Rate
from perfagent.hub.receive.series import series_of
from perfagent.hub.store.rows import Batch, PointRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfagent.hub.hub import Hub
    from perfagent.hub.store.rows import Resource, Series

BODY = 65_536  # bytes of a request
RATE = 200  # measurements a second of one address
SERIES = 2_000  # sets of attributes of one metric, for the page's name comes from outside
SERVICES = 50
EXEMPLARS = 10  # of one point
MILLISECONDS = (1, 2.5, 5, 10, 16.7, 33.3, 50, 100, 200, 300, 500, 800, 1000, 1800, 2500, 3000, 4000, 6000, 10_000, 30_000)  # fmt: skip # noqa: E501


class Kind(NamedTuple):
    """One thing that browsers measure."""

    metric: str
    unit: str
    most: float  # a larger value is an error of measurement
    bounds: tuple[float, ...] | None  # None for a counter, to which the value is added
    description: str


_VITAL = "browser.web_vital."
KINDS = {
    "lcp": Kind(f"{_VITAL}lcp", "ms", 600_000, MILLISECONDS, "Largest Contentful Paint"),
    "inp": Kind(f"{_VITAL}inp", "ms", 600_000, MILLISECONDS, "Interaction to Next Paint"),
    "fcp": Kind(f"{_VITAL}fcp", "ms", 600_000, MILLISECONDS, "First Contentful Paint"),
    "ttfb": Kind(f"{_VITAL}ttfb", "ms", 600_000, MILLISECONDS, "Time to First Byte"),
    "cls": Kind(
        f"{_VITAL}cls", "1", 1000, (0, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5), "Cumulative Layout Shift"
    ),
    "page_load": Kind("browser.page_load.duration", "ms", 3_600_000, MILLISECONDS, "Time until a page was loaded"),
    "frame_time": Kind("browser.frame.duration", "ms", 600_000, MILLISECONDS, "Time between two frames"),
    "long_task": Kind(
        "browser.long_task.duration",
        "ms",
        3_600_000,
        MILLISECONDS,
        "Work of 50 ms and more, when nothing else runs",
    ),
    "js_error": Kind("browser.errors", "{error}", 1_000_000, None, "Errors of scripts, by the script"),
    "upload_speed": Kind(
        "browser.upload.speed", "By/s", 1e12, tuple(10.0**e * m for e in range(3, 10) for m in (1, 3)), "Upload speed"
    ),
}
"""What `type` may be; a web vital may also be sent as type `web_vital` with its name as the component."""

Short = Annotated[str, Field(max_length=200)]


def _whole(value: object) -> object:
    """JSON knows one kind of number: 2.0 is whole, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Measurement(BaseModel):
    """One measurement of a page."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)

    client_id: Annotated[str, Field(max_length=200)] = Field(
        default="", description="Any name of the browser; it is checked and thrown away."
    )
    page: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="Path or address of the page; its query is cut off, ids in it become {id}.", examples=["/checkout"]
    )
    component: Annotated[str, Field(max_length=100, pattern=r"^[\w .:/\-]*$")] = Field(
        default="", description="A part of the page.", examples=["cart"]
    )
    type: Annotated[str, Field(max_length=40)] = Field(
        description=f"What was measured: {', '.join(KINDS)}.", examples=["lcp"]
    )
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        description="Milliseconds; for upload_speed bytes a second; for cls its score; for js_error how many.",
        examples=[1830.5],
    )
    count: Annotated[int, Field(ge=1, le=10_000), BeforeValidator(_whole)] = Field(
        default=1, description="How often this value was measured."
    )
    trace: Annotated[str, Field(max_length=55, pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")] = Field(
        default="",
        description="`traceparent` of the request that the page was the answer of.",
        examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    )
    metadata: Annotated[dict[Short, str | int | float | bool | None], Field(max_length=20)] = Field(
        default_factory=dict,
        description="service, rating, navigationType, effectiveType and device are kept; the rest is thrown away.",
    )


class Metadata(BaseModel):
    """What is kept of a measurement's metadata: words of a fixed list, so no one can be told from another."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)

    service: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-/]{1,100}$")] = "browser"
    rating: Literal["good", "needs-improvement", "poor", ""] = ""
    navigation_type: Literal[
        "navigate", "reload", "back-forward", "back-forward-cache", "prerender", "restore", "soft-navigation", ""
    ] = ""
    effective_type: Literal["slow-2g", "2g", "3g", "4g", ""] = ""
    device: Literal["desktop", "mobile", "tablet", ""] = ""


Measurements: TypeAdapter[list[Measurement]] = TypeAdapter(Annotated[list[Measurement], Field(max_length=100)])
_ID = re.compile(r"\d+|[0-9a-fA-F]{8,}|[0-9a-fA-F-]{32,36}|(?=\D*\d)[\w\-~=.%]{20,}|.*(?:@|%40).*", re.DOTALL)


class Invalid(ValueError):  # noqa: N818
    """A measurement that is not one.

    Args:
        field: which part of it, such as "[2].value".
        message: what is accepted.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Row(NamedTuple):
    """One measurement, told of whom."""

    sender: Resource
    series: Series
    kind: Kind
    page: str
    value: float
    times: int
    trace: str


class Clients:
    """Takes browsers' measurements in.

    Args:
        hub: where they go.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._rate = Rate(RATE)
        self._known = Known(Limits())

    async def take(self, body: bytes, sender: str) -> int:
        """Stores a measurement or a list of them, in JSON; returns how many.

        Args:
            body: at most 64 KiB.
            sender: the address that sent it, for its rate.

        Raises:
            Invalid: nothing is stored.
            Refused: too many at once.
            Overloaded, StoreFailed: as `Intake.put`.
        """
        found = _validated(body)
        rows = [self._row(index, measurement) for index, measurement in enumerate(found)]
        taken = self._rate.take(sender, len(found))
        if taken < len(found):
            self._rate.give_back(sender, taken)
            raise Refused(429, f"more than {RATE} measurements a second of one address", retry_after="1")
        self.hub.last_activity = time.time()
        if rows:
            await self.hub.intake.put(_batch(rows, len(body)))
        for row in rows:
            kind = row.kind
            self.hub.browsers.add(
                kind.metric, kind.unit, kind.description, kind.bounds,
                (row.sender.service, row.page), row.value, row.times,
            )  # fmt: skip
        return len(found)

    def _row(self, index: int, measurement: Measurement) -> Row:
        place = f"[{index}]."
        name = measurement.type.strip().lower().replace("-", "_")
        component = measurement.component
        if name == "web_vital":
            name, component = component.lower(), ""
        kind = KINDS.get(name)
        if kind is None:
            raise Invalid(f"{place}type", f"{measurement.type!r} is none of: {', '.join(KINDS)}")
        if measurement.value > kind.most:
            raise Invalid(f"{place}value", f"{measurement.value:g} {kind.unit} is more than {kind.most:g}")
        try:
            metadata = Metadata.model_validate(measurement.metadata)
        except ValidationError as error:
            raise _told(error, f"{place}metadata.") from None
        page = _page(measurement.page)
        attributes = {
            "page": page,
            "component": _page(component) if "/" in component else component,
            "browser.rating": metadata.rating,
            "browser.navigation_type": metadata.navigation_type,
            "network.effective_type": metadata.effective_type,
            "device.type": metadata.device,
        }
        service = metadata.service if self._admits("services", metadata.service, SERVICES) else "browser"
        sender = resource({"service.name": service, "telemetry.sdk.name": "perfagent.client"})
        kept = {key: value for key, value in attributes.items() if value}
        if not self._admits((service, kind.metric), repr(sorted(kept.items())), SERIES):
            kept, page = {"otel.metric.overflow": "true"}, "other"
        series = _series(sender, kind, kept)
        return Row(sender, series, kind, page, measurement.value, measurement.count, measurement.trace)

    def _admits(self, owner: object, member: str, most: int) -> bool:
        return self._known.admits(owner, hash(member), most)


def _validated(body: bytes) -> list[Measurement]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid("", f"the body is no JSON: {error}") from None
    try:
        return Measurements.validate_python(document if isinstance(document, list) else [document])
    except ValidationError as error:
        raise _told(error) from None


def _told(error: ValidationError, before: str = "") -> Invalid:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    return Invalid(f"{before}{place.lstrip('.')}", first["msg"])


def _page(address: str) -> str:
    """The path alone, its ids replaced, for they may tell who it was and never end."""
    try:
        path = urlsplit(address).path or "/"
    except ValueError:
        path = "/"
    return "/".join("{id}" if _ID.fullmatch(part) else part for part in path[:500].split("/"))


def _series(sender: Resource, kind: Kind, attributes: dict[str, Any]) -> Series:
    form = "sum" if kind.bounds is None else "histogram"
    return series_of(
        sender, "perfagent.client", kind.metric, form, kind.unit, kind.description, False, True,
        attributes, kind.bounds,
    )  # fmt: skip


def _batch(rows: Iterable[Row], size: int) -> Batch:
    """One point for each series."""
    batch, now = Batch(bytes=size), time.time_ns()
    found: dict[int, list[Row]] = {}
    for row in rows:
        batch.resources[row.sender.id] = row.sender
        batch.series[row.series.id] = row.series
        found.setdefault(row.series.id, []).append(row)
    for identity, members in found.items():
        traced = [_exemplar(row, now) for row in members if row.trace][:EXEMPLARS]
        exemplars = orjson.dumps(traced).decode() if traced else None
        batch.points.append(PointRow._make((identity, now, 0, *_figures(members), None, None, exemplars)))
    return batch


def _figures(rows: list[Row]) -> tuple[Any, ...]:
    """The columns of a point from `value` to `buckets`."""
    total = math.fsum(row.value * row.times for row in rows)
    bounds = rows[0].kind.bounds
    if bounds is None:
        return total, None, None, None, None, None
    counts = [0] * (len(bounds) + 1)
    for row in rows:
        counts[bisect_left(bounds, row.value)] += row.times
    return None, sum(counts), total, min(row.value for row in rows), max(row.value for row in rows), counts


def _exemplar(row: Row, now: int) -> dict[str, Any]:
    _, trace, span, _ = row.trace.split("-")
    return {"time": now, "value": row.value, "trace_id": trace, "span_id": span}
