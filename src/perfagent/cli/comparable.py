"""What `perfagent compare` compares: words that a person wrote, and files that other commands have left."""

from __future__ import annotations

import json
import re
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfagent.hub.analyse.side import FORMAT, Called, Side, Subject

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS = {"s": "s", "second": "s", "m": "m", "min": "m", "minute": "m", "h": "h", "hour": "h", "d": "d", "day": "d"}
PROFILE, LOAD = "perfagent.profile/1", "perfagent.load.http/1"
BLOCKS = 60
HOW = (
    "files are a folder of `perfagent hub export`, or the JSON of `perfagent profile --json`, "
    "`perfagent load http --output json` or `perfagent compare --save`"
)


class NotComparableError(Exception):
    """A side cannot be read; the text says why, and what is accepted."""


def is_file(text: str) -> bool:
    """Whether a side is a file or a folder, and nothing that the hub knows."""
    return Path(text).expanduser().exists() or "/" in text.partition("..")[0] or text.endswith(".json")


def words(text: str) -> str:
    """A side as the hub takes it: "last hour" is "-1h..now", and a local time of day is in seconds since the epoch."""
    text = " ".join(text.split())
    relative = re.fullmatch(r"(last|before last|previous)(?: (\d{1,6}))? ?([a-z]+)", text)
    if relative:
        unit = UNITS.get(relative[3]) or UNITS.get(relative[3].removesuffix("s"))
        if unit:
            long = int(relative[2] or 1)
            return f"-{long}{unit}..now" if relative[1] == "last" else f"-{2 * long}{unit}..-{long}{unit}"
    begin, dots, end = text.partition("..")
    if not dots:
        return text
    first = _moment(begin)
    if re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?", end.strip()):  # the same day
        end = f"{begin.strip()[:10]}T{end.strip().zfill(5)}"
    return f"{first}..{_moment(end)}"


def _moment(text: str) -> str:
    text = text.strip()
    try:
        return f"{datetime.fromisoformat(text).timestamp():.3f}"
    except (ValueError, OverflowError, OSError):
        return text  # the hub knows more forms, and says what is wrong with those that it does not know


def read(text: str) -> Side:
    """The side in a file or folder; raises NotComparableError."""
    path = Path(text).expanduser()
    try:
        if path.is_dir():
            return _archive(path)
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise NotComparableError(f"{path}: {error.strerror}; {HOW}") from None
    except ValueError:
        raise NotComparableError(f"{path} is no JSON; {HOW}") from None
    form = found.get("format") if isinstance(found, dict) else None
    readers: dict[object, Callable[[str, dict[str, Any]], Side]] = {FORMAT: _kept, PROFILE: _profile, LOAD: _load}
    reader = readers.get(form)
    if reader is None:
        raise NotComparableError(f"{path} has the format {form!r}, which cannot be compared; {HOW}")
    try:
        return reader(path.name, found)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise NotComparableError(f"{path} is damaged: {type(error).__name__}: {error}; {HOW}") from None


def _kept(name: str, found: dict[str, Any]) -> Side:
    side = Side.of_document(found)
    side.label = f"{name} ({side.label})"
    return side


def _profile(name: str, found: dict[str, Any]) -> Side:
    """A recording of one process or command: its memory and CPU over time."""
    samples = found["samples"]
    times = samples["time_seconds"]
    long = max(times[-1], 1e-3)
    count = min(BLOCKS, len(times))
    side = Side(name, 0.0, long, long / count, count)
    subject = Subject("", "process", Path(str(found["command"][0])).name if found["command"] else "process")
    for column, figure in (("rss_bytes", "memory"), ("pss_bytes", "memory (PSS)"), ("cpu_percent", "CPU")):
        blocks: list[list[float]] = [[] for _ in range(count)]
        for time, value in zip(times, samples.get(column) or [], strict=False):
            if value is not None:
                blocks[min(int(time / side.width), count - 1)].append(float(value))
        levels = [sum(part) / len(part) if part else None for part in blocks]
        if any(level is not None for level in levels):
            side.levels[subject, figure] = levels
    return side


def _load(name: str, found: dict[str, Any]) -> Side:
    """What the generator of load measured: response times by the second."""
    seconds = found["seconds"]
    long = max([one["second"] for one in seconds], default=0) + 1
    width = max(1, round(long / BLOCKS))
    side = Side(name, 0.0, float(long), float(width), -(-long // width))
    called = Called([{} for _ in range(side.count)], [0.0] * side.count)
    for one in seconds:
        place = one["second"] // width
        for bucket, calls in one["buckets"]:
            called.counts[place][int(bucket)] = called.counts[place].get(int(bucket), 0.0) + float(calls)
        called.errors[place] += float(one["failed"])
    side.called[Subject("", "endpoint", f"{found['method']} {re.sub(r'^https?://[^/]+', '', found['url']) or '/'}")] = (
        called
    )
    return side


def _archive(folder: Path) -> Side:
    """What a hub exported, read as a hub would read it."""
    try:
        from perfagent.hub.api import sides
        from perfagent.hub.api.ranges import Range
        from perfagent.hub.store import archive
        from perfagent.hub.store.store import Store
    except ImportError:
        from perfagent.hub import spawn

        raise NotComparableError(f"{folder} needs the hub's packages, to be read here: {spawn.HOW_TO_GET}") from None
    from perfagent.hub.store.errors import StoreFailed, StoreUnavailable

    with tempfile.TemporaryDirectory(prefix="perfagent-compare-") as home:
        try:
            store = Store.open(Path(home), 512)
        except StoreUnavailable as error:
            raise NotComparableError(f"{folder}: {error}") from None
        try:
            archive.import_(store, folder.absolute())
            lived = store.rows("compare/lived", service=None)
            if not lived:
                raise NotComparableError(f"{folder} holds no process that sent anything")
            begin, end = min(row["earliest"] for row in lived), max(row["latest"] for row in lived)
            return sides.read(store, sides.Chosen(folder.name, Range(begin, max(end, begin + 1)), None, None))
        except (archive.ArchiveError, StoreFailed) as error:
            raise NotComparableError(str(error)) from None
        finally:
            store.close()
