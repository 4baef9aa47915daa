"""What things cost: tax and shipping, in cents."""

from __future__ import annotations

import functools
import warnings

TAX = {"AT": 20, "CH": 8, "DE": 19, "DK": 25, "FR": 20, "NL": 21}


def gross_price(price: int, country: str) -> int:
    """The price with the tax of the country."""
    return price + price * TAX[country] // 100


def price_with_tax(price: int, country: str = "DE") -> int:
    """Deprecated: the name that `gross_price` had while the shop sold in one country only."""
    warnings.warn("price_with_tax() is deprecated, use gross_price()", DeprecationWarning, stacklevel=2)
    return gross_price(price, country)


@functools.lru_cache(maxsize=256)
def shipping_cost(weight: int, country: str) -> int:
    """What the carrier takes for a parcel of so many grams."""
    parcels = 1 + weight // 20_000
    return parcels * (490 if country == "DE" else 1290)
