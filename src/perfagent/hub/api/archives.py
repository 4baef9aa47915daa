"""Archives of a hub that runs: its database has one user at a time, so the hub itself writes and reads them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from perfagent.hub.api.audit import record
from perfagent.hub.api.context import TheHub
from perfagent.hub.api.envelope import Answer, Model, Success, success
from perfagent.hub.api.errors import Refused, refuses
from perfagent.hub.api.security import ADMIN
from perfagent.hub.store import archive
from perfagent.hub.store.errors import StoreFailed

router = APIRouter(tags=["hub"])

FOLDER = "archives"
"""Below the hub's own folder, and nowhere else: a token must not be able to write where it likes."""
LATEST = 2**33  # seconds since the epoch, in the year 2242; an hour of it in nanoseconds still fits 63 bits
Name = Annotated[
    str,
    Field(
        description=f"Of a folder in `{FOLDER}` in the hub's folder.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        examples=["before-the-release"],
    ),
]
Moment = Annotated[float, Field(ge=0, le=LATEST, strict=True)]


class NewArchive(Model):
    """What to write."""

    name: Name
    begin: Moment | None = Field(default=None, description="Seconds since the epoch; all when left out.", examples=[0])
    end: Moment | None = Field(default=None, description="Left out itself; now when left out.")


class NamedArchive(Model):
    """What to read."""

    name: Name


class Archived(Model):
    """What was written or read."""

    folder: str = Field(description="Where it is.", examples=["/home/me/.local/state/perfagent/archives/monday"])
    rows: dict[str, int] = Field(description="How many, by table.", examples=[{"spans": 1200, "logs": 4}])


@router.post("/hub/export", response_model=Success[Archived], responses=refuses(409), dependencies=[ADMIN])
def write_archive(hub: TheHub, request: Request, new: NewArchive) -> Answer:
    """Writes a range of time as a folder of Parquet files. For admins."""
    folder = hub.directory / FOLDER / new.name
    end = LATEST if new.end is None else new.end
    try:
        rows = archive.export(hub.store, folder, new.begin or 0, end)
    except archive.ArchiveError as error:
        raise Refused(409, "conflict", str(error), "name") from None
    record(request, "hub.export", new.name, after=rows)
    return success({"folder": str(folder), "rows": rows})


@router.post("/hub/import", response_model=Success[Archived], responses=refuses(409), dependencies=[ADMIN])
def read_archive(hub: TheHub, request: Request, named: NamedArchive) -> Answer:
    """Adds what an archive holds and the hub has not. For admins."""
    folder = hub.directory / FOLDER / named.name
    try:
        rows = archive.import_(hub.store, folder)
    except archive.ArchiveError as error:
        raise Refused(409, "conflict", str(error), "name") from None
    except StoreFailed as error:
        raise Refused(503, "unavailable", str(error)) from None
    record(request, "hub.import", named.name, after=rows)
    return success({"folder": str(folder), "rows": rows})
