"""Sources: what the hub collects by itself, from its machine, databases, caches, endpoints and what a user adds."""
