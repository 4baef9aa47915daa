"""The market's application: `uvicorn market.app:app`."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from fastapi import FastAPI

from . import catalogue, delivery, sales, similar, storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens what requests share."""
    warehouse, bank = (os.environ.get(name, "http://127.0.0.1:1") for name in ("MARKET_WAREHOUSE", "MARKET_BANK"))
    threading.Thread(target=similar.keep_up, daemon=True).start()
    with httpx.Client(base_url=bank, timeout=10) as app.state.bank:
        async with httpx.AsyncClient(base_url=warehouse, timeout=10) as app.state.warehouse:
            yield
    storage.engine.dispose()


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
app = FastAPI(title="Market", lifespan=lifespan)
for module in (catalogue, sales, delivery):
    app.include_router(module.router)
