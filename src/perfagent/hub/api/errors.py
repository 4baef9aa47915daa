"""Refusals: how a route says no, and how every failure becomes the error envelope, never a traceback."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from perfagent.hub.api.envelope import Failure, failure
from perfagent.hub.api.openapi import methods_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger("perfagent.hub")

# One word and one sentence a status: the word is the error's code where a refusal has no better one.
STATUSES = {
    400: ("bad_request", "A parameter or the body is not what is accepted; `field` names it."),
    401: ("unauthenticated", "No token, or none of this hub's."),
    403: ("forbidden", "The token's role may not do this, or the Host or the Origin is a foreign one."),
    404: ("not_found", "There is no such thing, or it is older than what is kept."),
    405: ("method_not_allowed", "The address does not know this method."),
    409: ("conflict", "The state of the thing does not allow it."),
    413: ("too_large", "The body is larger than what is read."),
    415: ("unsupported_media_type", "The body's type is not one that is read."),
    429: ("too_many_requests", "Too many requests; `Retry-After` says when to come back."),
    500: ("internal", "A failure of the hub itself; its log has the details."),
    503: ("unavailable", "The store cannot be read or written at this moment."),
}
# What pydantic calls a failure, in one of our words; all others are `bad_request`.
OUT_OF_RANGE = ("greater_than", "less_than", "too_long", "too_short", "too_big", "too_small", "finite_number")
WRONG_TYPE = ("_parsing", "_type", "literal_error", "enum", "pattern_mismatch", "_from_float")
SHOWN = 100  # characters of a refused value


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """Ends a request with the error envelope.

    Args:
        status: of HTTP, one of STATUSES.
        code: one word, such as "out_of_range".
        message: what was wrong, what is accepted and what to do next.
        field: the parameter or the field of the body that it is about.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field, self.headers = status, code, message, field, headers

    def response(self) -> JSONResponse:
        """The refusal as an answer; nothing may keep it."""
        return JSONResponse(
            failure(self.code, self.message, self.field),
            self.status,
            {"Cache-Control": "no-store", **(self.headers or {})},
        )


def refuses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI says of refusals with these statuses."""
    return {status: {"model": Failure, "description": STATUSES[status][1]} for status in statuses}


def install(app: FastAPI) -> None:
    """Makes every failure of the application's routes an error envelope."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, sentence = STATUSES.get(error.status_code, ("bad_request", "The request is not accepted."))
    if error.status_code == 404:
        sentence = f"There is nothing at {request.url.path[:SHOWN]}; /openapi.json tells what there is."
    elif error.status_code == 405:
        told = (error.headers or {}).get("Allow", "").split(", ")
        allowed = ", ".join(sorted(methods_at(request.app, request.url.path).union(told) - {""}))
        sentence = f"{request.method[:SHOWN]} is not known here; accepted: {allowed}"
        return Refused(405, code, sentence, headers={"Allow": allowed}).response()
    return Refused(error.status_code, code, sentence, headers=error.headers).response()


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors()[0]).response()


def invalid(problem: Mapping[str, Any]) -> Refused:
    """What pydantic says of one value, as a refusal that names the field, its value and what is accepted."""
    kind = str(problem["type"])
    if kind == "json_invalid":
        return Refused(400, "malformed", f"the body is no JSON: {problem.get('ctx', {}).get('error', '')}")
    if any(word in kind for word in OUT_OF_RANGE):
        code = "out_of_range"
    elif any(word in kind for word in WRONG_TYPE):
        code = "wrong_type"
    else:
        code = {"missing": "missing", "extra_forbidden": "unknown_field"}.get(kind, "bad_request")
    place = problem["loc"][1:] if len(problem["loc"]) > 1 else problem["loc"]
    field = ".".join(str(part) for part in place)
    message = str(problem["msg"])
    accepted = message[0].lower() + message[1:]
    value = problem.get("input")
    if kind == "missing" or value is None or isinstance(value, dict | list):
        return Refused(400, code, f"{field}: {accepted}", field)
    shown = str(value)
    shown = shown[:SHOWN] + "…" if len(shown) > SHOWN else shown
    return Refused(400, code, f"{field}={shown} is not accepted: {accepted}", field)


def failed(error: Exception, what: str) -> Refused:
    """A failure of the hub itself: the log gets the traceback, the client a sentence.

    Args:
        what: method and route of the request.
    """
    if type(error).__name__ in ("StoreUnavailable", "StoreFailed", "Overloaded"):
        return Refused(503, "unavailable", str(error)[:500], headers={"Retry-After": "1"})
    log.error("%s failed", what, exc_info=error)
    return Refused(500, "internal", "the hub failed at this request; hub.log in its folder has the details")
