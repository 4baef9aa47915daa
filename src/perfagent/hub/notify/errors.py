"""Why a message was not delivered."""

from __future__ import annotations


class NotDelivered(Exception):  # noqa: N818 - a state of the receiver
    """A message was not taken; the text says why, without secrets."""
