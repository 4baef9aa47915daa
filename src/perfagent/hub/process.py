"""The hub's process: opens the store, serves, and leaves when it is told to or when nobody needs it."""

# mypy: allow-subclassing-any
from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import uvicorn

from perfagent import __version__
from perfagent.hub import connection, journal
from perfagent.hub.access import Access, secret
from perfagent.hub.control.commands import Commands
from perfagent.hub.deaths import Deaths
from perfagent.hub.hub import Hub
from perfagent.hub.journal import log
from perfagent.hub.lock import Unavailable
from perfagent.hub.remote.errors import BadAddress
from perfagent.hub.remote.remote import Remote, is_wanted
from perfagent.hub.store.errors import StoreUnavailable
from perfagent.hub.store.intake import Intake
from perfagent.hub.store.store import Store
from perfagent.hub.store.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

    from perfagent.hub.lock import Place
    from perfagent.settings import Settings

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOK = 1.0  # seconds between two looks at whether anybody needs the hub
GRACE = 1.5  # seconds that requests under way get at the end; streams never end by themselves
DRAIN = 2.5  # seconds that what has been taken gets to be stored
LATEST = 5.0  # seconds after which the end is forced; a checkpoint or a retention may be under way
BAD_SETTING = 2
FAILED, NO_PORT, NO_FOLDER, NO_DATABASE, NO_PACKAGES = 1, 4, 5, 6, 7  # exit statuses


class NoGrpc(Exception):  # noqa: N818 - a state of the machine
    """OTLP/gRPC cannot be served; the text says why and what to do.

    Args:
        reason: for a person.
        status: what the process exits with.
    """

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class WithoutPandas:
    """Refuses pandas where it is installed: with the first rows pyarrow imports it, 60 MB that nothing here uses."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Finds no module, and has nobody else find pandas (`importlib.abc.MetaPathFinder`)."""
        if name == "pandas":
            raise ModuleNotFoundError("the hub does without pandas", name=name)


def serve(
    settings: Settings,
    place: Place,
    *,
    by_itself: bool = False,
    foreground: bool = False,
    ready: Callable[[Hub], None] | None = None,
) -> int:
    """Serves until a signal or, where the hub was started by itself, until nobody has needed it for long.

    Args:
        settings: the options of this process.
        place: the lock and the listening socket.
        by_itself: whether it may leave.
        foreground: whether a person sees the standard error.
        ready: called once requests are answered.

    Returns:
        The exit status: 0 after an orderly end, 1 after a failure, 2 where a remote's address cannot be used, 4, 6 or 7
        where the gRPC port, the database or the packages of gRPC are not to be had.

    Raises:
        Unavailable: nothing can be written to the folder.
    """
    os.umask(0o077)
    connection.allow_many()
    sys.meta_path.insert(0, WithoutPandas())
    directory = Path(place.folder)
    try:
        journal.begin(place.folder, foreground)
        access = Access(secret(place.folder))
    except OSError as error:
        where = error.filename or place.folder
        reason = f"{where} cannot be written: {error.strerror}; set PERFAGENT_HUB_DIR to another folder"
        raise Unavailable(reason, NO_FOLDER) from error
    log.info("perfagent %s begins: %s, process %d", __version__, place.address, os.getpid())
    remote: Remote | None = None
    try:
        if is_wanted(settings):
            remote = Remote(settings, directory)
        store = Store.open(directory, settings.hub_memory) if remote is None else remote.window
    except BadAddress as error:
        log.error("%s", error)
        return BAD_SETTING
    except StoreUnavailable as error:
        log.error("%s", error)
        return NO_DATABASE
    for state in remote.states() if remote is not None else ():
        log.info("reads from %s at %s, and takes no telemetry", state.name, state.url)
    for note in store.notes:
        log.warning("%s", note)
    if place.guarded:
        log.warning(
            "the hub listens on %s, beyond this machine: telemetry needs a token (`perfagent hub token --role agent`), "
            "and it travels unencrypted unless a proxy adds TLS",
            settings.hub_host,
        )
    try:
        hub = Hub(
            settings=settings,
            directory=directory,
            address=place.address,
            store=store,
            intake=Intake(store, settings.hub_queue),
            access=access,
            commands=Commands(),
            remote=remote,
        )
        return asyncio.run(Service(hub, place, by_itself, ready).run())
    except Exception as error:
        log.critical("the hub ends by a failure, %s: %s", type(error).__name__, error, exc_info=True)
        return FAILED
    finally:
        store.close()
        log.info("the hub has ended")


class Server(uvicorn.Server):
    """uvicorn's server, ended by us: it would send itself the signal again, and die of it before the last commit."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals alone."""
        yield


class Visitors:
    """An ASGI layer that counts requests under way: an open page is one.

    Args:
        app: what answers.
        hub: whose last activity the end of a request is.
    """

    def __init__(self, app: App, hub: Hub) -> None:
        self._app, self._hub = app, hub
        self.present = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http" or scope["path"].startswith(("/health", "/metrics")):  # a monitor is no visitor
            return await self._app(scope, receive, send)
        self.present += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self.present -= 1
            self._hub.last_activity = time()


