"""What a proxy, Kubernetes and Compose ask: does the program live, and can it serve?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def live() -> dict[str, str]:
    """Answers as long as the event loop turns."""
    return {"status": "ok"}


@router.get("")
@router.get("/ready")
def ready(request: Request) -> dict[str, str]:
    """Whether the database answers; 503 where it does not. A service without a database is ready when it lives."""
    sessions: sessionmaker[Session] | None = getattr(request.app.state, "sessions", None)
    if sessions is not None:
        try:
            with sessions() as database:
                database.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            raise HTTPException(503, "the database does not answer") from error
    return {"status": "ok"}
