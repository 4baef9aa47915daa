"""What the asker's token may do."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from perfagent.hub.api.context import TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.security import caller

router = APIRouter(tags=["hub"])


class Me(Model):
    """Who asks."""

    role: Literal["viewer", "operator", "admin"] = Field(
        description="A viewer reads, an operator acts, an admin changes.", examples=["viewer"]
    )
    takes_telemetry: bool = Field(
        description="Whether programs may send here; false where the hub reads from Prometheus and Jaeger.",
        examples=[True],
    )


@router.get("/me", response_model=Success[Me])
async def me(hub: TheHub, request: Request) -> Answer:
    """The role of this token or cookie, and what the hub is."""
    return success({"role": caller(request).role, "takes_telemetry": hub.remote is None})
