"""Warnings that Python hides and somebody of ours asks for, besides those of what is deprecated."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

others: dict[type, Callable[[str, FrameType], None]] = {}
"""By category: takes the text, and the frame that is blamed; called by whoever sees warnings, with C's own alone."""
