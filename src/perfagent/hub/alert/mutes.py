"""What keeps alerts quiet: silences that people ask for, and maintenance windows of files and of run time."""

from __future__ import annotations

import secrets
import threading
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from time import time
from typing import TYPE_CHECKING, Any

from perfagent.hub.alert import maintenance
from perfagent.hub.alert.maintenance import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from perfagent.hub.alert.violation import Violation
    from perfagent.hub.hub import Hub

SILENCES, WINDOWS, ENDED = "alert_silences", "maintenance", "maintenance_ended"  # documents of the store
MOST = 200  # of each, those that are over included
MATCHED = ("alert", "kind", "rule", "service", "subject", "severity")


class TooMany(Exception):  # noqa: N818 - a refusal
    """No more silences or windows can be kept; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A time in which alerts that match are kept and not told.

    Args:
        id: 16 hexadecimal digits.
        matchers: by the name of a field, what it must be, with * for any text; "alert" stands for an identity.
        begin, end: seconds since the epoch.
        by, note: of who asked for it.
    """

    id: str
    matchers: Mapping[str, str]
    begin: float
    end: float
    by: str
    note: str

    def matches(self, violation: Violation) -> bool:
        """Whether it is about a violation."""
        return all(
            fnmatchcase(violation.identity if key == "alert" else getattr(violation, key), pattern)
            for key, pattern in self.matchers.items()
        )


class Mutes:
    """The silences and windows of a hub.

    Args:
        hub: in whose store those of run time are.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._declared: dict[str, Window] = {}

    def declare(self, tables: Iterable[tuple[dict[str, Any], str]], tell: Callable[[str], None]) -> None:
        """Takes the windows of files; what is off is told."""
        self._declared = maintenance.declared(tables, tell)

    def silences(self) -> list[Silence]:
        """All of them, the latest first, those that are over included."""
        document = self._hub.store.document(SILENCES)
        found = [Silence(**one) for one in document] if isinstance(document, list) else []
        return sorted(found, key=lambda one: -one.begin)

    def windows(self) -> list[Window]:
        """All of them by their name; those of run time win while they last."""
        now, ended = time(), self._hub.store.document(ENDED)
        found = dict(self._declared)
        for name, until in ended.items() if isinstance(ended, dict) else ():
            if name in found:
                found[name] = replace(found[name], off_until=until)
        for one in self._begun():
            if one.name not in found or not one.is_over(now):
                found[one.name] = one
        return sorted(found.values(), key=lambda one: one.name)

    def _begun(self) -> list[Window]:
        """The windows of run time."""
        document = self._hub.store.document(WINDOWS)
        found = document.values() if isinstance(document, dict) else ()
        return [Window(**{**one, "services": tuple(one["services"]), "days": tuple(one["days"])}) for one in found]

    def silence(self, matchers: Mapping[str, str], seconds: float, by: str, note: str) -> Silence:
        """Begins a silence.

        Raises:
            TooMany: MOST of them are on.
        """
        now = time()
        made = Silence(secrets.token_hex(8), dict(matchers), now, now + seconds, by, note)
        with self._lock:
            known = self.silences()
            lasting = [one for one in known if one.end > now]
            if len(lasting) >= MOST:
                raise TooMany(f"{MOST} silences are on already; end one, or write one that matches more")
            over = [one for one in known if one.end <= now][: MOST - len(lasting)]
            self._hub.store.keep(SILENCES, [asdict(one) for one in [made, *lasting, *over]])
        return made

    def end_silence(self, identity: str) -> bool:
        """Ends a silence now; returns whether it was on."""
        now = time()
        with self._lock:
            known = self.silences()
            changed = [replace(one, end=now) if one.id == identity and one.end > now else one for one in known]
            self._hub.store.keep(SILENCES, [asdict(one) for one in changed])
            return changed != known

    def begin(self, window: Window) -> None:
        """Keeps a window of run time in place of the one of its name.

        Raises:
            TooMany: MOST of them are kept.
        """
        now = time()
        with self._lock:
            kept = {one.name: one for one in self._begun() if not one.is_over(now)}
            if len(kept) >= MOST and window.name not in kept:
                raise TooMany(f"{MOST} maintenance windows are kept already; end one")
            self._keep({**kept, window.name: window})

    def end(self, name: str) -> Window | None:
        """Ends a window that is on or to come; a weekly one that is on, for this time alone; returns it as it was.

        Returns:
            None where there is none of that name.
        """
        now = time()
        with self._lock:
            found = next((one for one in self.windows() if one.name == name), None)
            if found is None or found.is_over(now) or not (found.lasts(now) or found.begin is not None):
                return None
            if found.origin:
                until = found.end if found.begin is not None else maintenance.next_change(found, now)
                known = self._hub.store.document(ENDED)
                lasting = {key: one for key, one in known.items() if one > now} if isinstance(known, dict) else {}
                self._hub.store.keep(ENDED, {**lasting, name: until})
            else:
                kept = {one.name: one for one in self._begun()}
                kept[name] = replace(found, begin=min(found.begin or now, now), end=now)
                self._keep(kept)
        return found

    def _keep(self, windows: Mapping[str, Window]) -> None:
        self._hub.store.keep(WINDOWS, {name: asdict(one) for name, one in windows.items()})

    def judge(self) -> Callable[[float, Violation], str]:
        """What keeps a violation quiet at a moment, as it is known now: a name for people, "" for nothing."""
        silences, windows = self.silences(), self.windows()

        def mute(now: float, violation: Violation) -> str:
            now = max(now, time())  # what is read from Prometheus is some seconds old, what people ask for is not
            for window in windows:
                if window.covers(violation.service) and window.lasts(now):
                    return f"maintenance {window.name}"
            for one in silences:
                if one.begin <= now < one.end and one.matches(violation):
                    return f"silence {one.id}"
            return ""

        return mute
