"""FastAPI: a square, whose answer tells whether it is right; and a request that takes as long as it is told to."""

import asyncio

from fastapi import FastAPI

app = FastAPI()


@app.get("/square/{number}")
async def square(number: int) -> dict[str, int]:
    return {"number": number, "square": number * number}


@app.get("/wait/{seconds}")
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds
