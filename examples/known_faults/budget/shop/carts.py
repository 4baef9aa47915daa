"""Carts: one way to read one that is slow, and one that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


def with_products(connection: sqlite3.Connection, cart: int) -> list[dict[str, object]]:
    """The lines of a cart. The fault: each line's product is a query of its own."""
    lines = connection.execute("SELECT product, pieces FROM lines WHERE cart = ?", (cart,)).fetchall()
    found = []
    for product, pieces in lines:
        name, price = connection.execute("SELECT name, price FROM products WHERE id = ?", (product,)).fetchone()
        found.append({"name": name, "pieces": pieces, "price": price})
    return found


def total(connection: sqlite3.Connection, cart: int) -> int:
    """What a cart costs, by one query."""
    (found,) = connection.execute(
        "SELECT sum(lines.pieces * products.price) FROM lines JOIN products ON products.id = lines.product "
        "WHERE lines.cart = ?",
        (cart,),
    ).fetchone()
    return int(found)
