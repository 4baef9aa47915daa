"""Every checkout subscribes to the shop's events and nobody unsubscribes, so each one is kept for ever.

The subscription is meant to end with the checkout. `Bus.subscribe` keeps it, and with it the order and its lines, in a
list that belongs to a module's global: memory grows by some kB with each POST /checkout, and with nothing else.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time

import httpx
import uvicorn
from fastapi import FastAPI


class Order:
    """What somebody buys."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lines = [f"line {line} of order {number}" for line in range(20)]


class Subscription:
    """Wants to know what becomes of an order."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.seen: list[str] = []


class Bus:
    """Tells subscribers of events."""

    def __init__(self) -> None:
        self.subscribers: list[Subscription] = []

    def subscribe(self, order: Order) -> Subscription:
        """Nobody ever takes it out again: that is the fault."""
        subscription = Subscription(order)
        self.subscribers.append(subscription)
        return subscription


app = FastAPI()
bus = Bus()
BOUND = 40
recent: dict[int, str] = {}
"""A cache with a bound, which is no leak."""


@app.post("/checkout")
async def checkout(number: int) -> str:
    """Sells; the subscription stays."""
    bus.subscribe(Order(number)).seen.append("paid")
    return "sold"


@app.get("/catalogue")
async def catalogue(number: int) -> list[str]:
    """Shows what there is to buy."""
    recent[number % BOUND] = "x" * 200
    return [f"article {article}" for article in range(20)]


async def visit(base: str, seconds: float) -> None:
    """What visitors do: they look twice and buy once."""
    async with httpx.AsyncClient(base_url=base) as client:
        end, number = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            number += 1
            try:
                if number % 3:
                    await client.get("/catalogue", params={"number": number})
                else:
                    await client.post("/checkout", params={"number": number})
            except httpx.TransportError:  # Ctrl-C ended the server
                return


async def main() -> None:
    """Serves itself, and visits."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 900.0
        print(f"a leak shows in a few minutes; this ends after {seconds:g} s, or with Ctrl-C")
        print("see what grows, and at which line: perfagent dashboard --service leak, or the page", flush=True)
        await visit(f"http://127.0.0.1:{listener.getsockname()[1]}", seconds)
        server.should_exit = True
        await serving
    print(f"{len(bus.subscribers)} subscriptions are kept")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print(f"{len(bus.subscribers)} subscriptions were kept")
