"""Neighbours: one request that Sentry's transport sends of itself, which the instrument keeps from being a span."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.instruments.hello import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


server = running


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """What the transport's thread does for an event, on this one."""
    import sentry_sdk
    from sentry_sdk.consts import EndpointType

    sentry_sdk.init(address.replace("http://", "http://key@") + "1", default_integrations=False)
    transport = sentry_sdk.get_client().transport
    assert transport is not None
    yield lambda: transport._send_request(b"{}", {}, EndpointType.ENVELOPE)  # type: ignore[attr-defined]
