"""Visitors for the shop: `python -m shop.traffic http://127.0.0.1:8000 --seconds 20`.

The load is open: visitors come at random, so many a second on average, whether the shop keeps up or not. What each of
them does follows from the seed alone.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import httpx

from .database import CATEGORIES, CUSTOMERS, PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WORDS = ("blue", "bell", "lamp", "kettle", "silent", "tent", "wooden chair", "red cup", "drum", "unobtainium")


class Visitor:
    """One person with a browser: makes requests with a little time to think in between, and counts the answers."""

    def __init__(self, client: httpx.AsyncClient, chance: random.Random, answers: Counter[str]) -> None:
        self.client = client
        self.chance = chance
        self.answers = answers
        self.customer = chance.randint(1, CUSTOMERS)

    async def get(self, path: str, **parameters: str | int) -> None:
        """Loads a page."""
        await self._count(self.client.get(path, params=parameters))

    async def post(self, path: str, body: dict[str, int] | None = None) -> None:
        """Sends a form."""
        await self._count(self.client.post(path, json=body))

    async def browse(self) -> None:
        """Looks through a category; the first page of a popular one mostly."""
        category = self.chance.choices(CATEGORIES, weights=range(len(CATEGORIES), 0, -1))[0]
        for page in range(1, self.chance.randint(2, 4)):
            await self.get("/products", category=category, page=page)
            for _ in range(self.chance.randint(0, 2)):
                await self.look_at(self.chance.randint(1, PRODUCTS))

    async def search(self) -> None:
        """Searches, and looks at some of what was found."""
        await self.get("/search", q=self.chance.choice(WORDS))
        await self.look_at(self.chance.randint(1, PRODUCTS))

    async def buy(self) -> None:
        """Fills a cart and pays."""
        cart = f"/customers/{self.customer}/cart"
        for product in self.chance.sample(range(1, PRODUCTS), self.chance.randint(1, 4)):
            await self.look_at(product)
            await self.post(cart, {"product_id": product, "quantity": self.chance.randint(1, 3)})
        await self.get(cart)
        await self.post(f"/customers/{self.customer}/checkout")

    async def come_back(self) -> None:
        """Asks what became of earlier orders."""
        await self.get(f"/customers/{self.customer}/orders")

    async def get_lost(self) -> None:
        """Follows an old link."""
        await self.get(f"/products/{PRODUCTS + self.chance.randint(1, 99)}")

    async def keep_the_books(self) -> None:
        """Works for the shop: the report and the export."""
        await self.get("/reports/sales")
        await self.get("/exports/orders.csv")

    async def look_at(self, product: int) -> None:
        """Opens a product, and its rating every other time."""
        await self.get(f"/products/{product}")
        if self.chance.random() < 0.5:
            await self.get(f"/products/{product}/rating")

    async def _count(self, exchange: Awaitable[httpx.Response]) -> None:
        try:
            self.answers[str((await exchange).status_code)] += 1
        except httpx.TransportError as error:
            self.answers[type(error).__name__] += 1
        await asyncio.sleep(self.chance.uniform(0.05, 0.4))


# How many of a hundred visitors do what.
ERRANDS: dict[Callable[[Visitor], Awaitable[None]], int] = {
    Visitor.browse: 42,
    Visitor.search: 22,
    Visitor.buy: 18,
    Visitor.come_back: 12,
    Visitor.get_lost: 3,
    Visitor.keep_the_books: 3,
}


async def visit(url: str, *, seconds: float, rate: float, seed: int) -> Counter[str]:
    """Sends visitors to the shop.

    Args:
        url: where the shop is.
        seconds: how long visitors arrive; those who are in the shop then still finish.
        rate: visitors a second on average (each makes about four requests).
        seed: of what they do.

    Returns:
        How often each HTTP status was answered; a failed connection counts under the name of its exception.
    """
    chance = random.Random(seed)
    answers: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client, _Visits() as visits:
        arrival, end = time.monotonic(), time.monotonic() + seconds
        while (arrival := arrival + chance.expovariate(rate)) < end:
            await asyncio.sleep(arrival - time.monotonic())
            [errand] = chance.choices(list(ERRANDS), list(ERRANDS.values()))
            visits.start(errand(Visitor(client, random.Random(chance.random()), answers)))
    return answers


class _Visits:
    """The visits under way; waits for all of them at the end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[None]] = set()

    def start(self, visit: Awaitable[None]) -> None:
        task = asyncio.ensure_future(visit)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aenter__(self) -> _Visits:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._tasks)


def main() -> None:
    """Sends visitors and prints what was answered."""
    parser = argparse.ArgumentParser(prog="python -m shop.traffic", description="Visitors for the shop.")
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=10, help="visitors a second; each makes about four requests")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    answers = asyncio.run(visit(wanted.url, seconds=wanted.seconds, rate=wanted.rate, seed=wanted.seed))
    print(f"{answers.total()} requests:", ", ".join(f"{n} x {answer}" for answer, n in answers.most_common()))


if __name__ == "__main__":
    main()
