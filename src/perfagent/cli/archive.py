"""`perfagent hub export` and `import`: what a hub holds, as a folder of Parquet files, and back."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from perfagent.hub import lock, spawn
from perfagent.hub.lock import Found, Unavailable

if TYPE_CHECKING:
    from argparse import Namespace

    from perfagent.settings import Settings

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def main(settings: Settings, asked: Namespace) -> int:
    """Writes or reads the folder; returns 0, 1 where that failed, 2 for wrong words, 6 for no database, 7 for packages.

    Raises:
        Unavailable: a hub runs, and its database has one user at a time; or there is no folder for it.
    """
    if spawn.command()[:1] != [sys.executable]:
        raise Unavailable(f"the hub's packages are not installed here: {spawn.HOW_TO_GET}", 7)
    from perfagent.hub.store import archive
    from perfagent.hub.store.errors import StoreFailed, StoreUnavailable
    from perfagent.hub.store.store import Store

    try:
        begin, end = (0.0, time.time()) if asked.action == "import" else (moment(asked.begin, 0), moment(asked.end))
    except ValueError as error:
        print(f"perfagent: {error}", file=sys.stderr)
        return 2
    place = lock.take(settings)  # no hub may begin meanwhile
    if isinstance(place, Found):
        reason = (
            f"the hub runs, process {place.pid}, and its database has one user at a time: `perfagent hub --stop` first"
        )
        raise Unavailable(reason, 3)
    try:
        store = Store.open(Path(place.folder), settings.hub_memory)
        try:
            folder = Path(asked.folder).expanduser().absolute()
            if asked.action == "export":
                rows = archive.export(store, folder, begin, end)
                print(f"perfagent: {folder} holds {_told(rows)}")
            else:
                rows = archive.import_(store, folder)
                print(f"perfagent: new in {place.folder}: {_told(rows)}")
        finally:
            store.close()
    except StoreUnavailable as error:
        print(f"perfagent: {error}", file=sys.stderr)
        return 6
    except (archive.ArchiveError, StoreFailed) as error:
        print(f"perfagent: {error}", file=sys.stderr)
        return 1
    finally:
        place.leave()
    return 0


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
    return ", ".join(f"{rows.get(name, 0)} {name}" for name in ("spans", "logs", "points"))
