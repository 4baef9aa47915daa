"""Reports to take away: endpoints, failures or statements of a range, as JSON or CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from perfagent.hub.analyse.calls import REQUESTS
from perfagent.hub.analyse.errors import causes, failure
from perfagent.hub.api import calls as reading
from perfagent.hub.api import endpoints, facts, queries
from perfagent.hub.api.context import OfService, TheHub
from perfagent.hub.api.endpoints import Between
from perfagent.hub.api.envelope import Model, Success, success
from perfagent.hub.api.ranges import Range, Within
from perfagent.hub.api.samples import recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfagent.hub.store.store import Store

router = APIRouter(tags=["reports"])

MOST = 1000  # rows
Kind = Literal["performance", "errors", "queries"]
COLUMNS: dict[str, tuple[str, ...]] = {
    "performance": (
        "service", "name", "requests", "requests_per_second", "errors", "error_ratio", "mean_ms", "p50_ms", "p95_ms",
        "p99_ms", "max_ms", "total_ms", "share",
    ),
    "errors": ("service", "endpoint", "error", "message", "place", "requests", "last", "trace_id"),
    "queries": (
        "service", "system", "summary", "text", "calls", "errors", "total_ms", "share", "mean_ms", "p95_ms", "max_ms",
        "rows", "repeated", "callers",
    ),
}  # fmt: skip


class Report(Model):
    """A report."""

    type: Kind
    range: Between
    columns: list[str]
    rows: list[list[float | str | None]] = Field(description="At most 1000, what matters most first.")


@router.get(
    "/reports",
    response_model=Success[Report],
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The report."}},
)
def reports(
    hub: TheHub,
    within: Within,
    service: OfService = None,
    kind: Annotated[
        Kind,
        Query(
            alias="type",
            description="Endpoints, the newest 1000 failures by cause, or database statements.",
        ),
    ] = "performance",
    form: Annotated[Literal["json", "csv"], Query(alias="format", description="`csv` is a file to keep.")] = "json",
) -> Any:
    """Endpoints, failures by cause, or database statements of the range."""
    rows = ROWS[kind](hub.store, within, service)
    table = [[row[column] for column in COLUMNS[kind]] for row in rows]
    if form == "json":
        between = endpoints.between(within)
        return success({"type": kind, "range": between, "columns": COLUMNS[kind], "rows": table})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS[kind])
    writer.writerows([[_safe(cell) for cell in row] for row in table])
    name = f"perfagent-{kind}-{int(within.end)}.csv"
    return Response(
        text.getvalue(), media_type="text/csv", headers={"Content-Disposition": f"attachment; filename={name}"}
    )


def _safe(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula: what programs send may begin with one (OWASP, CSV injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _performance(store: Store, within: Range, service: str | None) -> Sequence[dict[str, Any]]:
    called = reading.by_operation(store, within, service, REQUESTS)
    whole = sum(one.durations.total for one in called)
    return endpoints.listed(store, within, called[:MOST], whole)


def _errors(store: Store, within: Range, service: str | None) -> Sequence[dict[str, Any]]:
    rows = store.rows(
        "samples/errors",
        begin_ns=within.begin_ns,
        end_ns=within.end_ns,
        service=service,
        most=facts.ERRORS_READ,
    )
    return [
        {
            "service": one.service,
            "endpoint": one.endpoint,
            "error": one.error,
            "message": one.message,
            "place": one.place,
            "requests": one.requests,
            "last": one.last / 1e9,
            "trace_id": one.trace_id.hex(),
        }
        for one in causes(map(failure, rows))[:MOST]
    ]


def _queries(store: Store, within: Range, service: str | None) -> Sequence[dict[str, Any]]:
    called = reading.by_operation(store, within, service, ["db"])
    whole = sum(one.durations.total for one in called)
    rows = queries.listed(store, recent(store, within), called[:MOST], whole)
    return [{**row, "callers": "; ".join(one["caller"] for one in row["callers"])} for row in rows]


ROWS = {"performance": _performance, "errors": _errors, "queries": _queries}
