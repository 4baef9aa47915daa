"""What a user of an interface feels: pages, frames, callbacks, uploads."""

from __future__ import annotations

from perfagent.monitor import emission
from perfagent.monitor.recorder import Recorder, number

UI = "ui"
SLOW_FRAME = 1000 / 60 + 1  # ms; one more than a frame at 60 a second has, for timers round


class Interface(Recorder):
    """Metrics of pages and of interfaces that the program draws; arguments as for `Recorder`."""

    def record_page_load(self, page: str, seconds: float) -> None:
        """Records how long a page took to load, as `page_load.<page>`.

        It is sent as the histogram `<namespace>.page.load.duration` with the attribute `page`.

        Args:
            page: its name or route, such as "/orders"; addresses with ids in them would make a metric each.
            seconds: how long.

        Raises:
            TypeError, ValueError: the name is no text or empty, or the duration is no finite number from 0.
        """
        seconds = number(seconds, "seconds", _named("page", page, "/orders"), 0)
        track = self._own(
            f"page_load.{page}", "s", UI, lambda: emission.own("page.load.duration").of({"page": page}).record
        )
        track.record(seconds)

    def record_frame_time(self, ms: float) -> None:
        """Records how long a frame of the interface took, as `frame_time` (ms) and `slow_frame_rate` (%).

        Slow are frames that are late at 60 a second. It is sent as the histogram `<namespace>.ui.frame.duration`, in
        seconds.

        Args:
            ms: milliseconds.

        Raises:
            TypeError, ValueError: it is no finite number from 0.
        """
        ms = number(ms, "ms", "frame", 0)
        if self._enabled:
            emission.bound("ui.frame.duration").record(ms / 1000)
            self._own("frame_time", "ms", UI, lambda: _nothing).keep(ms)
            self._own("slow_frame_rate", "%", UI, lambda: _nothing).keep(100.0 if ms > SLOW_FRAME else 0.0)

    def record_callback_duration(self, name: str, seconds: float) -> None:
        """Records how long a callback of the interface took, as `callback.<name>`.

        It is sent as the histogram `<namespace>.ui.callback.duration` with the attribute `callback`.

        Args:
            name: of the callback.
            seconds: how long.

        Raises:
            TypeError, ValueError: the name is no text or empty, or the duration is no finite number from 0.
        """
        seconds = number(seconds, "seconds", _named("name", name, "on_filter"), 0)
        track = self._own(
            f"callback.{name}", "s", UI, lambda: emission.own("ui.callback.duration").of({"callback": name}).record
        )
        track.record(seconds)

    def record_upload(self, size: float, seconds: float) -> None:
        """Records an upload, as `upload_speed` (By/s).

        It is sent as the histogram `<namespace>.ui.upload.speed` and the counter `<namespace>.ui.upload.size`.

        Args:
            size: bytes.
            seconds: how long they took; more than 0.

        Raises:
            TypeError, ValueError: one of them is no finite number, or too small.
        """
        size, seconds = number(size, "size", "upload", 0), number(seconds, "seconds", "upload", 0)
        if seconds == 0:
            raise ValueError(f"seconds={seconds!r} of 'upload' is not accepted: give more than 0, such as 1.5")
        if self._enabled:
            emission.bound("ui.upload.size").record(int(size))
        track = self._own("upload_speed", "By/s", UI, lambda: emission.own("ui.upload.speed").of().record)
        track.record(size / seconds)


def _named(argument: str, name: str, example: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{argument}={name!r} is not accepted: give a name, such as {example!r}")
    return name


def _nothing(value: float) -> None:
    """Sends nothing."""
