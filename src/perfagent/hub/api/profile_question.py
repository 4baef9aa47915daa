"""Which samples of which processes an address asks for: its parameters, as a question to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Query

from perfagent.hub.api import sides
from perfagent.hub.api.context import PLAIN, OfService, TheHub
from perfagent.hub.api.errors import Refused
from perfagent.hub.api.profiled import Question, Side, Wanted
from perfagent.hub.api.ranges import Range, Within

if TYPE_CHECKING:
    from perfagent.hub.hub import Hub

KIND = r"^[a-z][a-z0-9_.-]{0,39}$"


async def _wanted(
    type: Annotated[  # noqa: A002 - the name in the address
        str, Query(description="What is summed: wall, cpu, lock, gil, alloc.", pattern=KIND, examples=["wall"])
    ] = "wall",
    endpoint: Annotated[
        str | None, Query(description="Only for this request, job or message.", max_length=255, pattern=PLAIN)
    ] = None,
    thread: Annotated[str | None, Query(description="Only this thread.", max_length=255, pattern=PLAIN)] = None,
    task: Annotated[str | None, Query(description="Only this asyncio task.", max_length=255, pattern=PLAIN)] = None,
    state: Annotated[
        str | None, Query(description="Only in this state: running, waiting, lock …", max_length=255, pattern=PLAIN)
    ] = None,
    trace_id: Annotated[str | None, Query(description="Only of this trace.", pattern=r"^[0-9a-f]{32}$")] = None,
    span_id: Annotated[
        str | None, Query(description="Only of this span of `trace_id`.", pattern=r"^[0-9a-f]{16}$")
    ] = None,
) -> Wanted:
    if span_id and not trace_id:
        raise Refused(400, "bad_request", "span_id needs the trace_id that it is of", "span_id")
    trace, span = (bytes.fromhex(one) if one else None for one in (trace_id, span_id))
    return Wanted(type, endpoint, thread, task, state, trace, span)


OfProcess = Annotated[
    str | None, Query(description="Only this process: `service.instance.id`.", max_length=255, pattern=PLAIN)
]
OfVersion = Annotated[str | None, Query(description="Only this release.", max_length=255, pattern=PLAIN)]
Before = Annotated[
    str | None,
    Query(
        description="What to compare with, in the forms of GET compare: a range such as `-2h..-1h`, a version, an "
        "instance, `before-start`.",
        max_length=255,
        pattern=PLAIN,
        examples=["-2h..-1h"],
    ),
]
After = Annotated[
    str | None,
    Query(description="In place of `from` and `to`, in the same forms.", max_length=255, pattern=PLAIN),
]


def _question(
    hub: TheHub,
    within: Within,
    wanted: Annotated[Wanted, Depends(_wanted)],
    service: OfService = None,
    instance: OfProcess = None,
    version: OfVersion = None,
    before: Before = None,
    after: After = None,
) -> Question:
    of = (service, instance, version)
    now = _side(hub, after, of, "after") if after else _range(hub, within, of)
    other = _side(hub, before, of, "before") if before else None
    return Question(hub.store, wanted, now, other, hub.settings.retention_hours * 3600)


Asked = Annotated[Question, Depends(_question)]


def refuse_elsewhere(hub: Hub) -> None:
    """Refuses where there cannot be any; what only adds to another view is empty there."""
    if hub.remote is not None:
        message = "this hub reads from Prometheus and Jaeger, which have no profiles; ask a hub that programs send to"
        raise Refused(501, "not_here", message)


def _range(hub: Hub, within: Range, of: tuple[str | None, str | None, str | None]) -> Side:
    service, instance, version = of
    rows = hub.store.rows("profiles/resources", service=service, instance=instance, version=version)
    return Side("the range", within, [row["id"] for row in rows], service, not instance and not version)


def _side(hub: Hub, text: str, of: tuple[str | None, str | None, str | None], field: str) -> Side:
    found = sides.choose(hub, text, of[0], field)
    side = _range(hub, found.within, of)
    side.label = found.label
    if found.resources is not None:
        chosen = set(found.resources)
        # A version or a process that is named stands for itself, whatever the filter says.
        rows = hub.store.rows("profiles/resources", service=of[0], instance=None, version=None)
        side.resources = [row["id"] for row in rows if row["id"] in chosen]
        side.whole = False
    return side
