"""The page's files: each by its path with an ETag, and once more under a hash of them all, to be kept for ever.

index.html is served with the addresses of its scripts and styles under that hash, and modules import each other by
relative paths; so a second visit asks for one file, and a new version of the hub is seen at once.
"""

from __future__ import annotations

import gzip
import mimetypes
import re
from hashlib import blake2b
from math import inf
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from perfagent.hub.api import login
from perfagent.hub.api.conditional import known, tag
from perfagent.hub.api.security import caller

if TYPE_CHECKING:
    from starlette.requests import Request

    from perfagent.hub.api.limits import Limits
    from perfagent.hub.hub import Hub

WEB = Path(__file__).parent.parent / "web"
FOR_EVER = "public, max-age=31536000, immutable"
COMPRESSED = (".html", ".js", ".css", ".svg", ".json", ".txt", ".webmanifest")
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".woff2": "font/woff2", ".svg": "image/svg+xml"}
MISSING = (
    "<!doctype html><title>perfagent</title><p>The page's files are not installed; the interface is at /api/v1/.\n"
)


class File(NamedTuple):
    """One file, as it is sent."""

    body: bytes
    packed: bytes | None  # gzip, where that is smaller
    type: str
    tag: str
    stamp: tuple[int, int]  # mtime and size that it was read at


class Files:
    """The files under a folder, read on first use and again when they change.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path = WEB) -> None:
        self._folder = folder
        self._read: dict[str, File] = {}
        self._paths: dict[str, tuple[int, int]] = {}
        self._listed = -inf

    def paths(self) -> dict[str, tuple[int, int]]:
        """Every file by its relative path, with mtime and size: what may be asked for at all.

        Listed anew after a second: 40 files take 2 ms, and a visit asks for all of them.
        """
        if monotonic() - self._listed < 1:
            return self._paths
        found = {}
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and not any(
                part.startswith((".", "__")) for part in path.relative_to(self._folder).parts
            ):
                stat = path.stat()
                found[path.relative_to(self._folder).as_posix()] = (stat.st_mtime_ns, stat.st_size)
        self._paths, self._listed = found, monotonic()
        return found

    def hash(self) -> str:
        """A hash that changes with any file."""
        return blake2b(repr(self.paths()).encode(), digest_size=6).hexdigest()

    def get(self, path: str) -> File | None:
        """The file at a relative path; None where there is none."""
        stamp = self.paths().get(path)
        if stamp is None:
            return None
        file = self._read.get(path)
        if file is None or file.stamp != stamp:
            file = self._read[path] = made(path, (self._folder / path).read_bytes(), stamp)
        return file

    def index(self) -> File:
        """index.html, its scripts and styles under the hash."""
        file = self.get("index.html")
        if file is None:
            return made("index.html", MISSING.encode(), (0, 0))
        prefix, paths = f"/assets/{self.hash()}/", self.paths()

        def hashed(match: re.Match[str]) -> str:
            path = match[2].removeprefix("./").removeprefix("/")
            return f'{match[1]}="{prefix}{path}"' if path in paths else match[0]

        text = re.sub(r'\b(src|href)="([^"]+)"', hashed, file.body.decode())
        return made("index.html", text.encode(), file.stamp)


def made(path: str, body: bytes, stamp: tuple[int, int]) -> File:
    """What is sent for a path.

    Args:
        path: whose ending tells the type.
        body: what it holds.
        stamp: when and how large that was.
    """
    suffix = Path(path).suffix
    kind = TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
    packed = gzip.compress(body, 6, mtime=0) if suffix in COMPRESSED and len(body) > 500 else None
    return File(body, packed, f"{kind}; charset=utf-8" if suffix in COMPRESSED else kind, tag(body), stamp)


def routes(hub: Hub, limits: Limits, files: Files) -> list[Route]:
    """The routes of the page: its files, the link that opens it, and the way out."""

    async def index(request: Request) -> Response:
        code = request.query_params.get("code")
        if code is None:
            return send(request, await run_in_threadpool(files.index), "no-cache")
        response = login.enter(request, hub.access, code)
        if response.status_code != 303:
            limits.count("failures", caller(request).client)
        return response

    async def leave(_request: Request) -> Response:
        return login.leave()

    async def kept(request: Request) -> Response:
        file = await run_in_threadpool(files.get, request.path_params["path"])
        current = request.path_params["hash"] == await run_in_threadpool(files.hash)
        return send(request, file, FOR_EVER if current else "no-cache")

    async def plain(request: Request) -> Response:
        return send(request, await run_in_threadpool(files.get, request.path_params["path"]), "no-cache")

    return [
        Route("/", index),
        Route("/logout", leave),
        Route("/assets/{hash}/{path:path}", kept),
        Route("/{path:path}", plain),
    ]


def send(request: Request, file: File | None, cache: str) -> Response:
    """The answer with a file, or 304 where the browser has it.

    Args:
        file: None where there is none, which raises HTTPException.
        cache: Cache-Control.
    """
    if file is None:
        raise HTTPException(404)
    headers = {"Cache-Control": cache, "ETag": file.tag, "Vary": "Accept-Encoding"}
    if known(file.tag, request.headers.get("if-none-match", "")):
        return Response(None, 304, headers)
    body = file.body
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = file.packed, "gzip"
    return Response(body, 200, {**headers, "Content-Type": file.type})
