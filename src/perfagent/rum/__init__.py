"""Real browsers: puts one script into the program's pages, which measures them and tells the hub (PERFAGENT_RUM).

What is not a whole HTML document that may be changed is sent as it is. Nothing here is imported while it is off.
"""

from __future__ import annotations

from perfagent.rum.address import Address

hub: Address | None = None
"""Where browsers find the hub; None where they cannot, and then nothing is put into any page."""


def use(text: str) -> None:
    """Sends the browsers that open the program's pages to a hub.

    Args:
        text: its address, such as "http://127.0.0.1:4318", or a path such as "/perfagent" of the program's own site.

    Raises:
        ValueError: it is neither.
    """
    global hub
    hub = Address(text)
