"""POST metrics: what browsers and other clients measure, sent to the interface with a token.

The same as POST /v1/client, for those that have a token and want the interface's envelope.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from perfagent.hub.api.envelope import Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.security import caller
from perfagent.hub.receive import body as sent
from perfagent.hub.receive import elsewhere
from perfagent.hub.receive.client import BODY, KINDS, Invalid, Measurement, Metadata

router = APIRouter(tags=["metrics"])


class Accepted(Model):
    """What was stored."""

    accepted: int = Field(description="How many measurements.", examples=[1])


def _schema() -> dict[str, Any]:
    """The measurement of each kind: they differ in how large a value may be."""
    measurement = Measurement.model_json_schema()
    metadata = measurement["properties"]["metadata"]
    metadata["properties"] = Metadata.model_json_schema()["properties"]
    most = sorted({kind.most for kind in KINDS.values()})
    kinds = [
        {
            **measurement,
            "title": f"Measurement up to {limit:g}",
            "properties": {
                **measurement["properties"],
                "type": {"enum": [name for name, kind in KINDS.items() if kind.most == limit]},
                "value": {**measurement["properties"]["value"], "maximum": limit},
            },
        }
        for limit in most
    ]
    return {"oneOf": [*kinds, {"type": "array", "items": {"oneOf": kinds}, "maxItems": 100}]}


EXAMPLE = {
    "clientId": "b1",
    "page": "/checkout",
    "component": "cart",
    "type": "lcp",
    "value": 1830.5,
    "metadata": {"service": "shop", "rating": "good"},
}


@router.post(
    "/metrics",
    status_code=202,
    response_model=Success[Accepted],
    responses=refuses(413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "One measurement, or a list of them; 64 KiB at most.",
            "content": {"application/json": {"schema": _schema(), "example": EXAMPLE}},
        }
    },
)
async def post_metrics(request: Request) -> Response:
    """Stores what clients measured: web vitals, page loads, frames, uploads."""
    if request.app.state.hub.remote is not None:
        raise Refused(409, "conflict", elsewhere.REASON)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "unsupported_media_type", f"Content-Type {kind or 'none'!r}: send application/json")
    body = await request.body()
    if len(body) > BODY:
        raise Refused(413, "too_large", f"the body is larger than {BODY} bytes; send fewer measurements at once")
    try:
        count = await request.app.state.clients.take(body, caller(request).client)
    except Invalid as error:
        raise Refused(
            400, "bad_request", f"{error.field}: {error}" if error.field else str(error), error.field or None
        ) from None
    except sent.Refused as error:
        raise Refused(error.status, "too_many_requests", str(error), headers=error.headers) from None
    return JSONResponse(success({"accepted": count}), 202)
