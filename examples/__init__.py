"""Programs that show the agent at work."""
