"""Runs in every Python process started under `perfagent run`: starts the agent, then the user's own sitecustomize.

Any Python may come by here, even 2.7, so the code above the version check is as old-fashioned as that asks.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _start():
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
    known = "perfagent" in sys.modules
    if not known:
        # perfagent may live in another environment: its folder is on the path for this one import, which imports
        # nothing else, so none of that environment's packages can shadow the program's.
        sys.path.insert(0, package_parent)
    try:
        import perfagent  # noqa: F401 - found here, so that its parts are found afterwards
    finally:
        if not known:
            sys.path.remove(package_parent)
    from perfagent.launch import start

    start.in_process()


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


if sys.version_info >= (3, 10):  # noqa: UP036 - older ones come by here and are left alone
    try:
        _start()
    except Exception as error:
        reason = type(error).__name__ + ": " + str(error)
        sys.stderr.write("perfagent: could not start (" + reason + "); the program goes on without it\n")
_hand_over()
