"""What there is to buy: lists, product pages, search and ratings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy import func, select

from .cache import TTLCache
from .database import Database
from .models import Product, Review

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

PAGE = 24

router = APIRouter(tags=["catalog"])
lists: TTLCache[dict[str, Any]] = TTLCache(ttl=5)


@router.get("/products")
def list_products(
    database: Database, category: str | None = None, page: Annotated[int, Query(ge=1)] = 1
) -> dict[str, Any]:
    """One page of products, of one category or of all; a list may be some seconds old."""
    return lists.get((category, page), lambda: _read_list(database, category, page))


@router.get("/products/{product_id}")
def show_product(product_id: int, database: Database) -> dict[str, Any]:
    """A product with its latest reviews and some others of its category."""
    product = _find(database, product_id)
    reviews = database.scalars(
        select(Review).where(Review.product_id == product_id).order_by(Review.id.desc()).limit(5)
    )
    similar = database.scalars(
        select(Product).where(Product.category == product.category, Product.id != product_id).limit(4)
    )
    return {
        **_summary(product),
        "description": product.description,
        "reviews": [{"stars": review.stars, "text": review.text} for review in reviews],
        "similar": [_summary(other) for other in similar],
    }


@router.get("/products/{product_id}/rating")
def show_rating(product_id: int, database: Database) -> dict[str, Any]:
    """How many stars the product has on average."""
    product = _find(database, product_id)
    stars = [review.stars for review in product.reviews]
    return {"reviews": len(stars), "average": round(sum(stars) / len(stars), 1)}


@router.get("/search")
def search(q: Annotated[str, Query(min_length=2)], database: Database) -> list[dict[str, Any]]:
    """The products that have all the words in their name or description."""
    found = select(Product).limit(PAGE)
    for word in q.split():
        found = found.where(Product.name.contains(word) | Product.description.contains(word))
    return [_summary(product) for product in database.scalars(found)]


def _read_list(database: Session, category: str | None, page: int) -> dict[str, Any]:
    chosen = select(Product)
    if category:
        chosen = chosen.where(Product.category == category)
    total = database.scalar(select(func.count()).select_from(chosen.subquery()))
    products = database.scalars(chosen.order_by(Product.name).offset((page - 1) * PAGE).limit(PAGE))
    return {"total": total, "page": page, "products": [_summary(product) for product in products]}


def _find(database: Session, product_id: int) -> Product:
    product = database.get(Product, product_id)
    if product is None:
        raise HTTPException(404, f"there is no product {product_id}")
    return product


def _summary(product: Product) -> dict[str, Any]:
    return {"id": product.id, "name": product.name, "category": product.category, "price": product.price}
