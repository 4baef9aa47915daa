"""A stand-in for a payment service: slow at times, and not always willing. `uvicorn shop.payments:app`."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from . import health

app = FastAPI(title="Payments")
app.include_router(health.router)
chance = random.Random(11)


class Charge(BaseModel):
    """How many cents to take from whom."""

    customer: int
    amount: int = Field(gt=0)


@app.post("/charges", status_code=201)
async def charge(wanted: Charge) -> dict[str, str]:
    """Takes the money: in 20 to 60 ms mostly; 1 in 20 takes 400 ms, 1 in 20 is declined and 1 in 30 fails."""
    await asyncio.sleep(0.4 if chance.random() < 1 / 20 else chance.uniform(0.02, 0.06))
    if chance.random() < 1 / 30:
        raise HTTPException(503, "try again later")
    if chance.random() < 1 / 20:
        raise HTTPException(402, "declined")
    return {"id": uuid4().hex, "amount": str(wanted.amount)}
