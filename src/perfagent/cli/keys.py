"""A terminal as a whole screen: keys as they are pressed, frames without flicker, all put back at the end."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType

ENTER = "\x1b[?1049h\x1b[?25l"  # the alternate screen, no cursor
LEAVE = "\x1b[?25h\x1b[?1049l"


class Keys:
    """The terminal of this process, between `with` and its end; Ctrl-Z and SIGTERM leave it as it was, too."""

    def __enter__(self) -> Keys:
        self._stdin = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._stdin)
        self._size = shutil.get_terminal_size()
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
        signal.signal(signal.SIGTSTP, self._pause)
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, place: TracebackType | None
    ) -> None:
        self._give_back()
        for number in (signal.SIGTERM, signal.SIGTSTP):
            signal.signal(number, signal.SIG_DFL)

    def _take(self) -> None:
        tty.setcbreak(self._stdin)
        sys.stdout.write(ENTER)
        sys.stdout.flush()

    def _give_back(self) -> None:
        termios.tcsetattr(self._stdin, termios.TCSADRAIN, self._before)
        sys.stdout.write(LEAVE)
        sys.stdout.flush()

    def _pause(self, _number: int, _frame: FrameType | None) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)  # goes on here when the shell brings us back
        self._take()

    def read(self, seconds: float) -> str:
        """What is typed within so many seconds, else ""; an arrow or the like is passed over."""
        ready, _writable, _failed = select.select([self._stdin], [], [], seconds)
        if not ready:
            return ""
        pressed = os.read(self._stdin, 64)
        if not pressed:  # the terminal has gone
            return "q"
        text = pressed.decode("utf-8", "ignore")
        return "" if len(text) > 1 and text.startswith("\x1b") else text

    def was_resized(self) -> bool:
        """Whether the terminal has another size than when this was asked last."""
        before, self._size = self._size, shutil.get_terminal_size()
        return before != self._size

    def draw(self, lines: list[str]) -> None:
        """Puts the lines over those that are there: each cleared to its end, then what is below."""
        sys.stdout.write("\x1b[H" + "\x1b[K\n".join(lines) + "\x1b[K\x1b[J")
        sys.stdout.flush()
