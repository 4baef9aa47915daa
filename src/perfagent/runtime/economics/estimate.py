"""Hit ratios at other sizes and times, from what a model has seen.

What the sample says is the difference to the cache as it is; that is added to the hit ratio that was measured. So a key
that is asked for very often and happens to be watched, or not to be, makes no error: it hits at all sizes alike.
"""

from __future__ import annotations

from perfagent.runtime.economics.curve import FACTORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = FACTORS.index(1.0)


def ratios(gets: float, hits: float, curve: Sequence[float]) -> list[float]:
    """The hit ratio at each of FACTORS.

    Args:
        gets, hits: as counted.
        curve: weights of the hits at each of FACTORS.
    """
    found = []
    for one in curve:
        ratio = (hits + one - curve[NOW]) / gets if gets else 0.0
        found.append(min(max(ratio, 0.0), 1.0))
    return found
