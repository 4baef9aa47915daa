"""What there is to buy: categories, products, their reviews and prices."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, HTTPException

from . import flags
from .storage import Database, remembered, rows

router = APIRouter(tags=["catalogue"])
TAX = {"AT": 20, "CH": 8, "DE": 19, "DK": 25, "FR": 20, "NL": 21}
seen: list[bytes] = []
"""Pages as they were sent, for the newsletter."""


@router.get("/categories/{category}/products")
def list_products(category: str, database: Database) -> list[dict[str, Any]]:
    """The first products of a category, each with its stars."""
    return remembered(_key(f"category:{category}"), lambda: _read_category(database, category), 4)  # type: ignore[no-any-return]


@router.get("/products/{product_id}")
def show_product(product_id: int, database: Database) -> dict[str, Any]:
    """A product with its newest reviews."""
    page = remembered(_key(f"product:{product_id}"), lambda: _read_product(database, product_id))
    if flags.get("newsletter"):
        seen.append(repr(page).encode() * int(flags.get("newsletter")))
    return page  # type: ignore[no-any-return]


@router.get("/products/{product_id}/reviews")
def list_reviews(product_id: int, database: Database) -> list[dict[str, Any]]:
    """The newest reviews of a product."""
    return _reviews(database, product_id, 20)


@router.get("/products/{product_id}/price")
def show_price(product_id: int, country: str, database: Database) -> dict[str, Any]:
    """What a product costs in a country, tax included."""
    [price] = rows(database, "SELECT price FROM products WHERE id = :id", id=product_id)
    total = price["price"] * (100 + flags.get("tax", TAX)[country]) // 100
    return {"price": total, "rates": _instalments(total)}


def _instalments(total: int) -> list[int]:
    """The monthly rates for one to twelve months, to the cent."""
    rates = []
    for months in range(1, 13):
        rate = total // months
        for _ in range(int(flags.get("instalment_rounds", 1))):
            interest = sum(rate * day % 97 for day in range(30)) % 5
        rates.append(rate + interest)
    return rates


def _read_category(database: Any, category: str) -> list[dict[str, Any]]:
    if flags.get("stars_by_product"):
        found = rows(
            database, "SELECT id, name, price FROM products WHERE category = :category LIMIT 24", category=category
        )
        for product in found:
            [stars] = rows(database, "SELECT avg(stars) AS stars FROM reviews WHERE product_id = :id", id=product["id"])
            product |= stars
        return found
    return rows(
        database,
        "SELECT p.id, p.name, p.price, avg(r.stars) AS stars FROM (SELECT * FROM products WHERE category = :category "
        "LIMIT 24) p JOIN reviews r ON r.product_id = p.id GROUP BY p.id, p.name, p.price",
        category=category,
    )


def _read_product(database: Any, product_id: int) -> dict[str, Any]:
    found = rows(database, "SELECT id, name, category, price FROM products WHERE id = :id", id=product_id)
    if not found:
        raise HTTPException(404, f"there is no product {product_id}")
    return {**found[0], "reviews": _reviews(database, product_id, 5)}


def _reviews(database: Any, product_id: int, limit: int) -> list[dict[str, Any]]:
    return rows(
        database,
        "SELECT stars, written, body FROM reviews WHERE product_id = :id ORDER BY written DESC LIMIT :limit",
        id=product_id,
        limit=limit,
    )


def _key(key: str) -> str:
    return f"{key}:{time.time_ns()}" if flags.get("keys_by_release") else key
