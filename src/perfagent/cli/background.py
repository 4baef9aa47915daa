"""The hub in the background: starts it, ends it, asks after it, opens its page."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfagent.hub import lock, spawn
from perfagent.hub.access import LINK_SECONDS, Access, secret
from perfagent.launch.hub import link

if TYPE_CHECKING:
    from perfagent.hub.lock import Found
    from perfagent.settings import Settings

BOOT = 30.0  # seconds that a hub may take to answer; 1 to 2 are usual
END = 10.0  # seconds that it may take to end; it promises 5
OPEN_SECONDS = 60  # how long a link is good that a browser is started with: other users see it in the list of processes


def start(settings: Settings) -> int:
    """Starts a hub unless one runs, and waits until it answers."""
    folder = lock.directory(settings)
    log = _size(lock.log_path(folder))
    found = spawn.start(settings, by_itself=False)
    if found.is_new and not _answers(folder, found):
        print(f"perfagent: the hub did not start: {complaint(lock.log_path(folder), log)}", file=sys.stderr)
        return 1
    print(f"perfagent: the hub runs{'' if found.is_new else ' already'}: {link(folder, found)}")
    return 0


def stop(settings: Settings) -> int:
    """Ends the hub, and waits until it has."""
    folder = lock.directory(settings)
    found = lock.find(folder)
    if found is None:
        print(f"perfagent: no hub runs in {folder}")
        return 0
    if not _is_ours(found.pid):
        reason = "as where the folder is shared with a container: end the hub there"
        print(f"perfagent: process {found.pid} of the hub is another one here, {reason}", file=sys.stderr)
        return 1
    try:
        os.kill(found.pid, signal.SIGTERM)
    except OSError as error:
        print(f"perfagent: process {found.pid} cannot be ended: {error.strerror}", file=sys.stderr)
        return 1
    until = time.monotonic() + END
    while lock.is_held(folder):
        if time.monotonic() > until:
            print(f"perfagent: the hub, process {found.pid}, still ends; see {lock.log_path(folder)}", file=sys.stderr)
            return 1
        time.sleep(0.02)
    print("perfagent: the hub has ended; what it stored stays")
    return 0


def _is_ours(pid: int) -> bool:
    """Whether a process can be a hub of this user: a container may number its processes on its own."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"perfagent" in file.read(65_536)
    except FileNotFoundError:
        return not os.path.isdir("/proc/self")  # no Linux: nobody can tell
    except OSError:
        return True


def status(settings: Settings, output: str) -> int:
    """Tells whether a hub runs, where, and what it holds; returns 3 where none does."""
    folder = lock.directory(settings)
    found = lock.find(folder)
    told: dict[str, Any] = {"running": found is not None, "directory": folder}
    if found is not None:
        told |= {"address": found.address, "pid": found.pid, "version": found.version, "grpc": found.grpc}
        told["hub"] = _ask(folder, found)
    if output == "json":
        print(json.dumps(told, indent=2))
    elif found is None:
        print(f"perfagent: no hub runs in {folder}: `perfagent hub --background` starts one")
        said = complaint(lock.log_path(folder))
        if said:
            print(f"the last one ended so: {said}")
    else:
        _print(told, link(folder, found))
    return 0 if found is not None else 3


def open_page(settings: Settings) -> int:
    """Opens the page in a browser and prints a fresh link; starts a hub where none runs."""
    folder = lock.directory(settings)
    if lock.find(folder) is None:
        failed = start(settings)
        if failed:
            return failed
    found = lock.find(folder)
    if found is None:
        print(f"perfagent: the hub ended at once; see {lock.log_path(folder)}", file=sys.stderr)
        return 1
    print(link(folder, found))
    if not browse(found.address, Access(secret(folder))):
        print("perfagent: there is no screen here; open the link in a browser of yours", file=sys.stderr)
    return 0


def browse(address: str, access: Access) -> bool:
    """Opens the page in a browser of its own process; False where there is no screen."""
    if sys.platform != "darwin" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    code = access.code(time.time() - LINK_SECONDS + OPEN_SECONDS)
    subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "webbrowser", f"{address}/?code={code}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.path.expanduser("~"),
        start_new_session=True,
        umask=0o022,
    )
    return True


def _answers(folder: str, found: Found) -> bool:
    """Waits until the hub answers; False where it ended."""
    until = time.monotonic() + BOOT
    target = urlsplit(found.address)
    while time.monotonic() < until and lock.is_held(folder):
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=BOOT)
        try:
            connection.request("GET", "/health/live")
            return connection.getresponse().status == 200
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    return False


def _ask(folder: str, found: Found) -> dict[str, Any] | None:
    from perfagent.cli.client import Client, HubError

    try:
        answer: dict[str, Any] = Client(found.address, Access(secret(folder)).token("viewer")).get("hub")
    except (HubError, OSError):
        return None
    return answer


def _print(told: dict[str, Any], page: str) -> None:
    hub = told["hub"]
    print(f"page     {page}")
    print(f"process  {told['pid']}, perfagent {told['version']}")
    remotes = (hub or {}).get("remotes") or ()
    for one in remotes:
        print(f"reads    {one['name']} at {one['url']}{': ' + one['problem'] if one['problem'] else ''}")
    if not remotes:
        print(f"OTLP     {told['address']}{', gRPC ' + told['grpc'] if told['grpc'] else ''}")
    if hub is None:
        print(f"data     {told['directory']}; the hub does not answer: see {lock.log_path(told['directory'])}")
    else:
        counts = ", ".join(f"{number} {name}" for name, number in hub["counts"].items())
        print(f"data     {told['directory']}, {hub['database_bytes'] / 2**20:.0f} MiB: {counts}")


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def complaint(path: str, since: int = 0) -> str:
    """Why the last hub that wrote to a log ended, where it was not in order; "" where it was.

    Args:
        path: the log.
        since: bytes of it that are from before.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            file.seek(since if _size(path) >= since else 0)
            lines = file.read()[-65_536:].splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        if line.startswith("perfagent: "):
            return line.removeprefix("perfagent: ")
        for level in (" ERROR perfagent.hub: ", " CRITICAL perfagent.hub: "):
            _date, found, told = line.partition(level)
            if found:
                return told
        if " INFO perfagent.hub: perfagent " in line or " INFO perfagent.hub: the hub ends: " in line:
            return ""
    return ""
