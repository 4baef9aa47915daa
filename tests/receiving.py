"""The hub's receiving part alone: a real store, a real intake, real HTTP on a free port, no guard around it."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from starlette.applications import Starlette

from perfagent.hub.access import Access
from perfagent.hub.control.commands import Commands
from perfagent.hub.hub import Hub
from perfagent.hub.receive import grpc, http
from perfagent.hub.store.intake import Intake
from perfagent.hub.store.store import Store
from perfagent.settings import Settings
from tests.program import find_free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from perfagent.hub.store.rows import Batch, LogRow, Operation, PointRow, Resource, Series, SpanRow

PROTOBUF = "application/x-protobuf"


class Receiving:
    """Answers OTLP on `url` (and on `grpc` where asked to), in a thread of its own; keeps the batches it committed.

    Args:
        directory: where the database is.
        with_grpc: whether to listen for gRPC as well.
        environ: settings.
    """

    def __init__(self, directory: Path, *, with_grpc: bool = False, **environ: str) -> None:
        self.batches: list[Batch] = []
        self.failure: Exception | None = None  # raised in place of a commit: what a full disk does
        self._directory, self._with_grpc = directory, with_grpc
        self.settings = Settings(environ, str(directory))
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.url = self.grpc = ""
        self.client = httpx.Client(timeout=30)

    def __enter__(self) -> Receiving:
        self._thread.start()
        assert self._started.wait(60), "the receiver did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(60)

    def post(self, path: str, content: bytes | object, kind: str = PROTOBUF, **headers: str) -> httpx.Response:
        """The answer to a request; what is no bytes goes as JSON."""
        if not isinstance(content, bytes):
            content, kind = json.dumps(content).encode(), "application/json"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"{self.url}{path}", content=content, headers={"content-type": kind, **named})

    @property
    def spans(self) -> list[SpanRow]:
        return [row for batch in self.batches for row in batch.spans]

    @property
    def logs(self) -> list[LogRow]:
        return [row for batch in self.batches for row in batch.logs]

    @property
    def points(self) -> list[PointRow]:
        return [row for batch in self.batches for row in batch.points]

    @property
    def resources(self) -> dict[int, Resource]:
        return {key: row for batch in self.batches for key, row in batch.resources.items()}

    @property
    def operations(self) -> dict[int, Operation]:
        return {key: row for batch in self.batches for key, row in batch.operations.items()}

    @property
    def series(self) -> dict[int, Series]:
        return {key: row for batch in self.batches for key, row in batch.series.items()}

    def point(self, name: str, **attributes: object) -> tuple[Series, PointRow]:
        """The last point of a metric with these attributes among its own (`http__route` for a dot)."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        for row in reversed(self.points):
            series = self.series[row.series]
            if series.name == name and wanted.items() <= json.loads(series.attributes).items():
                return series, row
        raise AssertionError(f"no {name} {wanted} among {sorted({s.name for s in self.series.values()})}")

    async def _serve(self) -> None:
        store = Store.open(self._directory, 128)
        intake = Intake(store, self.settings.hub_queue)
        await intake.start()
        access = Access(b"x" * 32)
        self.hub = Hub(self.settings, self._directory, "http://127.0.0.1", store, intake, access, Commands())
        self._put = intake.put
        self.hub.intake.put = self._record  # type: ignore[method-assign]
        stop_grpc: Callable[[], Awaitable[None]] | None = None
        if self._with_grpc:
            port = find_free_port()
            stop_grpc = await grpc.serve(self.hub, port)
            self.grpc = f"127.0.0.1:{port}"
        app = Starlette(routes=http.routes(self.hub))
        config = uvicorn.Config(app, port=0, log_level="error", http="httptools", ws="none", lifespan="off")
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        self._started.set()
        await serving
        if stop_grpc is not None:
            await stop_grpc()
        await intake.stop()
        store.close()

    async def _record(self, batch: Batch) -> None:
        if self.failure is not None:
            raise self.failure
        await self._put(batch)
        self.batches.append(batch)


def attributes(row: Any) -> dict[str, Any]:
    """The attributes of a row as a dictionary."""
    found: dict[str, Any] = json.loads(row.attributes)
    return found
