"""Retries without an end: one by tenacity without a stop, one by a loop of the program without a growing pause.

With the argument `fixed` both give up, and wait longer each time.
"""

from __future__ import annotations

import sys
import time

import requests
import tenacity

FIXED = "fixed" in sys.argv
NOBODY = "http://127.0.0.1:9/rates"  # nobody listens there
STOP = tenacity.stop_after_attempt(3) if FIXED else tenacity.stop_never


class Warehouse:
    """Is down for a while."""

    def __init__(self) -> None:
        self.questions = 0

    @tenacity.retry(stop=STOP, wait=tenacity.wait_fixed(0.01), reraise=True)
    def ask(self) -> str:
        """Fails seven times."""
        self.questions += 1
        if self.questions <= 7:
            raise ConnectionError("the warehouse is down")
        return "12 in stock"


def rates() -> str | None:
    """Asks until it is answered, or for a while at least."""
    for attempt in range(3 if FIXED else 30):
        try:
            return requests.get(NOBODY, timeout=1).text  # fails
        except requests.ConnectionError:
            time.sleep(0.02 * 2**attempt if FIXED else 0.02)
    return None


def main() -> None:
    """Tries both."""
    try:
        print(Warehouse().ask())
    except ConnectionError as error:
        print(error)
    print(rates() or "no rates")


if __name__ == "__main__":
    main()
