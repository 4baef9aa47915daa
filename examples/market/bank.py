"""A stand-in for a bank: `uvicorn market.bank:app`."""

from __future__ import annotations

import asyncio
import random

from fastapi import FastAPI

from . import flags

app = FastAPI(title="Bank")
chance = random.Random(11)


@app.post("/charges", status_code=201)
async def charge() -> dict[str, str]:
    """Takes the money: in 0.4 to 0.8 s as a rule."""
    await asyncio.sleep(float(flags.get("clearing", 0.4)) * chance.uniform(1, 2))
    return {"id": f"{chance.getrandbits(64):016x}"}
