"""Calls without a time-out: a bank that takes the connection and never answers would keep each of them for ever.

With the argument `fixed` they have one.
"""

from __future__ import annotations

import sys
import urllib.request

import httpx
import requests
from bank import open_bank

TIMEOUT = 10 if "fixed" in sys.argv else None


def main() -> None:
    """Asks in three ways, again and again."""
    address = f"{open_bank()}/rates"
    with requests.Session() as session, httpx.Client(timeout=TIMEOUT) as client:
        for _ in range(5):
            session.get(address, timeout=TIMEOUT)  # the first
            client.get(address)  # the second
            with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:  # the third
                answer.read()
    print("see the calls without a time-out: perfagent dashboard --service missing_timeout, or the page")


if __name__ == "__main__":
    main()
