"""A market place: a FastAPI program with PostgreSQL, Redis, a warehouse and a bank, in which faults can be provoked."""
