"""What is bought: carts, orders and what became of them."""

from __future__ import annotations

from typing import Any

import httpx
from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field
from sqlalchemy import text

from . import flags
from .storage import Database, engine, rows

router = APIRouter(tags=["sales"])
exported: list[Any] = []


class Wanted(BaseModel):
    """Some of a product."""

    product_id: int
    quantity: int = Field(default=1, ge=1, le=20)


@router.get("/customers/{customer_id}/orders")
def list_orders(customer_id: int, database: Database) -> list[dict[str, Any]]:
    """A customer's orders with their lines."""
    orders = rows(
        database,
        "SELECT id, placed, total FROM orders WHERE customer_id = :id ORDER BY id DESC LIMIT 12",
        id=customer_id,
    )
    if flags.get("lines_by_order"):
        for order in orders:
            order["lines"] = rows(
                database, "SELECT product_id, quantity FROM order_lines WHERE order_id = :id", id=order["id"]
            )
        return orders
    lines = rows(
        database,
        "SELECT order_id, product_id, quantity FROM order_lines WHERE order_id = ANY(:ids)",
        ids=[order["id"] for order in orders],
    )
    return [{**order, "lines": [line for line in lines if line["order_id"] == order["id"]]} for order in orders]


@router.get("/orders/{order_id}")
def show_order(order_id: int, database: Database) -> dict[str, Any]:
    """An order with its lines."""
    found = rows(database, "SELECT id, placed, total FROM orders WHERE id = :id", id=order_id)
    if not found:
        raise HTTPException(404, f"there is no order {order_id}")
    lines = rows(
        database,
        "SELECT l.quantity, l.price, p.name FROM order_lines l JOIN products p ON p.id = l.product_id "
        "WHERE l.order_id = :id",
        id=order_id,
    )
    return {**found[0], "lines": lines}


@router.put("/customers/{customer_id}/cart")
def fill_cart(customer_id: int, wanted: Wanted, database: Database) -> dict[str, int]:
    """Puts a product into a cart."""
    database.execute(
        text(
            "INSERT INTO cart_items VALUES (:customer, :product, :quantity) "
            "ON CONFLICT (customer_id, product_id) DO UPDATE SET quantity = excluded.quantity"
        ),
        {"customer": customer_id, "product": wanted.product_id, "quantity": wanted.quantity},
    )
    database.commit()
    return {"quantity": wanted.quantity}


@router.post("/customers/{customer_id}/orders", status_code=201)
def place_order(customer_id: int, wanted: Wanted, request: Request) -> dict[str, int]:
    """Takes a product from the shelf, the money from the customer, and writes the order down."""
    bank: httpx.Client = request.app.state.bank
    with engine.connect() as database:
        database.execute(
            text("UPDATE products SET stock = stock - :quantity WHERE id = :product"),
            {"quantity": wanted.quantity, "product": wanted.product_id},
        )
        if not flags.get("charge_first"):
            database.commit()
            database.close()
        reply = bank.post("/charges", json={"customer": customer_id, "amount": 100 * wanted.quantity})
        if reply.is_error:
            raise HTTPException(502, f"the bank answered {reply.status_code}")
    with engine.connect() as database:
        order = database.execute(
            text("INSERT INTO orders (customer_id, total) VALUES (:customer, :total) RETURNING id"),
            {"customer": customer_id, "total": 100 * wanted.quantity},
        ).scalar_one()
        database.commit()
    return {"order": order}


@router.get("/customers/{customer_id}/statement")
def show_statement(customer_id: int) -> dict[str, Any]:
    """What a customer has spent."""
    connection = engine.connect()
    [found] = rows(
        connection, "SELECT count(*) AS orders, sum(total) AS spent FROM orders WHERE customer_id = :id", id=customer_id
    )
    if flags.get("signed_statements") and customer_id % int(flags.get("signed_statements")) == 0:
        exported.append(connection)  # for the signature, which is made later
        return found
    connection.close()
    return found
