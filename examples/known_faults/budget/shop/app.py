"""The shop's application."""

from __future__ import annotations

from fastapi import FastAPI

from shop import carts
from shop.data import open_database

app = FastAPI()
database = open_database()


@app.get("/carts/{cart}")
def cart(cart: int) -> dict[str, object]:
    """A cart with its lines."""
    return {"cart": cart, "lines": carts.with_products(database, cart)}


@app.get("/carts/{cart}/total")
def total(cart: int) -> dict[str, int]:
    """What a cart costs."""
    return {"total": carts.total(database, cart)}
