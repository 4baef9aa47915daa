"""How tight memory and processors are: whoever works in the background looks here before it does more than it must."""

from __future__ import annotations

FINE, TIGHT, EXCEEDED = 0, 1, 2

level = FINE
"""The worst of both, as the resource limits saw it last; FINE where nobody looks."""
