"""ASGI: holds the begin of a page's answer back until the first part of its body, which may get the script's tag."""

from __future__ import annotations

from perfagent.rum.page import look, skip
from perfagent.runtime import guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Any

    from perfagent.rum.page import Page
    from perfagent.runtime.http import ServerSpan

    Message = MutableMapping[str, Any]
    Send = Callable[[Message], Awaitable[None]]


class Sending:
    """The server's `send` of one request.

    Args:
        send: what it stands for.
        scope: the request's.
        span: the request's.
    """

    __slots__ = ("begin", "page", "scope", "send", "span")

    def __init__(self, send: Send, scope: MutableMapping[str, Any], span: ServerSpan) -> None:
        self.send = send
        self.scope = scope
        self.span = span
        self.begin: Message | None = None
        self.page: Page | None = None

    def __call__(self, message: Message) -> Awaitable[None]:
        """Sends a message on, or keeps it until the next one."""
        if self.begin is not None:
            return self._go_on(message)
        if message["type"] == "http.response.start":
            try:
                self.page = look(message["status"], list(message.get("headers") or ()), self._header, self.span)
            except Exception:
                guard.failed("rum")
                self.page = None
            if self.page is not None:
                self.begin = message
                return _nothing()
        return self.send(message)

    def _header(self, name: str) -> str:
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self.scope.get("headers") or () if key == wanted), "")

    async def _go_on(self, message: Message) -> None:
        begin, page = self.begin, self.page
        self.begin = self.page = None
        assert begin is not None
        assert page is not None
        if message["type"] != "http.response.body":
            skip("file")  # such as http.response.pathsend
        else:
            try:
                changed = page.change(bytes(message.get("body", b"")))
                if changed is not None:
                    body, headers = changed
                    begin, message = {**begin, "headers": headers}, {**message, "body": body}
            except Exception:
                guard.failed("rum")
        await self.send(begin)
        await self.send(message)


async def _nothing() -> None:
    """What the sender of a kept message waits for."""