class Service:
    """A hub between its open store and its closed one.

    Args:
        hub: what is served.
        place: the lock and the listening socket.
        by_itself: whether it leaves after PERFAGENT_HUB_IDLE seconds without telemetry or a visitor.
        ready: called once requests are answered.
    """

    def __init__(self, hub: Hub, place: Place, by_itself: bool, ready: Callable[[Hub], None] | None) -> None:
        self._hub, self._place, self._by_itself, self._ready = hub, place, by_itself, ready
        self._idle = hub.settings.hub_idle if by_itself else 0
        self._inode = os.fstat(place.lock).st_ino

    async def run(self) -> int:
        """Serves until the end; returns the exit status."""
        from perfagent.hub.api import app

        hub, loop = self._hub, asyncio.get_running_loop()
        journal.watch(loop)
        built = app.build(hub)
        self._live = built.state.live
        self._visitors = Visitors(built, hub)
        self._server = Server(
            uvicorn.Config(
                self._visitors,
                http=connection.Connection,
                ws="none",
                lifespan="on",
                proxy_headers=False,  # anybody here could say that it is somebody else
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop, f"{signal.Signals(number).name} came")
        await hub.intake.start()
        try:
            stop_grpc = await self._start_grpc()
        except NoGrpc as error:
            log.error("%s", error)
            if not self._by_itself:
                await self._drain()
                return error.status
            stop_grpc = _nothing  # what `perfagent run` started serves the program over HTTP
            self._place.tell(os.getpid())
        kept = hub.store if hub.remote is None else hub.remote.window.keeper
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(Upkeep(kept, hub.settings).run())]
        if hub.remote is None:
            tasks.append(asyncio.create_task(Deaths(hub).run()))
        hub.sources.start()
        if hub.remote is not None:
            hub.remote.start()
        try:
            await self._server.serve([socket.socket(fileno=self._place.listener.detach())])
        finally:
            for task in tasks:
                task.cancel()
            await self._end(stop_grpc)
        return 0

    def stop(self, why: str) -> None:
        """Begins the orderly end; a second time, does not wait for requests under way."""
        if self._server.should_exit:
            self._server.force_exit = True
            return
        log.info("the hub ends: %s", why)
        self._server.should_exit = True
        # From now on nobody is sent here. The address stays in the file: the next hub rather takes the same port.
        self._place.tell(0)
        self._live.stop()  # streams never end by themselves
        late = threading.Timer(LATEST, _give_up)
        late.daemon = True
        late.start()

    async def _start_grpc(self) -> Callable[[], Awaitable[None]]:
        port = self._hub.settings.hub_grpc_port
        if not port or self._hub.remote is not None:
            self._place.tell(os.getpid())
            return _nothing
        from perfagent.hub.receive import grpc

        try:
            stop = await grpc.serve(self._hub, port)
        except grpc.Missing as error:
            raise NoGrpc(str(error), NO_PACKAGES) from error
        except OSError as error:
            reason = f"OTLP/gRPC cannot listen on port {port}: {error}; set PERFAGENT_HUB_GRPC_PORT to another, or to 0"
            raise NoGrpc(reason, NO_PORT) from error
        address = f"{self._place.address.rpartition(':')[0]}:{port}"
        self._place.tell(os.getpid(), address)
        return stop

    async def _watch(self) -> None:
        """Tells that the hub answers, then looks whether it is still needed."""
        while not self._server.started:
            await asyncio.sleep(0.01)
        log.info("answers after %.1f s", time() - self._hub.started)
        if self._ready is not None:
            self._ready(self._hub)
        last, quiet = self._last(), monotonic()
        while True:
            await asyncio.sleep(LOOK)
            # What counts is that the moment changes, for a clock may be set, and a laptop sleeps for longer than this.
            if last != (last := self._last()) or self._visitors.present:
                quiet = monotonic()
            if self._is_orphan():
                self.stop("its lock file is gone, so nobody would find it")
            elif self._idle and monotonic() - quiet > self._idle:
                self.stop(f"nobody sent or asked anything for {self._idle} s (PERFAGENT_HUB_IDLE)")

    def _last(self) -> float:
        """When somebody last sent or asked something; gRPC does not come by the visitors' way."""
        return max(self._hub.last_activity, self._hub.intake.stored().last or 0.0)

    def _is_orphan(self) -> bool:
        try:
            return (self._hub.directory / "hub.lock").stat().st_ino != self._inode
        except FileNotFoundError:
            return True
        except OSError:
            return False

    async def _end(self, stop_grpc: Callable[[], Awaitable[None]]) -> None:
        """Ends what takes telemetry in, and stores what has been taken."""
        await self._hub.sources.stop()
        await stop_grpc()
        if self._hub.remote is not None:
            await asyncio.to_thread(self._hub.remote.stop)
        await self._drain()

    async def _drain(self) -> None:
        try:
            await asyncio.wait_for(self._hub.intake.stop(), DRAIN)
        except asyncio.TimeoutError:
            log.error("not all that waited could be stored within %.1f s; its senders were told so", DRAIN)


def _give_up() -> None:
    """Ends the process although something holds it: what has been acknowledged is on the disk already."""
    log.error("the hub did not end within %.0f s and is cut off; nothing that was acknowledged is lost", LATEST)
    logging.shutdown()
    os._exit(FAILED)


async def _nothing() -> None:
    """Stops no gRPC server."""
