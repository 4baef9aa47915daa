"""`perfagent hub export` and `import`: what a hub holds, as a folder of Parquet files, and back."""

from __future__ import annotations

import os
import shutil
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from perfagent.cli.client import Client, HubError
from perfagent.hub import lock, spawn
from perfagent.hub.lock import Found

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.settings import Settings

LONG = 3600  # seconds; a day of a million spans is written in four
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def main(settings: Settings, asked: Namespace) -> int:
    """Writes or reads the folder, by the hub where one runs; returns the exit status.

    That is 0, 1 where it failed, 2 for wrong words, 6 for no database, 7 for packages.

    Raises:
        Unavailable: there is no folder for a hub.
    """
    try:
        begin, end = (0.0, time.time()) if asked.action == "import" else (moment(asked.begin, 0), moment(asked.end))
    except ValueError as error:
        print(f"perfagent: {error}", file=sys.stderr)
        return 2
    folder = Path(asked.folder).expanduser().absolute()
    os.umask(0o077)  # what is exported tells of statements and of users' doings
    place = lock.take(settings)  # no hub may begin meanwhile
    try:
        if isinstance(place, Found):
            rows = _by_hub(settings, asked.action, folder, begin, end)
        else:
            try:
                rows = _by_hand(settings, Path(place.folder), asked.action, folder, begin, end)
            finally:
                place.leave()
    except Failed as error:
        print(f"perfagent: {error}", file=sys.stderr)
        return error.status
    home = lock.directory(settings)
    told = f"{folder} holds" if asked.action == "export" else f"new in {home}:"
    print(f"perfagent: {told} {_told(rows)}")
    return 0


class Failed(Exception):  # noqa: N818 - its text is the message
    """Why nothing was written or read, and the exit status that says so."""

    def __init__(self, reason: object, status: int = 1) -> None:
        super().__init__(str(reason))
        self.status = status


def _by_hub(settings: Settings, action: str, folder: Path, begin: float, end: float) -> dict[str, int]:
    """The hub reads and writes below its own folder alone, so the archive is moved from there, or copied there."""
    name = f"by-hand-{os.getpid()}-{time.time_ns()}"
    inside = Path(lock.directory(settings)) / "archives" / name
    try:
        hub = Client.own(settings, timeout=LONG, role="admin")
        if action == "export":
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise Failed(f"{folder} is not empty: name a new folder")
            rows: dict[str, int] = hub.post("hub/export", {"name": name, "begin": begin, "end": end})["rows"]
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for file in inside.iterdir():
                shutil.move(file, folder / file.name)
        else:
            if not folder.is_dir():
                raise Failed(f"{folder} is no folder: name one that `perfagent hub export` has written")
            shutil.copytree(folder, inside)
            rows = hub.post("hub/import", {"name": name})["rows"]
    except (HubError, OSError) as error:
        raise Failed(error) from error
    finally:
        shutil.rmtree(inside, ignore_errors=True)
    return rows


def _by_hand(settings: Settings, home: Path, action: str, folder: Path, begin: float, end: float) -> dict[str, int]:
    if spawn.command()[:1] != [sys.executable]:
        raise Failed(f"the hub's packages are not installed here: {spawn.HOW_TO_GET}", 7)
    from perfagent.hub.store import archive
    from perfagent.hub.store.errors import StoreFailed, StoreUnavailable
    from perfagent.hub.store.store import Store

    try:
        store = Store.open(home, settings.hub_memory)
    except StoreUnavailable as error:
        raise Failed(error, 6) from error
    try:
        if action == "export":
            return archive.export(store, folder, begin, end)
        return archive.import_(store, folder)
    except (archive.ArchiveError, StoreFailed) as error:
        raise Failed(error) from error
    finally:
        store.close()


def moment(text: str, default: float | None = None) -> float:
    """A moment that a person wrote, in seconds since the epoch.

    Args:
        text: "24h" or "-24h" for so long ago, a date such as 2026-01-31T12:00, or seconds since the epoch.
        default: what stands for nothing; now when left out.

    Raises:
        ValueError: it is none; the text says what is accepted.
    """
    text = text.strip()
    if not text or text == "now":
        return time.time() if default is None else default
    try:
        if text[-1] in UNITS:
            return time.time() - float(text[:-1].removeprefix("-")) * UNITS[text[-1]]
        if text.replace(".", "", 1).isdecimal():
            return float(text)
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ValueError(f"{text!r} is no time: 24h (ago), 2026-01-31T12:00 or seconds since the epoch") from None


def _told(rows: dict[str, int]) -> str:
    counts = ((rows.get(f"{one}s", 0), one) for one in ("span", "log", "point"))
    return ", ".join(f"{count} {one}{'s' * (count != 1)}" for count, one in counts)
