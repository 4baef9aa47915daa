"""uWSGI: one request to a plain application in a uWSGI of one process, which tells its own CPU."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests import pythons

from benchmarks import children
from benchmarks.instruments.elsewhere import Elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

IS_REQUEST = True
APPLICATION = """
import time

def application(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [repr(time.thread_time()).encode()]
"""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The path of uWSGI's program; the measured process starts it, so that the agent comes in as it does elsewhere."""
    yield str(pythons.environment("{}.{}".format(*sys.version_info), "uwsgi", "flask").with_name("uwsgi"))


@contextlib.contextmanager
def calls(address: str) -> Iterator[Elsewhere]:
    """A request on a connection of its own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "served.py").write_text(APPLICATION)
        port = children.free_port()
        words = (
            f"{address} --http-socket 127.0.0.1:{port} --need-app --enable-threads --module served --disable-logging"
        )
        with children.started(words.split(), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):

            def call() -> float:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                with contextlib.closing(connection):
                    connection.request("GET", "/")
                    return float(connection.getresponse().read())

            deadline = time.monotonic() + 30
            while True:
                try:
                    call()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            yield Elsewhere(call, call)
