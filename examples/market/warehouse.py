"""A stand-in for the warehouse: `uvicorn market.warehouse:app`."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, HTTPException

from . import flags

app = FastAPI(title="Warehouse")


@app.get("/shelves/{product_id}")
async def find_shelf(product_id: int) -> dict[str, int]:
    """Where a product lies: in 5 ms."""
    await asyncio.sleep(float(flags.get("walk", 0.005)))
    if flags.get("closed") and product_id % int(flags.get("closed")) == 0:
        raise HTTPException(503, "closed")
    return {"shelf": product_id * 7 % 40}
