"""When it comes, and what the customer gets back: asynchronous, for it waits for others most of the time."""

from __future__ import annotations

import time
from typing import Any

import httpx
from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from . import flags
from .storage import engine, rows

router = APIRouter(tags=["delivery"])
labels: list[bytes] = []
"""As they were printed, in case that one is lost."""


@router.get("/products/{product_id}/delivery")
async def show_delivery(product_id: int, request: Request) -> dict[str, Any]:
    """In how many days the warehouse can send a product."""
    warehouse: httpx.AsyncClient = request.app.state.warehouse
    reply = await warehouse.get(f"/shelves/{product_id}")
    if reply.is_error:
        raise HTTPException(502, f"the warehouse answered {reply.status_code}")
    time.sleep(float(flags.get("label_printer", 0)))
    if flags.get("label_archive"):
        labels.append(b"#" * int(flags.get("label_archive")))
    return {"days": 1 + reply.json()["shelf"] % 3}


@router.get("/customers/{customer_id}/points")
async def show_points(customer_id: int) -> dict[str, Any]:
    """The bonus points of a customer."""
    if flags.get("points_of_all"):
        return _read_points("%")
    return await run_in_threadpool(_read_points, customer_id)


def _read_points(customer_id: Any) -> dict[str, Any]:
    with engine.connect() as database:
        if customer_id == "%":
            [found] = rows(database, "SELECT sum(quantity * price) / 100 AS points FROM order_lines WHERE price > 0")
        else:
            [found] = rows(
                database, "SELECT sum(total) / 100 AS points FROM orders WHERE customer_id = :id", id=customer_id
            )
    return found
