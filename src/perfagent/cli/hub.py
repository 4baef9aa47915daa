"""`perfagent hub`: runs the hub, or asks after the one that runs."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from perfagent.hub import lock, spawn
from perfagent.hub.lock import Found, Place, Unavailable
from perfagent.launch.hub import link
from perfagent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfagent.hub.hub import Hub

DESCRIPTION = """Receives OTLP, keeps it on this machine, and shows it in a page. There is one hub for a user and
a folder; `perfagent run` finds it, or starts one in the background. Without an option it runs here until Ctrl-C."""

EPILOG = """exit status: 0 fine; 1 it failed; 2 wrong words; 3 it runs already, or none does; 4 the port, 5 the
folder or the disk, 6 the database is not to be had; 7 its packages are not installed.

examples:
  perfagent hub --background
  perfagent hub --open
  perfagent hub --port 4400 --grpc-port 4317
  perfagent hub token --role viewer
  perfagent hub export /tmp/monday --from 24h"""

VARIABLES = {
    "port": "PERFAGENT_HUB_PORT",
    "host": "PERFAGENT_HUB_HOST",
    "grpc_port": "PERFAGENT_HUB_GRPC_PORT",
    "directory": "PERFAGENT_HUB_DIR",
    "idle": "PERFAGENT_HUB_IDLE",
}


def main(words: list[str]) -> int:
    """Does what the words ask for; returns the exit status that the help tells of."""
    asked = _parser().parse_args(list(_joined(words)))
    for name, variable in VARIABLES.items():
        value = getattr(asked, name)
        if value is not None:
            os.environ[variable] = str(value)
    settings = Settings()
    try:
        if asked.inherit:
            return _inherited(settings, asked)
        return _command(settings, asked)
    except Unavailable as error:
        print(f"perfagent: {error}", file=sys.stderr)
        return error.status


def _joined(words: list[str]) -> Iterator[str]:
    """Makes one word of `--from -24h`, which argparse would take for two options."""
    rest = iter(words)
    for word in rest:
        yield f"{word}={next(rest, '')}" if word in ("--from", "--to") else word


def _command(settings: Settings, asked: argparse.Namespace) -> int:
    if asked.action == "token":
        return _token(settings, asked.role)
    if asked.action in ("export", "import"):
        from perfagent.cli import archive

        return archive.main(settings, asked)
    from perfagent.cli import background

    if asked.stop:
        return background.stop(settings)
    if asked.status:
        return background.status(settings, asked.output)
    if asked.background:
        return background.start(settings)
    if asked.open:
        return background.open_page(settings)
    return _foreground(settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perfagent hub",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--background", action="store_true", help="start it in the background, if none runs")
    what.add_argument("--stop", action="store_true", help="end the one that runs, when all is stored")
    what.add_argument("--status", action="store_true", help="tell whether one runs, where, and what it holds")
    what.add_argument("--open", action="store_true", help="open the page in a browser, and print a fresh link")
    parser.add_argument("--port", type=_port, help="port to listen on; 0 takes a free one (PERFAGENT_HUB_PORT)")
    parser.add_argument("--host", help="address to listen on (PERFAGENT_HUB_HOST)")
    parser.add_argument("--grpc-port", type=_port, help="port for OTLP/gRPC; 0: none (PERFAGENT_HUB_GRPC_PORT)")
    parser.add_argument("--directory", metavar="FOLDER", help="where its data is (PERFAGENT_HUB_DIR)")
    parser.add_argument("--idle", type=_seconds, metavar="SECONDS", help="leave when unused so long; 0: never")
    parser.add_argument("--output", choices=("table", "json"), default="table", help="of --status")
    parser.add_argument("--inherit", help=argparse.SUPPRESS)  # LOCK,LISTENER: descriptors of who started this one
    parser.add_argument("--by-itself", action="store_true", help=argparse.SUPPRESS)
    actions = parser.add_subparsers(dest="action", metavar="token | export | import")
    token = actions.add_parser("token", help="print a token")
    token.add_argument("--role", default="viewer", choices=("agent", "viewer", "operator", "admin"))
    export = actions.add_parser("export", help="write what it holds as Parquet files")
    export.add_argument("folder", help="a folder that is empty or does not exist")
    export.add_argument("--from", dest="begin", default="", help="such as 24h (ago) or 2026-01-31T12:00 (default: all)")
    export.add_argument("--to", dest="end", default="", help="likewise (default: now)")
    actions.add_parser("import", help="take in what was exported").add_argument("folder")
    return parser


def _port(text: str) -> int:
    if text.isdecimal() and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: a whole number from 0 to 65535")


def _seconds(text: str) -> int:
    if text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds: a whole number from 0")


def _inherited(settings: Settings, asked: argparse.Namespace) -> int:
    """Serves in the background, with the lock and the socket of who started this process."""
    import _socket

    held, listening = map(int, asked.inherit.split(","))
    os.set_inheritable(held, False)
    os.set_inheritable(listening, False)
    told = lock.told(held)
    place = Place(
        lock.directory(settings), held, _socket.socket(fileno=listening), told.address, told.guarded, told.takes
    )
    from perfagent.hub import process

    ready = _show if asked.open else None
    return process.serve(settings, place, by_itself=asked.by_itself, ready=ready)


def _foreground(settings: Settings) -> int:
    words = spawn.command()
    if not words:
        raise Unavailable(f"the hub's packages are not installed: {spawn.HOW_TO_GET}", 7)
    if words[0] != sys.executable:  # of another environment, which has them
        os.execv(words[0], [*words, "hub"])  # noqa: S606 - no shell; the options are in the environment
    place = lock.take(settings)
    if isinstance(place, Found):
        print(
            f"perfagent: a hub runs already, process {place.pid}: {link(lock.directory(settings), place)}\n"
            "`perfagent hub --stop` ends it",
            file=sys.stderr,
        )
        return 3
    place.tell(os.getpid())
    from perfagent.hub import process

    return process.serve(settings, place, foreground=True, ready=_greet)


def _greet(hub: Hub) -> None:
    """What a person sees who started the hub here."""
    kept = hub.settings.retention_hours
    size = hub.store.sizes().get("bytes", 0) / 2**20
    grpc = hub.settings.hub_grpc_port
    page = f"  page   {hub.address}/?code={hub.access.code()}  (this link is good for 15 minutes)"
    if hub.remote is not None:
        reads = "".join(f"  reads  {one.name} at {one.url}\n" for one in hub.remote.states())
        end = f"{reads}  data   {hub.directory}\nPrograms send to the Collector, not here. Ctrl-C ends the hub."
    else:
        end = (
            f"  OTLP   {hub.address} over HTTP{f', port {grpc} over gRPC' if grpc else ''}\n"
            f"  data   {hub.directory}, {size:.0f} MiB, traces are kept for {kept} h\n"
            "`perfagent run python app.py` in another terminal sends here. Ctrl-C ends the hub."
        )
    print(f"perfagent hub {_version()}\n{page}\n{end}", flush=True)


def _show(hub: Hub) -> None:
    """Opens the page of a hub that was just started, where there is a screen."""
    from perfagent.cli import background

    background.browse(hub.address, hub.access)


def _token(settings: Settings, role: str) -> int:
    from perfagent.hub.access import Access, secret

    folder = lock.directory(settings)
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        print(Access(secret(folder)).token(role))
    except OSError as error:
        raise Unavailable(f"{folder} cannot be used: {error.strerror}; set PERFAGENT_HUB_DIR", 5) from error
    return 0


def _version() -> str:
    from perfagent import __version__

    return __version__
