"""The way from a cart to an order: add, look, pay, and a receipt afterwards."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Annotated, Any

import httpx
from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, Request
from pydantic import BaseModel, Field
from sqlalchemy import delete, select
from sqlalchemy.orm import joinedload

from .database import Database
from .models import CartItem, Customer, Order, OrderLine, Product
from .pricing import gross_price, price_with_tax, shipping_cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session, sessionmaker

router = APIRouter(prefix="/customers/{customer_id}", tags=["checkout"])
logger = logging.getLogger(__name__)


class Wanted(BaseModel):
    """A product to put into the cart."""

    product_id: int
    quantity: int = Field(default=1, ge=1, le=20)


def find_customer(customer_id: int, database: Database) -> Customer:
    """The customer that the path names."""
    customer = database.get(Customer, customer_id)
    if customer is None:
        raise HTTPException(404, f"there is no customer {customer_id}")
    return customer


KnownCustomer = Annotated[Customer, Depends(find_customer)]


@router.get("/cart")
def show_cart(customer: KnownCustomer, database: Database) -> dict[str, Any]:
    """What is in the cart, with tax."""
    items = _items(database, customer)
    return {
        "items": [
            {
                "product": item.product.name,
                "quantity": item.quantity,
                "price": price_with_tax(item.product.price, customer.country),
            }
            for item in items
        ],
        "total": _total(items, customer),
    }


@router.post("/cart", status_code=201)
def add_to_cart(wanted: Wanted, customer: KnownCustomer, database: Database) -> dict[str, int]:
    """Puts a product into the cart, or more of it."""
    if database.get(Product, wanted.product_id) is None:
        raise HTTPException(404, f"there is no product {wanted.product_id}")
    item = database.get(CartItem, (customer.id, wanted.product_id))
    if item is None:
        item = CartItem(customer_id=customer.id, product_id=wanted.product_id, quantity=0)
        database.add(item)
    item.quantity += wanted.quantity
    database.commit()
    return {"product_id": item.product_id, "quantity": item.quantity}


@router.post("/checkout", status_code=201)
def check_out(
    customer: KnownCustomer, database: Database, request: Request, background: BackgroundTasks
) -> dict[str, int]:
    """Charges the customer and turns the cart into an order; the receipt follows once the reply is out."""
    items = _items(database, customer)
    if not items:
        raise HTTPException(409, "the cart is empty")
    total = _total(items, customer)
    database.commit()  # nobody else shall wait while the payment service thinks
    payment = _charge(request.app.state.payments, customer, total)
    order = Order(customer_id=customer.id, total=total, payment=payment)
    order.lines = [
        OrderLine(product_id=item.product_id, quantity=item.quantity, price=item.product.price) for item in items
    ]
    database.add(order)
    database.execute(delete(CartItem).where(CartItem.customer_id == customer.id))
    database.commit()
    logger.info("order %d of customer %d: %d items, %d cents", order.id, customer.id, len(items), total)
    background.add_task(send_receipt, request.app.state.sessions, order.id)
    return {"order": order.id, "total": total}


def send_receipt(sessions: sessionmaker[Session], order_id: int) -> None:
    """Writes the receipt of an order and hands it to the mail server."""
    with sessions() as database:
        order = database.get_one(Order, order_id, options=[joinedload(Order.customer)])
        letter = f"Dear {order.customer.name}, thank you for {order.total / 100:.2f} EUR."
    time.sleep(0.05)  # what a mail server takes
    logger.info("receipt of order %d sent: %d characters", order_id, len(letter))


def _items(database: Session, customer: Customer) -> Sequence[CartItem]:
    items = select(CartItem).where(CartItem.customer_id == customer.id).options(joinedload(CartItem.product))
    return database.scalars(items).all()


def _total(items: Sequence[CartItem], customer: Customer) -> int:
    if not items:
        return 0
    weight = sum(item.product.weight * item.quantity for item in items)
    goods = sum(gross_price(item.product.price, customer.country) * item.quantity for item in items)
    return goods + shipping_cost(weight, customer.country)


def _charge(payments: httpx.Client, customer: Customer, amount: int) -> str:
    try:
        reply = payments.post("/charges", json={"customer": customer.id, "amount": amount})
    except httpx.TransportError as error:
        raise HTTPException(502, "the payment service cannot be reached") from error
    if reply.status_code == 402:
        raise HTTPException(402, "the payment was declined")
    if reply.is_error:
        raise HTTPException(502, f"the payment service answered {reply.status_code}")
    return str(reply.json()["id"])
