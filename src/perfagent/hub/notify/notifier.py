"""The notifier: takes what happens to incidents, and tells the channels that want to know, once each."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from perfagent.hub.alert.event import Event, Incident
from perfagent.hub.alert.violation import SEVERITIES
from perfagent.hub.notify import declaration, document, facts, message
from perfagent.hub.notify.errors import NotDelivered
from perfagent.hub.notify.line import Attempt, Line
from perfagent.hub.notify.outbox import Delivery, Outbox
from perfagent.hub.notify.pace import HOUR, Pace, Timing, after_failures
from perfagent.hub.store.errors import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfagent.hub.hub import Hub
    from perfagent.hub.notify.channel import Channel
    from perfagent.hub.notify.declaration import Problem
    from perfagent.hub.notify.message import Message

LONGEST_SLEEP = 10.0  # seconds; what is declared may change meanwhile
AT_THE_END = 1.0  # seconds that what is on its way gets
GONE = "no channel of this name is declared any more"
log = logging.getLogger("perfagent.hub")


class Notifier:
    """The channels of a hub, and what is on its way to them.

    Args:
        hub: whose settings, files and database it uses.
        timing: how long things take.
    """

    def __init__(self, hub: Hub, timing: Timing | None = None) -> None:
        self._hub = hub
        self.timing = timing or Timing()
        self.outbox = Outbox(hub.store if hub.remote is None else hub.remote.window.keeper)
        self.lines: dict[str, Line] = {}
        self.problems: list[Problem] = []
        """Declarations that are off."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """How often since the start, by what and channel: attempted, delivered, failed, folded, quiet."""
        self.latency: Counter[str] = Counter()
        """Milliseconds from events to their delivery, summed up by channel."""
        self._retry = hub.settings.hub_retry * HOUR
        self._version = -1
        self._checked = True
        self._change = threading.Condition()
        self._reading, self._taking, self._testing = threading.Lock(), threading.Lock(), threading.Lock()
        self._ended = self._woken = False
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    @property
    def page(self) -> str:
        """Address of the hub's page, for links."""
        return (self._hub.settings.hub_public_url or self._hub.address).rstrip("/")

    def start(self) -> None:
        """Begins to deliver, what waited before the hub's start as well."""
        now = time.time()
        for row in self.outbox.rows("sent", since=now - HOUR):
            self._line(row["channel"]).pace.note(row["ended"], row["told"])
        for row in self.outbox.rows("last"):
            line = self._line(row["channel"])
            line.last_delivered, line.last_failed = row["delivered"], row["failed"]
            line.last_error = (row["error"] or "") if (row["failed"] or 0.0) > (row["delivered"] or 0.0) else ""
        for one in self.outbox.waiting():
            self._line(one.channel).waiting.append(one)
        self._hub.alerts.subscribe(self.take)
        self._thread.start()

    def stop(self) -> None:
        """Ends; what is not delivered is delivered after the next start."""
        with self._change:
            self._ended = True
            self._change.notify_all()
        if self._thread.ident is not None:
            self._thread.join(AT_THE_END)
        until = time.monotonic() + AT_THE_END
        with self._change:
            while any(line.attempt for line in self.lines.values()) and (left := until - time.monotonic()) > 0:
                self._change.wait(left)

    def channels(self) -> list[tuple[Channel, Line]]:
        """What is declared now, with how it is."""
        self.read()
        with self._change:
            return [(line.channel, line) for line in self.lines.values() if line.channel is not None]

    def read(self) -> None:
        """Reads the declarations where they have changed."""
        declared = self._hub.declared
        with self._reading:
            if declared.version == self._version:
                return
            version, settings = declared.version, self._hub.settings
            found, problems = declaration.read(declared.tables("channel"), settings.hub_channels, settings.environ)
            for problem in problems:
                log.warning("%s", problem.text)
            with self._change:
                for line in self.lines.values():
                    line.channel = None
                for channel in found:
                    line = self._line(channel.name, channel.rate_per_hour)
                    line.channel, line.pace.per_hour = channel, channel.rate_per_hour
                self.problems, self._version, self._checked = problems, version, not found
                self._wake()

    def take(self, events: Iterable[Event]) -> None:
        """Takes events; what is to be told is on the disk when this returns, an event that comes again is told once.

        Raises:
            StoreFailed: nothing of them is written; they are to come again.
        """
        self.read()
        with self._taking:
            made: list[Delivery] = []
            for event in events:
                made += self._deliveries(event, made)
            if not made:
                return
            self.outbox.add(made)
        with self._change:
            for one in made:
                if one.state == "waiting":
                    self._line(one.channel).waiting.append(one)
                else:
                    self.counts[one.state, one.channel] += 1
            self._wake()

    def test(self, name: str, by: str) -> dict[str, Any] | None:
        """Sends a message that says that it is a test; waits for the result.

        Args:
            name: of the channel.
            by: the role of who asks.

        Returns:
            `delivered`, `error` and `seconds`; None where there is no such channel.

        Raises:
            BlockingIOError: another test is under way.
        """
        self.read()
        with self._change:
            channel = line.channel if (line := self.lines.get(name)) is not None else None
        if channel is None:
            return None
        if not self._testing.acquire(blocking=False):
            raise BlockingIOError("another test is under way")
        try:
            return self._test(channel, by)
        finally:
            self._testing.release()

    def _test(self, channel: Channel, by: str) -> dict[str, Any]:
        now = time.time()
        title = f"A test of the channel {channel.name}"
        incident = Incident(
            document.identity_of(f"{channel.name}{now!r}"), "low", title, f"an {by} of the hub asked for it",
            (), now, None, (), "#/hub",
        )  # fmt: skip
        event = Event("fired", now, incident)
        told = replace(message.of(event, self.page), title=title)
        one = Delivery(
            document.identity(event), channel.name, "", "test", "low", title, now, now, "", attempts=1, due=now
        )
        errors: list[str] = []
        sender = threading.Thread(target=lambda: errors.append(self._send(channel, told)), daemon=True)
        sender.start()
        sender.join(self.timing.deadline)
        error = errors[0] if errors else self._late
        one.end("failed" if error else "delivered", time.time(), error)
        self.outbox.add([one])
        with self._change:
            self._note(self._line(channel.name), [one], error, told=0)
        return {"delivered": not error, "error": error, "seconds": (one.ended or now) - now}

    @property
    def _late(self) -> str:
        return f"no answer within {self.timing.deadline:g} s"

    def _line(self, name: str, per_hour: int = 20) -> Line:
        found = self.lines.get(name)
        if found is None:
            found = self.lines[name] = Line(Pace(per_hour))
        return found

    def _deliveries(self, event: Event, before_it: Sequence[Delivery]) -> list[Delivery]:
        identity, now, incident = document.identity(event), time.time(), event.incident.id
        told = [asdict(one) for one in reversed(before_it) if one.incident == incident]
        told += self.outbox.rows("incident", incident=incident)
        with self._change:
            channels = [line.channel for line in self.lines.values() if line.channel is not None]
        made = []
        for channel in channels:
            before = [row for row in told if row["channel"] == channel.name]
            if any(row["event"] == identity for row in before):
                continue
            heard = [row for row in before if row["state"] in ("waiting", "delivered", "folded")]
            if not channel.wants(event, bool(heard)):
                continue
            one = Delivery(
                identity, channel.name, incident, event.happening, event.incident.severity,
                facts.of(event, self.page)["headline"], event.time, now, document.written(event), due=now,
            )  # fmt: skip
            if heard and 0 <= now - heard[0]["taken"] < channel.quiet_minutes * 60 and _says_no_more(event, heard[0]):
                one.end("quiet", now)
            made.append(one)
        return made

    def _run(self) -> None:
        while not self._ended:
            try:
                self.read()
                if not self._checked:
                    self._check()
                wait = self._step(time.time())
            except Exception:
                log.exception("notifications")
                wait = LONGEST_SLEEP
            with self._change:
                self._change.wait_for(lambda: self._ended or self._woken, min(wait, LONGEST_SLEEP))
                self._woken = False

    def _wake(self) -> None:
        """Has the thread look what is due; it may be looking just now."""
        self._woken = True
        self._change.notify_all()

    def _check(self) -> None:
        """Has Apprise look at the addresses; here, for to import it takes a while."""
        from perfagent.hub.notify import sending

        self._checked = True
        with self._change:
            channels = [line.channel for line in self.lines.values() if line.channel is not None]
        for channel in channels:
            text = sending.check(channel)
            if text:
                log.warning("%s", text)
                with self._change:
                    self.problems.append(declaration.Problem(channel.name, channel.origin, text))
                    self.lines[channel.name].channel = None

    def _step(self, now: float) -> float:
        """Sends what is due; returns the seconds until something is due again."""
        self._give_up(now)
        times, late = [now + LONGEST_SLEEP], []
        for name in list(self.lines):
            with self._change:
                line = self.lines[name]
                line.keep_time(now, self.timing)
                late += self._let_go(line, now)
                at, deliveries = line.next(now, self.timing)
                times += [end for one in line.waiting if (end := one.taken + self._retry) > now]
                if at > now or not deliveries or line.channel is None:
                    times.append(at)
                    if line.attempt is not None:
                        times.append(line.attempt.began + self.timing.deadline)
                    continue
                line.attempt = attempt = Attempt(deliveries, now)
                times.append(now + self.timing.deadline)
                channel = line.channel
            threading.Thread(
                target=self._attempt, args=(line, channel, attempt), name=f"notify {name}", daemon=True
            ).start()
        self._save(late)
        return max(0.05, min(times) - now)

    def _let_go(self, line: Line, now: float) -> list[Delivery]:
        """Counts an attempt that takes too long as failed; its thread may still end, or not."""
        attempt = line.attempt
        if attempt is None or now - attempt.began < self.timing.deadline:
            return []
        attempt.late = True
        line.attempt = None
        line.lingering += 1
        self._failed(line, attempt.deliveries, self._late, now)
        return attempt.deliveries

    def _attempt(self, line: Line, channel: Channel, attempt: Attempt) -> None:
        error = "it ended without a result"
        try:
            events = [document.read(one.content) for one in attempt.deliveries]
            if len(events) == 1:
                told = message.of(events[0], self.page, channel.template)
            else:
                told = message.digest(events, self.page)
            error = self._send(channel, told)
        except Exception as failure:
            log.exception("a notification for the channel %s", channel.name)
            error = f"{type(failure).__name__}: hub.log has the details"
        finally:
            self._done(line, attempt, error)

    @staticmethod
    def _send(channel: Channel, told: Message) -> str:
        """Sends a message; returns why it was not taken, "" where it was."""
        from perfagent.hub.notify import sending

        try:
            sending.send(channel, told)
        except NotDelivered as error:
            return str(error)
        return ""

    def _done(self, line: Line, attempt: Attempt, error: str) -> None:
        now = time.time()
        with self._change:
            if attempt.late:
                line.lingering -= 1
                if error:
                    return
            else:
                line.attempt = None
            deliveries = [one for one in attempt.deliveries if one.state == "waiting"]
            if error:
                self._failed(line, deliveries, error, now)
            else:
                for one in deliveries:
                    one.attempts += 1
                    one.end("delivered" if len(deliveries) == 1 else "folded", now)
                line.waiting = [one for one in line.waiting if one.state == "waiting"]
                self._note(line, deliveries, "", told=len(deliveries))
            self._wake()
        self._save(deliveries)

    def _failed(self, line: Line, deliveries: Sequence[Delivery], error: str, now: float) -> None:
        timing = self.timing
        for one in deliveries:
            one.attempts += 1
            one.error = error
            one.due = now + after_failures(one.attempts, timing.first_retry, timing.longest_retry)
        self._note(line, deliveries, error, told=1)
        line.paused_until = now + after_failures(line.failures, timing.first_retry, timing.longest_pause)

    def _note(self, line: Line, deliveries: Sequence[Delivery], error: str, told: int) -> None:
        """Counts an attempt, and what came of it; `told` is 0 for a test, which is outside of the rate."""
        if not deliveries:
            return
        name, now = deliveries[0].channel, time.time()
        self.counts["attempted", name] += 1
        if error:
            line.failures += 1
            line.last_failed, line.last_error = now, error
            log.warning("the channel %s does not take a message: %s", name, error)
            return
        line.failures, line.paused_until, line.last_delivered, line.last_error = 0, 0.0, now, ""
        if told:
            line.pace.note(deliveries[0].ended or now, told)
        for one in deliveries:
            self.counts["delivered" if one.state == "delivered" else "folded", name] += 1
            self.latency[name] += round(((one.ended or now) - one.happened) * 1000)

    def _give_up(self, now: float) -> None:
        """Ends what could not be delivered for too long."""
        given_up: list[Delivery] = []
        with self._change:
            for line in self.lines.values():
                on_its_way = line.attempt.deliveries if line.attempt is not None else ()
                for one in line.waiting:
                    over = one.taken + self._retry <= now and (one.attempts or line.channel is None)
                    if one.state == "waiting" and over and not any(one is other for other in on_its_way):
                        one.end("failed", now, one.error if line.channel is not None else one.error or GONE)
                        self.counts["failed", one.channel] += 1
                        given_up.append(one)
                line.waiting = [one for one in line.waiting if one.state == "waiting"]
        if given_up:
            log.error("%d notifications could not be delivered and are given up: %s", len(given_up), given_up[0].error)
            self._save(given_up)

    def _save(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        try:
            self.outbox.save(deliveries)
        except StoreFailed as error:
            log.error("what became of a notification could not be written, so it may be sent again: %s", error)


def _says_no_more(event: Event, before: Mapping[str, Any]) -> bool:
    """Whether an event is what was told before once more, and no more severe."""
    rank = SEVERITIES.index
    return before["happening"] == event.happening and rank(event.incident.severity) <= rank(before["severity"])
