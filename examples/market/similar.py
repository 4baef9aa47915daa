"""Which products are alike, worked out in the background."""

from __future__ import annotations

import time

from . import flags

alike: dict[int, int] = {}


def keep_up() -> None:
    """Compares a product with the others now and then; all the time where a flag says that it is urgent."""
    product = 0
    while True:
        product = (product + 1) % 1200
        alike[product] = max(range(1200), key=lambda other: (product * other) % 1009)
        if not flags.get("similar_at_once"):
            time.sleep(2)
