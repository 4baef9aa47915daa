"""The shop's application: `uvicorn shop.app:app`."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from fastapi import FastAPI
from sqlalchemy.orm import sessionmaker

from . import catalog, checkout, health, orders
from .database import open_database
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def create_app(settings: Settings) -> FastAPI:
    """A shop of its own; the database is opened when the application starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = open_database(settings.database)
        app.state.sessions = sessionmaker(engine, expire_on_commit=False)
        with httpx.Client(base_url=settings.payment_url, timeout=2) as app.state.payments:
            yield
        engine.dispose()

    app = FastAPI(title="Shop", lifespan=lifespan)
    for module in (catalog, checkout, orders, health):
        app.include_router(module.router)
    return app


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
app = create_app(Settings.from_environment())
