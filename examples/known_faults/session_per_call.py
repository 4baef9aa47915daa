"""A client for each call: each opens a connection of its own, and throws it away.

With the argument `fixed` there is one for all of them.
"""

from __future__ import annotations

import sys
import time

import httpx
from bank import open_bank


def ask_alone(address: str) -> int:
    """Asks with a client of its own."""
    with httpx.Client() as client:  # the fault
        return client.get(address).status_code


def main() -> None:
    """Asks thirty times."""
    address = f"{open_bank()}/rates"
    with httpx.Client() as client:
        for _ in range(30):
            if "fixed" in sys.argv:
                client.get(address)
            else:
                ask_alone(address)
            time.sleep(0.1)
    print("see the clients that are made again and again: perfagent dashboard --service session_per_call, or the page")


if __name__ == "__main__":
    main()
