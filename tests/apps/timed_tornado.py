"""A Tornado server whose requests take known amounts of time in one way each; its argument is its port."""

from __future__ import annotations

import asyncio
import sys
import time

from tornado import web

from tests.apps import timed_work


class Piece(web.RequestHandler):
    """Work on the loop itself."""

    def get(self, name: str) -> None:
        self.finish(str(timed_work.WORK[name]()))


class Resting(web.RequestHandler):
    """A sleep of asyncio's."""

    async def get(self) -> None:
        began = time.perf_counter()
        await asyncio.sleep(0.3)
        self.finish(str((time.perf_counter() - began) * 1000))


class Turns(web.RequestHandler):
    """Ten steps of 10 ms of CPU time, with others let in between."""

    async def get(self) -> None:
        for _ in range(10):
            timed_work.burn(10)
            await asyncio.sleep(0)
        self.finish("100")


async def main(port: int) -> None:
    web.Application([("/piece/([a-z]+)", Piece), ("/resting", Resting), ("/turns", Turns)]).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
