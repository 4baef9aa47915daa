"""Runs in the one Python process that `perfagent memory` starts: traces its allocations, then runs the user's own
sitecustomize. What that process starts itself is left alone.

Any Python may come by here, so the code above the version check is old-fashioned.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _restore():
    """The environment and the path as if perfagent were not there; returns the plan."""
    import json

    plan = json.loads(os.environ.pop("PERFAGENT_MEMORY_PLAN"))
    if plan["pythonpath"] is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = plan["pythonpath"]
    return plan


def _start(plan):
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
    known = "perfagent" in sys.modules
    if not known:  # it may live in another environment, of which nothing else is to be found
        sys.path.insert(0, package_parent)
    try:
        import perfagent  # noqa: F401 - found here, so that its parts are found afterwards
    finally:
        if not known:
            sys.path.remove(package_parent)
    from perfagent.profiler import allocations

    allocations.start(plan)


def _hand_over():
    """The user's sitecustomize, which ours hides by its name, as if ours were not there."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise
        if ours is not None:
            sys.modules["sitecustomize"] = ours


if "PERFAGENT_MEMORY_PLAN" in os.environ:
    _plan = _restore()
    if sys.version_info >= (3, 10):  # noqa: UP036 - older ones come by here
        _start(_plan)
    else:
        sys.stderr.write("perfagent: memory needs Python 3.10 or later, and this is " + sys.version.split()[0] + "\n")
_hand_over()
