"""What routes ask for: the hub, and the types of parameters that many of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Path, Query, Request

from perfagent.hub.api.errors import Refused
from perfagent.hub.hub import Hub

if TYPE_CHECKING:
    from fastapi.dependencies.models import Dependant

LARGEST = 2**63 - 1


def hub_of(request: Request) -> Hub:
    """The hub that answers the request."""
    return cast("Hub", request.app.state.hub)


TheHub = Annotated[Hub, Depends(hub_of)]

# Text of parameters: no control characters, which no name has and which hide in logs.
PLAIN = r"^[^\x00-\x1f\x7f]*$"

OfService = Annotated[
    str | None,
    Query(
        description="Only this service; all of them when left out.", max_length=255, pattern=PLAIN, examples=["shop"]
    ),
]
Search = Annotated[
    str | None,
    Query(description="Only what has this text in it, in any case.", max_length=200, pattern=PLAIN, examples=["cart"]),
]
Identity = Annotated[
    str,
    Path(description="Identity, a decimal number.", pattern=r"^[0-9]{1,19}$", examples=["6917529027641081856"]),
]
TraceId = Annotated[
    str,
    Path(
        description="32 hexadecimal digits.",
        pattern=r"^[0-9a-f]{32}$",
        examples=["4bf92f3577b34da6a3ce929d0e0e4736"],
    ),
]


def number(identity: str, field: str = "operation") -> int:
    """The number that an identity in an address stands for; raises Refused where none can have it."""
    found = int(identity)
    if found > LARGEST:
        raise Refused(404, "not_found", f"no {field} {identity}: identities end at {LARGEST}", field)
    return found


def known_parameters(request: Request) -> None:
    """Refuses a query parameter that the route does not know, with its name: a typing error must not go unseen."""
    known = _parameters(request.scope["route"].dependant)
    for name in request.query_params:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise Refused(
                400, "unknown_parameter", f"{name[:100]!r} is no parameter here; there are: {there}", name[:100]
            )


def _parameters(dependant: Dependant) -> set[str]:
    found = {field.alias for field in dependant.query_params}
    for inner in dependant.dependencies:
        found |= _parameters(inner)
    return found
