"""The Tornado program of the tests: `python -m tests.apps.tornado_app PORT`."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from typing import Any

from tornado import gen, web, websocket


def query() -> int:
    connection = sqlite3.connect(":memory:")
    (found,) = connection.execute("select 1").fetchone()
    connection.close()
    return int(found)


class Item(web.RequestHandler):
    async def get(self, number: str) -> None:
        await asyncio.sleep(0)
        self.write({"number": int(number), "one": query()})


class Generated(web.RequestHandler):
    @gen.coroutine
    def get(self, name: str = "") -> Any:
        yield gen.sleep(0.01)
        self.finish(f"{name} {query()}")


class Stream(web.RequestHandler):
    async def get(self) -> None:
        self.write("first ")
        await self.flush()
        await asyncio.sleep(0.2)
        self.write(str(query()))


class Boom(web.RequestHandler):
    def get(self) -> None:
        raise LookupError("nobody handles it")


class Gone(web.RequestHandler):
    def get(self) -> None:
        raise web.HTTPError(410)


class Unavailable(web.RequestHandler):
    def get(self) -> None:
        raise web.HTTPError(503)


class Finished(web.RequestHandler):
    def prepare(self) -> None:
        self.set_status(202)
        raise web.Finish("enough")

    def get(self) -> None:
        raise AssertionError


class Uploaded(web.RequestHandler):
    def on_finish(self) -> None:
        query()

    def post(self) -> None:
        self.write(str(len(self.request.body)))


@web.stream_request_body
class Streamed(web.RequestHandler):
    size = 0

    def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)

    def post(self) -> None:
        self.write(str(self.size))


class Slow(web.RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(30)


waiting: list[Polled] = []


class Polled(web.RequestHandler):
    """Answered by somebody else's request: its method returns at once."""

    _auto_finish = False

    def prepare(self) -> None:
        self._auto_finish = False

    def get(self) -> None:
        waiting.append(self)


class Notify(web.RequestHandler):
    def get(self) -> None:
        waiting.pop().finish("told")


class Socket(websocket.WebSocketHandler):
    async def on_message(self, message: Any) -> None:
        await self.write_message(message + str(query()))
        self.close()


class Large(web.RequestHandler):
    def get(self) -> None:
        self.finish(b"x" * 20_000_000)


application = web.Application([
    (r"/items/([0-9]+)", Item),
    (r"/generated/(?P<name>[^/]+)", Generated),
    (r"/generated", Generated),
    ("/stream", Stream),
    ("/boom", Boom),
    ("/gone", Gone),
    ("/unavailable", Unavailable),
    ("/finished", Finished),
    ("/uploaded", Uploaded),
    ("/streamed", Streamed),
    ("/slow", Slow),
    ("/polled", Polled),
    ("/notify", Notify),
    ("/socket", Socket),
    ("/large", Large),
    ("/moved", web.RedirectHandler, {"url": "/items/1"}),
])  # fmt: skip
application.add_handlers(r"elsewhere\.test", [(r"/items/([a-z]+)/(.*)\.txt", Item)])


async def main(port: int) -> None:
    application.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s %(otelTraceID)s %(message)s")
    asyncio.run(main(int(sys.argv[1])))
