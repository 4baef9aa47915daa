"""A shop that keeps its prices in Redis for a quarter of the time that it could.

Prices change once an hour, and each takes 8 ms to work out, but `price` keeps it for 0.4 s only: most look-ups of what
is not asked for all the time find a value that has just expired. perfagent says what a longer time would bring, and
names the line that sets it. Needs a Redis: its address is the first argument, or redis://localhost:6379/0.
"""

from __future__ import annotations

import random
import sys
import time

import redis

KEPT_MS = 400  # the fault
PRODUCTS = 60
ASKED = 900


def price(client: redis.Redis, product: int) -> bytes:
    """The price of a product, from the cache if it has it."""
    key = f"price:{product}"
    found = client.get(key)
    if found is None:
        found = work_out(product)
        client.set(key, found, px=KEPT_MS)
    return found


def work_out(product: int) -> bytes:
    """What the price comes to, with today's rates."""
    time.sleep(0.008)
    return f"{product * 1.19:.2f}".encode()


def main() -> None:
    """Customers look at products, at some more than at others."""
    client = redis.Redis.from_url(sys.argv[1] if len(sys.argv) > 1 else "redis://localhost:6379/0")
    customers = random.Random(7)
    for _ in range(ASKED):
        price(client, int(customers.paretovariate(0.7)) % PRODUCTS)
        time.sleep(0.002)
    print("Look at the page's view of caches: price:{} expires too soon, and what a longer time would save a day.")


if __name__ == "__main__":
    main()
