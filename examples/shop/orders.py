"""What was bought: a customer's orders, the sales report and the export for the accountants."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from .checkout import KnownCustomer
from .database import Database
from .models import Order, OrderLine, Product

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session, sessionmaker

router = APIRouter(tags=["orders"])


@router.get("/customers/{customer_id}/orders")
def list_orders(customer: KnownCustomer, database: Database) -> list[dict[str, Any]]:
    """The customer's orders with all that was in them, the latest first."""
    orders = database.scalars(select(Order).where(Order.customer_id == customer.id).order_by(Order.id.desc()))
    return [
        {
            "id": order.id,
            "placed_at": order.placed_at,
            "total": order.total,
            # Each order asks for its lines, and each line for its product: the classic N+1.
            "lines": [{"product": line.product.name, "quantity": line.quantity} for line in order.lines],
        }
        for order in orders
    ]


@router.get("/reports/sales")
async def report_sales(database: Database) -> list[dict[str, Any]]:
    """Sales by category and how they spread, computed on the event loop, where everybody else waits for it."""
    rows = database.execute(
        select(Product.category, OrderLine.price, OrderLine.quantity)
        .join(OrderLine.product)
        .join(OrderLine.order)
        .order_by(Order.placed_at)
    )
    sales: dict[str, list[int]] = {}
    for category, price, quantity in rows:
        sales.setdefault(category, []).append(price * quantity)
    return [
        {"category": category, "orders": len(amounts), "sum": sum(amounts), "spread": _mean_difference(amounts)}
        for category, amounts in sorted(sales.items())
    ]


@router.get("/exports/orders.csv")
def export_orders(request: Request) -> StreamingResponse:
    """Every order as CSV, sent while it is read."""
    return StreamingResponse(_rows(request.app.state.sessions), media_type="text/csv")


def _rows(sessions: sessionmaker[Session]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(("order", "customer", "placed_at", "total"))
    with sessions() as database:
        orders = select(Order.id, Order.customer_id, Order.placed_at, Order.total).order_by(Order.id)
        for chunk in database.execute(orders.execution_options(yield_per=250)).partitions():
            writer.writerows(chunk)
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()


def _mean_difference(amounts: list[int]) -> float:
    """Gini's mean difference, by the definition: every amount against every other."""
    pairs = sum(abs(one - other) for one in amounts for other in amounts)
    return round(pairs / len(amounts) ** 2, 2)
