"""Notifications: who is told of what happens to an incident, how, and what became of it."""
