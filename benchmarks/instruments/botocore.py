"""botocore: one GetItem of DynamoDB; the server speaks its JSON."""

from __future__ import annotations

import contextlib
import threading
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.test_botocore import Aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a server."""
    answering: Any = ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    answering.seen, answering.headers_seen = [], []
    threading.Thread(target=answering.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{answering.server_port}"
    finally:
        answering.shutdown()
        answering.server_close()


@contextlib.contextmanager
def calls(address: str) -> Iterator[Callable[[], object]]:
    """A call of one client."""
    import boto3

    table = boto3.client(
        "dynamodb",
        endpoint_url=address,
        region_name="eu-central-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    yield lambda: table.get_item(TableName="parrots", Key={"id": {"S": "1"}})
