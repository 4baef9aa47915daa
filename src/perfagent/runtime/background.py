"""The background thread: it works every so often, ends around a fork, and stops with the process within its time.

One thread, made by `_thread` so that `threading.enumerate()` shows the program's own threads alone, and stopped around
a fork so that Python 3.12 has no second thread to warn about.
"""

from __future__ import annotations

from _thread import allocate_lock, get_native_id

from perfagent.runtime import companions, guard
from perfagent.runtime.clock import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType

FORK_WAIT = 0.05  # seconds that a fork waits at most for the thread to stop; it takes 0.1 ms unless it is sending


class BackgroundThread:
    """When there is work; what it is, `_tick`, `_last_tick` and `_send_all` tell.

    Args:
        delay: seconds that it sleeps at most.
    """

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.reset()

    def reset(self) -> None:
        """As new: at the start, and in a forked child, which has no thread yet."""
        self._wake = allocate_lock()
        self._wake.acquire()
        self._done = allocate_lock()
        self._working = allocate_lock()
        self._switch = allocate_lock()  # around the thread's decision to end for a fork
        self._running = self._stopping = self._stuck = False
        self._halts = 0  # forks under way
        self._thread = 0
        self._exit_by = 0.0

    def _tick(self) -> None:
        """One round of work."""
        raise NotImplementedError

    def _last_tick(self) -> None:
        """The round before the end of the process."""
        raise NotImplementedError

    def _send_all(self, timeout: float) -> bool:
        """Gets everything done at the exit, within so many seconds, and says whether it is."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts the thread unless it runs."""
        with self._switch:
            if self._running or self._stopping or self._halts:
                return
            self._running = True
            done = self._done = allocate_lock()
            done.acquire()
        try:
            companions.start_thread(self._run, done)
        except RuntimeError:  # no thread to be had: the exit flushes what has gathered until then
            self._running = False

    def wake(self) -> None:
        """Makes the thread look at the outbox now; never blocks."""
        if not self._running:
            self.start()
        try:
            self._wake.release()
        except RuntimeError:  # it is awake already
            pass

    def stop(self, timeout: float) -> bool:
        """Sends what is left and ends the thread; a second call waits for the first one's end.

        Args:
            timeout: seconds; what is not sent by then is counted as dropped.

        Returns:
            Whether everything was handed over.
        """
        if self._stopping:
            return not self._running or self._ended(max(self._exit_by - monotonic(), 0.0))
        self._exit_by = monotonic() + timeout
        self._stopping = True
        try:
            return self._send_all(timeout)
        finally:
            companions.stop()

    @property
    def stopping(self) -> bool:
        """Whether the process is about to end."""
        return self._stopping

    @property
    def halting(self) -> bool:
        """Whether a fork is under way."""
        return bool(self._halts)

    def halt(self) -> None:
        """Before a fork: lets the thread end, so that the child is not made while it holds something.

        A thread that waits for a receiver keeps at it, and only one fork waits for it in vain.
        """
        with self._switch:
            self._halts += 1
        companions.halt()
        if not self._running or self._stopping or self._stuck:
            return
        self.wake()
        if self._ended(FORK_WAIT):
            companions.wait_until_gone(self._thread)
        else:
            self._stuck = True

    def resume(self) -> None:
        """After a fork, once for each `halt`: starts the thread again."""
        with self._switch:
            self._halts = max(self._halts - 1, 0)
        if not self._halts:
            companions.resume()
        self.start()

    def _run(self, done: LockType) -> None:
        self._thread = get_native_id()
        try:
            while self._goes_on():
                self._wake.acquire(timeout=self.delay)
                if self._stopping or self._halts:
                    continue
                with self._working:
                    try:
                        self._tick()
                    except Exception:  # what failed is lost, the next round goes on
                        guard.failed("pipeline")
            if self._stopping:
                self._last_tick()
        except Exception:
            guard.failed("pipeline")
        finally:
            with self._switch:
                if self._done is done:  # else a fork has ended this thread, and the next one runs already
                    self._running = False
            done.release()

    def _goes_on(self) -> bool:
        """Whether the thread does; where a fork ends it, it counts as ended from here on, for who resumes."""
        with self._switch:
            self._stuck = False
            if self._halts and not self._stopping:
                self._running = False
            return not self._halts and not self._stopping

    def _ended(self, timeout: float) -> bool:
        """Whether the thread ends within so many seconds."""
        done = self._done
        if not done.acquire(timeout=timeout):
            return False
        done.release()
        return True
