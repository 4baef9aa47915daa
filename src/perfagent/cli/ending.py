"""How a command ends: what may go wrong while it works and prints is one line and an exit status."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def run(body: Callable[[], int]) -> int:
    """Runs a command's body, and returns its exit status: 0 where a pipe has read enough, 130 after Ctrl-C, 2 where
    something cannot be read or written.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no "…" gets a question mark, not a traceback
    try:
        status = body()
        sys.stdout.flush()
    except BrokenPipeError:  # `perfagent traces | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return told(f"{error.filename or 'standard output'}: {error.strerror}", 2)
    return status


def told(reason: str, status: int) -> int:
    """Tells why a command ends, in a line on standard error, and returns its exit status.

    Lines that are set in stay below it: they show the place in an expression.
    """
    from perfagent.cli.output import clean

    print("perfagent: " + "\n  ".join(clean(line) for line in reason.split("\n  ")), file=sys.stderr)
    return status
