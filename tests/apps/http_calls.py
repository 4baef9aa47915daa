"""The same calls by each HTTP client: `python http_calls.py CLIENT ADDRESS REFUSED_PORT`.

What the program sees is printed, to be compared. Secrets all hold that word, which must not be found in anything
exported.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

TIMEOUT = 0.3  # seconds, of the one call that is to run into it


class WithRequests:
    def __init__(self) -> None:
        import requests

        self.session = requests.Session()

    async def call(self, method: str, url: str, headers: Any = None, timeout: float = 10) -> int:
        response = self.session.request(method, url, headers=headers, timeout=timeout, stream="/stream" in url)
        return len(response.content) and response.status_code

    async def close(self) -> None:
        print(sorted(self.session.headers))
        self.session.close()


class WithUrllib3:
    def __init__(self) -> None:
        import urllib3

        self.pool = urllib3.PoolManager(retries=urllib3.Retry(connect=0, read=0, other=0, redirect=5))

    async def call(self, method: str, url: str, headers: Any = None, timeout: float = 10) -> int:
        if "@" in url:
            url = url.replace("user:secret@", "")
        response = self.pool.request(method, url, headers=headers, timeout=timeout, preload_content=False)
        return len(response.data) and response.status

    async def close(self) -> None:
        print(sorted(self.pool.headers))
        self.pool.clear()


class WithHttpx:
    def __init__(self) -> None:
        import httpx

        self.client = httpx.Client(follow_redirects=True, trust_env=False)

    async def call(self, method: str, url: str, headers: Any = None, timeout: float = 10) -> int:
        with self.client.stream(method, url, headers=headers, timeout=timeout) as response:
            return len(response.read()) and response.status_code

    async def close(self) -> None:
        print(sorted(self.client.headers))
        self.client.close()


class WithHttpxAsync:
    def __init__(self) -> None:
        import httpx

        self.client = httpx.AsyncClient(follow_redirects=True, trust_env=False)

    async def call(self, method: str, url: str, headers: Any = None, timeout: float = 10) -> int:
        async with self.client.stream(method, url, headers=headers, timeout=timeout) as response:
            return len(await response.aread()) and response.status_code

    async def close(self) -> None:
        print(sorted(self.client.headers))
        await self.client.aclose()


class WithAiohttp:
    session: Any = None

    async def call(self, method: str, url: str, headers: Any = None, timeout: float = 10) -> int:
        import aiohttp

        if self.session is None:
            self.session = aiohttp.ClientSession()
        limit = aiohttp.ClientTimeout(timeout)
        async with self.session.request(method, url, headers=headers, timeout=limit) as response:
            return len(await response.read()) and int(response.status)

    async def close(self) -> None:
        print(sorted(self.session.headers))
        await self.session.close()


class WithUrllib:
    def __init__(self) -> None:
        import urllib.request

        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def call(self, method: str, url: str, headers: Any = None, timeout: float = 10) -> int:
        from urllib.error import HTTPError
        from urllib.request import Request

        request = Request(url.replace("user:secret@", ""), None, headers or {}, method=method.upper())
        before = dict(vars(request))
        try:
            with self.opener.open(request, timeout=timeout) as response:
                return len(response.read()) and int(response.status)
        except HTTPError as error:
            with error:
                return error.code
        finally:
            changed = sorted(key for key in vars(request) if before.get(key, self) != vars(request)[key])
            print(changed, sorted(request.headers))

    async def close(self) -> None:
        print(sorted(self.opener.addheaders))
        self.opener.close()


class WithTornado:
    client: Any = None

    async def call(self, method: str, url: str, headers: Any = None, timeout: float = 10) -> int:
        from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

        self.client = self.client or AsyncHTTPClient()
        request = HTTPRequest(
            url.replace("user:secret@", ""), method.upper(), headers, request_timeout=timeout,
            allow_nonstandard_methods=True,
        )  # fmt: skip
        try:
            response = await self.client.fetch(request)
        except HTTPClientError as error:
            if error.code == 599:
                raise
            return int(error.code)
        assert response.request is request
        return len(response.body) and int(response.code)

    async def close(self) -> None:
        print(sorted(self.client.defaults))
        self.client.close()


CLIENTS = {
    "urllib": WithUrllib,
    "tornado": WithTornado,
    "requests": WithRequests,
    "urllib3": WithUrllib3,
    "httpx": WithHttpx,
    "httpx-async": WithHttpxAsync,
    "aiohttp": WithAiohttp,
}


async def main(name: str, address: str, refused: int) -> None:
    client: Any = CLIENTS[name]()

    async def show(method: str, path: str, base: str = address, **options: Any) -> None:
        try:
            print(method, path, await client.call(method, base + path, **options))
        except Exception as error:
            print(method, path, type(error).__module__, type(error).__name__)

    await show("GET", "/plain?token=secret#part")
    await show("post", "/posted")
    await show("BREW", "/coffee")
    await show("GET", "/user", address.replace("://", "://user:secret@"))
    await show("GET", "/status/404")
    await show("GET", "/status/503")
    await show("GET", "/redirect/2?token=secret")
    own = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "X-Kept": "kept", "X-Api-Key": "secret", "Accept": "*/*"}
    before = dict(own)
    await show("GET", "/headers", headers=own)
    await show("GET", "/headers", headers=own)
    print(own == before)
    await show("GET", "/stream")
    await show("GET", "/slow?token=secret", timeout=TIMEOUT)
    await show("GET", "/dropped")
    await show("GET", "/refused?token=secret", f"http://127.0.0.1:{refused}")
    await show("GET", "/tls", address.replace("http:", "https:"))
    await show("GET", "/excluded")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
