"""Who may ask: the Host and the Origin of a request, its token or cookie, the role that it needs, and how often.

An ASGI layer around the whole application, so that a new route is closed until somebody opens it here.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from perfagent.hub.access import ROLES
from perfagent.hub.api.errors import Refused
from perfagent.hub.api.login import COOKIE, holds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from perfagent.hub.api.limits import Limits
    from perfagent.hub.hub import Hub

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX = "/api/v1/performance"
CLIENT = "/v1/client"
SCRIPT = "/rum.js"
MCP = "/mcp"
TELEMETRY = ("/v1/", "/v1development/")
SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = frozenset(("localhost", "127.0.0.1", "[::1]", "::1"))
EVERYWHERE = frozenset(("0.0.0.0", "::", "[::]"))  # noqa: S104 - compared with, not listened on
BODY = 1_048_576  # bytes of a request to the interface; telemetry has its own limit
HEADERS = tuple(
    (name.lower().encode(), value.encode())
    for name, value in {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }.items()
)


class Caller(NamedTuple):
    """Who asks."""

    role: str  # "" for nobody
    client: str  # the address
    cookie: bool  # whether the role comes from the page's cookie


def needed(method: str, path: str, *, beyond: bool) -> str:
    """The least role for a request; '' where anybody may ask.

    Args:
        beyond: whether the hub listens beyond the loopback address.
    """
    if path.startswith("/v1/control/") or path == CLIENT:
        return ""  # agents elsewhere show a key of their own, which is checked there; browsers have nothing to show
    if path.startswith(TELEMETRY):
        return "agent" if beyond else ""
    if path.startswith("/api/"):
        if path == f"{PREFIX}/metrics" and method == "POST":
            return "agent"
        if path == f"{PREFIX}/rules/test" and method == "POST":
            return "viewer"  # a question, though it takes a body
        return "viewer" if method in SAFE else "operator"
    if path == MCP:
        return "viewer"
    return "viewer" if path in ("/metrics", "/breaker", "/openapi.json") else ""


class Guard:
    """The layer: refuses, or hands on a scope with the Caller in it, and puts the security headers on every answer.

    Args:
        app: what it guards.
        hub: whose access it checks.
        limits: how often a client may ask.
    """

    def __init__(self, app: App, hub: Hub, limits: Limits) -> None:
        self._app, self._hub, self._limits = app, hub, limits
        bound = hub.settings.hub_host
        self._hosts = LOOPBACK | {host.lower() for host in (bound, _name(urlsplit(hub.address).netloc))}
        self._hosts |= {host.lower() for host in hub.settings.hub_hosts}
        self._any_address = bound in EVERYWHERE
        self._beyond = bound not in LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        safe_send = _with_headers(send)
        try:
            self._check(scope)
        except Refused as refused:
            await refused.response()(scope, receive, safe_send)
            return
        bounded = receive if scope["path"].startswith(TELEMETRY) else _bounded(receive)
        await self._app(scope, bounded, safe_send)

    def _check(self, scope: Scope) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        method, path = scope["method"], scope["path"]
        host = headers.get(b"host", "")
        self._check_host(host)
        origin = headers.get(b"origin")
        same = origin is not None and _authority(origin) == host.lower()
        if origin is not None and not same:
            self._check_origin(origin, path)
        if not path.startswith("/health") and path != "/metrics":
            self._hub.last_activity = time()
        client = scope["client"][0] if scope.get("client") else "local"
        role = needed(method, path, beyond=self._beyond)
        caller = self._caller(headers, client, path)
        scope["perfagent.caller"] = caller
        if role:
            self._check_role(caller, role, method, path)
        if caller.cookie and method not in SAFE and not same:
            raise Refused(403, "forbidden", "a change with the page's cookie needs the page's own Origin header")
        self._count(method, path, client)
        length = headers.get(b"content-length", "0")
        if not path.startswith(TELEMETRY) and length.isdecimal() and int(length) > BODY:
            raise Refused(413, "too_large", f"the body is larger than {BODY} bytes")

    def _check_host(self, host: str) -> None:
        name = _name(host)
        if name in self._hosts or "*" in self._hosts or (self._any_address and _is_address(name)):
            return
        message = f"Host {host[:100]!r} is foreign; set PERFAGENT_HUB_ALLOWED_HOSTS={name[:100]} to answer to it"
        raise Refused(403, "foreign_host", message)

    def _check_origin(self, origin: str, path: str) -> None:
        if path in (CLIENT, SCRIPT):
            return  # the program's own pages load the one and send to the other, which looks at the origin itself
        message = f"Origin {origin[:100]!r} is foreign; pages of other servers may not ask this hub"
        raise Refused(403, "foreign_origin", message)

    def _caller(self, headers: dict[bytes, str], client: str, path: str) -> Caller:
        given = headers.get(b"authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            role = self._hub.access.role(token.strip()) if scheme.lower() == "bearer" else ""
            return Caller(role, client, False)
        cookie = _cookie(headers.get(b"cookie", ""))
        if cookie and not path.startswith(TELEMETRY) and holds(self._hub.access, cookie):
            return Caller("admin", client, True)
        return Caller("", client, False)

    def _check_role(self, caller: Caller, role: str, method: str, path: str) -> None:
        if not caller.role:
            self._limits.count("failures", caller.client)
            message = "a token of this hub is needed: Authorization: Bearer TOKEN; `perfagent hub token` prints one"
            raise Refused(401, "unauthenticated", message, headers={"WWW-Authenticate": 'Bearer realm="perfagent"'})
        _require(caller, role, f"{method} {path[:200]}")

    def _count(self, method: str, path: str, client: str) -> None:
        if path == f"{PREFIX}/metrics" and method == "POST":
            self._limits.count("client", client)
        elif path.startswith("/api/"):
            self._limits.count("reads" if method in SAFE else "changes", client)
        elif path in ("/metrics", "/breaker", MCP):
            self._limits.count("reads", client)


def _require(caller: Caller, role: str, what: str) -> None:
    if not caller.role or ROLES.index(caller.role) < ROLES.index(role):
        raise Refused(403, "forbidden", f"{what} needs the role {role}; this token's is {caller.role or 'none'}")


def caller(request: Request) -> Caller:
    """Who asks; set by Guard."""
    found: Caller = request.scope["perfagent.caller"]
    return found


def admin(request: Request) -> None:
    """Refuses everybody but an admin; a dependency."""
    _require(caller(request), "admin", f"{request.method} {request.url.path[:200]}")


ADMIN = Depends(admin)


def _name(netloc: str) -> str:
    """The host without user and port: "[::1]" of "[::1]:4318"."""
    name = netloc.rpartition("@")[2].lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _cookie(header: str) -> str:
    if COOKIE not in header:
        return ""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            own = {name.lower() for name, _ in headers}
            if b"cache-control" not in own:
                headers.append((b"cache-control", b"no-store"))
            message["headers"] = [*headers, *((name, value) for name, value in HEADERS if name not in own)]
        await send(message)

    return sending


def _bounded(receive: Receive) -> Receive:
    size = 0

    async def receiving() -> MutableMapping[str, Any]:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY:
            raise HTTPException(413)
        return message

    return receiving


def _authority(origin: str) -> str:
    """Host and port of an Origin; '' for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # "http://["
        return ""
