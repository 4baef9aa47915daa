"""Alerts: what is wrong, since when, who has been told, and what became of it."""
