"""What the background thread does: empties the outbox, measures, encodes and sends."""

from __future__ import annotations

from perfagent.runtime import clock, companions, guard, metric, outbox, resource
from perfagent.runtime.background import BackgroundThread
from perfagent.runtime.clock import monotonic, sleep
from perfagent.runtime.otlp import metrics, traces
from perfagent.runtime.otlp.transport import Refused, Transport, Unavailable, destinations
from perfagent.runtime.receivers import Receivers
from perfagent.runtime.span import SERVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from perfagent.runtime.span import Scope
    from perfagent.runtime.spool.delivery import Delivery
    from perfagent.settings import Settings
else:
    from _collections import deque  # the rest of `collections` would add 2 ms to a start

CHUNK = 256  # spans worked on before the program's threads get the interpreter: 1.3 ms; with 64 each costs 15 % more
BACKLOG_BYTES = 8 << 20
SETTLED = 1.5  # seconds after which a program is no short one
VITALS = "perfagent.vitals"  # the scope of the vital signs


class Payload:
    """An encoded request that waits to be sent: its signal, its bytes, and how many items are in it."""

    __slots__ = ("body", "count", "signal")

    def __init__(self, signal: str, body: bytes, count: int) -> None:
        self.signal = signal
        self.body = body
        self.count = count


