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
    # A larger cache hits no less. That a shorter time fills at once, in the model, is a little too good for it where
    # many miss a value while it is made.
    grown = list(curve)
    for position in range(NOW, 0, -1):
        grown[position - 1] = min(grown[position - 1], grown[position])
    for position in range(NOW + 1, len(grown)):
        grown[position] = max(grown[position], grown[position - 1])
    return [min(max((hits + one - grown[NOW]) / gets, 0.0), 1.0) if gets else 0.0 for one in grown]
