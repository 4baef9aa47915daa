"""The database: its engine, a session for each request, and goods to fill an empty shop with."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import Engine, create_engine, event, insert, select
from sqlalchemy.orm import Session, sessionmaker

from .models import Base, Customer, Order, OrderLine, Product, Review

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CATEGORIES = ("books", "garden", "kitchen", "music", "office", "outdoor", "toys", "tools")
COUNTRIES = ("AT", "CH", "DE", "DK", "FR", "NL")
PRODUCTS, CUSTOMERS, ORDERS = 600, 200, 1500

_ADJECTIVES = ("blue", "compact", "folding", "green", "heavy", "light", "red", "silent", "solid", "wooden")
_NOUNS = ("bag", "bell", "bowl", "chair", "clock", "cup", "drum", "kettle", "lamp", "pan", "ruler", "stool", "tent")


def open_database(file: Path) -> Engine:
    """An engine for the SQLite file, whose tables are made and filled if it is new."""
    engine = create_engine(f"sqlite:///{file}", pool_size=10, max_overflow=30)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        # Readers go on while somebody writes, and a commit does not wait for the disk.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    Base.metadata.create_all(engine)
    with Session(engine) as session:
        if session.scalar(select(Product.id).limit(1)) is None:
            _fill(session)
    return engine


def open_session(request: Request) -> Iterator[Session]:
    """A session that lives as long as the request."""
    sessions: sessionmaker[Session] = request.app.state.sessions
    with sessions() as session:
        yield session


Database = Annotated[Session, Depends(open_session)]


def _fill(session: Session) -> None:
    chance = random.Random(7)
    session.execute(insert(Product), [_product(chance) for _ in range(PRODUCTS)])
    session.execute(insert(Customer), [_customer(number, chance) for number in range(1, CUSTOMERS + 1)])
    # Every tenth product is new, and nobody has reviewed it yet.
    reviewed = [product for product in range(1, PRODUCTS + 1) if product % 10]
    session.execute(insert(Review), [_review(product, chance) for product in chance.choices(reviewed, k=6 * PRODUCTS)])
    session.execute(insert(Review), [_review(product, chance) for product in reviewed])
    session.execute(insert(Order), [_order(chance) for _ in range(ORDERS)])
    lines = [_line(order, chance) for order in range(1, ORDERS + 1) for _ in range(chance.randint(1, 4))]
    session.execute(insert(OrderLine), lines)
    session.commit()


def _product(chance: random.Random) -> dict[str, Any]:
    name = f"{chance.choice(_ADJECTIVES)} {chance.choice(_NOUNS)}"
    return {
        "name": name,
        "description": f"A {name} that lasts. " * chance.randint(1, 8),
        "category": chance.choice(CATEGORIES),
        "price": chance.randint(300, 20_000),
        "weight": chance.randint(1, 60) * 100,
    }


def _customer(number: int, chance: random.Random) -> dict[str, Any]:
    return {"name": f"Customer {number}", "country": chance.choice(COUNTRIES)}


def _review(product: int, chance: random.Random) -> dict[str, Any]:
    return {"product_id": product, "stars": chance.randint(1, 5), "text": "As described, and it came in time."}


def _order(chance: random.Random) -> dict[str, Any]:
    placed_at = datetime(2026, 1, 1) + timedelta(minutes=chance.randrange(200_000))
    return {
        "customer_id": chance.randint(1, CUSTOMERS),
        "placed_at": placed_at,
        "total": chance.randint(500, 60_000),
        "payment": f"{chance.getrandbits(64):016x}",
    }


def _line(order: int, chance: random.Random) -> dict[str, Any]:
    return {
        "order_id": order,
        "product_id": chance.randint(1, PRODUCTS),
        "quantity": chance.randint(1, 3),
        "price": chance.randint(300, 20_000),
    }
