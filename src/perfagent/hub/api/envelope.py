"""The form of every answer: the envelope, lists in it, and the base of the models that describe them."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

T = TypeVar("T")

Answer = dict[str, Any]
"""What a route returns: plain data, which FastAPI checks against the route's response model."""


class Model(BaseModel):
    """Base of what the interface takes and gives: a field that is not declared is refused, in both directions."""

    model_config = ConfigDict(extra="forbid")


def _whole(value: object) -> object:
    """What JSON calls a whole number: 3 and 3.0, and neither "3" nor true, which pydantic would take as well."""
    if isinstance(value, (str, bool)):
        raise ValueError("a whole number is wanted")
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""For the types of whole numbers in a body; stands after their Field, whose bounds the description would else lack."""


class Success(Model, Generic[T]):
    """The envelope of an answer."""

    status: Literal["success"] = Field(description="Always `success`.", examples=["success"])
    data: T = Field(description="The answer itself.")


class Listing(Model, Generic[T]):
    """One page of a list."""

    items: list[T] = Field(description="This page's items.")
    next: str | None = Field(
        description="The `cursor` of the next page; null on the last one.", examples=["WzE3MDAwMDAwMDBd.5f2b9c1d"]
    )


class Problem(Model):
    """What was wrong with a request, for people and for programs."""

    code: str = Field(description="What kind of failure it is, one word.", examples=["out_of_range"])
    message: str = Field(
        description="What was wrong, what is accepted and what to do next.",
        examples=["limit=0 is not accepted: input should be greater than or equal to 1"],
    )
    field: str | None = Field(description="The parameter or field that it is about.", examples=["limit"])


class Failure(Model):
    """The envelope of a refusal."""

    status: Literal["error"] = Field(description="Always `error`.", examples=["error"])
    error: Problem = Field(description="What was wrong.")


def success(data: object) -> Answer:
    """`data` in the envelope."""
    return {"status": "success", "data": data}


def failure(code: str, message: str, field: str | None = None) -> Answer:
    """A refusal in the envelope."""
    return {"status": "error", "error": {"code": code, "message": message, "field": field}}
