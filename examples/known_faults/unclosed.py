"""Responses that are not read and not closed, and a file that is not closed: each connection is used once.

With the argument `fixed` they are.
"""

from __future__ import annotations

import sys

import requests
from bank import open_bank

FIXED = "fixed" in sys.argv


def is_open(session: requests.Session, address: str) -> bool:
    """Looks at the status alone."""
    if FIXED:
        with session.get(address, stream=True, timeout=5) as response:
            return response.ok
    response = session.get(address, stream=True, timeout=5)  # the fault: the body stays where it is
    return response.ok


def first_line() -> str:
    """Reads a file."""
    if FIXED:
        with open(__file__) as file:
            return file.readline()
    return open(__file__).readline()  # the other fault


def main() -> None:
    """Looks again and again."""
    address = f"{open_bank()}/rates"
    with requests.Session() as session:
        for _ in range(5):
            is_open(session, address)
            first_line()
    print("see what is not closed: perfagent dashboard --service unclosed, or the page")


if __name__ == "__main__":
    main()
