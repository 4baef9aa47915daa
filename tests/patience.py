"""How long tests wait for what must happen."""

PATIENCE = 90.0
"""Seconds in which all happens that a test waits for, on the slowest machine; they cost nothing where it is soon."""
EXIT = {"PERFAGENT_EXIT_TIMEOUT": "30000"}
"""As long as a receiver answers at all, a program does not end before the last of its telemetry is taken."""
AT_ONCE = {"PERFAGENT_EXIT_TIMEOUT": "1500"}
"""For tests of receivers that do not answer: as programs outside of tests end."""
