"""Elasticsearch: a span for each request of its sync and async clients, by operation and index, without its body.

A request pays 5.5 us for it on its own thread, measured around an empty call on a busy machine. The client's own spans,
which it makes where opentelemetry-api is installed, would be the same again: while the tracer provider is ours they
stay away. No document's identifier, no query string and no body is recorded, and the HTTP request below has no span of
its own.
"""

from __future__ import annotations

import contextlib
import sys

from perfagent.instruments.base import Instrument
from perfagent.instruments.dbapi import COROUTINE
from perfagent.instruments.documents import documents
from perfagent.runtime import guard
from perfagent.runtime.context import current, restore
from perfagent.runtime.db import QuerySpan
from perfagent.runtime.span import CLIENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    Call = Callable[..., Any]

# What a request does, by the segment of its path that begins with "_" and the method. The rest is named by the segment.
BY_SEGMENT = {
    ("_doc", "GET"): "get", ("_doc", "HEAD"): "exists", ("_doc", "DELETE"): "delete", ("_doc", "PUT"): "index",
    ("_doc", "POST"): "index", ("_create", "PUT"): "create", ("_source", "GET"): "get_source",
    ("_source", "HEAD"): "exists_source",
}  # fmt: skip
BY_METHOD = {"PUT": "indices.create", "DELETE": "indices.delete", "GET": "indices.get", "HEAD": "indices.exists"}
GROUPS = frozenset(("_cat", "_cluster", "_nodes", "_ingest", "_snapshot", "_tasks", "_security", "_ilm", "_ml"))


class Elasticsearch(Instrument):
    """Patches the transports, where every request passes, and what makes the client's own spans."""

    name = "elasticsearch"
    distribution = "elasticsearch"
    versions = ("7", "10")
    records = "each request by operation and index, sync and async; no body, no identifier"

    def patch(self, module: ModuleType) -> None:
        if module.__name__ == "elasticsearch._otel":
            self.replace(module.OpenTelemetry, "span", _naming)
            return
        for name in ("Transport", "AsyncTransport"):
            transport = getattr(module, name, None)
            if transport is not None:
                self.replace(transport, "perform_request", self._timed)

    def _timed(self, perform: Call) -> Call:
        async def awaited(transport: Any, method: Any, target: Any, *args: Any, **options: Any) -> Any:
            span = self._open(transport, method, target, options)
            if span is None:
                return await perform(transport, method, target, *args, **options)
            token = current.set(span)
            try:
                response = await perform(transport, method, target, *args, **options)
            except BaseException as error:
                _failed(span, error)
                raise
            finally:
                restore(current, token)
            _answered(span, method, response)
            return response

        def wrapper(transport: Any, method: Any, target: Any, *args: Any, **options: Any) -> Any:
            span = self._open(transport, method, target, options)
            if span is None:
                return perform(transport, method, target, *args, **options)
            token = current.set(span)
            try:
                response = perform(transport, method, target, *args, **options)
            except BaseException as error:
                _failed(span, error)
                raise
            finally:
                current.reset(token)
            _answered(span, method, response)
            return response

        return awaited if perform.__code__.co_flags & COROUTINE else wrapper

    def _open(self, transport: Any, method: Any, target: Any, options: dict[str, Any]) -> QuerySpan | None:
        parent = current.get()
        if parent is not None and parent.kind == CLIENT and not parent.ended:
            return None
        try:
            told = getattr(options.get("otel_span"), "_perfagent", None)
            asked = _operation(method, target) if told is None else (*told, method)
            return QuerySpan(self.scope, parent, documents("elasticsearch", "", *_only_node(transport)), asked)
        except Exception:
            guard.failed("elasticsearch")
            return None


def _naming(span: Call) -> Call:
    """Wraps what opens the client's own span: it tells the operation and the index, which the path only suggests."""

    def wrapper(telemetry: Any, method: Any, *args: Any, **options: Any) -> Any:
        # The program's own tracing: those spans are its own business.
        if getattr(telemetry, "enabled", False) and not _is_ours():
            return span(telemetry, method, *args, **options)
        try:
            from elastic_transport import OpenTelemetrySpan

            told = OpenTelemetrySpan(None)
            endpoint = options.get("endpoint_id")
            if endpoint:
                told._perfagent = str(endpoint), _index((options.get("path_parts") or {}).get("index"))
        except Exception:
            guard.failed("elasticsearch")
            return span(telemetry, method, *args, **options)
        return contextlib.nullcontext(told)

    return wrapper


def _is_ours() -> bool:
    trace = sys.modules.get("opentelemetry.trace")
    return trace is None or type(trace.get_tracer_provider()).__module__.startswith("perfagent.")


def _only_node(transport: Any) -> tuple[str, int]:
    """The address of the node where there is one; with several the answer tells which it was."""
    try:
        nodes = transport.node_pool.all()
        if len(nodes) == 1:
            return str(nodes[0].config.host), int(nodes[0].config.port)
    except Exception:  # before version 8 it is another class
        return "", 0
    return "", 0


def _operation(method: Any, target: Any) -> tuple[str, str, str]:
    """The operation, the index and the method of a request, by its path; clients before 8.13 do not tell them."""
    method = str(method).upper()
    segments = [part for part in str(target).partition("?")[0].split("/") if part]
    index = segments[0] if segments and not segments[0].startswith("_") else ""
    place = next((place for place, part in enumerate(segments) if part.startswith("_")), None)
    if place is None:
        return ("ping" if method == "HEAD" else "info") if not index else BY_METHOD.get(method, method), index, method
    segment = segments[place]
    name = BY_SEGMENT.get((segment, method)) or segment[1:]
    if segment in GROUPS and len(segments) > place + 1 and segments[place + 1].strip("_").isalpha():
        name = f"{name}.{segments[place + 1].strip('_')}"
    return name, index, method


def _index(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value or "")


def _answered(span: QuerySpan, method: Any, response: Any) -> None:
    with contextlib.suppress(Exception):  # before version 8 the answer is the document
        meta = response[0]
        if not span.database.attributes.get("server.address"):
            node = meta.node
            span.database = documents("elasticsearch", "", str(node.host), int(node.port))
        status = int(meta.status)
        if status >= 400 and str(method).upper() != "HEAD":  # to ask whether it is there is answered so, too
            span.code = span.failure = str(status)
    span.finish()


def _failed(span: QuerySpan, error: BaseException) -> None:
    try:
        status = getattr(error, "status_code", None)
        span.code = str(status) if isinstance(status, int) else ""
        span.fail(error)
        if span.details is not None and span.details.events and span.code:
            span.details.events[-1][2].message = span.code  # type: ignore[attr-defined] # the server quotes the request
    except Exception:
        guard.failed("elasticsearch")
    span.finish()


instrument = Elasticsearch()
