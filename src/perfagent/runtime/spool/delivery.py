"""Moves requests between memory, disk and receiver, so that neither a receiver nor the disk holds up the other.

While the receiver answers, requests go to it from memory, and the disk is not touched. Sending has a thread of its own,
for as long as it takes: where it takes longer than BUSY, or the receiver is away, the pipeline's thread writes what has
gathered to disk and goes on emptying the program's queue. What is on disk is sent first, in its order.
"""

from __future__ import annotations

from _thread import allocate_lock, get_native_id

from perfagent.runtime import companions, guard, outbox
from perfagent.runtime.clock import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType

    from perfagent.runtime.pipeline import Payload, Pipeline
    from perfagent.runtime.spool.folder import Folder
    from perfagent.runtime.spool.segment import Segment

BUSY = 1.0  # seconds for a receiver to take what is sent, before the rest goes to disk
LOOK = 5.0  # seconds between two looks for what another process has left
RESERVE = 0.3  # seconds of the exit's time that are kept for writing
STEP = 0.01  # seconds between two looks whether a fork waits


class Delivery(companions.Companion):
    """What the pipeline hands its requests to where PERFAGENT_SPOOL_DIR is set.

    Args:
        pipeline: whose requests.
        folder: where they wait.
    """

    def __init__(self, pipeline: Pipeline, folder: Folder) -> None:
        self.pipeline = pipeline
        self.folder = folder
        self.written: dict[str, int] = {}
        self.sent: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        self.reset()
        companions.all_of_them.append(self)

    def reset(self) -> None:
        """As new; in a forked child, which neither sends nor writes what its parent does."""
        self.folder.abandon()
        self.written.clear()
        self.sent.clear()
        self.failures.clear()
        self.in_flight: Payload | None = None
        self._turn = allocate_lock()  # around what is taken from memory: to be sent, or to be written
        self._done: LockType | None = None  # released when the thread that sends has ended
        self._thread = 0
        self._next_look = 0.0
        self._failing = False

    def halt(self) -> int:
        """Before a fork: waits a moment for the thread to end."""
        return self._thread if self._done is not None and self._ended(0.05) else 0

    # The pipeline's thread.

    def deliver(self, until: float | None) -> None:
        """Sends what waits, in a thread of its own, and writes to disk what that does not get done.

        Args:
            until: when the caller must be done, by the monotonic clock; None where it has time.
        """
        pipeline = self.pipeline
        may_send = any(map(pipeline.may_send, pipeline.destinations))
        if may_send and self._ended(0) and (pipeline.backlog or self._finds()):
            self._start()
        stopping = pipeline.stopping
        until = monotonic() + BUSY if until is None else until - (RESERVE if stopping else 0.0)
        while not self._ended(STEP) and (pipeline.halting or monotonic() < until):
            pass
        if stopping:
            self.spill(everything=True)
        elif not self._ended(0) or pipeline.pausing:
            self.spill()

    def spill(self, everything: bool = False) -> None:
        """Writes the requests in memory to disk; where it cannot, they stay in memory.

        Args:
            everything: also the one that is being sent: at the exit, when nobody will hear of the answer.
        """
        with self._turn:
            for payload in list(self.pipeline.backlog):
                if payload.signal in outbox.OPTIONAL or (payload is self.in_flight and not everything):
                    continue
                try:
                    self.folder.append(payload)
                except OSError as error:
                    self._failed(error)
                    return
                if self.pipeline.took(payload):
                    self._failing = False
                    self.written[payload.signal] = self.written.get(payload.signal, 0) + payload.count

    def _finds(self) -> bool:
        """Whether there are files; looked for at times, unless this process wrote some."""
        if not self.written and monotonic() < self._next_look:
            return False
        self._next_look = monotonic() + LOOK
        return bool(self.folder.names())

    def _start(self) -> None:
        done = allocate_lock()
        done.acquire()
        self._done = done
        try:
            companions.start_thread(self._run, done)
        except RuntimeError:  # there is no thread to be had: it is done here
            self._run(done)

    def _ended(self, timeout: float) -> bool:
        """Whether nothing is being sent, or ends to be within so many seconds."""
        done = self._done
        if done is None:
            return True
        if not done.acquire(timeout=timeout):
            return False
        done.release()
        return True

    def _failed(self, error: OSError) -> None:
        reason = _named(error)
        self.failures[reason] = self.failures.get(reason, 0) + 1
        if not self._failing:
            self._failing = True
            self.pipeline.say(
                f"nothing can be kept in PERFAGENT_SPOOL_DIR={self.folder.base}: {error.strerror or error}; "
                "going on in memory"
            )

    # The thread that sends.

    def _run(self, done: LockType) -> None:
        self._thread = get_native_id()
        try:
            self._send_files()
            self._send_memory()
        except Exception:
            guard.failed("spool")
        finally:
            self.in_flight = None
            done.release()

    def _send_files(self) -> None:
        """Sends what is on disk; each file stays for as long as there is something in it."""
        for file in self.folder.files():
            try:
                if self._send_file(file):
                    file.remove()
            except OSError as error:  # a disk that fails to be read
                self._failed(error)

    def _send_file(self, file: Segment) -> bool:
        """Whether nothing is left in it."""
        pipeline, left = self.pipeline, False
        for record in file.waiting():
            signal = record.signal
            if signal not in pipeline.destinations:  # these are not sent any more
                pipeline.lose(signal, "rejected", record.count)
            elif not pipeline.may_send(signal):
                left = True
                continue
            elif (payload := file.read(record)) is None:
                pipeline.lose(signal, "spool_damaged", record.count)
            else:
                before = pipeline.sent.get(signal, 0)
                if not pipeline.hand_over(payload, lambda _payload: True):
                    left = True
                    continue
                self.sent[signal] = self.sent.get(signal, 0) + pipeline.sent.get(signal, 0) - before
            file.done(record)
        return not left

    def _send_memory(self) -> None:
        while True:
            with self._turn:
                waiting = (payload for payload in self.pipeline.backlog if self.pipeline.may_send(payload.signal))
                payload = self.in_flight = next(waiting, None)
            if payload is None:
                return
            if not self.pipeline.hand_over(payload, self.pipeline.took) and self.pipeline.may_send(payload.signal):
                return  # there is no time left

    def tell(self) -> dict[str, object]:
        """For a report of this process."""
        return {"folder": self.folder.path, "bytes": self.folder.size(), "failures": dict(self.failures)}


def _named(error: OSError) -> str:
    import errno

    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def start(pipeline: Pipeline) -> None:
    """Makes a pipeline keep on disk what its receiver does not take, where it has one."""
    from perfagent.runtime import outbox, resource
    from perfagent.runtime.spool import measures
    from perfagent.runtime.spool.folder import Folder
    from perfagent.settings.spool import SpoolSettings

    settings = SpoolSettings.current()
    if not settings.folder or not pipeline.destinations:
        return
    service = str(resource.attributes(pipeline.settings)["service.name"])
    folder = Folder(
        settings.folder, service, settings.size, lambda signal, count: pipeline.lose(signal, "spool_full", count)
    )
    pipeline.spool = Delivery(pipeline, folder)
    measures.declare(pipeline.spool)
    outbox.reports["spool"] = pipeline.spool.tell
