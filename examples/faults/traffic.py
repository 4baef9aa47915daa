"""Customers of the market: open, so they come whether it keeps up or not, and what they do follows from the seed."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING

import aiohttp

from perfagent.load.arrivals import POISSON, arrivals

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTRIES = ("AT", "CH", "DE", "DK", "FR", "NL")
CATEGORIES = ("books", "garden", "kitchen", "music", "office", "toys")
ROUTES: dict[str, float] = {
    "GET /categories/{category}/products": 1,
    "GET /products/{product}": 2,
    "GET /products/{product}/reviews": 1,
    "GET /products/{product}/price?country={country}": 1.5,
    "GET /products/{product}/delivery": 1,
    "GET /customers/{customer}/orders": 1,
    "GET /customers/{customer}/points": 1,
    "GET /customers/{customer}/statement": 1,
    "GET /orders/{order}": 1,
    "PUT /customers/{customer}/cart": 1,
    "POST /customers/{customer}/orders": 1,
}
"""Requests a second of each."""


class Traffic:
    """Sends requests from a thread of its own until it is stopped.

    Args:
        url: where the market is.
        rates: requests a second of each route.
        seed: of who comes when.
    """

    def __init__(self, url: str, rates: Mapping[str, float] = ROUTES, seed: int = 1) -> None:
        self._url, self._rates, self._seed = url, rates, seed
        self._ended = threading.Event()
        self._open: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.answers: Counter[str] = Counter()
        """How often each status was answered; without an answer, the exception's name."""

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=10)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self._url, connector=connector, timeout=timeout) as session:
            tasks = [
                asyncio.create_task(self._visit(session, route, rate, number))
                for number, (route, rate) in enumerate(self._rates.items())
            ]
            while not self._ended.is_set():
                await asyncio.sleep(0.1)
            tasks += self._open
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _visit(self, session: aiohttp.ClientSession, route: str, rate: float, number: int) -> None:
        chance = random.Random(self._seed * 100 + number)
        begin = monotonic()
        for due in arrivals(rate, 86400, POISSON, self._seed * 100 + number):
            await asyncio.sleep(begin + due - monotonic())
            task = asyncio.create_task(self._ask(session, *_request(route, chance)))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _ask(self, session: aiohttp.ClientSession, method: str, path: str, body: dict[str, int] | None) -> None:
        try:
            async with session.request(method, path, json=body) as answer:
                await answer.read()
                self.answers[str(answer.status)] += 1
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            self.answers[type(error).__name__] += 1


def _request(route: str, chance: random.Random) -> tuple[str, str, dict[str, int] | None]:
    method, _, path = route.partition(" ")
    product = min(int(chance.paretovariate(0.6)), 6000)  # a few are asked for most
    wanted = {"product_id": product, "quantity": chance.randint(1, 3)}
    path = path.format(
        product=product,
        category=chance.choice(CATEGORIES),
        country=chance.choice(COUNTRIES),
        customer=chance.randint(1, 5000),
        order=chance.randint(1, 60000),
    )
    return method, path, None if method == "GET" else wanted
