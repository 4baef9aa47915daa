"""How perfagent gets into a process, and out of it."""
