"""An HTTP server that answers at once, except in a stall: `python stalling_server.py PORT [STALL_AT STALL_FOR]`.

The stall begins so many seconds after the first request, and lasts so many; whatever comes meanwhile is answered when
it ends. The path tells what is answered: `/status/503` that status, `/slow` after 0.3 s, `/close` nothing at all.
"""

from __future__ import annotations

import asyncio
import sys

BEGIN: list[float] = []


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            arrived = loop.time()
            BEGIN.append(arrived) if not BEGIN else None
            lines = head.decode("latin-1").split("\r\n")
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            await reader.readexactly(int(fields.get("content-length", 0)))
            path = lines[0].split()[1]
            if STALL is not None:
                begins = BEGIN[0] + STALL[0]
                if begins <= arrived < begins + STALL[1]:
                    await asyncio.sleep(begins + STALL[1] - loop.time())
            if path == "/slow":
                await asyncio.sleep(0.3)
            if path == "/close":
                break
            status = path.rpartition("/")[2] if path.startswith("/status/") else "200"
            writer.write(b"HTTP/1.1 %s X\r\ncontent-length: 5\r\n\r\nhello" % status.encode())
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


STALL = (float(sys.argv[2]), float(sys.argv[3])) if len(sys.argv) > 2 else None
if __name__ == "__main__":
    asyncio.run(main())
