"""Where a queue's library goes about its own business, such as asking for messages or telling that it lives.

What it does for that is no operation of the program, unless a span above tells who has asked for it.
"""

from __future__ import annotations

from contextvars import ContextVar

plumbing: ContextVar[bool] = ContextVar("perfagent_plumbing", default=False)
"""Whether the code that runs is such a library's."""
