"""The limits themselves: read by everybody, changed by admins."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field, field_validator

from perfagent.hub.analyse.thresholds import DEFAULTS, Threshold, changed
from perfagent.hub.api.audit import record
from perfagent.hub.api.context import TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.facts import limits, set_limits
from perfagent.hub.api.security import ADMIN

router = APIRouter(tags=["alerts"])


class Limit(Model):
    """One threshold."""

    name: str = Field(description="Of the threshold.", examples=["error_rate_percent"])
    title: str = Field(description="For people.", examples=["Error rate"])
    unit: str = Field(description="Of the limits.", examples=["%"])
    warning: float | None = Field(description="From where it warns; null for nowhere.", examples=[5.0])
    critical: float | None = Field(description="From where it is critical; null for nowhere.", examples=[10.0])
    measure: str = Field(description="What is measured, each minute and for each service.")
    comparison: Literal["greater", "less", "equal"] = Field(description="Which side of a limit violates it.")
    violations: int = Field(description="Minutes in a row that must violate it; 0 is as good as 1.")
    cooldown_minutes: int = Field(description="What returns within so long is the same alert.")
    enabled: bool = Field(description="Whether it is looked at.", examples=[True])
    changed: bool = Field(description="Whether it differs from the default.")


class Limits(Model):
    """All thresholds."""

    items: list[Limit]


Number = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False, strict=True)]


class NewLimit(Model):
    """What to change of one threshold; what is left out stays."""

    name: Literal[tuple(DEFAULTS)] = Field(examples=["error_rate_percent"])  # type: ignore[valid-type]
    warning: Number | None = Field(default=None, description="Null for none.", examples=[2.0])
    critical: Number | None = Field(default=None, description="Null for none.", examples=[5.0])
    violations: Annotated[int, Field(ge=0, le=1440)] | None = Field(default=None, examples=[3])
    cooldown_minutes: Annotated[int, Field(ge=0, le=10_080)] | None = Field(default=None, examples=[15])
    enabled: Annotated[bool, Field(strict=True)] | None = Field(default=None, examples=[True])

    @field_validator("violations", "cooldown_minutes", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        """What JSON calls a number: 3 and 3.0, and neither "3" nor true, which pydantic would take as well."""
        if isinstance(value, (str, bool)):
            raise ValueError("a whole number is wanted")
        return value


class NewLimits(Model):
    """Thresholds to change."""

    items: Annotated[list[NewLimit], Field(min_length=1, max_length=100)]


@router.get("/thresholds", response_model=Success[Limits])
def thresholds(hub: TheHub) -> Answer:
    """The limits as they are set."""
    return success({"items": [_limit(one) for one in limits(hub.store).values()]})


def _limit(one: Threshold) -> dict[str, Any]:
    return {**one.answer(), "changed": one != DEFAULTS[one.name]}


@router.put("/thresholds", response_model=Success[Limits], responses=refuses(409), dependencies=[ADMIN])
def set_thresholds(hub: TheHub, request: Request, new: NewLimits) -> Answer:
    """Changes thresholds; what is left out of one stays. For admins."""
    before = limits(hub.store)
    document = hub.store.document("thresholds")
    changes: dict[str, dict[str, Any]] = dict(document) if isinstance(document, dict) else {}
    for one in new.items:
        fields = {key: value for key, value in one.model_dump(exclude_unset=True).items() if key != "name"}
        required = ("violations", "cooldown_minutes", "enabled")
        fields = {key: value for key, value in fields.items() if value is not None or key not in required}
        changes[one.name] = {**changes.get(one.name, {}), **fields}
    try:
        after = changed(set_limits(hub.store), changes)
    except ValueError as error:
        raise Refused(409, "conflict", str(error), "items") from None
    hub.store.keep("thresholds", changes)
    for name in {one.name for one in new.items}:
        record(request, "thresholds.set", name, before=before[name].answer(), after=after[name].answer())
    return success({"items": [_limit(one) for one in after.values()]})
