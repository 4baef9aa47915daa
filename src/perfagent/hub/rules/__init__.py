"""Prometheus' rules from the hub's own definitions. Standard library alone: the agent's wheel exports them too."""
