"""What can be wrong with a collector: the ways in which the tests' receivers misbehave."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from examples.telemetry.server import HangUp, Reply, Request, decode
from google.rpc.status_pb2 import Status as RpcStatus
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2 as profiles
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Fault:
    """How a receiver treats requests: see `ok`, `hang`, `slow`, `status`, `garbage`, `partial` and `reset`.

    Every one of them takes `times` (after so many requests the receiver is well again) and `path` (only requests to it
    are treated so, `/v1/metrics` for one).
    """

    name: str
    seconds: float = 0
    code: int = 200
    retry_after: str | None = None
    rejected: int = 0
    message: str = ""
    http: bool = True
    times: int | None = None
    path: str | None = None


def ok() -> Fault:
    """Takes everything."""
    return Fault("ok")


def hang(**limits: Any) -> Fault:
    """Reads the request and never answers; the connection closes when the fault is changed or the receiver stops."""
    return Fault("hang", **limits)


def slow(seconds: float, **limits: Any) -> Fault:
    """Takes everything, and answers so much later."""
    return Fault("slow", seconds=seconds, **limits)


def status(code: int, *, retry_after: float | str | None = None, message: str = "", **limits: Any) -> Fault:
    """Refuses with this HTTP status, a `google.rpc.Status` as its body, and `Retry-After` (seconds or an HTTP date)."""
    wait = None if retry_after is None else str(retry_after)
    return Fault("status", code=code, retry_after=wait, message=message, **limits)


def garbage(*, http: bool = True, **limits: Any) -> Fault:
    """Takes the data and answers 200 with a body that is no protobuf, or without `http` with bytes that are no HTTP."""
    return Fault("garbage", http=http, **limits)


def partial(rejected: int, message: str = "rejected by the test", **limits: Any) -> Fault:
    """Keeps all but the last `rejected` items of each request, and says so in the partial success of the reply.

    With 0 and a message it is the warning that the specification has for a success.
    """
    return Fault("partial", rejected=rejected, message=message, **limits)


def reset(**limits: Any) -> Fault:
    """Reads the request, then resets the connection."""
    return Fault("reset", **limits)


class FaultSwitch:
    """Holds the current fault and acts it out; shared by the receiver that keeps and the one that counts."""

    def __init__(self) -> None:
        self._fault = ok()
        self._lock = threading.Lock()
        self._changed = threading.Event()

    def set(self, fault: Fault) -> None:
        """Changes the fault and frees the requests that hang in the old one."""
        with self._lock:
            self._fault = fault
            self._changed.set()
            self._changed = threading.Event()

    def get(self) -> Fault:
        """The current fault."""
        return self._fault

    def answer(self, request: Request, keep: Callable[[Any, int], int]) -> Reply | HangUp:
        """Replies as the fault wants; `keep(message, rejected)` takes the data and returns how many it rejected."""
        with self._lock:
            fault, changed = self._take(request.path), self._changed
        if fault.name == "hang":
            changed.wait()
            return HangUp()
        if fault.name == "reset":
            return HangUp(reset=True)
        if fault.name == "status":
            headers = (("Retry-After", fault.retry_after),) if fault.retry_after is not None else ()
            return Reply(fault.code, _rpc_status(fault.message), headers=headers)
        left = keep(decode(request), fault.rejected)
        if fault.name == "slow":
            changed.wait(fault.seconds)
        if fault.name == "garbage":
            if not fault.http:
                return HangUp(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
            return Reply(body=b"\xff\xff<html>not protobuf</html>")
        return Reply(body=_response(request.path, left, fault.message))

    def _take(self, path: str) -> Fault:
        fault = self._fault
        if fault.path not in (None, path):
            return ok()
        if fault.times is not None:
            if fault.times <= 0:
                return ok()
            fault.times -= 1
        return fault


def _response(path: str, rejected: int, message: str) -> bytes:
    told: dict[str, Any] = {"error_message": message} if rejected or message else {}
    if path == "/v1/traces":
        spans = {"rejected_spans": rejected, **told}
        return _with(trace.ExportTraceServiceResponse(), trace.ExportTracePartialSuccess(**spans), told)
    if path == "/v1/metrics":
        points = {"rejected_data_points": rejected, **told}
        return _with(metrics.ExportMetricsServiceResponse(), metrics.ExportMetricsPartialSuccess(**points), told)
    if path == "/v1development/profiles":
        samples = {"rejected_profiles": rejected, **told}
        return _with(profiles.ExportProfilesServiceResponse(), profiles.ExportProfilesPartialSuccess(**samples), told)
    records = {"rejected_log_records": rejected, **told}
    return _with(logs.ExportLogsServiceResponse(), logs.ExportLogsPartialSuccess(**records), told)


def _with(response: Any, partial_success: Any, told: dict[str, Any]) -> bytes:
    if told:
        response.partial_success.CopyFrom(partial_success)
    return bytes(response.SerializeToString())


def _rpc_status(message: str) -> bytes:
    return bytes(RpcStatus(message=message).SerializeToString())
