"""perfagent: a performance agent for Python that the program cannot feel."""

__version__ = "0.1.0"