class Pipeline(BackgroundThread):
    """What happens to signals after the program is done with them.

    Args:
        settings: queues, intervals and destinations.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.destinations = destinations(settings)
        self.unwanted: dict[str, str] = {}
        """Signals that their receiver does not know, most of them none of its faults, and what it said."""
        self.transport = Transport(settings)
        self.resource = b""
        self.interval = settings.metric_interval / 1000
        self.batch = settings.span_batch
        self.sources = outbox.sources
        self.sent: dict[str, int] = {}
        self.spool: Delivery | None = None
        self.receivers = Receivers(self.say)
        self._settled = monotonic() + SETTLED
        super().__init__(settings.span_delay / 1000)

    def reset(self) -> None:
        """As new: at the start, and in a forked child, which owns nothing of what its parent has waiting."""
        super().reset()
        self._deadline: float | None = None  # of a flush
        self.backlog: deque[Payload] = deque()
        self._encoded: dict[Scope, list[bytes]] = {}
        self._encoded_count = 0
        self._next_metrics = monotonic() + self.interval
        self.receivers.reset()
        companions.reset()

    @property
    def hurried(self) -> bool:
        """Whether somebody waits until all is sent: at the end, or in a flush."""
        return self._stopping or self._deadline is not None

    @property
    def pausing(self) -> bool:
        """Whether a receiver could not be reached the last time, or asked to come back."""
        return self.receivers.pausing

    @property
    def down(self) -> bool:
        """Whether a receiver does not take what it is sent."""
        return self.receivers.down

    def _send_all(self, timeout: float) -> bool:
        self.receivers.forgive()
        if self._running:
            self.wake()
            if not self._ended(timeout + 0.05):
                self._give_up("exit_timeout")
                return False
        else:
            self._last_tick()
        return not self._give_up("exit_timeout")

    def flush(self, timeout: float) -> bool:
        """Sends what is waiting, from the calling thread.

        Args:
            timeout: seconds.

        Returns:
            Whether nothing is left.
        """
        if not self._working.acquire(timeout=timeout):
            return False
        try:
            self._deadline = monotonic() + timeout
            self._next_metrics = 0.0
            self._tick()
            return not self.backlog and not (self.spool is not None and self.pausing)
        finally:
            self._deadline = None
            self._working.release()

    def flush_news(self, timeout: float) -> bool:
        """As `flush`, where there is more than the vital signs of a process that did nothing."""
        return not self._has_news() or self.flush(timeout)

    def _last_tick(self) -> None:
        if not self._working.acquire(timeout=max(self._exit_by - monotonic(), 0.0)):
            return
        try:
            if self._has_news():  # asked only now: what a flush under way has in hand neither waits nor is sent
                self._next_metrics = 0.0
                self._tick()
        finally:
            self._working.release()

    def _has_news(self) -> bool:
        """Whether there is more to send than the vital signs of a process that did nothing: those are not worth the
        20 ms that connecting would add to the end of `python -c pass`.
        """
        if self.sent or outbox.pending or outbox.logs or self.backlog or self._encoded_count:
            return True
        if any(has() for has in outbox.news):
            return True
        return any(
            series.touched or series.pending
            for instrument in _instruments()
            if instrument.callback is None and instrument.scope.name != VITALS
            for series in list(instrument.series.values())
        )

    def _tick(self) -> None:
        clock.synchronise()
        if outbox.deferred and monotonic() >= self._settled and not self._stopping:
            self._start_deferred()
        self._drain()
        self._seal()
        for source in self.sources:
            for payload in source(self):
                self._store(payload)
        if monotonic() >= self._next_metrics:
            self._next_metrics = monotonic() + self.interval
            self._measure()
        if self.spool is None:
            self._send()
        else:
            self.spool.deliver(self._exit_by if self._stopping else self._deadline)
        if self.transport.commanded is not None:
            self._obey()

    def _start_deferred(self) -> None:
        while outbox.deferred and not self._halts:
            companions.beginning = True  # a fork waits: half of a feature would be in the child for good
            try:
                outbox.deferred.pop(0)()
            except Exception:
                guard.failed("pipeline")
            finally:
                companions.beginning = False

    def _drain(self) -> None:
        """Measures and encodes every finished span, letting the program run between chunks."""
        left = len(outbox.pending)
        shares: Callable[[bool], object] = outbox.shares if left > CHUNK else bool  # few are done before anybody waits
        shares(True)
        try:
            while left > 0 and not self._halts:
                count = min(left, CHUNK, self.batch - self._encoded_count)
                self._take(count)
                left -= count
                if self._encoded_count >= self.batch:
                    self._seal()
                if left:
                    sleep(0)
        finally:
            shares(False)

    def _take(self, count: int) -> None:
        """Measures and encodes the oldest spans, `count` at most; 5 us for a query's and what it takes to send it."""
        wanted = "traces" in self.destinations
        take, thin = outbox.pending.popleft, outbox.thin
        scope: Scope | None = None
        taken = requests = kept = 0
        try:
            for _ in range(count):
                span = take()
                taken += 1
                if span.kind == SERVER:
                    requests += 1
                try:
                    encoded = span.deliver(wanted) if thin is None else thin(span, wanted)
                except Exception:
                    outbox.drop("span", "encode_error", 1)
                    guard.failed("encoder")
                    continue
                if encoded is not None:
                    if span.scope is not scope:
                        scope = span.scope
                        keep = self._encoded.setdefault(scope, []).append
                    keep(encoded)
                    kept += 1
        except IndexError:  # a request has given one up
            pass
        finally:
            outbox.taken += taken
            outbox.requests += requests
            self._encoded_count += kept

    def _seal(self) -> None:
        """Makes a payload of the spans encoded so far."""
        if self._encoded_count:
            body = traces.encode(self.encoded_resource(), self._encoded)
            self._store(Payload("traces", body, self._encoded_count))
            self._encoded, self._encoded_count = {}, 0

    def _measure(self) -> None:
        for instrument in _instruments():
            for series in list(instrument.series.values()):
                series.fold()
        if "metrics" not in self.destinations:
            return
        preference = self.settings.temporality
        body, points = metrics.encode(self.encoded_resource(), preference)
        if points:
            if preference == "cumulative":  # a newer total makes an older one needless
                self.backlog = deque(payload for payload in self.backlog if payload.signal != "metrics")
            self._store(Payload("metrics", body, points))

    def _store(self, payload: Payload) -> None:
        """Appends to the backlog; the oldest payloads give way where it is full."""
        self.backlog.append(payload)
        if self.spool is not None and len(self.backlog) > 1 and self._is_full():
            self.spool.spill()
        while len(self.backlog) > 1 and self._is_full():
            oldest = self.backlog[0]
            if self.spool is not None and oldest is self.spool.in_flight:
                oldest = self.backlog[1]
            if self.took(oldest):
                self.lose(oldest.signal, "queue_full", oldest.count)

    def _is_full(self) -> bool:
        # Points are few and the newest of their kind alone; if they took room, the drops that they tell of would be
        # followed by some that they do not.
        waiting = list(self.backlog)
        items = sum(payload.count for payload in waiting if payload.signal != "metrics")
        return items > outbox.limit or sum(len(payload.body) for payload in waiting) > BACKLOG_BYTES

    def lose(self, signal: str, reason: str, count: int) -> None:
        """Counts items that no receiver will get, by OTLP's name of their signal."""
        outbox.drop(outbox.SIGNALS[signal], reason, count)
        self.receivers.lost += count

    def _send(self) -> None:
        for payload in list(self.backlog):
            if payload.signal in self.destinations and self.may_send(payload.signal):
                self.hand_over(payload, self.took)

    def may_send(self, signal: str) -> bool:
        """Whether the receiver of a signal may be asked now, and no fork waits."""
        return not self._halts and self.receivers.may_be_asked(self.destinations[signal])

    def hand_over(self, payload: Payload, took: Callable[[Payload], bool]) -> bool:
        """Sends a payload and counts what becomes of it.

        Args:
            payload: what to send.
            took: takes it from where it waits; false where it waits there no longer.

        Returns:
            False where it has to be tried again later.
        """
        deadline = self._exit_by if self._stopping else self._deadline
        timeout = None if deadline is None else deadline - monotonic()
        if timeout is not None and timeout <= 0:
            return False
        to = self.destinations[payload.signal]
        try:
            lost = self.transport.send(to, payload.body, timeout)
        except Unavailable as error:
            if payload.signal in outbox.OPTIONAL:  # perhaps it is this alone that the receiver cannot take
                if took(payload):
                    self.lose(payload.signal, "unreachable", payload.count)
                return True
            self.receivers.leave_alone(to, error, self._kept())
            return False
        except Refused as error:
            if payload.signal in outbox.OPTIONAL:
                self._leave_out(payload.signal, str(error))
                return True
            if took(payload):
                self.lose(payload.signal, "rejected", payload.count)
            self.receivers.failed(to, str(error), self._kept())
            return True
        took(payload)
        self.sent[payload.signal] = self.sent.get(payload.signal, 0) + payload.count - lost
        if lost:
            self.lose(payload.signal, "rejected", lost)
        self.receivers.answered(to)
        return True

    def _leave_out(self, signal: str, reason: str) -> None:
        """Sends no more of a signal that its receiver does not know: nothing is wrong, and nothing is lost."""
        self.destinations.pop(signal, None)
        self.unwanted[signal] = reason
        self.backlog = deque(payload for payload in self.backlog if payload.signal != signal)

    def _obey(self) -> None:
        """Asks the hub what it wants: in the background thread alone, and not while the process waits for that."""
        hub, self.transport.commanded = self.transport.commanded, None
        if hub is not None and self.settings.control != "off" and self._deadline is None and not self._stopping:
            from perfagent.runtime import control

            control.obey(self, hub)

    def waiting(self) -> dict[str, int]:
        """How much is encoded and not sent yet."""
        backlog = list(self.backlog)
        return {"requests": len(backlog), "bytes": sum(len(payload.body) for payload in backlog)}

    def took(self, payload: Payload) -> bool:
        """Takes what was sent off the backlog; false where the exit has given it up meanwhile."""
        try:
            self.backlog.remove(payload)
        except ValueError:
            return False
        return True

    def _kept(self) -> str:
        return "" if self.spool is None else f", what waits is kept in {self.spool.folder.path}"

    def say(self, message: str) -> None:
        """One line on standard error, unless PERFAGENT_QUIET."""
        if not self.settings.quiet:
            from perfagent.runtime import scrub

            guard.say(scrub.text(message))

    def encoded_resource(self) -> bytes:
        """The content of an OTLP Resource message, made when first needed."""
        if not self.resource:
            self.resource = resource.encode(self.settings)
        return self.resource

    def _give_up(self, reason: str) -> int:
        """Counts what is still here as lost and says so."""
        if self.spool is not None:
            self.spool.spill(everything=True)
        lost = dict.fromkeys(outbox.SIGNALS, 0)
        if "traces" in self.destinations:
            lost["traces"] = self._encoded_count + sum(1 for span in list(outbox.pending) if span.flags & 1)
        if "logs" in self.destinations:
            lost["logs"] = len(outbox.logs)
        for signal, count in lost.items():
            if count:
                outbox.drop(outbox.SIGNALS[signal], reason, count)
        while self.backlog:
            payload = self.backlog.popleft()
            lost[payload.signal] += payload.count
            self.lose(payload.signal, reason, payload.count)
        told = [f"{count} {outbox.SIGNALS[signal]}{'s' * (count > 1)}" for signal, count in lost.items() if count]
        if told:
            self.say(f"not acknowledged before the exit, and perhaps lost: {', '.join(told)}")
        return sum(lost.values())


def _instruments() -> list[metric.Instrument]:
    return list(metric.registry.instruments.values())
