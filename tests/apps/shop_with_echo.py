"""The shop, and beside it a websocket that says what it hears."""

from __future__ import annotations

from typing import Any

from examples.shop.app import app as shop


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        await shop(scope, receive, send)
        return
    await send({"type": "websocket.accept"})
    while (heard := await receive())["type"] != "websocket.disconnect":
        if heard["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": heard["text"]})
