"""A short story of two services, as OTLP in JSON: what tests of the hub's command line send and then look for."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

MS = 1_000_000  # ns
SECOND = 1000 * MS
ORDERS, RATINGS, FAILED = 30, 20, 4
LINES = 6  # queries of each request for orders
SLOWEST = f"{ORDERS:032x}"  # the trace of the last and slowest request
NASTY = "GET /<script>alert(1)</script>\x1b[2J"
TEXT = "SELECT id, product FROM order_lines WHERE order_id = ?"


def send(address: str, token: str = "") -> None:
    """Sends the story to the hub at `address`; it ends now."""
    body = json.dumps(traces(time.time_ns() - 30 * SECOND)).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{address}/v1/traces", body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200, response.read()


def traces(now: int) -> dict[str, Any]:
    """An export request: orders with a repeated query, ratings of which some fail, a payment through two services."""
    shop: list[dict[str, Any]] = []
    for number in range(1, ORDERS + 1):
        shop += _orders(f"{number:032x}", now - (ORDERS - number) * SECOND, slow=number == ORDERS)
    for number in range(RATINGS):
        shop += _rating(f"{0x1000 + number:032x}", now - number * SECOND, fails=number < FAILED)
    shop.append(
        _span(f"{0x2000:032x}", 0x2001, None, NASTY, 2, now, 5, {"http.route": NASTY[4:], "http.request.method": "GET"})
    )
    trace = f"{0x3000:032x}"
    shop.append(_span(trace, 0x3001, None, "POST /checkout", 2, now, 80, _served("POST", "/checkout", 201)))
    shop.append(
        _span(
            trace,
            0x3002,
            0x3001,
            "POST",
            3,
            now + 5 * MS,
            60,
            {"http.request.method": "POST", "server.address": "payments"},
        )
    )
    payments = [_span(trace, 0x3003, 0x3002, "POST /charges", 2, now + 10 * MS, 40, _served("POST", "/charges", 201))]
    return {"resourceSpans": [_of("shop", "2.4.0", shop), _of("payments", "1.1.3", payments)]}


def _orders(trace: str, at: int, *, slow: bool) -> list[dict[str, Any]]:
    root = int(trace, 16) << 16
    lasts = 900 if slow else 40
    spans = [_span(trace, root, None, "GET /orders", 2, at, lasts, _served("GET", "/orders", 200))]
    for line in range(LINES):
        attributes = {
            "db.system.name": "sqlite", "db.query.text": TEXT, "db.query.summary": "SELECT order_lines",
            "code.file.path": "/srv/shop/orders.py", "code.line.number": 28, "code.function.name": "list_orders",
        }  # fmt: skip
        spans.append(
            _span(trace, root + 1 + line, root, "SELECT order_lines", 3, at + (2 + 5 * line) * MS, 4, attributes)
        )
    return spans


def _rating(trace: str, at: int, *, fails: bool) -> list[dict[str, Any]]:
    root = int(trace, 16) << 16
    span = _span(trace, root, None, "GET /rating", 2, at, 12, _served("GET", "/rating", 500 if fails else 200))
    if fails:
        told = {"exception.type": "ZeroDivisionError", "exception.message": "division by zero"}
        span |= {
            "status": {"code": 2},
            "events": [{"timeUnixNano": str(at), "name": "exception", "attributes": _attributes(told)}],
        }
    return [span]


def _served(method: str, route: str, status: int) -> dict[str, Any]:
    return {"http.request.method": method, "http.route": route, "http.response.status_code": status, "url.path": route}


def _span(
    trace: str,
    identity: int,
    parent: int | None,
    name: str,
    kind: int,
    at: int,
    lasts: float,
    attributes: dict[str, Any],
) -> dict[str, Any]:
    return {
        "traceId": trace,
        "spanId": f"{identity:016x}",
        "parentSpanId": "" if parent is None else f"{parent:016x}",
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(at),
        "endTimeUnixNano": str(at + int(lasts * MS)),
        "attributes": _attributes(attributes),
    }


def _attributes(found: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = {int: "intValue", str: "stringValue"}
    return [
        {"key": key, "value": {kinds[type(value)]: str(value) if isinstance(value, int) else value}}
        for key, value in found.items()
    ]


def _of(service: str, version: str, spans: list[dict[str, Any]]) -> dict[str, Any]:
    resource = {"service.name": service, "service.version": version, "service.instance.id": f"{service}-1"}
    return {
        "resource": {"attributes": _attributes(resource)},
        "scopeSpans": [{"scope": {"name": "story"}, "spans": spans}],
    }
