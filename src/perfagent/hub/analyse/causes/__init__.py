"""Why it is slow, fails or runs out: likely causes ranked over the service and span graph, each with its evidence."""

from perfagent.hub.analyse.causes.cause import KINDS, Cause
from perfagent.hub.analyse.causes.facts import Facts
from perfagent.hub.analyse.causes.ranking import rank

__all__ = ["KINDS", "Cause", "Facts", "rank"]
